//! LocalSet: tasks that are not `Send`, on one thread, beside a runtime with many.
//!
//! ```text
//!   this thread: LocalExecutor ── its tasks' sockets and timers ──> the runtime's event loop
//!                    ^ sleeps on a parker                                   |
//!                    └──────────── their wakers, from a worker ─────────────┘
//! ```
//!
//! Holds     the tasks are polled and dropped on this thread, and with the runtime entered.
//! Cost      a wake-up crosses from the worker that saw the event to this thread: a one-thread
//!           runtime, whose tasks run where the events are seen, saves that. Next: `runtime.rs`.

use crate::context::As;
use crate::handle::Handle;
use std::fmt;
use tatkal_executor::{JoinHandle, LocalExecutor};

/// Runs tasks that need not be `Send` on the thread that made it, with the sockets and timers of a
/// runtime whose own tasks run elsewhere.
///
/// A program whose tasks are all of this kind is better off with a one-thread
/// [`Runtime`](crate::Runtime), which has [`spawn_local`](crate::Runtime::spawn_local) itself.
/// (Over a one-thread runtime a `LocalSet` works while another thread is in that runtime's
/// `block_on`: somebody has to wait for the events.)
///
/// Inside of it [`spawn_local`](crate::spawn_local) and [`spawn`](crate::spawn) both spawn here;
/// to spawn on the runtime's workers, use [`Handle::spawn`].
///
/// Dropping it drops its tasks.
///
/// # Example
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use tatkal::{LocalSet, Runtime, sleep, spawn_local};
/// let runtime = Runtime::builder().worker_threads(2).build()?;
/// let local = LocalSet::new(&runtime.handle());
/// let sum = local.block_on(async {
///     let here = Rc::new(20); // not `Send`
///     let task = spawn_local({
///         let here = here.clone();
///         async move {
///             sleep(Duration::from_millis(1)).await; // a worker waits for it
///             *here + 1
///         }
///     });
///     let there = tatkal::Handle::current().spawn(async { 1 });
///     task.await.unwrap() + there.await.unwrap() + *here
/// });
/// assert_eq!(sum, 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LocalSet {
    /// `None` only while it is being dropped.
    executor: Option<LocalExecutor>,
    handle: Handle,
}

impl LocalSet {
    /// A set of no tasks, on this thread, over a runtime.
    pub fn new(runtime: &Handle) -> LocalSet {
        LocalSet {
            executor: Some(LocalExecutor::default()),
            handle: runtime.clone(),
        }
    }

    /// Runs `future` to completion, and the tasks of the set meanwhile.
    ///
    /// Returns as soon as `future` is ready; tasks that are still alive go on in the next
    /// `block_on`. A panic of a task goes to its handle, one of `future` passes through.
    ///
    /// # Panics
    /// On a thread that is inside a runtime, or a `LocalSet`, already: `.await` there.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = self.handle.enter_as(As::Guest);
        self.executor().block_on(future)
    }

    /// Spawns a task that need not be `Send`; it runs inside [`block_on`](Self::block_on).
    ///
    /// # Cancellation
    /// Dropping the handle detaches the task; `abort` drops it at its next await; dropping the set
    /// drops it.
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output>
    where
        F::Output: 'static,
    {
        self.executor().spawn_local(future)
    }

    /// How many tasks are alive: spawned and not complete.
    pub fn live_tasks(&self) -> usize {
        self.executor().live_tasks()
    }

    fn executor(&self) -> &LocalExecutor {
        self.executor
            .as_ref()
            .expect("the executor is there until the end")
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        // What the tasks drop may still use its socket.
        let _context = self.handle.enter_as(As::Guest);
        drop(self.executor.take());
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet")
            .field("live_tasks", &self.live_tasks())
            .finish()
    }
}
