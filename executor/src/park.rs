//! Parker: one thread sleeps until another hands it a token.
//!
//! ```text
//!             unpark()                  park(): token taken, no sleep
//!   EMPTY ----------------> NOTIFIED ---------------------------------> EMPTY
//!     |                        ^
//!     | park()                 | unpark(), and wake the thread
//!     +------> PARKED ---------+
//! ```
//!
//! Owns      one atomic word, shared by one `Parker` and any number of `Unparker`s.
//!           Only the parker's owner parks; any thread may unpark.
//! Holds     I1 a token is never lost; I2 two tokens merge into one.
//! Cost      no system call when the token is already there, or when nobody sleeps.
//!
//! | operation               | ordering | pairs with           | what breaks if weaker           |
//! |-------------------------|----------|----------------------|---------------------------------|
//! | unpark: swap NOTIFIED   | Release  | Acquire in `take`    | work done before the unpark     |
//! |                         |          |                      | would not be seen after the park|
//! | park: take NOTIFIED     | Acquire  | Release in `unpark`  | the same                        |
//! | park: EMPTY -> PARKED   | Relaxed  | (decides nothing)    | the word alone carries the state|
//!
//! Source    std's futex thread parker; `sync::WaitCell` is the word with the sleep under it.
//!           Next: `budget.rs`.

use crate::sync::WaitCell;
use crate::sync::atomic::Ordering;
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// Puts the thread that owns it to sleep until a token arrives.
///
/// Unlike `std::thread::park` the token belongs to this value and not to the thread, so no other
/// code on the thread can take it by accident.
///
/// # Example
/// ```
/// use tatkal_executor::Parker;
/// let mut parker = Parker::new();
/// let unparker = parker.unparker();
/// std::thread::spawn(move || unparker.wake());
/// parker.park(); // returns once the other thread has handed over the token
/// ```
pub struct Parker {
    inner: Arc<Inner>,
}

struct Inner {
    cell: WaitCell,
}

impl Parker {
    /// A parker without a token.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                cell: WaitCell::new(EMPTY),
            }),
        }
    }

    /// Sleeps until there is a token, and takes it.
    pub fn park(&mut self) {
        while !self.inner.park_once(None) {}
    }

    /// Sleeps until there is a token or `limit` has passed. True when it took a token.
    pub fn park_timeout(&mut self, limit: Duration) -> bool {
        if limit.is_zero() {
            // A look. A sleep of nothing would still be a system call, and the kernel's timer
            // slack makes it 50 microseconds.
            return self.inner.take();
        }
        let Some(deadline) = Instant::now().checked_add(limit) else {
            self.park();
            return true;
        };
        let mut left = limit;
        loop {
            if self.inner.park_once(Some(left)) {
                return true;
            }
            left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.inner.take();
            }
        }
    }

    /// A handle that gives the token, from any thread: `wake()` on it is unpark.
    pub fn unparker(&self) -> Waker {
        self.inner.clone().into()
    }
}

/// How a plain thread spends its time while it waits for something: asleep, as a rule. Where the
/// thing is the work of a pool, the thread may do some of the pool's in between.
pub(crate) trait Vigil {
    /// What ends a sleep, from any thread.
    fn waker(&self) -> Waker;

    /// Sleeps until the waker was called, or the deadline has passed, or for no reason.
    fn sleep(&mut self, deadline: Option<Instant>);
}

impl Vigil for Parker {
    fn waker(&self) -> Waker {
        self.unparker()
    }

    fn sleep(&mut self, deadline: Option<Instant>) {
        match deadline {
            None => self.park(),
            Some(deadline) => {
                self.park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}

impl Inner {
    /// One sleep. True when a token was taken; false for a timeout or a spurious return.
    fn park_once(&self, limit: Option<Duration>) -> bool {
        let word = &self.cell.word;
        if self.take() {
            return true;
        }
        // Only the owner parks, so the word was EMPTY or has just become NOTIFIED.
        // Relaxed on success: going to sleep publishes nothing.
        if word
            .compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            self.cell.wait(PARKED, limit);
            // Acquire: pairs with the Release in `unpark`.
            return word.swap(EMPTY, Ordering::Acquire) == NOTIFIED;
        }
        self.take()
    }

    /// Takes the token if it is there.
    fn take(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`.
        self.cell
            .word
            .compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    fn unpark(&self) {
        // Release: what this thread did before is seen by whoever takes the token. A swap even
        // when a token is there already: the token must carry the latest work (I2).
        if self.cell.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            self.cell.wake_one();
        }
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_given_before_the_park_is_kept() {
        let mut parker = Parker::new();
        parker.unparker().wake();
        parker.park();
    }

    #[test]
    fn two_tokens_merge_into_one() {
        let mut parker = Parker::new();
        parker.unparker().wake();
        parker.unparker().wake();
        assert!(parker.park_timeout(Duration::ZERO));
        assert!(!parker.park_timeout(Duration::ZERO));
    }

    #[test]
    fn a_limit_past_the_end_of_time_is_no_limit() {
        let mut parker = Parker::new();
        let unparker = parker.unparker();
        let thread = std::thread::spawn(move || unparker.wake());
        assert!(parker.park_timeout(Duration::MAX));
        thread.join().unwrap();
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::atomic::AtomicUsize;

    /// One thread parks until all the others have done their work and handed over a token.
    fn tokens_carry_the_work_done_before_them(unparkers: usize, preemptions: Option<usize>) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = preemptions;
        model.check(move || {
            let mut parker = Parker::new();
            let work = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..unparkers)
                .map(|_| {
                    let unparker = parker.unparker();
                    let work = work.clone();
                    loom::thread::spawn(move || {
                        work.fetch_add(1, Ordering::Relaxed);
                        unparker.wake();
                    })
                })
                .collect();
            // Ends only if no token is lost; each round must see what its token stands for.
            while work.load(Ordering::Relaxed) < unparkers {
                parker.park();
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn one_token_carries_the_work_done_before_it() {
        tokens_carry_the_work_done_before_them(1, None);
    }

    #[test]
    fn two_tokens_carry_the_work_done_before_them() {
        // Everything would take hours.
        tokens_carry_the_work_done_before_them(2, Some(3));
    }
}
