//! What every worker, waker and handle of one executor knows.
//!
//! Owns      per worker: its queue, its next slot, its bed and its counters (`Remote`); for all:
//!           the inject queue, the idle protocol, the driver and the lists of live tasks.
//! Holds     I1 every live task is in exactly one list, from before its first schedule until it
//!              completes; so `close` reaches all of them.
//!           I2 after `close` nothing enters the inject queue or the list of what others spawn; what
//!              a worker lists before it sees `closed` it cancels itself as it ends.
//!
//! The next slot is the one task to run next: what a worker's current task woke last, most likely
//! on data that is still in the cache. Unlike the queue it is no reason to wake another worker, so
//! a thief may take it only from a worker that makes no progress (`worker.rs`, the watch).
//!
//! | operation              | ordering | pairs with                                           |
//! |------------------------|----------|------------------------------------------------------|
//! | `next`: swap           | AcqRel   | the other side's swap: the task behind the pointer   |
//! | `watched`              | SeqCst   | `Idle::counts`, as said in `Worker::is_on_watch`     |
//!
//! Next: `worker.rs`.

use super::super::metrics::{Counter, Counters};
use super::super::queue::inject::InjectQueue;
use super::super::queue::local::LocalQueue;
use super::bed::Bed;
use super::idle::Idle;
use super::live::{Chain, Lister, LiveList};
use super::worker::with_current;
use crate::block_on::Entered;
use crate::driver::Driver;
use crate::park::Parker;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use crate::task::body::{Plain, new_listed_task};
use crate::task::cell::{Header, Slot, Task};
use crate::task::join::JoinHandle;
use crate::task::runnable::Runnable;
use crate::task::schedule::{Schedule, Scheduled};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::Waker;

/// What a program wants called on its worker threads.
pub(super) type Hook = Arc<dyn Fn() + Send + Sync>;

/// See the file head.
pub(super) struct Shared {
    pub(super) remotes: Box<[Remote]>,
    pub(super) inject: InjectQueue,
    pub(super) idle: Idle,
    /// The worker that holds the lock sleeps in the driver, or takes a look at it.
    pub(super) driver: Mutex<Box<dyn Driver>>,
    unparker: Waker,
    /// What a worker calls before it sleeps.
    pub(super) on_park: Option<Hook>,
    /// Is a sleeping worker on watch? See `worker.rs`.
    pub(super) watched: AtomicBool,
    closed: AtomicBool,
    /// One list per worker, for what it spawns, and one for all other threads.
    pub(super) live: Box<[LiveList]>,
    outside: Mutex<Outsiders>,
    /// Tasks that completed on other threads: while the executor shuts down.
    ended_outside: AtomicUsize,
}

/// What the others see of one worker.
#[repr(align(128))] // each worker writes its own, thieves read: no shared cache lines
pub(super) struct Remote {
    pub(super) queue: LocalQueue,
    next: AtomicPtr<Header>,
    pub(super) bed: Bed,
    pub(super) counters: Counters,
    /// Tasks that this worker listed, and that completed on it.
    pub(super) listed: Counter,
    pub(super) ended: Counter,
}

/// Lists what other threads spawn.
struct Outsiders {
    lister: Lister,
    listed: usize,
    closed: bool,
}

impl Remote {
    fn new() -> Self {
        Self {
            queue: LocalQueue::new(),
            next: AtomicPtr::new(ptr::null_mut()),
            bed: Bed::new(),
            counters: Counters::default(),
            listed: Counter::default(),
            ended: Counter::default(),
        }
    }

    /// Puts a runnable into the next slot; gives back the one that was there.
    #[inline]
    pub(super) fn swap_next(&self, runnable: Option<Runnable>) -> Option<Runnable> {
        let new = runnable.map_or(ptr::null_mut(), |runnable| runnable.into_raw().as_ptr());
        // AcqRel: see the table.
        let old = self.next.swap(new, Ordering::AcqRel);
        // SAFETY: a pointer in the slot is a runnable, and the swap made it ours alone.
        NonNull::new(old).map(|pointer| unsafe { Runnable::from_raw(pointer) })
    }

