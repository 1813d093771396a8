//! Many tasks on one thread: a queue, the list of live tasks, and a driver to sleep on.
//!
//! ```text
//!   spawn, wakes on this thread            wakes and spawns from other threads
//!            │ no atomics, no locks                     │ one lock, and an unpark
//!            v                                          v
//!     ┌─ local queue ─┐ <── drained when the ─── ┌─ inject queue ─┐
//!     └───────┬───────┘     local one is empty   └────────────────┘
//!             v             or every tick
//!     run: poll one task ──> complete: leaves `live`
//!             │
//!             v  every EVENT_INTERVAL tasks a look, with nothing to do a sleep
//!          driver.park
//! ```
//!
//! Owns      `Local` belongs to the thread that made the executor: `LocalExecutor` is neither
//!           `Send` nor `Sync`, and every other way to it goes through `CURRENT`, which is set
//!           only while that thread is inside `block_on` or `drop`. `Inject` is behind a lock.
//! Holds     I1 a task's future is polled and dropped on the owner's thread (that is what
//!              allows `spawn_local`);
//!           I2 every live task is in `live` (or in the inject queue on its way there);
//!           I3 no lost wake-up: whoever pushes to the inject queue unparks the driver after
//!              the push, and the owner looks at the queue before each park. Push before the
//!              look: seen. Push after it: the unpark's token ends the park at once.
//! Fairness  first in, first out. A task that wakes itself goes to the back; the main future of
//!           `block_on` too: every task that was ready at one poll of it goes before the next.
//!           The inject queue and the driver get a look every EVENT_INTERVAL polls however busy
//!           the queue is.
//! Cost      a wake on the owner's thread: one compare-exchange and a push. A task that is spawned,
//!           run and then joined there: one allocation, and one locked instruction as it completes
//!           (who holds the executor is counted without, `single/count.rs`). The driver is left
//!           alone while there are tasks to run (tokio looks at it each time the queue empties,
//!           which is most of what a spawn-and-join costs there).
//! Source    the queue pair is that of `tokio::runtime::scheduler::current_thread`.
//! Reading   `single/count.rs` (who holds the executor), `single/shared.rs` (what tasks and other
//!           threads know), `single/root.rs` (the main future's waker), then this file.
//! Next: `queue/`.

mod count;
mod root;
mod shared;

use super::metrics::WorkerMetrics;
use crate::block_on::Entered;
use crate::budget;
use crate::driver::Driver;
use crate::park::Parker;
use crate::sync::lock;
use crate::task::body::{Plain, new_listed_task};
use crate::task::join::JoinHandle;
use crate::task::runnable::Runnable;
use root::RootWaker;
pub(super) use shared::spawn_here;
use shared::{Current, Home, Injected, Owner};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// After how many polls the driver and the inject queue get a look while there is work to do.
/// Small enough that a socket waits microseconds, large enough that the look (a system call)
/// disappears among the polls. 61 is what Go and tokio chose; being odd, it does not fall into
/// step with a program's own powers of two.
const EVENT_INTERVAL: u32 = 61;

/// An executor for one thread. Tasks need not be `Send`.
///
/// It runs tasks only inside [`block_on`](Self::block_on). Dropping it drops every task that is
/// still alive, on the thread that owns it; their handles report `Cancelled`.
///
/// # Example
/// ```
/// use std::rc::Rc;
/// use tatkal_executor::{LocalExecutor, spawn_local};
/// let executor = LocalExecutor::default();
/// let sum = executor.block_on(async {
///     let shared = Rc::new(20); // not `Send`
///     let task = spawn_local({ let shared = shared.clone(); async move { *shared + 1 } });
///     task.await.unwrap() + *shared
/// });
/// assert_eq!(sum, 41);
/// ```
pub struct LocalExecutor {
    shared: Owner,
    driver: RefCell<Box<dyn Driver>>,
    /// The owner is the thread that made it.
    _not_send: PhantomData<*const ()>,
}

/// Spawns onto a [`LocalExecutor`] from any thread.
#[derive(Clone)]
pub struct SpawnHandle {
    shared: Home,
}

