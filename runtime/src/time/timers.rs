//! All timers of one runtime.
//!
//! ```text
//!                    poll: too early                publish
//!   Sleep, no timer -----------------> fresh.rs -------------> the wheel
//!                                        |                       |     |
//!                                        | dropped: popped,      | due | cancelled
//!                                        v no trace              v     v
//!                                       gone                  fired   swept, sooner or later
//! ```
//!
//! Owns      the wheel, under one lock, what the sleeping thread sleeps until, and the workers'
//!           shelves.
//! Holds     I2 whoever publishes a deadline earlier than the sleeper's unparks it: the sleeper
//!              writes down its deadline under the lock that the publisher inserts under, so
//!              either it saw the timer or the publisher sees the deadline.
//!           I3 cancelled timers never outnumber the live ones for long: a sweep when the wheel
//!              has doubled since the last one, or when a wake-up found only cancelled ones.
//! Cost      fresh: an allocation and a waker clone. Published: one push, under a lock taken once
//!           per list. Cancelled after that: the timer's own, uncontended lock.
//! Lock order: the wheel, then a timer; a shelf with nothing else. Wakers are called under none.
//! Rejected: unlinking on cancel (the wheel's lock on each, fought for between workers: the cost
//!           that tokio-rs/tokio#6504 is about).
//! Next: `../context.rs`.

use super::clock::Clock;
use super::entry::{Entry, Stage};
use super::fresh::{Fresh, Shelf};
use super::wheel::Wheel;
use crate::reactor::Wakes;
use crate::sync::{Mutex, lock};
use std::sync::Arc;
use std::task::Waker;

/// The wheel is not swept before it holds this many entries: below, they are not worth a look.
const SWEEP_FROM: usize = 1024;

/// How many timers are fired before the tasks get their turn. Where a hundred thousand are due, a
/// task should run while what its timer touched is still in the cache, and sockets should not wait
/// for all of them. As many as tasks run between two looks at the event loop, so that neither
/// outruns the other.
const FIRED_AT_ONCE: usize = 64;

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
    /// One per worker thread.
    shelves: Mutex<Vec<Arc<Shelf>>>,
}

struct State {
    wheel: Wheel<Arc<Entry>>,
    /// What the thread in the reactor sleeps until; `None` while nobody sleeps.
    asleep_until: Option<u64>,
    /// The wheel is swept when it holds this many.
    sweep_at: usize,
    /// Entries put in since the last sweep: a sweep is paid for by them.
    since_sweep: usize,
    closed: bool,
}

