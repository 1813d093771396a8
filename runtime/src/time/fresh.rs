//! Timers that nobody but their thread has heard of yet.
//!
//! The common timer is a timeout that does not happen: made, waited on for a moment, dropped. So
//! its road is kept clear: it goes on a list of the thread that polled it, and is off it again
//! before the wheel ever saw it. Three kinds of thread, three lists (`context.rs` has them):
//!
//! | thread                          | its list           | who empties it                         |
//! |---------------------------------|--------------------|----------------------------------------|
//! | drives a one-thread runtime     | its own, no lock   | itself, as it goes to sleep            |
//! | worker of a many-thread runtime | [`Shelf`], a lock  | itself, as it goes to sleep and every  |
//! |                                 | nobody fights for  | few dozen tasks; and whoever parks     |
//! | any other                       | none               | (published at once)                    |
//!
//! A worker's list needs its lock for one case: the worker is stuck in a poll that does not
//! return. Its timers must fire all the same, so the worker on watch, which parks at least every
//! few milliseconds, takes them along.
//!
//! Cost      started and stopped: a waker cloned and dropped. No allocation and no count of
//!           references (the entry that one timer leaves is the next one's), and no lock on the
//!           first kind of thread. Published: the timer's own lock, once.
//! Next: `pending.rs`.

use super::entry::Entry;
use crate::reactor::drop_contained;
use crate::sync::{Mutex, lock};
use std::sync::Arc;
use std::task::Waker;

/// How many entries of stopped timers a list keeps: one for each timeout that is inside another.
const SPARES: usize = 8;

/// Timers in the order in which they were started.
#[derive(Default)]
pub(crate) struct Fresh {
    timers: Vec<Started>,
    /// Entries that are as good as new, each with both references: the list's and the sleep's.
    spares: Vec<[Arc<Entry>; 2]>,
    /// Timers that are ready for the wheel.
    settled: Vec<(u64, Arc<Entry>)>,
}

struct Started {
    deadline: u64,
    waker: Waker,
    entry: Arc<Entry>,
}

impl Fresh {
    /// Starts a timer.
    pub(crate) fn start(&mut self, deadline: u64, waker: Waker) -> Arc<Entry> {
        let [entry, theirs] = self.spares.pop().unwrap_or_else(|| {
            let entry = Arc::new(Entry::new());
            [entry.clone(), entry]
        });
        self.timers.push(Started {
            deadline,
            waker,
            entry,
        });
        theirs
    }

    /// Stops a timer if it is the latest, and returns its waker. Timeouts nest, so it nearly always
    /// is; one that is not (or whose task has changed) is given back, and stays on the list.
    pub(crate) fn stop(&mut self, theirs: Arc<Entry>) -> Result<Waker, Arc<Entry>> {
        let latest = |latest: &mut Started| {
            Arc::ptr_eq(&latest.entry, &theirs) && latest.entry.is_untouched()
        };
        let Some(Started { waker, entry, .. }) = self.timers.pop_if(latest) else {
            return Err(theirs);
        };
        if self.spares.len() < SPARES {
            self.spares.push([entry, theirs]);
        }
        Ok(waker)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Hands the timers their wakers, and drops those that are out of date: user code, so not
    /// under a lock. True if there were any. `drain` gives what is to go into the wheel.
    pub(super) fn settle(&mut self) -> bool {
        let mut dropped = false;
        for started in self.timers.drain(..) {
            let Started {
                deadline,
                waker,
                entry,
            } = started;
            let (deadline, stale) = entry.settle(deadline, waker);
            self.settled
                .extend(deadline.map(|deadline| (deadline, entry)));
            // What its drop panics with is of no interest to the other timers on the list.
            dropped |= stale.map(drop_contained).is_some();
        }
        dropped
    }

    /// Empties it of what is settled; the memory stays.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, Arc<Entry>)> {
        self.settled.drain(..)
    }
}

/// The list of one worker, within reach of the others.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Fresh>);

impl Shelf {
    /// As [`Fresh::start`].
    pub(crate) fn start(&self, deadline: u64, waker: Waker) -> Arc<Entry> {
        lock(&self.0).start(deadline, waker)
    }

    /// As [`Fresh::stop`].
    pub(crate) fn stop(&self, theirs: Arc<Entry>) -> Result<Waker, Arc<Entry>> {
        lock(&self.0).stop(theirs)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Moves the timers to `other`. The spares stay.
    pub(super) fn append_to(&self, other: &mut Fresh) {
        other.timers.append(&mut lock(&self.0).timers);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_latest_fresh_timer_leaves_without_a_trace() {
        let mut fresh = Fresh::default();
        let [first, second] = [0, 1].map(|_| fresh.start(7, Waker::noop().clone()));
        let first = fresh.stop(first).unwrap_err(); // not the latest: cancelled where it is
        assert!(fresh.stop(second).is_ok());
        assert!(fresh.stop(first).is_ok());
        assert!(fresh.is_empty());
    }

    #[test]
    fn a_stopped_timer_s_entry_is_the_next_one_s() {
        let mut fresh = Fresh::default();
        let waker = Waker::noop();
        let first = fresh.start(7, waker.clone());
        let address = Arc::as_ptr(&first);
        fresh.stop(first).unwrap();
        let second = fresh.start(8, waker.clone());
        assert_eq!(Arc::as_ptr(&second), address);
        // One that another task has polled is not.
        second.poll(waker);
        let second = fresh.stop(second).unwrap_err();
        assert!(second.cancel().is_some());
        fresh.settle();
        assert_eq!(fresh.drain().count(), 0); // cancelled: the wheel never hears of it
    }

    #[test]
    fn a_fresh_timer_that_is_let_go_in_a_hurry_is_due_at_once() {
        let mut fresh = Fresh::default();
        let timer = fresh.start(7, Waker::noop().clone());
        assert!(timer.cancel_or_hurry().is_none());
        drop(timer);
        fresh.settle();
        assert_eq!(fresh.drain().map(|(deadline, _)| deadline).last(), Some(0));
    }
}