impl LocalExecutor {
    /// An executor that sleeps on `driver`.
    pub fn new(driver: impl Driver) -> Self {
        Self {
            shared: Owner::new(driver.unparker()),
            driver: RefCell::new(Box::new(driver)),
            _not_send: PhantomData,
        }
    }

    /// A handle that spawns from any thread.
    pub fn handle(&self) -> SpawnHandle {
        SpawnHandle {
            shared: self.shared.new_home(),
        }
    }

    /// Spawns a future on this executor; it runs when `block_on` does.
    ///
    /// # Cancellation
    /// Dropping the handle detaches the task; `abort` drops it at its next await; dropping the
    /// executor drops it.
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output>
    where
        F::Output: 'static,
    {
        // SAFETY: `LocalExecutor` does not leave its owner's thread.
        unsafe { self.shared.new_home().spawn_here(future) }
    }

    /// How many tasks are alive: spawned here, or from other threads, and not complete.
    pub fn live_tasks(&self) -> usize {
        // SAFETY: the owner's thread; reading a number runs no user code.
        unsafe {
            self.shared.drain_inject();
            self.shared.with_local(|local| local.live.len())
        }
    }

    /// What the thread has done, whether it is inside `block_on` now or not. There is nobody to
    /// steal from, and nowhere to overflow to.
    pub fn metrics(&self) -> WorkerMetrics {
        self.shared.counters.read(self.ready_tasks())
    }

    /// How many spawns and wakes from other threads wait to be let in.
    pub fn inject_depth(&self) -> usize {
        self.shared.inject_depth()
    }

    /// Runs `future` to completion, and every task of this executor meanwhile.
    ///
    /// Returns as soon as `future` is ready; tasks that are still alive go on in the next
    /// `block_on`. A panic of a task goes to its handle, one of `future` passes through.
    ///
    /// # Panics
    /// On a thread that is inside an executor already.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _entered = Entered::new();
        let _current = Current::set(&self.shared);
        let root = RootWaker::new(&self.shared);
        root.wake_by_ref(); // its first poll
        let mut cx = Context::from_waker(&root);
        let mut future = pin!(future);
        let mut driver = self.driver.borrow_mut();
        let mut polls = 0;
        // The tasks that were ready at the main future's last poll: they go before its next one.
        let mut ahead = 0;
        loop {
            if ahead == 0 && root.take_woken() {
                polls += 1;
                budget::refill();
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    self.note();
                    return output;
                }
                ahead = self.ready_tasks();
            }
            // (2) Tasks, until there are none, or the main future or the others deserve a look.
            while polls < EVENT_INTERVAL && (ahead > 0 || !root.is_woken()) {
                let Some(runnable) = self.next_task() else {
                    break;
                };
                runnable.run();
                self.shared.counters.polls.count();
                polls += 1;
                ahead = ahead.saturating_sub(1);
            }
            if polls >= EVENT_INTERVAL {
                polls = 0;
                self.note();
                driver.park(Some(Duration::ZERO));
            }
            // SAFETY: the owner's thread.
            unsafe { self.shared.drain_inject() };
            if self.ready_tasks() == 0 && !root.is_woken() {
                // (4) Nothing to run. Whoever brings work from now on unparks us (I3).
                polls = 0;
                self.shared.counters.parks.count();
                self.note();
                driver.park(None);
                // At once: what ended the sleep is there, as a rule, and the queue is empty.
                // SAFETY: the owner's thread.
                unsafe { self.shared.drain_inject() };
            }
        }
    }

    fn note(&self) {
        // SAFETY: `LocalExecutor` does not leave its owner's thread.
        unsafe { self.shared.note() }
    }

    fn next_task(&self) -> Option<Runnable> {
        // SAFETY: the owner's thread; a pop runs no user code.
        unsafe { self.shared.with_local(|local| local.queue.pop()) }
    }

    fn ready_tasks(&self) -> usize {
        // SAFETY: the owner's thread; looking at a length runs no user code.
        unsafe { self.shared.with_local(|local| local.queue.len()) }
    }
}