    /// Takes what is in the next slot.
    #[inline]
    pub(super) fn take_next(&self) -> Option<Runnable> {
        // Relaxed: a look that saves the locked instruction; the swap decides.
        if self.next.load(Ordering::Relaxed).is_null() {
            None
        } else {
            self.swap_next(None)
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.take_next());
    }
}

impl Shared {
    pub(super) fn new(workers: usize, driver: Box<dyn Driver>, on_park: Option<Hook>) -> Self {
        let outsiders = Outsiders {
            lister: Lister::new(),
            listed: 0,
            closed: false,
        };
        Self {
            remotes: (0..workers).map(|_| Remote::new()).collect(),
            inject: InjectQueue::new(),
            idle: Idle::new(workers),
            unparker: driver.unparker(),
            driver: Mutex::new(driver),
            on_park,
            watched: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            live: (0..=workers).map(LiveList::new).collect(),
            outside: Mutex::new(outsiders),
            ended_outside: AtomicUsize::new(0),
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.remotes.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn live_tasks(&self) -> usize {
        // The ends first, and Relaxed: a statistic, and one that is never too small.
        let ended: u64 = self.remotes.iter().map(|remote| remote.ended.get()).sum();
        let ended = ended as usize + self.ended_outside.load(Ordering::Relaxed);
        let listed: u64 = self.remotes.iter().map(|remote| remote.listed.get()).sum();
        (listed as usize + lock(&self.outside).listed).saturating_sub(ended)
    }

    /// R1 of idle.rs: work was published that the publisher does not run itself at once.
    #[inline]
    pub(super) fn wake_one(&self) {
        if let Some(worker) = self.idle.wake_one() {
            self.wake(worker);
        }
    }

    pub(super) fn wake(&self, worker: usize) {
        self.remotes[worker].bed.wake(&self.unparker);
    }

    /// The last worker is gone: nobody will sleep on the driver again.
    pub(super) fn drop_driver(&self) {
        let nothing: Box<dyn Driver> = Box::new(Parker::new());
        let driver = std::mem::replace(&mut *lock(&self.driver), nothing);
        drop(driver); // outside the lock: it may wake whoever still waited on it
    }

    /// Is there work that a worker without any could take?
    pub(super) fn has_work(&self) -> bool {
        !self.inject.is_empty() || self.remotes.iter().any(|remote| !remote.queue.is_empty())
    }

    /// (1) Spawns from a worker, or from any other thread.
    pub(super) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (runnable, handle, task) = new_listed_task(Plain(future), Home::of(self));
        with_current(Arc::as_ptr(self), |worker| {
            let listed = match worker {
                Some(worker) => worker.enlist(task),
                None => self.enlist(task),
            };
            match (listed, worker) {
                (Ok(()), Some(worker)) => worker.push_next(runnable),
                (Ok(()), None) => self.inject(runnable),
                // Shutting down: dropping the runnable cancels the task.
                (Err(task), _) => drop((runnable, task)),
            }
        });
        handle
    }

    /// The list of what no worker spawned.
    fn outside_list(&self) -> &LiveList {
        &self.live[self.workers()]
    }

    fn enlist(&self, task: Task) -> Result<(), Task> {
        let mut outside = lock(&self.outside);
        if outside.closed {
            return Err(task);
        }
        outside.listed += 1;
        self.outside_list().insert(&mut outside.lister, task);
        Ok(())
    }

    fn inject(&self, runnable: Runnable) {
        match self.inject.push(runnable) {
            Ok(()) => self.wake_one(),
            // Closed: the task is complete or about to be, by `close`; either way we may drop it.
            Err(runnable) => drop(runnable),
        }
    }

    /// Refuses new tasks, cancels all there are, and tells the workers to stop. A task that is
    /// being polled is cancelled by its worker after the poll. Idempotent.
    pub(super) fn close(&self) {
        let _entered = Entered::to_drop_tasks();
        // Release: a worker that sees it sees what its closer did before.
        self.closed.store(true, Ordering::Release);
        for worker in 0..self.workers() {
            self.wake(worker);
        }
        lock(&self.outside).closed = true;
        for list in &self.live {
            // SAFETY: the futures here are `Send` (`spawn`): any thread may drop them.
            list.sweep(|task| unsafe { task.shutdown() });
        }
        // Husks. What comes later is refused, or the tasks' references to us would keep the
        // queue, and the queue them, for ever.
        drop(self.inject.close());
    }
}

/// The executor that a task was spawned on: a pointer that is not counted.
///
/// A count would be a cache line that all workers write, twice for each task. None is needed: only
/// the holder of a task's runnable, or of RUNNING, goes through the pointer, and then
/// - the task was not swept: the executor is not gone, for it sweeps its lists first (`close`; what
///   a worker listed later, that worker, before it lets go of its reference); or
/// - it was swept while it was being polled: on a worker, which holds a reference; or
/// - it was swept while it had a runnable, and somebody may be on the way with that to a queue that
///   is gone: the sweeper, who has a reference, gives it one (`husk_made`), which goes with the
///   runnable (`husk_gone`).
#[derive(Clone, Copy)]
pub(super) struct Home(NonNull<Shared>);

// SAFETY: `Shared` is Send and Sync; that it is alive whenever it is used is said above.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Home {
    fn of(shared: &Arc<Shared>) -> Self {
        // SAFETY: an Arc's pointer is never null. By `as_ptr`, so that the count may be changed
        // through it.
        Self(unsafe { NonNull::new_unchecked(Arc::as_ptr(shared).cast_mut()) })
    }

