//! One timer, from the first poll that found it too early to its end.
//!
//! ```text
//!             fire
//!   Waiting ---------> Fired           the task polls and finds its time has come
//!      |  |  cancel
//!      |  +----------> Cancelled       nobody polls any more; the wheel sweeps it out later
//!      |     shutdown
//!      +-------------> Abandoned       the task polls and finds that it must start another
//! ```
//!
//! Owns      the waker of the task that waits, under a lock of its own that two threads want at
//!           once only when the timer fires in the very moment it is dropped or moved.
//! Holds     I1 the waker is taken exactly once, by what ends the waiting. Wakers are called,
//!              cloned and dropped outside the lock: they are user code.
//! Next: `fresh.rs`.

use crate::sync::{Mutex, lock};
use std::task::Waker;

/// A timer that somebody waits on.
#[derive(Debug)]
pub(crate) struct Entry {
    stage: Mutex<Stage>,
}

#[derive(Debug)]
pub(super) enum Stage {
    Waiting(Waker),
    Fired,
    Cancelled,
    /// Its runtime shut down: nobody will fire it.
    Abandoned,
}

/// What a task learns from its entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    TooEarly,
    Fired,
    Abandoned,
}

impl Entry {
    pub(crate) fn new(waker: Waker) -> Entry {
        Entry {
            stage: Mutex::new(Stage::Waiting(waker)),
        }
    }

    /// Has it fired? If not, `waker` is the one to call from now on.
    pub(crate) fn poll(&self, waker: &Waker) -> Answer {
        match &*lock(&self.stage) {
            Stage::Waiting(known) if known.will_wake(waker) => return Answer::TooEarly,
            Stage::Waiting(_) => {}
            Stage::Fired => return Answer::Fired,
            Stage::Cancelled | Stage::Abandoned => return Answer::Abandoned,
        }
        // A task moved its timer to another task. Cloning and dropping wakers is user code: both
        // happen outside the lock, and the timer may fire in between.
        let mut other = waker.clone();
        match &mut *lock(&self.stage) {
            Stage::Waiting(known) => std::mem::swap(known, &mut other),
            Stage::Fired => return Answer::Fired,
            Stage::Cancelled | Stage::Abandoned => return Answer::Abandoned,
        }
        Answer::TooEarly
    }

    /// Takes the waker, if this is what ends the waiting (I1).
    pub(super) fn finish(&self, stage: Stage) -> Option<Waker> {
        let mut current = lock(&self.stage);
        match std::mem::replace(&mut *current, stage) {
            Stage::Waiting(waker) => Some(waker),
            ended => {
                *current = ended;
                None
            }
        }
    }

    /// Nobody waits any more. Returns the waker for the caller to drop or to use.
    pub(crate) fn cancel(&self) -> Option<Waker> {
        self.finish(Stage::Cancelled)
    }

    /// As `cancel`, for the only owner: no lock.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        let stage = self.stage.get_mut();
        let stage = stage.unwrap_or_else(|poisoned| poisoned.into_inner());
        match std::mem::replace(stage, Stage::Cancelled) {
            Stage::Waiting(waker) => Some(waker),
            _ => None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(&*lock(&self.stage), Stage::Waiting(_))
    }
}
