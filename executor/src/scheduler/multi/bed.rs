//! How one worker sleeps: on a futex of its own, or in the driver, which one worker at a time may.
//!
//! ```text
//!               wake()                    sleep(): token taken, no sleep
//!    EMPTY ─────────────────> NOTIFIED ─────────────────────────────────> EMPTY
//!      │ sleep()                 ^
//!      ├────────> PARKED ────────┤ wake(), and wake the futex
//!      │ sleep_in_driver()       │
//!      └────────> IN_DRIVER ─────┘ wake(), and unpark the driver
//! ```
//!
//! The parker's protocol (park.rs) with a second way to sleep; the orderings are the same: Release
//! in `wake`, Acquire where the token is taken, everything else decided by the word alone. The
//! driver's own token makes the second way safe: an unpark between our exchange and its park ends
//! that park at once.
//!
//! Next: `idle.rs`.

use crate::driver::Driver;
use crate::error::contain;
use crate::sync::WaitCell;
use crate::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const IN_DRIVER: u32 = 2;
const NOTIFIED: u32 = 3;

/// A worker's place to sleep. Only its worker sleeps; any thread may wake.
#[derive(Debug)]
pub(super) struct Bed {
    cell: WaitCell,
}

impl Bed {
    pub(super) fn new() -> Self {
        Self {
            cell: WaitCell::new(EMPTY),
        }
    }

    /// Sleeps until woken, or for `limit`, or for no reason.
    pub(super) fn sleep(&self, limit: Option<Duration>) {
        if self.lie_down(PARKED) {
            self.cell.wait(PARKED, limit);
            self.get_up();
        }
    }

    /// Sleeps in the driver: until woken, until an event, or for `limit`.
    pub(super) fn sleep_in_driver(&self, driver: &mut dyn Driver, limit: Option<Duration>) {
        if self.lie_down(IN_DRIVER) {
            driver.park(limit);
            self.get_up();
        }
    }

    /// Hands over the token; ends a sleep of either kind.
    pub(super) fn wake(&self, driver: &Waker) {
        // Release: pairs with the Acquires below. A swap also when it is NOTIFIED already.
        match self.cell.word.swap(NOTIFIED, Ordering::Release) {
            PARKED => self.cell.wake_one(),
            // The driver's code: its panic would keep who closes the executor from its tasks.
            IN_DRIVER => contain(|| driver.wake_by_ref()),
            _ => {}
        }
    }

    /// False when there was a token, which is taken.
    fn lie_down(&self, how: u32) -> bool {
        let word = &self.cell.word;
        // Relaxed on success: going to sleep publishes nothing (idle.rs did).
        if word
            .compare_exchange(EMPTY, how, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
        self.get_up();
        false
    }

    fn get_up(&self) {
        // Acquire: pairs with the Release in `wake`.
        self.cell.word.swap(EMPTY, Ordering::Acquire);
    }
}