impl Timers {
    pub(crate) fn new(clock: Clock, unparker: Waker) -> Timers {
        Timers {
            clock,
            unparker,
            state: Mutex::new(State {
                wheel: Wheel::new(),
                asleep_until: None,
                sweep_at: SWEEP_FROM,
                since_sweep: 0,
                closed: false,
            }),
            shelves: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Puts a thread's fresh timers into the wheel. Leaves its list empty, memory kept.
    pub(crate) fn publish(&self, fresh: &mut Fresh) -> Result<(), Closed> {
        if fresh.is_empty() {
            return Ok(());
        }
        let mut abandoned = Wakes::default();
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            let entries = fresh.drain();
            abandoned.extend(entries.filter_map(|(_, entry)| entry.finish(Stage::Abandoned)));
            return Err(Closed);
        }
        let mut first = u64::MAX;
        for (deadline, entry) in fresh.drain() {
            first = first.min(deadline);
            state.insert(deadline, entry);
        }
        let too_late = state.asleep_until.is_some_and(|until| first < until); // I2
        drop(state);
        if too_late {
            self.unparker.wake_by_ref();
        }
        Ok(())
    }

    /// A list for a new worker.
    pub(crate) fn new_shelf(&self) -> Arc<Shelf> {
        let shelf = Arc::new(Shelf::default());
        lock(&self.shelves).push(shelf.clone());
        shelf
    }

    /// The worker ends. Its last timers are published.
    pub(crate) fn remove_shelf(&self, shelf: &Arc<Shelf>) {
        lock(&self.shelves).retain(|known| !Arc::ptr_eq(known, shelf));
        self.publish_shelf(shelf);
    }

    /// Publishes the fresh timers of one worker.
    pub(crate) fn publish_shelf(&self, shelf: &Shelf) {
        let mut fresh = Fresh::default();
        shelf.drain_to(&mut fresh);
        // Closed: then they are abandoned, and their tasks told.
        let _ = self.publish(&mut fresh);
    }

    /// Publishes the fresh timers of every worker, stuck or not. `buffer` is empty before and
    /// after.
    pub(crate) fn publish_shelves(&self, buffer: &mut Fresh) {
        for shelf in lock(&self.shelves).iter() {
            shelf.drain_to(buffer);
        }
        let _ = self.publish(buffer);
    }

    /// The thread is about to sleep: until when? (I2)
    pub(crate) fn fall_asleep(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        let next = state.wheel.next();
        state.asleep_until = Some(next.unwrap_or(u64::MAX));
        next
    }

    /// The thread is awake, or only had a look: fires what is due, [`FIRED_AT_ONCE`] at most.
    pub(crate) fn fire(&self, due: &mut Due, wakes: &mut Wakes) {
        if due.0.is_empty() {
            self.find(due);
        }
        let found = !due.0.is_empty();
        let mut fired = false;
        for (_, entry) in due
            .0
            .drain(due.0.len().saturating_sub(FIRED_AT_ONCE)..)
            .rev()
        {
            let waker = entry.finish(Stage::Fired);
            fired |= waker.is_some();
            wakes.extend(waker);
        }
        if found && !fired {
            lock(&self.state).sweep_after_a_needless_wake_up();
        }
    }

    fn find(&self, due: &mut Due) {
        let mut state = lock(&self.state);
        state.asleep_until = None;
        if state.wheel.len() > 0 {
            // Without a timer no clock is read.
            let now = self.clock.nanos(self.clock.now());
            state.wheel.advance(now, &mut due.0);
            due.0.reverse();
        }
    }

    /// Shutdown: every waiter is woken, and learns that nobody will fire its timer.
    pub(crate) fn close(&self, due: &mut Due, wakes: &mut Wakes) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.wheel.advance(u64::MAX, &mut due.0);
        drop(state);
        for (_, entry) in due.0.drain(..) {
            wakes.extend(entry.finish(Stage::Abandoned));
        }
    }
}

impl State {
    fn insert(&mut self, deadline: u64, entry: Arc<Entry>) {
        if self.wheel.len() >= self.sweep_at {
            self.sweep();
        }
        self.wheel.insert(deadline, entry);
        self.since_sweep += 1;
    }

    /// Dropping cancelled entries under the lock runs no user code: their wakers are gone (I1).
    fn sweep(&mut self) {
        self.wheel.retain(|entry| entry.is_waiting());
        self.sweep_at = SWEEP_FROM.max(2 * self.wheel.len());
        self.since_sweep = 0;
    }

    /// Everything that was due had been cancelled. The rest may be, too: without a sweep each one
    /// would cost a wake-up of its own. Only if enough has been put in to pay for it.
    fn sweep_after_a_needless_wake_up(&mut self) {
        if 2 * self.since_sweep >= self.wheel.len() {
            self.sweep();
        }
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
        let entry = Arc::new(Entry::new(Waker::noop().clone()));
        let mut fresh = Fresh::default();
        fresh.push(deadline, entry.clone());
        timers.publish(&mut fresh).unwrap();
        entry
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let timers = timers();
        for _ in 0..100 * SWEEP_FROM {
            publish(&timers, u64::MAX).cancel();
        }
        assert!(lock(&timers.state).wheel.len() <= SWEEP_FROM);
    }