    /// # Safety
    /// As said at the type.
    unsafe fn shared(&self) -> &Shared {
        // SAFETY: by the caller.
        unsafe { self.0.as_ref() }
    }

    /// A reference of its own, for whoever gives the runnable away and goes on.
    ///
    /// # Safety
    /// As said at the type.
    unsafe fn to_counted(self) -> Arc<Shared> {
        // SAFETY: by the caller; the pointer came from an Arc.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

impl Schedule for Home {
    // Any thread could drop the future, but not while it may be stolen and run.
    const CANCEL_IN_PLACE: bool = false;

    /// (7) On one of our workers its next slot; anywhere else the inject queue.
    #[inline]
    fn schedule(scheduled: Scheduled<Self>) {
        let home = *scheduled.scheduler();
        with_current(home.0.as_ptr(), |worker| match worker {
            Some(worker) => worker.push_next(scheduled.into_runnable()),
            // SAFETY: we hold the runnable.
            None => unsafe { home.to_counted() }.inject(scheduled.into_runnable()),
        });
    }

    /// Woken during its own poll (`yield_now`): behind everything else that is ready.
    #[inline]
    fn reschedule(scheduled: Scheduled<Self>) {
        let home = *scheduled.scheduler();
        with_current(home.0.as_ptr(), |worker| match worker {
            Some(worker) => worker.push_back(scheduled.into_runnable()),
            // SAFETY: we hold the runnable.
            None => unsafe { home.to_counted() }.inject(scheduled.into_runnable()),
        });
    }

    fn release(&self, slot: Slot) -> Option<Task> {
        // SAFETY: called by the holder of RUNNING.
        let shared = unsafe { self.shared() };
        let list = shared.live.get(slot.list as usize)?;
        with_current(shared, |worker| match worker {
            Some(worker) => worker.strike_off(list, slot),
            None => {
                // Relaxed: a statistic.
                shared.ended_outside.fetch_add(1, Ordering::Relaxed);
                // While the executor shuts down: nobody will want the place.
                list.remove(slot.index, &mut Chain::EMPTY.clone())
            }
        })
    }

    fn husk_made(&self) {
        // SAFETY: the sweeper has a reference, and the pointer came from an Arc.
        unsafe { Arc::increment_strong_count(self.0.as_ptr()) }
    }

    fn husk_gone(&self) {
        // SAFETY: what `husk_made` counted for this runnable; an `abort` makes no husks here. If it
        // was not counted yet, the sweeper is still there with its own.
        unsafe { Arc::decrement_strong_count(self.0.as_ptr()) }
    }
}
