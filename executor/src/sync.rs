//! Atomics, locks and cells: std's, or loom's under `--cfg loom`. One switch for the crate.
//!
//! Everything that takes part in a hand-written protocol imports from here, so that the same
//! source is what ships and what the model checker explores. Plain data (a `Vec` inside one of
//! these locks, say) stays std's. Next: `sync/fence.rs`.

#[cfg(loom)]
pub mod atomic;
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic;
#[cfg(not(any(loom, tsan)))]
#[allow(unused_imports)] // Condvar: only where there is no futex
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(tsan)]
mod visible;
#[cfg(tsan)]
pub(crate) use visible::{Condvar, Mutex, MutexGuard};

#[cfg(not(loom))]
pub(crate) use cell::UnsafeCell;
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

#[cfg(not(loom))]
mod cell {
    /// `std::cell::UnsafeCell` with loom's interface: access happens inside a closure, which is
    /// where loom checks that no two accesses overlap.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// A `Cell` of each thread's own: std's `thread_local!`, without a destructor, so that it can be
/// used until the thread's very end; or loom's, to which all threads of a model are one of std's.
#[cfg(not(loom))]
macro_rules! thread_cell {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr;) => {
        std::thread_local! {
            $(#[$doc])* static $name: std::cell::Cell<$type> = const { std::cell::Cell::new($init) };
        }
    };
}
#[cfg(loom)]
macro_rules! thread_cell {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr;) => {
        #[allow(unused_imports)] // by the first of two keys in a file
        use $crate::sync::LocalCell as _;
        loom::thread_local! {
            $(#[$doc])* static $name: std::cell::Cell<$type> = std::cell::Cell::new($init);
        }
    };
}
pub(crate) use thread_cell;

/// What std's keys of cells can do, for loom's.
#[cfg(loom)]
pub(crate) trait LocalCell<T> {
    fn get(&'static self) -> T;
    fn set(&'static self, value: T);
    fn replace(&'static self, value: T) -> T;
}

#[cfg(loom)]
impl<T: Copy> LocalCell<T> for loom::thread::LocalKey<std::cell::Cell<T>> {
    fn get(&'static self) -> T {
        self.with(|cell| cell.get())
    }

    fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// Locks a mutex whose data cannot be left half-changed by a panic.
///
/// User code never runs under a lock of this crate, so a poisoned lock means that one of our own
/// short critical sections panicked between two complete states: going on is sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) mod fence;
mod try_lock;
pub(crate) use try_lock::TryLock;

/// Sleeping on an atomic word: Linux's futex; elsewhere and under loom a lock and a condition
/// variable that stand beside the word.
pub use futex::WaitCell;

#[cfg(all(target_os = "linux", not(loom)))]
mod futex {
    use super::atomic::AtomicU32;
    use rustix::thread::futex::{self, Flags, Timespec};
    use std::time::Duration;

    /// A word that one thread can sleep on.
    #[derive(Debug)]
    pub struct WaitCell {
        /// What it sleeps on.
        pub word: AtomicU32,
    }

    impl WaitCell {
        /// A word with this value.
        pub const fn new(value: u32) -> Self {
            Self {
                word: AtomicU32::new(value),
            }
        }

        /// Sleeps while the word is `expected`, at most `limit`. May return for no reason.
        #[inline]
        pub fn wait(&self, expected: u32, limit: Option<Duration>) {
            let limit = limit.map(|limit| Timespec {
                // Saturating: a limit past the end of time is as good as none.
                tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: limit.subsec_nanos().into(),
            });
            // The result needs no look: the caller checks the word again whatever ended the sleep.
            let _ = futex::wait(&self.word, Flags::PRIVATE, expected, limit.as_ref());
        }

        /// Wakes the sleeper, if there is one. Call after changing the word.
        #[inline]
        pub fn wake_one(&self) {
            let _ = futex::wake(&self.word, Flags::PRIVATE, 1);
        }
    }
}

#[cfg(any(not(target_os = "linux"), loom))]
mod futex {
    use super::atomic::{AtomicU32, Ordering};
    use super::{Condvar, Mutex, lock};
    use std::time::Duration;

    /// A word that one thread can sleep on.
    #[derive(Debug)]
    pub struct WaitCell {
        /// What it sleeps on.
        pub word: AtomicU32,
        gate: Mutex<()>,
        bell: Condvar,
    }

    impl WaitCell {
        /// A word with this value.
        pub fn new(value: u32) -> Self {
            Self {
                word: AtomicU32::new(value),
                gate: Mutex::new(()),
                bell: Condvar::new(),
            }
        }

        /// Sleeps while the word is `expected`, at most `limit`. May return for no reason.
        pub fn wait(&self, expected: u32, limit: Option<Duration>) {
            let gate = lock(&self.gate);
            // Relaxed: the gate orders this look before or after a `wake_one`.
            if self.word.load(Ordering::Relaxed) != expected {
                return;
            }
            match limit {
                None => drop(self.bell.wait(gate)),
                Some(limit) => drop(self.bell.wait_timeout(gate, limit)),
            }
        }

        /// Wakes the sleeper, if there is one. Call after changing the word.
        pub fn wake_one(&self) {
            // Through the gate: the sleeper is either before its look at the word (and sees the
            // change) or already waiting on the bell.
            drop(lock(&self.gate));
            self.bell.notify_one();
        }
    }
}
