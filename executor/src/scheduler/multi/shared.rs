//! What every worker, waker and handle of one executor knows.
//!
//! Owns      per worker: its queue, its next slot, its bed and its counters (`Remote`); for all:
//!           the inject queue, the idle protocol, the driver and the lists of live tasks.
//! Holds     I1 every live task is in exactly one list, from before its first schedule until it
//!              completes; so `close` reaches all of them.
//!           I2 after `close` nothing enters the inject queue or the list of what others spawn; what
//!              a worker lists or queues before it sees `closed` it cancels itself as it ends.
//!
//! The next slot is the one task to run next: what a worker's current task woke last, most likely
//! on data that is still in the cache. Unlike the queue it is no reason to wake another worker, so
//! a thief takes it only from a worker that makes no progress (`watch.rs`).
//!
//! Orderings `watched` is SeqCst, for the reason that `Watch::take_up` gives.
//! Next: `watch.rs`.

use super::super::metrics::{Counter, Counters, WorkerMetrics};
use super::super::queue::inject::InjectQueue;
use super::super::queue::local::LocalQueue;
use super::super::queue::next::NextSlot;
use super::bed::Bed;
use super::idle::Idle;
use super::live::{Lister, LiveList};
use crate::block_on::Entered;
use crate::driver::Driver;
use crate::park::Parker;
use crate::sync::TryLock;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::task::depot::Depot;
use crate::task::runnable::Runnable;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

/// What a program wants called on its worker threads.
pub(super) type Hook = Arc<dyn Fn() + Send + Sync>;

/// See the file head.
pub(super) struct Shared {
    pub(super) remotes: Box<[Remote]>,
    pub(super) inject: InjectQueue<Outsiders>,
    pub(super) idle: Idle,
    /// The worker that holds the lock sleeps in the driver, or takes a look at it.
    pub(super) driver: TryLock<Box<dyn Driver>>,
    unparker: Waker,
    /// What a worker calls before it sleeps.
    pub(super) on_park: Option<Hook>,
    /// Is a sleeping worker on watch? See `watch.rs`.
    pub(super) watched: AtomicBool,
    closed: AtomicBool,
    /// One list per worker, for what it spawns, and one for all other threads.
    pub(super) live: Box<[LiveList]>,
    /// Tasks that completed on other threads: while the executor shuts down.
    pub(super) ended_outside: AtomicUsize,
    /// Memory of tasks that died on another worker than they were spawned on, or were spawned from
    /// outside.
    pub(super) depot: Arc<Depot>,
}

/// What the others see of one worker.
#[repr(align(128))] // each worker writes its own, thieves read: no shared cache lines
pub(super) struct Remote {
    pub(super) queue: LocalQueue,
    pub(super) next: NextSlot,
    pub(super) bed: Bed,
    pub(super) counters: Counters,
    /// Tasks that this worker listed, and that completed on it.
    pub(super) listed: Counter,
    pub(super) ended: Counter,
}

/// What lists the tasks that other threads spawn; guarded by the inject queue's lock, which a spawn
/// takes anyway.
pub(super) struct Outsiders {
    pub(super) lister: Lister,
    pub(super) listed: usize,
}

impl Remote {
    fn new() -> Self {
        Self {
            queue: LocalQueue::new(),
            next: NextSlot::new(),
            bed: Bed::new(),
            counters: Counters::default(),
            listed: Counter::default(),
            ended: Counter::default(),
        }
    }
}

