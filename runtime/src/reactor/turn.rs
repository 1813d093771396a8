//! One turn of the reactor: wait, mark, collect wakers. The caller then calls them.
//!
//! While no source is watched the OS has nothing to say but "the bell has rung", so a sleep without a
//! deadline is deaf then: one on the unpark word, which is cheaper to end than one on the bell, a futex
//! against an eventfd behind an epoll. The first source to be registered ends it (I3 of `registry.rs`).
//!
//! Owns      the half of the backend that waits; one thread at a time has it.
//! Holds     nothing is locked while waiting, and no waker is called in here; nobody sleeps while
//!           there is a doubt (`doubts.rs`).
//! Next: `../time/`.

use super::doubts::{Doubt, Doubts};
use super::poller::{self, Backend, Event, Limit};
use super::registry::Registry;
use super::wakes::Wakes;
use std::io;
use std::sync::Arc;
use std::task::Waker;

pub(crate) struct Reactor {
    wait: Box<dyn poller::Wait>,
    events: Vec<Event>,
    doubts: Doubts,
    registry: Arc<Registry>,
}

impl Reactor {
    pub(crate) fn new(backend: Backend) -> io::Result<Reactor> {
        let (selector, wait) = backend.open()?;
        Ok(Reactor {
            wait,
            events: Vec::new(),
            doubts: Doubts::default(),
            registry: Arc::new(Registry::new(selector)),
        })
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Ends the current or the next turn, from any thread.
    pub(crate) fn unparker(&self) -> Waker {
        self.registry.clone().into()
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
        let registry = &*self.registry;
        let in_doubt = self.is_in_doubt();
        if in_doubt && limit != Limit::Look && self.doubts.may_guess() {
            let guesses = self.doubts.guess();
            let made = registry.guess(guesses, wakes);
            self.doubts.note_guesses(made);
            return true;
        }
        if limit == Limit::Forever && !in_doubt && registry.may_be_deaf() {
            // No token: for no reason, or a bell that rang late.
            return registry.word().sleep_deaf();
        }
        // A look at what is there sleeps for nobody: no bell need ring, but it takes the token.
        let word = registry.word();
        let (limit, mut token) = match limit {
            Limit::Look => (Limit::Look, word.take()),
            _ if in_doubt => (Limit::Look, word.take()),
            limit if word.enter() => (limit, false),
            _ => (Limit::Look, true),
        };
        self.doubts.note_look();
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
            registry.dispatch(&self.events, ending, wakes);
            self.doubts.age(happened);
        }
        happened || in_doubt
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // Dropping the list calls them, outside the registry's lock.
        self.registry.close(&mut Wakes::default());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::super::interest::Interest;
    use super::super::poller::{Arming, Selector, Token};
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::Duration;
    use tatkal_executor::Parker;

    /// An OS that says of each source at once that it is writable, once.
    struct Says {
        said: AtomicUsize,
        bell: Waker,
    }

    impl Selector for Says {
        fn arming(&self) -> Arming {
            Arming::Edge
        }

        fn register(&self, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
            self.said.fetch_add(1, Ordering::Relaxed);
            self.ring();
            Ok(())
        }

        fn rearm(&self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&self, _: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }

        fn ring(&self) {
            self.bell.wake_by_ref();
        }
    }

    /// The half that listens: ended by what is said as by the bell.
    struct Hears(Parker);

    impl poller::Wait for Hears {
        fn wait(&mut self, limit: Limit, _: &mut Vec<Event>) -> io::Result<()> {
            match limit {
                Limit::Forever => self.0.park(),
                _ => _ = self.0.park_timeout(Duration::ZERO),
            }
            Ok(())
        }
    }

    fn reactor() -> (Reactor, Arc<Says>) {
        let hears = Parker::new();
        let says = Arc::new(Says {
            said: AtomicUsize::new(0),
            bell: hears.unparker(),
        });
        let reactor = Reactor {
            registry: Arc::new(Registry::new(says.clone())),
            wait: Box::new(Hears(hears)),
            events: Vec::new(),
            doubts: Doubts::default(),
        };
        (reactor, says)
    }

    fn all_is_heard_of(opens: bool) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let (mut reactor, says) = reactor();
            let work = Arc::new(AtomicUsize::new(0));
            let opener = opens.then(|| {
                let registry = reactor.registry().clone();
                loom::thread::spawn(move || registry.register(io::stdin().as_fd()).unwrap())
            });
            let waker = loom::thread::spawn({
                let (unparker, work) = (reactor.unparker(), work.clone());
                move || {
                    work.store(1, Ordering::Relaxed);
                    unparker.wake();
                }
            });
            let all = 1 + usize::from(opens);
            // Ends only if no sleep of either kind is deaf to what ends it.
            while work.load(Ordering::Relaxed) + says.said.load(Ordering::Relaxed) < all {
                reactor.turn(Limit::Forever, &mut Wakes::default());
            }
            waker.join().unwrap();
            if let Some(opener) = opener {
                let registration = opener.join().unwrap();
                registration.deregister(io::stdin().as_fd());
            }
        });
    }

    #[test]
    fn a_token_is_heard_of_by_who_watches_nothing() {
        all_is_heard_of(false);
    }

    /// The one may end the sleep that the other would have ended, and a deaf one becomes another.
    #[test]
    fn a_token_and_a_first_source_are_both_heard_of() {
        all_is_heard_of(true);
    }
}
