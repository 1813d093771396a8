//! What a scheduler's thread sleeps on when it has nothing to run.
//!
//! The executor decides *when* to sleep; the driver knows *what for*: a bare thread parker waits
//! for wake-ups only, an event loop waits for sockets and timers as well. This small trait is all
//! the executor knows of either, which is what keeps the arrow pointing down. Next: `task/`.

use crate::park::Parker;
use std::task::Waker;
use std::time::Duration;

/// Puts a scheduler's thread to sleep, and turns what ends the sleep into wake-ups.
///
/// # Contract
/// - `park(None)` returns after the `unparker` was called or after it woke at least one task; it
///   may also return for no reason. An unpark that comes before the park makes the next park
///   return at once (a token, not a signal): otherwise a wake-up could be lost. What was done
///   before the unpark is seen after the park that it ended.
/// - `park(Some(limit))` returns after `limit` at the latest, give or take the clock's resolution.
///   `Duration::ZERO` looks for events that are already there and never sleeps.
/// - Wakers are called outside every lock of the driver: they are user code.
///
/// A driver keeps its own deadlines: a park ends in time for its next timer without being told.
pub trait Driver: Send + 'static {
    /// Sleep until there is something to do, then wake the tasks concerned. See the contract.
    fn park(&mut self, limit: Option<Duration>);

    /// A handle that ends the current or the next `park`, from any thread. `wake()` on it is
    /// unpark. Cheap to clone.
    fn unparker(&self) -> Waker;
}

/// The smallest driver: a thread that waits for nothing but its token.
impl Driver for Parker {
    fn park(&mut self, limit: Option<Duration>) {
        match limit {
            None => Parker::park(self),
            Some(limit) => {
                Parker::park_timeout(self, limit);
            }
        }
    }

    fn unparker(&self) -> Waker {
        Parker::unparker(self)
    }
}
