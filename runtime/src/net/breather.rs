//! A listener that ran out of descriptors takes a breath.
//!
//! It is a classic busy loop: the connection stays in the queue, so the socket stays readable, so
//! accept fails again at once. Here the error is returned, for the program to log or to act on,
//! and the *next* accept first waits for [`BREATHER`].
//! Next: `fills.rs`.

use super::socket::is_exhaustion;
use crate::context;
use crate::time::{Sleep, sleep_until};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Long enough to cost nothing, short enough that clients hardly notice when descriptors come
/// free.
const BREATHER: Duration = Duration::from_millis(50);

/// Until when to leave the queue alone. No user code runs under the lock.
#[derive(Debug, Default)]
pub(super) struct Breather(Mutex<Option<Instant>>);

impl Breather {
    /// Looks at how an accept went.
    pub(super) fn note<T>(&self, accepted: &io::Result<T>) {
        if accepted.as_ref().is_err_and(is_exhaustion) {
            *self.until() = Some(context::now() + BREATHER);
        }
    }

    /// The pause that is due before the next accept, if any.
    pub(super) fn take(&self) -> Option<Sleep> {
        self.until().take().map(sleep_until)
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
