//! Atomics and locks: std's, or loom's under `--cfg loom`. One switch for the crate.
//!
//! What takes part in a hand-written protocol imports from here, so that the model checker runs
//! the very source that ships. Next: `reactor/`.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
#[cfg(loom)] // repaired: see `sync/atomic.rs` of the executor
pub(crate) use tatkal_executor::loom_atomic as atomic;

/// Locks a mutex whose data a panic cannot leave half-changed.
///
/// User code (wakers, above all) never runs under a lock of this crate, so a poisoned lock means
/// that one of our own short critical sections panicked between two complete states.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
