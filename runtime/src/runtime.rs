//! Runtime: an executor whose threads sleep on an event loop.
//!
//! ```text
//!   Runtime ── owns ──> LocalExecutor or MultiExecutor ── sleeps on ──> EventLoop
//!      |                            |                                      |
//!   Handle: from any thread         | Spawner                              | Shared: reactor,
//!      └────────────────────────────┴──────────────────────────────────────┘ timers, pool
//! ```
//!
//! Holds     the tasks are dropped before the event loop, and with the runtime entered: what a
//!           task drops may still use its socket, and may open a new one in vain.
//! Next: `builder.rs`.

use crate::blocking;
use crate::builder::Builder;
use crate::context::As;
use crate::handle::{EnterGuard, Handle};
use crate::metrics::RuntimeMetrics;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use tatkal_executor::{JoinHandle, LocalExecutor, MultiExecutor, Shutdown, StillRunning};

/// Runs a future, and every task it spawns, on a fresh one-thread runtime on this thread.
///
/// Returns when `future` is ready; tasks that are still alive are dropped then. To keep them, to
/// use more threads, or to choose anything else, make a [`Runtime`].
///
/// # Panics
/// On a thread that is inside a runtime already: `.await` there. If the operating system has no
/// descriptor left for an event loop ([`Runtime::new`] returns that as an error).
///
/// # Example
/// ```
/// let sum = tatkal::block_on(async {
///     let task = tatkal::spawn(async { 20 });
///     task.await.unwrap() + 22
/// });
/// assert_eq!(sum, 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    Runtime::new()
        .expect("the event loop cannot be opened")
        .block_on(future)
}

/// An executor with an event loop: tasks, sockets and timers, on one thread or on many.
///
/// | | one thread: [`Runtime::new`] | many: [`Builder::worker_threads`] |
/// |---|---|---|
/// | tasks run | on the thread that made it, inside [`block_on`](Self::block_on) | on the workers, at once |
/// | tasks that are not `Send` | [`spawn_local`](crate::spawn_local) | in a [`LocalSet`](crate::LocalSet) |
/// | `block_on`'s future runs | between the tasks | on the calling thread, beside the workers |
///
/// It belongs to the thread that makes it; [`handle`](Self::handle) is for the other threads.
///
/// Dropping it drops every task that is alive (many: after waiting for the polls that are going
/// on). Sockets and sleeps that outlive it fail: a socket's operations return an error, a sleep
/// panics when it is polled outside of another runtime.
///
/// # Example
/// ```
/// use std::time::Duration;
/// let runtime = tatkal::Runtime::new()?;
/// let ticks = runtime.block_on(async {
///     let mut interval = tatkal::interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         interval.tick().await;
///     }
///     3
/// });
/// assert_eq!(ticks, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    /// `None` only while it is being dropped.
    executor: Option<Executor>,
    handle: Handle,
}

#[derive(Debug)]
pub(crate) enum Executor {
    One(LocalExecutor),
    Many(MultiExecutor),
}

impl Runtime {
    /// A one-thread runtime with everything by default.
    ///
    /// # Errors
    /// If the operating system refuses the event loop's descriptors.
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Chooses the parts of a runtime.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn with(executor: Executor, handle: Handle) -> Runtime {
        Runtime {
            executor: Some(executor),
            handle,
        }
    }

