//! One worker: a thread that runs tasks until the executor closes.
//!
//! ```text
//!   ┌─> next slot ──> own queue ──> share of the inject queue ──> half of another's queue
//!   │       └─────────────┴──────────────┴─────┬────────────────────────┘ │ nothing
//!   │                                          v                          v
//!   └──────────────────────────────────── run one task <── woken ── sleep, in the driver
//!                                                                   if nobody else does
//! ```
//!
//! Owns      its index, its random numbers, and the owner's side of its `Remote`.
//! Holds     I1 the last worker to fall asleep sleeps in the driver: whoever fails to get the
//!              driver's lock saw a worker that was in it, or awake and bound to try later.
//!           I2 what this worker listed after the executor's sweep, and what is in its queue, it
//!              cancels itself as it ends.
//! Cost      per task: an exchange for the queue (none for the next slot), one for the list of live
//!           tasks.
//! Rejected  a spin before the sleep, in the hope of more work: with tasks from outside, 4 sleeps
//!           per 10,000 instead of 250, but 266 ns a task instead of 218, for the spinner takes the
//!           producer's cache lines as fast as it fills them.
//! Source    the loop is Go's `schedule` and tokio's `multi_thread/worker.rs`. Next: `home.rs`.

use super::live::{Chain, Lister, LiveList};
use super::shared::{Remote, Shared};
use super::watch::Watch;
use crate::block_on::Entered;
use crate::error::contain;
use crate::sync::thread_cell;
use crate::task::cell::{Slot, Task};
use crate::task::memory::{leave_cells_to, pass_on_cells};
use crate::task::runnable::Runnable;
use std::cell::Cell;
use std::hint::spin_loop;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// After how many tasks the driver and the inject queue get a look while there is work of one's
/// own; see `EVENT_INTERVAL` in single.rs.
const EVENT_INTERVAL: u32 = 61;

/// How many tasks may come from the next slot in a row: two tasks that wake each other for ever
/// must not keep the queue waiting. tokio's number.
const MAX_NEXT_RUNS: u32 = 3;

/// How often a thief that comes back for more pauses first: between 0.3 and 4 microseconds in all,
/// by the processor. A victim that goes on spawning has filled its queue by then; without the pause
/// the thief takes its tasks one by one, and the cache lines with each (2 workers, 10,000 spawns of
/// one poll: 2,900 thefts, 251 ns a task; 16 pauses 225, 64 pauses 138 and 300 thefts, 256 pauses
/// 127). Loom has no time to wait.
const THIEF_PAUSES: u32 = if cfg!(loom) { 0 } else { 64 };

/// One worker's own state; lives on its thread's stack.
pub(super) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    /// Counted in `Idle` as searching?
    searching: Cell<bool>,
    watch: Watch,
    /// Has it slept since it ran a task?
    slept: Cell<bool>,
    /// Inside `Driver::park`: what that wakes is a batch, and goes into the queue in order.
    in_driver: Cell<bool>,
    /// Did the last search end with a theft?
    stole: Cell<bool>,
    ticks: Cell<u32>,
    next_runs: Cell<u32>,
    random: Cell<u64>,
    /// For this worker's own list of live tasks.
    lister: Cell<Lister>,
    /// Of each list: vacant places that are not given back yet.
    chains: Box<[Cell<Chain>]>,
}

thread_cell! {
    /// The worker that this thread is.
    static CURRENT: *const Worker = ptr::null();
}

/// This thread's worker, if it is one. (Not for keeping: `'static` is as long as the caller's part of
/// the stack.)
#[inline]
pub(super) fn current() -> Option<&'static Worker> {
    // SAFETY: CURRENT points to the worker in `Worker::run`'s frame further up this stack, which
    // clears it before it returns.
    unsafe { CURRENT.get().as_ref() }
}

/// Calls `f` with this thread's worker if it is one of `shared`'s.
#[inline]
pub(super) fn with_current<R>(shared: *const Shared, f: impl FnOnce(Option<&Worker>) -> R) -> R {
    f(current().filter(|worker| ptr::eq(Arc::as_ptr(worker.shared()), shared)))
}

/// Clears CURRENT also when a worker unwinds.
struct ClearCurrent;

