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
//! Cost      started and stopped: no allocation (the entry that one timer leaves is the next
//!           one's), and no lock on the first kind of thread.
//! Next: `pending.rs`.

use super::entry::Entry;
use crate::sync::{Mutex, lock};
use std::sync::Arc;
use std::task::Waker;

/// How many entries of stopped timers a list keeps: one for each timeout that is inside another.
const SPARES: usize = 8;

/// Timers and their deadlines, in the order in which they were started.
#[derive(Default)]
pub(crate) struct Fresh {
    timers: Vec<(u64, Arc<Entry>)>,
    /// Entries without a waker, which nobody else has.
    spares: Vec<Arc<Entry>>,
}

impl Fresh {
    /// Starts a timer.
    pub(crate) fn start(&mut self, deadline: u64, waker: Waker) -> Arc<Entry> {
        let entry = match self.spares.pop() {
            None => Arc::new(Entry::new(waker)),
            Some(mut spare) => {
                let entry = Arc::get_mut(&mut spare).expect("a spare entry is nobody else's");
                *entry = Entry::new(waker);
                spare
            }
        };
        self.timers.push((deadline, entry.clone()));
        entry
    }

    /// Stops a timer if it is the latest, and returns its waker. Timeouts nest, so it nearly always
    /// is; one that is not is given back, and stays on the list until that is published.
    pub(crate) fn stop(&mut self, entry: Arc<Entry>) -> Result<Option<Waker>, Arc<Entry>> {
        let latest = |(_, latest): &mut (u64, Arc<Entry>)| Arc::ptr_eq(latest, &entry);
        let Some((_, mut latest)) = self.timers.pop_if(latest) else {
            return Err(entry);
        };
        drop(entry);
        let only = Arc::get_mut(&mut latest).expect("a fresh timer is its list's and its sleep's");
        let waker = only.take_waker();
        if self.spares.len() < SPARES {
            self.spares.push(latest);
        }
        Ok(waker)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Empties it; the memory stays.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, Arc<Entry>)> {
        self.timers.drain(..)
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
    pub(crate) fn stop(&self, entry: Arc<Entry>) -> Result<Option<Waker>, Arc<Entry>> {
        lock(&self.0).stop(entry)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Exchanges the timers for those of `other`, which has none. The spares stay.
    pub(super) fn swap(&self, other: &mut Fresh) {
        std::mem::swap(&mut lock(&self.0).timers, &mut other.timers);
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
        assert!(fresh.stop(second).unwrap().is_some());
        assert!(fresh.stop(first).unwrap().is_some());
        assert!(fresh.is_empty());
    }

    #[test]
    fn a_stopped_timer_s_entry_is_the_next_one_s_and_keeps_no_waker() {
        let mut fresh = Fresh::default();
        let waker = Waker::noop();
        let first = fresh.start(7, waker.clone());
        let address = Arc::as_ptr(&first);
        fresh.stop(first).unwrap();
        assert!(!fresh.spares[0].is_waiting());
        let second = fresh.start(8, waker.clone());
        assert_eq!(Arc::as_ptr(&second), address);
        assert!(second.is_waiting());
    }
}