    /// Runs `future` to completion on this thread; on a one-thread runtime, the tasks as well.
    ///
    /// Returns as soon as `future` is ready; tasks that are still alive go on (one thread: in the
    /// next `block_on`). A panic of a task goes to its handle, one of `future` passes through.
    ///
    /// # Panics
    /// On a thread that is inside a runtime already, this one or another: `.await` there, or move
    /// the blocking call into a job of [`spawn_blocking`](crate::spawn_blocking).
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.executor() {
            Executor::One(executor) => {
                let _context = self.handle.enter_as(As::Driver);
                executor.block_on(future)
            }
            Executor::Many(_) => self.handle.block_on(future),
        }
    }

    /// Spawns a task. On a one-thread runtime it runs inside `block_on`.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.executor() {
            Executor::One(executor) => executor.spawn_local(future), // this is its thread
            Executor::Many(_) => self.handle.spawn(future),
        }
    }

    /// Spawns a task that need not be `Send`; it runs inside `block_on`.
    ///
    /// # Panics
    /// On a runtime with worker threads: its tasks move between them.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output>
    where
        F::Output: 'static,
    {
        match self.executor() {
            Executor::One(executor) => executor.spawn_local(future),
            Executor::Many(_) => panic!(
                "tasks of a runtime with worker threads must be `Send`: use `spawn`, or a `LocalSet` \
                 for this one"
            ),
        }
    }

    /// Runs a closure that blocks on the runtime's thread pool: see [`spawn_blocking`].
    ///
    /// [`spawn_blocking`]: crate::spawn_blocking
    pub fn spawn_blocking<T, F>(&self, job: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn_blocking(job)
    }

    /// A handle for use anywhere: cheap to clone, and `Send`.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::enter`].
    pub fn enter(&self) -> EnterGuard {
        self.handle.enter()
    }

    /// How many tasks are alive: spawned and not complete.
    pub fn live_tasks(&self) -> usize {
        match self.executor() {
            Executor::One(executor) => executor.live_tasks(),
            Executor::Many(executor) => executor.live_tasks(),
        }
    }

    /// What the runtime has done, and what it has to do. (On a one-thread runtime the number of
    /// live tasks is exact here: this is its thread.)
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics {
            live_tasks: self.live_tasks(),
            ..self.handle.metrics()
        }
    }

    /// Drops every task and cancels the blocking jobs that no thread has begun; waits for what
    /// cannot be stopped (tasks that are being polled, blocking jobs that run), but no longer than
    /// `limit`.
    ///
    /// Dropping the runtime waits for the polls without a limit, and for no blocking job.
    ///
    /// # Errors
    /// How many workers are still inside a poll, and how many blocking jobs (name lookups among
    /// them) still run. They are left to themselves: a worker ends when its poll returns, and the
    /// event loop goes with the last of them.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// let runtime = tatkal::Runtime::new()?;
    /// let (go, gate) = std::sync::mpsc::channel::<()>();
    /// runtime.spawn_blocking(move || gate.recv()).detach();
    /// # while runtime.metrics().blocking_queue_depth > 0 {}
    /// let still = runtime.shutdown_timeout(Duration::from_millis(10)).unwrap_err();
    /// assert_eq!(still.to_string(), "1 blocking job is still running");
    /// # drop(go);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown_timeout(mut self, limit: Duration) -> Result<(), StillRunning> {
        // Past the end of the clock is no deadline.
        let deadline = Instant::now().checked_add(limit);
        let _context = self.handle.enter_as(As::Guest);
        let mut still = StillRunning::default();
        match self.executor.take() {
            Some(Executor::Many(executor)) => {
                if let Err(stuck) = executor.shutdown_timeout(limit) {
                    still.workers = stuck.workers;
                }
            }
            one_thread => drop(one_thread),
        }
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let pool = &self.handle.shared().pool;
        if let Err(stuck) = pool.shutdown_timeout(Shutdown::cancel(), left) {
            still.jobs = stuck.jobs;
        }
        match still == StillRunning::default() {
            true => Ok(()),
            false => Err(still),
        }
    }

    /// As [`shutdown_timeout`](Self::shutdown_timeout) without waiting for anything: for a runtime
    /// that is done with, from a place that must not block. What still runs is left to itself.
    pub fn shutdown_background(self) {
        let _left_alone = self.shutdown_timeout(Duration::ZERO);
    }

    fn executor(&self) -> &Executor {
        self.executor
            .as_ref()
            .expect("the executor is there until the end")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _context = self.handle.enter_as(As::Guest);
        drop(self.executor.take());
        blocking::close(&self.handle.shared().pool);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("executor", &self.executor)
            .finish()
    }
}
