//! The watch: no poll that blocks may stop the others' I/O and timers, nor what waits behind it.
//!
//! While a worker runs, one that sleeps is *on watch*: it sleeps no longer than WATCH_INTERVAL at a
//! time. When it gets up it takes over the driver if that is free, and takes the next slot of every
//! worker that has not finished a poll since its last look (what is in their queues anyone may
//! steal at any time).
//!
//! ```text
//!   asleep ── take_up: someone is awake, or was ──> on watch ── a round passed ──> looks, sleeps on
//!     ^                                                │
//!     └── nothing has happened for a round ────────────┤ leave: it runs a task itself, and wakes
//!                                                      v another sleeper to take the watch up
//!                                                   working
//! ```
//!
//! A round without any activity is also when the memory that the executor keeps for new tasks is
//! freed (`Shared::depot`).
//!
//! Holds     while a worker runs and another one sleeps, one of the sleepers is on watch, or awake
//!           on its way there. After a round without any activity nobody is: an idle executor
//!           costs nothing. The first worker that leaves such a sleep to run a task wakes another.
//! Cost      one futex wake per idle period and, while busy, one short wake-up per WATCH_INTERVAL.
//! Rejected  waking a sleeper at each event to hand the driver over at once: two context switches
//!           for each request of a lightly loaded server. A monitor thread as Go's sysmon: one
//!           more thread, for what a sleeping worker can do.
//! Next: `worker.rs`.

use super::shared::Shared;
use crate::sync::atomic::{Ordering, fence};
use crate::task::runnable::Runnable;
use std::cell::Cell;
use std::time::Duration;

/// How long a task may wait behind a poll that blocks. Long against any well-behaved poll, short
/// for a person; at 100 wake-ups a second, and only while there is activity, it costs nothing.
const WATCH_INTERVAL: Duration = Duration::from_millis(10);

/// One worker's part in it.
pub(super) struct Watch {
    /// Holds `Shared::watched`?
    on_watch: Cell<bool>,
    /// Each worker's polls when this one fell asleep last.
    seen_polls: Box<[Cell<u64>]>,
    /// Slept a whole round of the watch?
    round_passed: Cell<bool>,
}

impl Watch {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            on_watch: Cell::new(false),
            seen_polls: (0..workers).map(|_| Cell::new(0)).collect(),
            round_passed: Cell::new(false),
        }
    }

    /// For how long this sleep may last: a watch, when someone else is awake or something happened
    /// since the last look, and nobody else is on watch. Called when the worker has left the counts
    /// of idle.rs.
    pub(super) fn take_up(&self, shared: &Shared) -> Option<Duration> {
        let polled = self.note_polls(shared);
        if shared.workers() == 1 {
            return self.outlast_pause(shared, polled);
        }
        if polled || shared.idle.awake() > 0 {
            self.on_watch.set(self.on_watch.get() || take(shared));
        } else if self.on_watch.replace(false) {
            shared.watched.swap(false, Ordering::SeqCst);
            // SeqCst: `watched` goes before we look at the counts; the partner is the fence in
            // `leave`. Either it sees that nobody watches, or we see that it is awake.
            fence(Ordering::SeqCst);
            self.on_watch.set(shared.idle.awake() > 0 && take(shared));
            shared.depot.release();
        }
        self.on_watch.get().then_some(WATCH_INTERVAL)
    }

    /// For a worker without others: nobody is to be watched, but what it leaves for later tasks it
    /// frees after a round without any.
    fn outlast_pause(&self, shared: &Shared, polled: bool) -> Option<Duration> {
        if polled && shared.depot.is_stocked() {
            return Some(WATCH_INTERVAL);
        }
        shared.depot.release();
        None
    }

    /// The sleep ended; by itself?
    pub(super) fn end_of_round(&self, by_itself: bool) {
        self.round_passed.set(self.on_watch.get() && by_itself);
    }

    /// After a round: the next slot of a worker that finished no poll meanwhile.
    pub(super) fn rescue(&self, shared: &Shared, own: usize) -> Option<Runnable> {
        if !self.round_passed.replace(false) {
            return None;
        }
        (0..shared.workers())
            .filter(|worker| *worker != own)
            .filter(|worker| polls_of(shared, *worker) == self.seen_polls[*worker].get())
            .find_map(|worker| shared.remotes[worker].next.steal())
    }

    /// This worker runs a task, the first after a sleep: another sleeper must be on watch.
    pub(super) fn leave(&self, shared: &Shared) {
        if shared.workers() == 1 {
            return;
        }
        if self.on_watch.replace(false) {
            // Not a store, which is the same instruction: loom might order one before an exchange
            // that did not see it.
            shared.watched.swap(false, Ordering::SeqCst);
        }
        // SeqCst: our entry in the counts comes before our look at `watched`; the partner is the
        // fence in `take_up`.
        fence(Ordering::SeqCst);
        if !shared.watched.load(Ordering::Relaxed)
            && let Some(worker) = shared.idle.wake_any()
        {
            shared.wake(worker);
        }
    }

    /// Remembers everybody's polls. True: there were some since the last time.
    fn note_polls(&self, shared: &Shared) -> bool {
        let mut changed = false;
        for (worker, seen) in self.seen_polls.iter().enumerate() {
            let polls = polls_of(shared, worker);
            changed |= seen.replace(polls) != polls;
        }
        changed
    }
}

/// Only one at a time. True: it was free.
fn take(shared: &Shared) -> bool {
    !shared.watched.swap(true, Ordering::SeqCst)
}

fn polls_of(shared: &Shared, worker: usize) -> u64 {
    shared.remotes[worker].counters.polls.get()
}
