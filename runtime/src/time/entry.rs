//! One timer, from the first poll that found it too early to its end.
//!
//! ```text
//!   start          publish            fire
//!   -----> Fresh ----------> Waiting ------> Fired      the task polls and finds its time has come
//!            |  |               |  | cancel
//!            |  |               |  +-------> Cancelled  nobody polls any more; the wheel sweeps it
//!            |  |               | shutdown              out later, or never hears of it
//!            |  |               +----------> Abandoned  the task polls and finds that it must
//!            |  +-- cancel, shutdown: as there          start another
//!            +--- popped from its list: it is the next timer's (fresh.rs)
//! ```
//!
//! Owns      the waker of the task that waits, under a lock of its own that two threads want at
//!           once only when the timer fires in the very moment it is dropped or moved. While it is
//!           fresh the waker is on the list of its thread, and only what has changed since is here.
//! Holds     I1 a waker is taken exactly once, by what ends the waiting. Wakers are called, cloned
//!              and dropped outside the lock: they are user code.
//!
//! | operation              | ordering | pairs with | what breaks if weaker                       |
//! |------------------------|----------|------------|---------------------------------------------|
//! | `note`: to FIRED       | Release  | `poll`     | what the firing thread did before would not |
//! | `poll`: load           | Acquire  | `finish`   | be seen by the task that goes on            |
//! | `note`: to TOUCHED,    | Relaxed  | (nothing)  | nothing: whoever asks has the sleep, and so |
//! | `is_untouched`         |          |            | comes after whoever had it before           |
//!
//! Next: `fresh.rs`.

use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, lock};
use std::task::Waker;

/// A timer that somebody waits on.
#[derive(Debug)]
pub(crate) struct Entry {
    stage: Mutex<Stage>,
    note: AtomicU8,
}

/// As it was started: fresh, and without changes.
const UNTOUCHED: u8 = 0;
const TOUCHED: u8 = 1;
const FIRED: u8 = 2;

#[derive(Debug)]
pub(super) enum Stage {
    Fresh(Changes),
    Waiting(Waker),
    Fired,
    Cancelled,
    /// Its runtime shut down: nobody will fire it.
    Abandoned,
}

/// What is to be different, once it is published, from what its list says.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waker: Option<Waker>,
    /// Due at once.
    hurry: bool,
}

/// What a task learns from its entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    TooEarly,
    Fired,
    Abandoned,
}

impl Entry {
    pub(super) fn new() -> Entry {
        Entry {
            stage: Mutex::new(Stage::Fresh(Changes::default())),
            note: AtomicU8::new(UNTOUCHED),
        }
    }

    /// (3) Has it fired? If not, `waker` is the one to call from now on.
    pub(crate) fn poll(&self, waker: &Waker) -> Answer {
        // Acquire: pairs with the Release in `finish`. Saves the usual last poll the lock.
        if self.note.load(Ordering::Acquire) == FIRED {
            return Answer::Fired;
        }
        if self.is_for(waker) {
            return Answer::TooEarly;
        }
        // A task moved its timer to another task. Cloning and dropping wakers is user code: both
        // happen outside the lock, and the timer may fire in between.
        let mut other = Some(waker.clone());
        match &mut *lock(&self.stage) {
            Stage::Fresh(changes) => {
                self.note.store(TOUCHED, Ordering::Relaxed);
                std::mem::swap(&mut changes.waker, &mut other);
            }
            Stage::Waiting(known) => {
                if let Some(other) = &mut other {
                    std::mem::swap(known, other);
                }
            }
            Stage::Fired => return Answer::Fired,
            Stage::Cancelled | Stage::Abandoned => return Answer::Abandoned,
        }
        Answer::TooEarly
    }

    fn is_for(&self, waker: &Waker) -> bool {
        match &*lock(&self.stage) {
            Stage::Fresh(Changes { waker: known, .. }) => {
                known.as_ref().is_some_and(|known| known.will_wake(waker))
            }
            Stage::Waiting(known) => known.will_wake(waker),
            _ => false,
        }
    }

    /// It is being published, and was started with these. Its deadline; `None` if nobody waits any
    /// more. And a waker that is out of date, to be dropped.
    pub(super) fn settle(&self, deadline: u64, waker: Waker) -> (Option<u64>, Option<Waker>) {
        lock(&self.stage).settle(deadline, waker)
    }

    /// Takes the waker, if this is what ends the waiting and the waker is here (I1).
    pub(super) fn finish(&self, stage: Stage) -> Option<Waker> {
        // Release, for FIRED: pairs with the Acquire in `poll`.
        let note = if let Stage::Fired = stage {
            FIRED
        } else {
            TOUCHED
        };
        let mut current = lock(&self.stage);
        match std::mem::replace(&mut *current, stage) {
            Stage::Fresh(Changes { waker, .. }) => {
                self.note.store(note, Ordering::Release);
                waker
            }
            Stage::Waiting(waker) => {
                self.note.store(note, Ordering::Release);
                Some(waker)
            }
            ended => {
                *current = ended;
                None
            }
        }
    }

    /// Nobody waits any more. Returns the waker for the caller to drop; one that is still on a
    /// list is dropped when the list is published.
    pub(crate) fn cancel(&self) -> Option<Waker> {
        self.finish(Stage::Cancelled)
    }

    /// The deadline has moved, and the sleep lets this timer go. Returns the waker, for another
    /// timer; if it is still on a list, whoever waits is woken when the list is published, and asks
    /// anew.
    pub(crate) fn cancel_or_hurry(&self) -> Option<Waker> {
        if let Stage::Fresh(changes) = &mut *lock(&self.stage) {
            self.note.store(TOUCHED, Ordering::Relaxed);
            changes.hurry = true;
            return None;
        }
        self.cancel()
    }

    /// Is it as it was started?
    pub(super) fn is_untouched(&self) -> bool {
        self.note.load(Ordering::Relaxed) == UNTOUCHED
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(&*lock(&self.stage), Stage::Fresh(_) | Stage::Waiting(_))
    }
}

impl Stage {
    /// Fresh to waiting: deadline, and the waker that is out of date.
    fn settle(&mut self, deadline: u64, waker: Waker) -> (Option<u64>, Option<Waker>) {
        let Stage::Fresh(changes) = self else {
            return (None, Some(waker));
        };
        let deadline = if changes.hurry { 0 } else { deadline };
        let (waker, stale) = match changes.waker.take() {
            Some(newer) => (newer, Some(waker)),
            None => (waker, None),
        };
        *self = Stage::Waiting(waker);
        (Some(deadline), stale)
    }
}

#[cfg(all(test, not(loom)))]
impl Entry {
    /// One that was published.
    pub(super) fn waiting(waker: Waker) -> Entry {
        let entry = Entry::new();
        entry.settle(0, waker);
        entry
    }
}
