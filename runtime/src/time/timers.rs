//! All timers of one runtime.
//!
//! ```text
//!                    poll: too early                publish
//!   Sleep, no timer -----------------> fresh.rs -------------> the wheel (pending.rs)
//!                                        |                       |     |
//!                                        | dropped: popped,      | due | cancelled
//!                                        v no trace              v     v
//!                                       gone                  fired   swept, sooner or later
//! ```
//!
//! Owns      the wheel and the list of the workers' shelves, under one lock, and what the sleeping
//!           thread sleeps until.
//! Holds     I2 whoever publishes a deadline earlier than the sleeper's unparks it: the sleeper
//!              writes down its deadline under the lock that the publisher inserts under, so
//!              either it saw the timer or the publisher sees the deadline. While the wheel is
//!              empty the deadline that is written down is the end of time, asleep or not, so that
//!              whoever publishes the first timer unparks: a sleeper that missed it has no lock to
//!              take (`is_quiet`).
//! Cost      fresh: a waker clone. Published: the timer's own lock, and one push under a lock taken
//!           once per list. Cancelled after that: the timer's own, uncontended lock. A turn of the
//!           event loop without any timer: three loads; one lock where there are workers.
//! Lock order: this one, then a shelf's, then a timer's. Wakers are called under none.
//!
//! | operation                    | ordering | pairs with | what breaks if weaker               |
//! |------------------------------|----------|------------|-------------------------------------|
//! | `asleep_until`: to a deadline| Relaxed  | (the lock) | nothing: written and read under it  |
//! | `asleep_until`: to AWAKE     | Relaxed  | (nothing)  | nothing: a publisher that misses it |
//! |                              |          |            | unparks a thread that is awake      |
//! | `len`: store under the lock, | Relaxed  | (nothing)  | nothing: whoever published a timer  |
//! | read outside                 |          |            | that it misses unparks (I2), and    |
//! |                              |          |            | after the token `len` is up to date |
//! | `has_shelves`                | Relaxed  | (nothing)  | nothing: a worker publishes its own |
//! |                              |          |            | timers; a turn that misses a stuck  |
//! |                              |          |            | one's is followed by another        |
//!
//! Next: `../context.rs`.

use super::clock::Clock;
use super::entry::{Entry, Stage};
use super::fresh::{Fresh, Shelf};
use super::pending::Pending;
use crate::reactor::Wakes;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, lock};
use std::sync::Arc;
use std::task::Waker;

/// How many timers are fired before the tasks get their turn. Where a hundred thousand are due, a
/// task should run while what its timer touched is still in the cache, and sockets should not wait
/// for all of them. As many as tasks run between two looks at the event loop, so that neither
/// outruns the other.
const FIRED_AT_ONCE: usize = 64;

/// In `asleep_until`: nobody sleeps. No deadline is earlier.
const AWAKE: u64 = 0;

/// Timers that are due and not fired yet, the last to fire first. Belongs to the driver.
#[derive(Default)]
pub(crate) struct Due(Vec<(u64, Arc<Entry>)>);

impl Due {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The runtime is gone: a timer can never fire.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) struct Timers {
    clock: Clock,
    unparker: Waker,
    state: Mutex<State>,
    /// What the thread in the reactor sleeps until; the end of time if there is no timer.
    asleep_until: AtomicU64,
    /// How many timers the wheel holds, for a look without the lock.
    len: AtomicUsize,
    /// Has there ever been a worker?
    has_shelves: AtomicBool,
}

struct State {
    pending: Pending,
    /// One per worker thread.
    shelves: Vec<Arc<Shelf>>,
    /// Empty between uses.
    buffer: Fresh,
    closed: bool,
}