    #[test]
    fn live_timers_survive_the_sweeps() {
        let timers = timers();
        let live: Vec<_> = (0..2 * SWEEP_FROM)
            .map(|_| {
                publish(&timers, u64::MAX).cancel();
                publish(&timers, u64::MAX)
            })
            .collect();
        let state = lock(&timers.state);
        assert!(state.wheel.len() >= live.len());
        assert!(live.iter().all(|entry| entry.is_waiting()));
    }

    #[test]
    fn one_needless_wake_up_sweeps_away_the_others() {
        let timers = timers();
        for deadline in [0, u64::MAX - 1, u64::MAX] {
            publish(&timers, deadline).cancel();
        }
        timers.fire(&mut Due::default(), &mut Wakes::default());
        assert_eq!(timers.fall_asleep(), None);
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
    fn after_the_shutdown_every_timer_is_abandoned() {
        let timers = timers();
        let before = publish(&timers, u64::MAX);
        timers.close(&mut Due::default(), &mut Wakes::default());
        assert_eq!(before.poll(Waker::noop()), Answer::Abandoned);
        let after = Arc::new(Entry::new(Waker::noop().clone()));
        let mut fresh = Fresh::default();
        fresh.push(0, after.clone());
        assert!(timers.publish(&mut fresh).is_err());
        assert_eq!(after.poll(Waker::noop()), Answer::Abandoned);
    }
}

/// Registration, cancelling and moving, each against firing. All deadlines have passed: what is
/// explored is who comes first, not what time it is.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};
    use crate::time::entry::Answer;
    use std::task::Wake;
    use tatkal_executor::Parker;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    fn publish(timers: &Timers, entry: &Arc<Entry>) {
        let mut fresh = Fresh::default();
        fresh.push(0, entry.clone());
        timers.publish(&mut fresh).unwrap();
    }

    /// What the driver does, with a parker for a reactor.
    fn turn(timers: &Timers, parker: Option<&mut Parker>) {
        let next = timers.fall_asleep();
        if let (None, Some(parker)) = (next, parker) {
            parker.park();
        }
        timers.fire(&mut Due::default(), &mut Wakes::default());
    }

    #[test]
    fn a_timer_published_while_the_loop_falls_asleep_fires() {
        loom::model(|| {
            let mut parker = Parker::new();
            let timers = Arc::new(Timers::new(Clock::real(), parker.unparker()));
            let (woken, waker) = counter();
            let publisher = loom::thread::spawn({
                let timers = timers.clone();
                move || publish(&timers, &Arc::new(Entry::new(waker)))
            });
            // Ends only if the publisher unparks a loop that sleeps without a deadline.
            while woken.get() == 0 {
                turn(&timers, Some(&mut parker));
            }
            publisher.join().unwrap();
            assert_eq!(woken.get(), 1);
        });
    }

    #[test]
    fn a_timer_is_either_cancelled_or_fired() {
        loom::model(|| {
            let timers = Timers::new(Clock::real(), Waker::noop().clone());
            let (woken, waker) = counter();
            let entry = Arc::new(Entry::new(waker));
            publish(&timers, &entry);
            let canceller = loom::thread::spawn(move || entry.cancel().is_some());
            turn(&timers, None);
            let cancelled = canceller.join().unwrap();
            assert_eq!(woken.get(), usize::from(!cancelled));
        });
    }

    #[test]
    fn a_timer_that_moves_while_it_fires_wakes_its_new_task_or_tells_it() {
        loom::model(|| {
            let timers = Timers::new(Clock::real(), Waker::noop().clone());
            let (old, old_waker) = counter();
            let (new, new_waker) = counter();
            let entry = Arc::new(Entry::new(old_waker));
            publish(&timers, &entry);
            let mover = loom::thread::spawn(move || entry.poll(&new_waker));
            turn(&timers, None);
            let answer = mover.join().unwrap();
            assert_eq!(old.get() + new.get(), 1);
            assert_eq!(new.get() == 1, answer == Answer::TooEarly);
        });
    }
}