impl Default for LocalExecutor {
    /// An executor that waits for wake-ups only: no sockets, no timers.
    fn default() -> Self {
        Self::new(Parker::new())
    }
}

impl Drop for LocalExecutor {
    /// Drops every live task, on this thread, once. New ones are refused from here on.
    fn drop(&mut self) {
        let _entered = Entered::to_drop_tasks();
        let _current = Current::set(&self.shared);
        lock(&self.shared.inject).closed = true;
        // SAFETY: (all of this function) the owner's thread, and the closures run no user code:
        // what they take out is dropped outside them.
        unsafe {
            self.shared.drain_inject();
            self.shared.with_local(|local| local.closed = true);
            // A drop may wake or abort other tasks, or try to spawn; it finds `closed`.
            while let Some(task) = self.shared.with_local(|local| local.live.pop()) {
                task.shutdown();
            }
            // Every task is complete, so these are husks.
            let husks = self
                .shared
                .with_local(|local| std::mem::take(&mut local.queue));
            drop(husks);
            self.shared.note();
        }
    }
}

impl SpawnHandle {
    /// Spawns a future from any thread; it runs when the executor's `block_on` does.
    ///
    /// When the executor is gone, the future is dropped here and the handle reports `Cancelled`.
    ///
    /// # Cancellation
    /// As for [`LocalExecutor::spawn_local`].
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if self.shared.is_current() {
            // SAFETY: CURRENT names this executor only on the owner's thread.
            return unsafe { self.shared.clone().spawn_here(future) };
        }
        let (runnable, handle, task) = new_listed_task(Plain(future), self.shared.clone());
        // On refusal the runnable cancels the task as it is dropped; the future is `Send`.
        drop(self.shared.inject(Injected::Spawn(runnable, task)));
        handle
    }

    /// What the executor's thread has done, from any thread. The number of tasks in its queue is
    /// from its last look at the driver: a few dozen polls ago at most, or from before it sleeps.
    pub fn metrics(&self) -> WorkerMetrics {
        self.shared.metrics()
    }

    /// How many tasks are alive, those aside that wait to be let in
    /// ([`inject_depth`](Self::inject_depth)); from the same moment as in
    /// [`metrics`](Self::metrics).
    pub fn live_tasks(&self) -> usize {
        self.shared.live.get() as usize
    }

    /// How many spawns and wakes from other threads wait to be let in.
    pub fn inject_depth(&self) -> usize {
        self.shared.inject_depth()
    }
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("live_tasks", &self.live_tasks())
            .finish()
    }
}

impl fmt::Debug for SpawnHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnHandle").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use shared::KEPT;

    /// So many tasks from another thread, run. Then how much room the inject queue and the memory it
    /// gets next have.
    fn room_after(executor: &LocalExecutor, tasks: usize) -> [usize; 2] {
        let handle = executor.handle();
        std::thread::spawn(move || (0..tasks).for_each(|_| handle.spawn(async {}).detach()))
            .join()
            .unwrap();
        while executor.live_tasks() > 0 {
            executor.block_on(crate::yield_now());
        }
        // SAFETY: the owner's thread; looking at a number runs no user code.
        let spare = unsafe { executor.shared.with_local(|local| local.spare.capacity()) };
        [lock(&executor.shared.inject).queue.capacity(), spare]
    }

    #[test]
    fn one_task_at_a_time_from_outside_needs_no_allocator_and_a_burst_gives_its_memory_back() {
        let executor = LocalExecutor::default();
        room_after(&executor, 1);
        let room = room_after(&executor, 1);
        assert!(room.iter().all(|room| *room > 0), "{room:?}");
        let mut others = [room[1], room[0]];
        assert_eq!(room_after(&executor, 1), others, "exchanged");
        for _ in 0..2 {
            others = room_after(&executor, 10 * KEPT);
        }
        assert!(others.iter().all(|room| *room <= KEPT), "{others:?}");
    }
}

#[cfg(all(test, loom))]
mod models;
