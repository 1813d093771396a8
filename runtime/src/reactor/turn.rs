//! One turn of the reactor: wait, mark, collect wakers. The caller then calls them.
//!
//! Owns      the half of the backend that waits; one thread at a time has it.
//! Holds     nothing is locked while waiting, and no waker is called in here; nobody sleeps while
//!           there is a doubt (`doubts.rs`).
//! Next: `time/`.

use super::doubts::{Doubt, Doubts};
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
    doubts: Doubts,
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
            doubts: Doubts::default(),
            unparker: Arc::new(unparker),
        })
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.unparker.registry
    }

    pub(crate) fn unparker(&self) -> Waker {
        self.unparker.clone().into()
    }

    /// Takes over the reads that were put off since the last turn, and leaves the list empty.
    pub(crate) fn take_in(&mut self, doubts: &mut Vec<Doubt>) {
        self.doubts.take_in(doubts);
    }

    /// Then the next turn does not sleep.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// (4) Waits, and (5) marks what happened. True if anything did: an event, a token from an
    /// unparker, a doubt that ended. May come back early and for no reason.
    pub(crate) fn turn(&mut self, limit: Limit, wakes: &mut Wakes) -> bool {
        // A look at what is there sleeps for nobody: no bell need ring, but it takes the token.
        let word = &self.unparker.word;
        let in_doubt = self.is_in_doubt();
        let (limit, mut token) = match limit {
            Limit::Look => (Limit::Look, word.take()),
            _ if in_doubt => (Limit::Look, word.take()),
            limit if word.enter() => (limit, false),
            _ => (Limit::Look, true),
        };
        self.events.clear();
        let result = self.wait.wait(limit, &mut self.events);
        token |= match limit {
            Limit::Look => word.take(),
            _ => word.leave(),
        };
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the event loop cannot wait for the operating system: {error}"),
        }
        let happened = token || !self.events.is_empty();
        if in_doubt || !self.events.is_empty() {
            let ending = self.doubts.ending(happened);
            let registry = &self.unparker.registry;
            registry.dispatch(&self.events, ending, wakes);
            self.doubts.age(happened);
        }
        happened || in_doubt
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // Dropping the list calls them, outside the registry's lock.
        self.unparker.registry.close(&mut Wakes::default());
    }
}