impl Timers {
    pub(crate) fn new(clock: Clock, unparker: Waker) -> Timers {
        Timers {
            clock,
            unparker,
            state: Mutex::new(State {
                pending: Pending::new(),
                shelves: Vec::new(),
                buffer: Fresh::default(),
                closed: false,
            }),
            asleep_until: AtomicU64::new(AWAKE),
            len: AtomicUsize::new(0),
            has_shelves: AtomicBool::new(false),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How many timers the wheel holds, cancelled ones included.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a statistic.
        self.len.load(Ordering::Relaxed)
    }

    /// Puts a thread's fresh timers into the wheel. Leaves its list empty, memory kept. Runs user
    /// code (the drop of wakers), under no lock.
    pub(crate) fn publish(&self, fresh: &mut Fresh) -> Result<(), Closed> {
        if fresh.is_empty() {
            return Ok(());
        }
        self.settle(fresh);
        let mut abandoned = Wakes::default();
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            let entries = fresh.drain();
            abandoned.extend(entries.filter_map(|(_, entry)| entry.finish(Stage::Abandoned)));
            return Err(Closed);
        }
        let first = state.insert(fresh);
        self.note_len(&state);
        let too_late = first < self.asleep_until.load(Ordering::Relaxed); // I2
        drop(state);
        if too_late {
            self.unparker.wake_by_ref();
        }
        Ok(())
    }

    /// As `publish`, for the thread that drives: it is awake, and need not be unparked.
    pub(crate) fn publish_own(&self, fresh: &mut Fresh) -> Result<(), Closed> {
        if !fresh.is_empty() {
            self.asleep_until.store(AWAKE, Ordering::Relaxed);
        }
        self.publish(fresh)
    }

    /// A list for a new worker.
    pub(crate) fn new_shelf(&self) -> Arc<Shelf> {
        let shelf = Arc::new(Shelf::default());
        lock(&self.state).shelves.push(shelf.clone());
        self.has_shelves.store(true, Ordering::Relaxed);
        shelf
    }

    /// The worker ends. Its last timers are published.
    pub(crate) fn remove_shelf(&self, shelf: &Arc<Shelf>) {
        lock(&self.state)
            .shelves
            .retain(|known| !Arc::ptr_eq(known, shelf));
        self.publish_shelf(shelf);
    }

    /// Publishes the fresh timers of one worker.
    pub(crate) fn publish_shelf(&self, shelf: &Shelf) {
        let mut fresh = Fresh::default();
        shelf.append_to(&mut fresh);
        // Closed: then they are abandoned, and their tasks told.
        let _ = self.publish(&mut fresh);
    }

    /// The thread is about to look for events, or to sleep. Publishes the fresh timers of every
    /// worker, stuck or not. Runs user code, as `publish` does.
    pub(crate) fn publish_shelves(&self) {
        if self.has_shelves.load(Ordering::Relaxed) {
            drop(self.with_shelves_published());
        }
    }

    /// The thread is about to sleep: until when? (I2) Publishes as `publish_shelves` does.
    pub(crate) fn fall_asleep(&self) -> Option<u64> {
        if self.is_quiet() {
            return None;
        }
        let state = self.with_shelves_published();
        let next = state.pending.next();
        self.asleep_until
            .store(next.unwrap_or(u64::MAX), Ordering::Relaxed);
        next
    }

    /// Are there no timers at all, and does everyone who publishes one think that we sleep without
    /// a deadline?
    fn is_quiet(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
            && self.asleep_until.load(Ordering::Relaxed) == u64::MAX
            && !self.has_shelves.load(Ordering::Relaxed)
    }

    /// Whoever is here is awake: nobody need be unparked for what it publishes.
    fn with_shelves_published(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        if let Some(mut taken) = state.take_shelves() {
            drop(state);
            self.settle(&mut taken);
            state = lock(&self.state);
            state.insert(&mut taken);
            state.buffer = taken;
            self.note_len(&state);
        }
        state
    }

    /// (5) The thread is awake, or only had a look: fires what is due, [`FIRED_AT_ONCE`] at most.
    #[inline]
    pub(crate) fn fire(&self, due: &mut Due, wakes: &mut Wakes) {
        // Relaxed: without a timer no clock is read, and `asleep_until` stays (`is_quiet`).
        if !due.0.is_empty() || self.len.load(Ordering::Relaxed) > 0 {
            self.fire_some(due, wakes);
        }
    }

    fn fire_some(&self, due: &mut Due, wakes: &mut Wakes) {
        if due.0.is_empty() {
            self.asleep_until.store(AWAKE, Ordering::Relaxed);
            self.find(due);
        }
        if due.0.is_empty() {
            return;
        }
        let mut fired = false;
        let portion = due.0.len().saturating_sub(FIRED_AT_ONCE)..;
        for (_, entry) in due.0.drain(portion).rev() {
            let waker = entry.finish(Stage::Fired);
            fired |= waker.is_some();
            wakes.extend(waker);
        }
        if !fired {
            lock(&self.state).pending.sweep_after_a_needless_wake_up();
        }
    }

