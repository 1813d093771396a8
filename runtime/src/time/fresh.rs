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
//! Next: `timers.rs`.

use super::entry::Entry;
use crate::sync::{Mutex, lock};
use std::sync::Arc;

/// Timers and their deadlines, in the order in which they were started.
#[derive(Default)]
pub(crate) struct Fresh(Vec<(u64, Arc<Entry>)>);

impl Fresh {
    pub(crate) fn push(&mut self, deadline: u64, entry: Arc<Entry>) {
        self.0.push((deadline, entry));
    }

    /// Takes `entry` back if it is the latest. Timeouts nest, so it nearly always is; one that is
    /// not stays, cancelled, until the list is published.
    pub(crate) fn pop(&mut self, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        let (_, latest) = self.0.last()?;
        if Arc::ptr_eq(latest, entry) {
            return self.0.pop().map(|(_, entry)| entry);
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Empties it; the memory stays.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, Arc<Entry>)> {
        self.0.drain(..)
    }
}

/// The list of one worker, within reach of the others.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Fresh>);

impl Shelf {
    pub(crate) fn push(&self, deadline: u64, entry: Arc<Entry>) {
        lock(&self.0).push(deadline, entry);
    }

    /// As [`Fresh::pop`].
    pub(crate) fn pop(&self, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        lock(&self.0).pop(entry)
    }

    /// Moves everything to `to`. The memory stays.
    pub(super) fn drain_to(&self, to: &mut Fresh) {
        to.0.append(&mut lock(&self.0).0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn the_latest_fresh_timer_leaves_without_a_trace() {
        let mut fresh = Fresh::default();
        let entries = [0, 1].map(|_| Arc::new(Entry::new(Waker::noop().clone())));
        for entry in &entries {
            fresh.push(7, entry.clone());
        }
        assert!(fresh.pop(&entries[0]).is_none()); // not the latest: cancelled where it is
        assert!(fresh.pop(&entries[1]).is_some());
        assert!(fresh.pop(&entries[0]).is_some());
        assert!(fresh.is_empty());
    }
}