impl Shared {
    pub(super) fn new(workers: usize, driver: Box<dyn Driver>, on_park: Option<Hook>) -> Self {
        let outsiders = Outsiders {
            lister: Lister::new(),
            listed: 0,
        };
        Self {
            remotes: (0..workers).map(|_| Remote::new()).collect(),
            inject: InjectQueue::new(outsiders),
            idle: Idle::new(workers),
            unparker: driver.unparker(),
            driver: TryLock::new(driver),
            on_park,
            watched: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            live: (0..=workers).map(LiveList::new).collect(),
            ended_outside: AtomicUsize::new(0),
            depot: Arc::new(Depot::new()),
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.remotes.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.closed.load(Ordering::Acquire)
    }

    /// What each worker has done.
    pub(super) fn worker_metrics(&self) -> Vec<WorkerMetrics> {
        let read = |remote: &Remote| remote.counters.read(remote.queue.len());
        self.remotes.iter().map(read).collect()
    }

    pub(super) fn live_tasks(&self) -> usize {
        // The ends first, and Relaxed: a statistic, and one that is never too small.
        let ended: u64 = self.remotes.iter().map(|remote| remote.ended.get()).sum();
        let ended = ended as usize + self.ended_outside.load(Ordering::Relaxed);
        let listed: u64 = self.remotes.iter().map(|remote| remote.listed.get()).sum();
        let outside = self.inject.with_guarded(|outsiders| outsiders.listed);
        (listed as usize + outside).saturating_sub(ended)
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
        // It is free: only workers lock it.
        let driver = self.driver.try_lock();
        let driver = driver.map(|mut driver| std::mem::replace(&mut *driver, nothing));
        drop(driver); // outside the lock: it may wake whoever still waited on it
        self.depot.release();
    }

    /// Is there work that a worker without any could take?
    pub(super) fn has_work(&self) -> bool {
        !self.inject.is_surely_empty() || self.remotes.iter().any(|remote| !remote.queue.is_empty())
    }

    /// Queues what no worker brings; `before` is done under the same lock.
    pub(super) fn inject(&self, runnable: Runnable, before: impl FnOnce(&mut Outsiders)) {
        match self.inject.push(runnable, before) {
            Ok(()) => self.wake_one(),
            // Closed: nobody will run it, and dropping it cancels the task, unless it is complete.
            Err(refused) => drop(refused),
        }
    }

    /// Refuses new tasks, cancels all there are, and tells the workers to stop. A task that is
    /// being polled is cancelled by its worker after the poll. Idempotent.
    pub(super) fn close(self: &Arc<Self>) {
        let _entered = Entered::to_drop_tasks();
        // Release: a worker that sees it sees what its closer did before.
        self.closed.store(true, Ordering::Release);
        for worker in 0..self.workers() {
            self.wake(worker);
        }
        // First what is listed, while wakes are still taken in: a wake that is refused drops the future,
        // inside of whatever its caller holds.
        self.cancel_all();
        // Cancelled as they are dropped. What comes later is refused, or the tasks' references to us
        // would keep the queue, and the queue them, for ever.
        drop(self.inject.close());
        // What came between.
        self.cancel_all();
    }

    /// Cancels what is in a list. A task that is queued or being polled is only told so: who has
    /// its runnable cancels it.
    pub(super) fn sweep(self: &Arc<Self>, list: &LiveList) {
        // Each task gets one, before it leaves its place: see `Home`.
        let mut reference = self.clone();
        list.sweep(|task| {
            mem::forget(mem::replace(&mut reference, self.clone()));
            // SAFETY: the futures here are `Send` (`spawn`): any thread may drop them.
            unsafe { task.shutdown() };
        });
    }

    /// After `close`: cancels what is listed, and what waits behind polls that do not return. (What a
    /// worker takes, or has just not listed or queued yet, it cancels itself, as it ends; or, if it does
    /// not end, the next call of this does.)
    pub(super) fn cancel_all(self: &Arc<Self>) {
        let _entered = Entered::to_drop_tasks();
        for list in &self.live {
            self.sweep(list);
        }
        let stolen = LocalQueue::new();
        for remote in &self.remotes {
            while let Some(first) = remote.queue.steal_into(&stolen) {
                drop(first);
                while let Some(runnable) = stolen.pop() {
                    drop(runnable);
                }
            }
            drop(remote.next.steal());
        }
    }
}
