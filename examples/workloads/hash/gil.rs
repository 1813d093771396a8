//! One lock with CPython's rules: what its threads take turns under.
//!
//! ```text
//!   thread A (holds it)            thread B (wants it)
//!   ---------------------          -----------------------------------------------
//!   runs on the CPU                hold(): waits, at most SWITCH_INTERVAL at a time
//!        :                         nobody switched meanwhile: asks A to drop it
//!   checkpoint(): asked?  <------- request
//!     lets go, wakes B  ---------> takes it, tells A that the switch has happened
//!     waits for that switch <----- runs on the CPU
//!   hold(): waits ...                   :
//!
//!   released(|| io): lets go, does the blocking call, waits for its turn again
//! ```
//!
//! Owns      who has the lock, how often it changed hands, whether someone asked for it.
//! Holds     G1 one thread at a time holds it. G2 a request stands only while a thread waits in
//!           `hold`, because each take clears it; so the wait for the switch always ends.
//! Models    the rules for pure Python code: the lock is held while bytecode runs, is looked at
//!           between bytecodes, and is let go around blocking I/O. Real CPython also lets go inside
//!           `hashlib` for large buffers, so a Python program that spends its time there does use
//!           several CPUs; the talk's job, like most Python code, does not.
//! Cost      a checkpoint that nobody waits for is one uncontended lock.
//! Source    python/cpython `Python/ceval_gil.c`, notes at its head (take, drop, forced switching,
//!           switch interval). Next: `job.rs`.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a thread waits politely before it asks for the lock: `sys.getswitchinterval()`.
pub const SWITCH_INTERVAL: Duration = Duration::from_millis(5);

/// A global interpreter lock. A thread must not hold it twice.
#[derive(Debug, Default)]
pub struct Gil {
    state: Mutex<State>,
    /// Somebody let go.
    free: Condvar,
    /// Somebody took it.
    switched: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    /// A waiting thread ran out of patience.
    requested: bool,
    /// How many times it was taken.
    takes: u64,
}

impl Gil {
    /// A lock that nobody holds.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                held: false,
                requested: false,
                takes: 0,
            }),
            free: Condvar::new(),
            switched: Condvar::new(),
        }
    }

    /// Waits for the lock and takes it. Dropping the result lets go.
    pub fn hold(&self) -> Held<'_> {
        self.take();
        Held { gil: self }
    }

    fn take(&self) {
        let mut state = self.lock();
        while state.held {
            let takes = state.takes;
            let waited = self.free.wait_timeout(state, SWITCH_INTERVAL);
            let (next, limit) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            state = next;
            // Only if the same thread had it all the time: a switch is what we would ask for.
            if limit.timed_out() && state.held && state.takes == takes {
                state.requested = true;
            }
        }
        state.held = true;
        state.takes += 1;
        state.requested = false;
        drop(state);
        self.switched.notify_all();
    }

    /// Lets go. If a thread has asked for the lock, waits until one has it: without that, the
    /// thread that is running already would win it back every time.
    fn let_go(&self) {
        let mut state = self.lock();
        state.held = false;
        self.free.notify_one();
        if !state.requested {
            return;
        }
        let takes = state.takes;
        while state.takes == takes {
            let waited = self.switched.wait(state);
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in this file panics between two complete states.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The right to run on the CPU.
#[derive(Debug)]
pub struct Held<'a> {
    gil: &'a Gil,
}

impl Held<'_> {
    /// Between two bytecodes: hands the lock over if a thread has asked for it, and waits for it
    /// to come back. Returns how long it was away.
    pub fn checkpoint(&self) -> Duration {
        if !self.gil.lock().requested {
            return Duration::ZERO;
        }
        let asked = Instant::now();
        self.gil.let_go();
        self.gil.take();
        asked.elapsed()
    }

    /// Runs a blocking call without the lock.
    pub fn released<R>(&self, call: impl FnOnce() -> R) -> R {
        /// Takes the lock again even when the call panics: `Held` lets go of it once more.
        struct Retake<'a>(&'a Gil);
        impl Drop for Retake<'_> {
            fn drop(&mut self) {
                self.0.take();
            }
        }
        self.gil.let_go();
        let _retake = Retake(self.gil);
        call()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gil.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn one_thread_at_a_time_holds_it_however_they_switch() {
        let gil = Gil::new();
        let inside = AtomicBool::new(false);
        let enter = || assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
        let leave = || assert!(inside.swap(false, Ordering::SeqCst));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let gil = &gil;
                scope.spawn(move || {
                    for round in 0..300 {
                        let held = gil.hold();
                        enter();
                        leave();
                        match (thread + round) % 3 {
                            0 => {
                                held.checkpoint();
                            }
                            1 => held.released(std::thread::yield_now),
                            _ => {}
                        }
                        enter();
                        leave();
                    }
                });
            }
        });
    }

    #[test]
    fn a_waiting_thread_gets_it_from_one_that_never_ends() {
        let gil = Gil::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let held = gil.hold();
            scope.spawn(|| {
                let _held = gil.hold();
                done.store(true, Ordering::SeqCst);
            });
            // Ends only if checkpoints hand it over.
            while !done.load(Ordering::SeqCst) {
                held.checkpoint();
            }
        });
    }

    #[test]
    fn a_checkpoint_keeps_it_while_nobody_asks() {
        let gil = Gil::new();
        let held = gil.hold();
        assert_eq!(held.checkpoint(), Duration::ZERO);
        assert_eq!(gil.lock().takes, 1);
        drop(held);
        assert!(!gil.lock().held);
    }

    #[test]
    fn blocking_calls_run_side_by_side() {
        // Each waits inside its blocking call for the other: under the lock this never ends.
        let gil = Gil::new();
        let (to_second, first_speaks) = mpsc::channel();
        let (to_first, second_speaks) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gil.hold().released(move || {
                    to_second.send(()).unwrap();
                    second_speaks.recv().unwrap();
                })
            });
            gil.hold().released(move || {
                first_speaks.recv().unwrap();
                to_first.send(()).unwrap();
            });
        });
    }

    #[test]
    fn a_panic_in_a_blocking_call_leaves_it_free() {
        let gil = Gil::new();
        let calls = AtomicUsize::new(0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gil.hold().released(|| {
                calls.fetch_add(1, Ordering::SeqCst);
                panic!("the call failed");
            })
        }));
        assert!(caught.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(gil.hold());
    }
}