impl Drop for ClearCurrent {
    fn drop(&mut self) {
        CURRENT.set(ptr::null());
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, index: usize) -> Self {
        Self {
            watch: Watch::new(shared.workers()),
            lister: Cell::new(Lister::new()),
            chains: shared
                .live
                .iter()
                .map(|_| Cell::new(Chain::EMPTY))
                .collect(),
            shared,
            index,
            searching: Cell::new(false),
            slept: Cell::new(true),
            in_driver: Cell::new(false),
            stole: Cell::new(false),
            ticks: Cell::new(0),
            next_runs: Cell::new(0),
            // Any odd seed will do: the numbers only spread the thieves.
            random: Cell::new(2 * index as u64 + 1),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn remote(&self) -> &Remote {
        &self.shared.remotes[self.index]
    }

    /// The thread's whole life.
    pub(super) fn run(self) {
        let entered = Entered::new();
        CURRENT.set(&self);
        leave_cells_to(&self.shared.depot);
        let clear = ClearCurrent;
        while !self.shared.is_closed() {
            match self.next_task().or_else(|| self.search()) {
                Some(runnable) => self.run_task(runnable),
                None => self.sleep(),
            }
        }
        drop(clear);
        // No longer a worker: what these drops wake goes to the inject queue, which is closed.
        drop(self.remote().next.take());
        while let Some(runnable) = self.remote().queue.pop() {
            drop(runnable);
        }
        // What was listed after the sweep of `close`.
        self.shared.sweep(&self.shared.live[self.index]);
        drop(entered);
    }

    /// Lists a task that this worker spawns; gives it back when the executor is closed.
    #[inline]
    pub(super) fn enlist(&self, task: Task) -> Result<(), Task> {
        if self.shared.is_closed() {
            return Err(task);
        }
        self.remote().listed.count();
        let mut lister = self.lister.get();
        self.shared.live[self.index].insert(&mut lister, task);
        self.lister.set(lister);
        Ok(())
    }

    /// Did this worker spawn the task?
    #[inline]
    pub(super) fn has_listed(&self, slot: Slot) -> bool {
        slot.list as usize == self.index
    }

    /// (8) A task completed on this worker, whoever spawned it.
    #[inline]
    pub(super) fn strike_off(&self, list: &LiveList, slot: Slot) -> Option<Task> {
        self.remote().ended.count();
        if self.has_listed(slot) {
            let mut lister = self.lister.get();
            let task = list.remove_own(slot.index, &mut lister);
            self.lister.set(lister);
            return task;
        }
        let chain = &self.chains[slot.list as usize];
        let mut vacant = chain.get();
        let task = list.remove(slot.index, &mut vacant);
        chain.set(vacant);
        task
    }

    /// (7) The task to run next; what was to be next goes to the back of the queue.
    #[inline]
    pub(super) fn push_next(&self, runnable: Runnable) {
        if self.in_driver.get() {
            return self.push_quietly(runnable);
        }
        if let Some(before) = self.remote().next.replace(runnable) {
            self.push_back(before);
        }
    }

    /// (7) To the back of the queue, and someone is woken to help.
    #[inline]
    pub(super) fn push_back(&self, runnable: Runnable) {
        self.push_quietly(runnable);
        self.shared.wake_one();
    }

    #[inline]
    fn push_quietly(&self, runnable: Runnable) {
        if let Err(runnable) = self.remote().queue.push(runnable) {
            self.overflow(runnable);
        }
    }

    /// The ring is full: its older half and the newcomer go to the inject queue, in order.
    #[cold]
    fn overflow(&self, runnable: Runnable) {
        self.remote().counters.overflows.count();
        let refused = match self.remote().queue.take_half() {
            Some(half) => self
                .shared
                .inject
                .push_batch(half.into_iter().chain(std::iter::once(runnable))),
            // Thieves made room.
            None => match self.remote().queue.push(runnable) {
                Ok(()) => return,
                Err(_) => unreachable!("a ring that just had room is full; only its owner pushes"),
            },
        };
        // Closed: cancelled by `Shared::close`, or here.
        drop(refused);
    }

    /// Own work first; every so often everybody's.
    #[inline]
    fn next_task(&self) -> Option<Runnable> {
        let remote = self.remote();
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks);
        if ticks >= EVENT_INTERVAL {
            self.ticks.set(0);
            self.look_at_driver();
            if let Some(runnable) = self.take_share() {
                return Some(runnable);
            }
        }
        if self.next_runs.get() < MAX_NEXT_RUNS
            && let Some(runnable) = remote.next.take()
        {
            self.next_runs.set(self.next_runs.get() + 1);
            return Some(runnable);
        }
        self.next_runs.set(0);
        remote
            .queue
            .pop()
            .or_else(|| remote.next.take())
            .or_else(|| self.take_share())
    }

    fn take_share(&self) -> Option<Runnable> {
        let workers = self.shared.workers();
        self.shared.inject.pop_share(&self.remote().queue, workers)
    }

    /// Events that are already there, without sleeping. Skipped while another worker has the
    /// driver: it sees them.
    fn look_at_driver(&self) {
        self.pass_on();
        let Some(mut driver) = self.shared.driver.try_lock() else {
            return;
        };
        self.in_driver(|| driver.park(Some(Duration::ZERO)));
        drop(driver);
        if !self.remote().queue.is_empty() {
            self.shared.wake_one();
        }
    }

    /// Calls the driver, which calls wakers: user code, whose panic must not cost the worker (the
    /// others would wait for ever for what it counts as).
    fn in_driver(&self, park: impl FnOnce()) {
        self.in_driver.set(true);
        contain(park);
        self.in_driver.set(false);
    }

    /// Half of another worker's queue, starting with a random one.
    fn search(&self) -> Option<Runnable> {
        if !self.searching.get() {
            self.searching.set(self.shared.idle.start_searching());
        }
        if !self.searching.get() {
            return None;
        }
        self.remote().counters.searches.count();
        if self.stole.replace(false) {
            (0..THIEF_PAUSES).for_each(|_| spin_loop());
        }
        let workers = self.shared.workers();
        let start = self.next_random() as usize % workers;
        for victim in (start..workers)
            .chain(0..start)
            .filter(|victim| *victim != self.index)
        {
            let victim = &self.shared.remotes[victim];
            if let Some(runnable) = victim.queue.steal_into(&self.remote().queue) {
                self.remote().counters.steals.count();
                self.stole.set(true);
                return Some(runnable);
            }
        }
        // Published between our look at the inject queue and the start of the search?
        self.take_share().or_else(|| self.rescue())
    }

    /// What a worker that is stuck in a poll keeps in its next slot.
    fn rescue(&self) -> Option<Runnable> {
        let rescued = self.watch.rescue(&self.shared, self.index)?;
        self.remote().counters.steals.count();
        Some(rescued)
    }

    /// (2) Polls one task.
    #[inline]
    fn run_task(&self, runnable: Runnable) {
        if self.searching.replace(false) && self.shared.idle.stop_searching() {
            // R2 of idle.rs.
            self.shared.wake_one();
        }
        if self.slept.replace(false) {
            self.watch.leave(&self.shared);
        }
        runnable.run();
        self.remote().counters.polls.count();
    }

    /// (4) Sleeps until there is something to do; in the driver if that is free.
    fn sleep(&self) {
        let shared = &*self.shared;
        self.pass_on();
        // What the hook woke or spawned is ours, and no other worker hears of our next slot.
        if self.remote().next.is_full() || !self.remote().queue.is_empty() {
            return;
        }
        if shared
            .idle
            .fall_asleep(self.index, self.searching.replace(false))
            && shared.has_work()
        {
            // R3 of idle.rs; it may name us, and then the sleep below ends at once.
            shared.wake_one();
        }
        pass_on_cells();
        self.remote().counters.parks.count();
        let limit = self.watch.take_up(shared);
        let bed = &self.remote().bed;
        match shared.driver.try_lock() {
            Some(mut driver) => {
                self.in_driver(|| bed.sleep_in_driver(&mut **driver, limit));
            }
            None => bed.sleep(limit),
        }
        let woken = shared.idle.got_up(self.index);
        if woken {
            self.remote().counters.wakes.count();
        }
        self.searching.set(woken);
        self.watch.end_of_round(!woken);
        self.slept.set(true);
        // A batch from the driver: the first is for us, the others for whoever is free.
        if self.remote().queue.len() > 1 {
            shared.wake_one();
        }
    }

    /// Whatever this thread keeps to itself (timers that nobody else knows of, above all) must not
    /// stay with it while it sleeps.
    fn pass_on(&self) {
        if let Some(hook) = &self.shared.on_park {
            contain(|| hook());
        }
    }

    /// Marsaglia's xorshift64: spreads the thieves, nothing else.
    fn next_random(&self) -> u64 {
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.set(random);
        random
    }
}
