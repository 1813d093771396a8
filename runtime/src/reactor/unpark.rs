//! Ending a wait from outside, with a system call only when somebody waits.
//!
//! ```text
//!            unpark()                    enter(): token taken, do not sleep
//!   AWAKE ----------------> NOTIFIED ------------------------------------> AWAKE
//!     |                        ^
//!     | enter(): go and wait   | unpark(), and end the wait: ring the backend's bell,
//!     +--> LISTENING, DEAF ----+                             or wake who sleeps on the word
//!     ^           |
//!     +-----------+  leave()
//! ```
//!
//! Owns      one atomic word. One thread at a time enters and leaves; any thread unparks. A thread
//!           that listens waits for the OS; a deaf one, where nothing is watched and so nothing is
//!           to be heard, sleeps on the word itself.
//! Holds     I1 a token is never lost; I2 tokens merge; I3 a bell rings only out of LISTENING, the
//!           word wakes only out of DEAF. Either may come late, after `leave`: the next wait of its
//!           kind then returns for no reason.
//! Cost      of a deaf sleep and its end: three locked instructions on one cache line and a system
//!           call each. Nothing else is written, for all that a thread touches right after it has
//!           slept is cold.
//!
//! | operation               | ordering | pairs with          | what breaks if weaker             |
//! |-------------------------|----------|---------------------|-----------------------------------|
//! | unpark: swap NOTIFIED   | Release  | Acquire in `enter`, | work done before the unpark would |
//! |                         |          | `leave`             | not be seen after the wait        |
//! | enter, leave: to AWAKE  | Acquire  | Release in `unpark` | the same                          |
//! | enter: out of AWAKE     | Relaxed  | (decides nothing)   | the word alone carries the state  |
//!
//! Source    the executor's `park.rs`, with a bell beside the futex. Next: `wakes.rs`.

use crate::sync::atomic::Ordering;
use tatkal_executor::WaitCell;

const AWAKE: u32 = 0;
const LISTENING: u32 = 1;
const DEAF: u32 = 2;
const NOTIFIED: u32 = 3;

pub(crate) struct UnparkWord(WaitCell);

impl UnparkWord {
    pub(crate) fn new() -> Self {
        Self(WaitCell::new(AWAKE))
    }

    /// About to wait for the OS. False when a token was there: it is taken, and the wait must not
    /// sleep. Only the waiting thread calls this, and `leave` after its wait.
    pub(crate) fn enter(&self) -> bool {
        self.go(LISTENING)
    }

    /// Sleeps until there is a token, or for no reason. True when there was one: it is taken. For
    /// the waiting thread too.
    #[inline]
    pub(crate) fn sleep_deaf(&self) -> bool {
        if !self.go(DEAF) {
            return true;
        }
        self.0.wait(DEAF, None);
        self.leave()
    }

    fn go(&self, state: u32) -> bool {
        // Relaxed: going to sleep publishes nothing, and a token is taken by `leave`.
        let gone = self
            .0
            .word
            .compare_exchange(AWAKE, state, Ordering::Relaxed, Ordering::Relaxed);
        if gone.is_err() {
            self.leave();
        }
        gone.is_ok()
    }

    /// Takes the token of a thread that is not about to wait. True when there was one.
    pub(crate) fn take(&self) -> bool {
        // Relaxed: a look, to save the locked instruction. A token that it misses stays, and ends
        // the next wait.
        self.0.word.load(Ordering::Relaxed) == NOTIFIED && self.leave()
    }

    /// The wait is over. True when there was a token: it is taken.
    pub(crate) fn leave(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`.
        self.0.word.swap(AWAKE, Ordering::Acquire) == NOTIFIED
    }

    /// Hands over a token, and ends a deaf sleep. True: somebody listens, and the caller must ring.
    #[inline]
    #[must_use]
    pub(crate) fn unpark(&self) -> bool {
        // Release: what this thread did before is seen by the thread that comes out of the wait.
        // A swap even when a token is there already: it must carry the latest work (I2).
        let before = self.0.word.swap(NOTIFIED, Ordering::Release);
        if before == DEAF {
            self.0.wake_one();
        }
        before == LISTENING
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_bell_rings_only_when_somebody_listens() {
        let word = UnparkWord::new();
        assert!(!word.unpark()); // nobody waits: a token, no bell
        assert!(!word.unpark()); // two tokens merge
        assert!(!word.enter()); // the token forbids sleeping
        assert!(word.enter()); // and was only one
        assert!(word.unpark()); // somebody listens: ring
        assert!(!word.unpark()); // once
        word.leave();
        assert!(word.enter());
        assert!(!word.leave());
    }

    #[test]
    fn a_token_given_before_a_deaf_sleep_ends_it_at_once() {
        let word = UnparkWord::new();
        assert!(!word.unpark());
        assert!(word.sleep_deaf());
        assert!(word.enter()); // it was taken
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

    fn no_unpark_is_lost(wait: fn(&UnparkWord, &Bell)) {
        // Three switches of thread against their will reach every order that two would miss, and
        // all of them are more than a test should take.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let shared = Arc::new((UnparkWord::new(), Bell::default(), AtomicUsize::new(0)));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    loom::thread::spawn(move || {
                        let (word, bell, work) = &*shared;
                        work.fetch_add(1, Ordering::Relaxed);
                        if word.unpark() {
                            bell.ring();
                        }
                    })
                })
                .collect();
            let (word, bell, work) = &*shared;
            // Ends only if no token is lost; each round must see what its token stands for.
            while work.load(Ordering::Relaxed) < 2 {
                wait(word, bell);
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn no_unpark_is_lost_by_who_listens() {
        no_unpark_is_lost(|word, bell| {
            if word.enter() {
                bell.wait();
                word.leave();
            }
        });
    }

    #[test]
    fn no_unpark_is_lost_by_who_is_deaf() {
        no_unpark_is_lost(|word, _| {
            word.sleep_deaf();
        });
    }
}
