//! One turn of the reactor: wait, mark, collect wakers. The caller then calls them.
//!
//! Owns      the half of the backend that waits; one thread at a time has it.
//! Holds     nothing is locked while waiting, and no waker is called in here.
//! Next: `time/`.

use super::poller::{Backend, Event, Limit, Wait};
use super::registry::Registry;
use super::unpark::UnparkWord;
use super::wakes::Wakes;
use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};

pub(crate) struct Reactor {
    wait: Box<dyn Wait>,
    events: Vec<Event>,
    unparker: Arc<Unparker>,
}

/// Ends the current or the next turn, from any thread.
struct Unparker {
    word: UnparkWord,
    registry: Arc<Registry>,
}

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.word.unpark() {
            self.registry.selector().ring();
        }
    }
}

impl Reactor {
    pub(crate) fn new(backend: Backend) -> io::Result<Reactor> {
        let (selector, wait) = backend.open()?;
        let unparker = Unparker {
            word: UnparkWord::new(),
            registry: Arc::new(Registry::new(selector)),
        };
        Ok(Reactor {
            wait,
            events: Vec::new(),
            unparker: Arc::new(unparker),
        })
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.unparker.registry
    }

    pub(crate) fn unparker(&self) -> Waker {
        self.unparker.clone().into()
    }

    /// (4) Waits, and (5) marks what happened. True if anything did: an event, or a
    /// token from an unparker. May come back early and for no reason.
    pub(crate) fn turn(&mut self, limit: Limit, wakes: &mut Wakes) -> bool {
        // A look at what is there sleeps for nobody: no bell need ring, but it takes the token.
        let word = &self.unparker.word;
        let (limit, mut token) = match limit {
            Limit::Look => (Limit::Look, word.leave()),
            limit if word.enter() => (limit, false),
            _ => (Limit::Look, true),
        };
        self.events.clear();
        let result = self.wait.wait(limit, &mut self.events);
        token |= self.unparker.word.leave();
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the event loop cannot wait for the operating system: {error}"),
        }
        self.unparker.registry.dispatch(&self.events, wakes);
        token || !self.events.is_empty()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // Dropping the list calls them, outside the registry's lock.
        self.unparker.registry.close(&mut Wakes::default());
    }
}