    fn find(&self, due: &mut Due) {
        let now = self.clock.nanos(self.clock.now());
        let mut state = lock(&self.state);
        state.pending.take_due(now, &mut due.0);
        self.note_len(&state);
    }

    /// Shutdown: every waiter is woken, and learns that nobody will fire its timer.
    pub(crate) fn close(&self, due: &mut Due, wakes: &mut Wakes) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.pending.take_due(u64::MAX, &mut due.0);
        drop(state);
        for (_, entry) in due.0.drain(..) {
            wakes.extend(entry.finish(Stage::Abandoned));
        }
    }

    /// Drops wakers that are out of date, which is user code, perhaps on the thread that is about to
    /// sleep: what it has woken on that thread, or started, is looked at before.
    fn settle(&self, fresh: &mut Fresh) {
        if fresh.settle() {
            self.unparker.wake_by_ref();
        }
    }

    fn note_len(&self, state: &State) {
        self.len.store(state.pending.len(), Ordering::Relaxed);
    }
}

impl State {
    /// Returns the first deadline of `fresh`.
    fn insert(&mut self, fresh: &mut Fresh) -> u64 {
        let mut first = u64::MAX;
        for (deadline, entry) in fresh.drain() {
            first = first.min(deadline);
            self.pending.insert(deadline, entry);
        }
        first
    }

    /// What is on the shelves, if there is anything.
    fn take_shelves(&mut self) -> Option<Fresh> {
        for shelf in &self.shelves {
            shelf.append_to(&mut self.buffer);
        }
        (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::time::entry::Answer;

    fn timers() -> Timers {
        Timers::new(Clock::real(), Waker::noop().clone())
    }

    fn publish(timers: &Timers, deadline: u64) -> Arc<Entry> {
        let mut fresh = Fresh::default();
        let entry = fresh.start(deadline, Waker::noop().clone());
        timers.publish(&mut fresh).unwrap();
        entry
    }

    #[test]
    fn a_crowd_that_is_due_fires_in_portions_and_in_order() {
        let timers = timers();
        let entries: Vec<_> = (0..3 * FIRED_AT_ONCE as u64)
            .map(|deadline| publish(&timers, deadline))
            .collect();
        let mut due = Due::default();
        for turn in 1..=3 {
            timers.fire(&mut due, &mut Wakes::default());
            let fired = entries.iter().take_while(|entry| !entry.is_waiting());
            assert_eq!(fired.count(), turn * FIRED_AT_ONCE);
            assert_eq!(due.is_empty(), turn == 3);
        }
    }

    #[test]
    fn a_wake_up_for_cancelled_timers_is_the_last_of_its_kind() {
        let timers = timers();
        for deadline in [0, u64::MAX - 1, u64::MAX] {
            publish(&timers, deadline).cancel();
        }
        timers.fire(&mut Due::default(), &mut Wakes::default());
        assert_eq!(timers.fall_asleep(), None);
    }

    #[test]
    fn whoever_falls_asleep_takes_the_shelves_along() {
        let timers = timers();
        let shelves = [timers.new_shelf(), timers.new_shelf()];
        let entries = [7, 5].map(|deadline| {
            let shelf = &shelves[usize::from(deadline == 7)];
            shelf.start(deadline, Waker::noop().clone())
        });
        assert_eq!(timers.fall_asleep(), Some(5));
        timers.remove_shelf(&shelves[0]);
        timers.fire(&mut Due::default(), &mut Wakes::default());
        assert!(entries.iter().all(|entry| !entry.is_waiting()));
    }

    #[test]
    fn after_the_shutdown_every_timer_is_abandoned() {
        let timers = timers();
        let before = publish(&timers, u64::MAX);
        timers.close(&mut Due::default(), &mut Wakes::default());
        assert_eq!(before.poll(Waker::noop()), Answer::Abandoned);
        let mut fresh = Fresh::default();
        let after = fresh.start(0, Waker::noop().clone());
        assert!(timers.publish(&mut fresh).is_err());
        assert_eq!(after.poll(Waker::noop()), Answer::Abandoned);
    }
}

#[cfg(all(test, loom))]
mod models;
