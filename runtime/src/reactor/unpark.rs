//! Ending a wait from outside, with a system call only when somebody waits.
//!
//! ```text
//!            unpark()                    enter(): token taken, do not sleep
//!   AWAKE ----------------> NOTIFIED ------------------------------------> AWAKE
//!     |                        ^
//!     | enter(): go and wait   | unpark(), and end the wait: ring the backend's bell,
//!     +--> LISTENING, DEAF ----+                             or unpark the parker
//!     ^           |
//!     +-----------+  leave()
//! ```
//!
//! Owns      one atomic word. One thread at a time enters and leaves; any thread unparks.
//! Holds     I1 a token is never lost; I2 tokens merge; I3 a bell rings only out of LISTENING, the
//!           parker's only out of DEAF. Either may ring late, after `leave`: the next wait of its
//!           kind then returns for no reason.
//!
//! | operation               | ordering | pairs with          | what breaks if weaker             |
//! |-------------------------|----------|---------------------|-----------------------------------|
//! | unpark: swap NOTIFIED   | Release  | Acquire in `enter`, | work done before the unpark would |
//! |                         |          | `leave`             | not be seen after the wait        |
//! | enter, leave: to AWAKE  | Acquire  | Release in `unpark` | the same                          |
//! | enter: out of AWAKE     | Relaxed  | (decides nothing)   | the word alone carries the state  |
//!
//! Source    the executor's `park.rs`, with a bell for a futex. Next: `wakes.rs`.

use crate::sync::atomic::{AtomicU8, Ordering};

const AWAKE: u8 = 0;
const LISTENING: u8 = 1;
const DEAF: u8 = 2;
const NOTIFIED: u8 = 3;

pub(crate) struct UnparkWord(AtomicU8);

/// How a thread waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// On the OS: for events, and for the backend's bell.
    Listening,
    /// On a parker: nothing is watched, so there is nothing to hear from the OS.
    Deaf,
}

impl UnparkWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// About to wait. False when a token was there: it is taken, and the wait must not sleep. Only
    /// the waiting thread calls this, and `leave` after its wait.
    pub(crate) fn enter(&self, wait: Wait) -> bool {
        let state = match wait {
            Wait::Listening => LISTENING,
            Wait::Deaf => DEAF,
        };
        // Relaxed: going to sleep publishes nothing, and a token is taken by `leave`.
        let entered = self
            .0
            .compare_exchange(AWAKE, state, Ordering::Relaxed, Ordering::Relaxed);
        if entered.is_err() {
            self.leave();
        }
        entered.is_ok()
    }

    /// Takes the token of a thread that is not about to wait. True when there was one.
    pub(crate) fn take(&self) -> bool {
        // Relaxed: a look, to save the locked instruction. A token that it misses stays, and ends
        // the next wait.
        self.0.load(Ordering::Relaxed) == NOTIFIED && self.leave()
    }

    /// The wait is over. True when there was a token: it is taken.
    pub(crate) fn leave(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`.
        self.0.swap(AWAKE, Ordering::Acquire) == NOTIFIED
    }

    /// Hands over a token. Returns the wait that the caller must end.
    #[must_use]
    pub(crate) fn unpark(&self) -> Option<Wait> {
        // Release: what this thread did before is seen by the thread that comes out of the wait.
        // A swap even when a token is there already: it must carry the latest work (I2).
        match self.0.swap(NOTIFIED, Ordering::Release) {
            LISTENING => Some(Wait::Listening),
            DEAF => Some(Wait::Deaf),
            _ => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_bell_rings_only_when_somebody_waits() {
        let word = UnparkWord::new();
        for wait in [Wait::Listening, Wait::Deaf] {
            assert_eq!(word.unpark(), None); // nobody waits: a token, no bell
            assert_eq!(word.unpark(), None); // two tokens merge
            assert!(!word.enter(wait)); // the token forbids sleeping
            assert!(word.enter(wait)); // and was only one
            assert_eq!(word.unpark(), Some(wait)); // somebody waits: ring
            assert_eq!(word.unpark(), None); // once
            word.leave();
            assert!(word.enter(wait));
            assert!(!word.leave());
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar, Mutex};

    /// A bell as the backends have it: a wait returns once it has rung, and uses the ring up.
    #[derive(Default)]
    struct Bell {
        rung: Mutex<bool>,
        heard: Condvar,
    }

    impl Bell {
        fn ring(&self) {
            *self.rung.lock().unwrap() = true;
            self.heard.notify_one();
        }

        fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.heard.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    #[test]
    fn no_unpark_is_lost_whenever_it_comes() {
        // Three switches of thread against their will reach every order that two would miss, and
        // all of them are more than a test should take.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((UnparkWord::new(), Bell::default(), AtomicUsize::new(0)));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    loom::thread::spawn(move || {
                        let (word, bell, work) = &*shared;
                        work.fetch_add(1, Ordering::Relaxed);
                        if word.unpark().is_some() {
                            bell.ring();
                        }
                    })
                })
                .collect();
            let (word, bell, work) = &*shared;
            // Ends only if no token is lost; each round must see what its token stands for.
            while work.load(Ordering::Relaxed) < 2 {
                if word.enter(Wait::Listening) {
                    bell.wait();
                    word.leave();
                }
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}
