//! A lock that nobody waits for: who does not get it does something else.
//!
//! std's mutex, asked with `try_lock`. Loom's cannot be asked so: in 0.7 a thread whose `try_lock`
//! stands before another thread's acquisition is blocked by that, as if it were a `lock`. So there a
//! flag decides who may lock.

#[cfg(not(loom))]
use super::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::TryLockError;

#[cfg(not(loom))]
pub(crate) struct TryLock<T>(Mutex<T>);

#[cfg(not(loom))]
impl<T> TryLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            // As in `sync::lock`.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(loom)]
pub(crate) use model::TryLock;

#[cfg(loom)]
mod model {
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::sync::{Mutex, MutexGuard, lock};
    use std::ops::{Deref, DerefMut};

    pub(crate) struct TryLock<T> {
        taken: AtomicBool,
        value: Mutex<T>,
    }

    pub(crate) struct TryGuard<'lock, T> {
        guard: Option<MutexGuard<'lock, T>>,
        taken: &'lock AtomicBool,
    }

    impl<T> TryLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self {
                taken: AtomicBool::new(false),
                value: Mutex::new(value),
            }
        }

        pub(crate) fn try_lock(&self) -> Option<TryGuard<'_, T>> {
            // Acquire: pairs with the Release below.
            if self.taken.swap(true, Ordering::Acquire) {
                return None;
            }
            Some(TryGuard {
                guard: Some(lock(&self.value)),
                taken: &self.taken,
            })
        }
    }

    impl<T> Drop for TryGuard<'_, T> {
        fn drop(&mut self) {
            drop(self.guard.take());
            // Not a store: loom might order that before an exchange that did not see it.
            self.taken.swap(false, Ordering::Release);
        }
    }

    impl<T> Deref for TryGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.guard.as_ref().expect("it goes with us")
        }
    }

    impl<T> DerefMut for TryGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.guard.as_mut().expect("it goes with us")
        }
    }
}
