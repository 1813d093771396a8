//! std's locks, with the order they make said aloud: for ThreadSanitizer (`--cfg tsan`).
//!
//! The sanitizer believes only what instrumented code does. std comes compiled without, and once a
//! lock is contended it is taken inside std: the order between the one who let it go and the one who
//! waited is real, but the sanitizer does not see it, and reports what the lock guards. So here each
//! lock adds to a word of its own as it is taken and as it is let go.
//!
//! It synchronises nothing that the lock does not. Only the parts that this crate uses.

use super::atomic::{AtomicUsize, Ordering};
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult, WaitTimeoutResult};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    turns: AtomicUsize,
    lock: std::sync::Mutex<T>,
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    turns: &'a AtomicUsize,
    /// None only inside `Condvar::wait`.
    guard: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            turns: AtomicUsize::new(0),
            lock: std::sync::Mutex::new(value),
        }
    }

    fn taken<'a>(&'a self, guard: std::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard::taken(&self.turns, guard)
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self.lock.lock() {
            Ok(guard) => Ok(self.taken(guard)),
            Err(poisoned) => Err(PoisonError::new(self.taken(poisoned.into_inner()))),
        }
    }

    #[allow(dead_code)] // not under loom's sibling rules: symmetry with std
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.lock.try_lock() {
            Ok(guard) => Ok(self.taken(guard)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => Err(TryLockError::Poisoned(PoisonError::new(
                self.taken(poisoned.into_inner()),
            ))),
        }
    }
}

impl<'a, T> MutexGuard<'a, T> {
    fn taken(turns: &'a AtomicUsize, guard: std::sync::MutexGuard<'a, T>) -> Self {
        // Acquire: pairs with the Release in `let_go`.
        turns.fetch_add(1, Ordering::Acquire);
        Self {
            turns,
            guard: Some(guard),
        }
    }

    fn let_go(&mut self) -> Option<std::sync::MutexGuard<'a, T>> {
        // Release: pairs with the Acquire in `taken`. The lock itself is still held.
        self.turns.fetch_add(1, Ordering::Release);
        self.guard.take()
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("held")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

#[allow(dead_code)] // as above
impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let turns = guard.turns;
        let inner = guard.let_go().expect("held");
        match self.0.wait(inner) {
            Ok(inner) => Ok(MutexGuard::taken(turns, inner)),
            Err(poisoned) => Err(PoisonError::new(MutexGuard::taken(
                turns,
                poisoned.into_inner(),
            ))),
        }
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let turns = guard.turns;
        let inner = guard.let_go().expect("held");
        match self.0.wait_timeout(inner, limit) {
            Ok((inner, result)) => Ok((MutexGuard::taken(turns, inner), result)),
            Err(poisoned) => {
                let (inner, result) = poisoned.into_inner();
                let guard = MutexGuard::taken(turns, inner);
                Err(PoisonError::new((guard, result)))
            }
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
