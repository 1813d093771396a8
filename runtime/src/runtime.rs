//! Runtime: an executor whose threads sleep on an event loop.
//!
//! ```text
//!   Runtime ── owns ──> LocalExecutor ── sleeps on ──> EventLoop (reactor, timers)
//!      |                      |                            |
//!   Handle: from any thread   | SpawnHandle                | Shared: what sockets and sleeps use
//!      +──────────────────────+────────────────────────────+
//! ```
//!
//! Holds     the tasks are dropped before the event loop, and with the runtime entered: what a
//!           task drops may still use its socket, and may open a new one in vain.
//! Next: nothing. `examples/` is where to go from here.

use crate::blocking;
use crate::context::{self, As, Entered, Shared};
use crate::driver::EventLoop;
use crate::reactor::Backend;
use crate::time::{Clock, TestClock};
use std::fmt;
use std::io;
use std::sync::Arc;
use tatkal_executor::{JoinHandle, LocalExecutor, SpawnHandle};

/// Runs a future, and every task it spawns, on a fresh one-thread runtime on this thread.
///
/// Returns when `future` is ready; tasks that are still alive are dropped then. To keep them, or
/// to choose anything, make a [`Runtime`].
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

/// An executor with an event loop: sockets, timers and tasks, on one thread.
///
/// It belongs to the thread that makes it, and runs inside [`block_on`](Self::block_on) only.
/// [`handle`](Self::handle) is for the other threads.
///
/// Dropping it drops every task that is alive. Sockets and sleeps that outlive it fail: a socket's
/// operations return an error, a sleep panics when it is polled outside of another runtime.
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
    executor: Option<LocalExecutor>,
    handle: Handle,
}

impl Runtime {
    /// A runtime with everything by default.
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

    /// Runs `future` to completion, and the tasks of this runtime meanwhile.
    ///
    /// Returns as soon as `future` is ready; tasks that are still alive go on in the next
    /// `block_on`. A panic of a task goes to its handle, one of `future` passes through.
    ///
    /// # Panics
    /// On a thread that is inside a runtime already: `.await` there, or move the blocking call
    /// elsewhere.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = self.handle.enter_as(As::Driver);
        self.executor().block_on(future)
    }

    /// Spawns a task; it runs inside `block_on`.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_local(future)
    }

    /// Spawns a task that need not be `Send`; it runs inside `block_on`.
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output>
    where
        F::Output: 'static,
    {
        self.executor().spawn_local(future)
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

    fn executor(&self) -> &LocalExecutor {
        self.executor
            .as_ref()
            .expect("the executor is there until the end")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _context = self.handle.enter_as(As::Guest);
        drop(self.executor.take());
        blocking::close(&self.handle.shared.pool);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("executor", &self.executor)
            .finish()
    }
}

/// A runtime, seen from any thread: spawns on it, and lends it to code that needs one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    spawner: SpawnHandle,
}

impl Handle {
    /// The runtime that this thread is on.
    ///
    /// # Panics
    /// If it is on none.
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Some(handle) => handle,
            None => context::no_runtime(),
        }
    }

    /// The runtime that this thread is on, if it is on one.
    pub fn try_current() -> Option<Handle> {
        let (shared, spawner) = context::try_all()?;
        Some(Handle { shared, spawner })
    }

    /// Spawns a task from any thread; it runs inside the runtime's `block_on`.
    ///
    /// When the runtime is gone, the future is dropped here and the handle reports `Cancelled`.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawner.spawn(future)
    }

    /// Runs a closure that blocks on the runtime's thread pool: see [`spawn_blocking`].
    ///
    /// When the runtime is gone, the handle reports `Closed`.
    ///
    /// [`spawn_blocking`]: crate::spawn_blocking
    pub fn spawn_blocking<T, F>(&self, job: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.shared.pool.submit(job)
    }

    /// Puts this thread on the runtime until the guard is dropped: sockets that are opened and
    /// sleeps that are polled here meanwhile are this runtime's. Guards nest; drop the last first.
    ///
    /// # Example
    /// ```
    /// let runtime = tatkal::Runtime::new()?;
    /// let listener = {
    ///     let _guard = runtime.enter();
    ///     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    ///     tatkal::net::TcpListener::from_std(listener)? // needs to know its runtime
    /// };
    /// # drop(listener);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "the thread leaves the runtime when the guard is dropped"]
    pub fn enter(&self) -> EnterGuard {
        EnterGuard {
            _entered: self.enter_as(As::Guest),
        }
    }

    fn enter_as(&self, role: As) -> Entered {
        context::enter(self.shared.clone(), self.spawner.clone(), role)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// While it is alive, the thread is on a runtime: [`Handle::enter`].
#[must_use = "the thread leaves the runtime when the guard is dropped"]
pub struct EnterGuard {
    _entered: Entered,
}

impl fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// Chooses the parts of a [`Runtime`].
///
/// # Example
/// ```
/// use tatkal::{Backend, Runtime};
/// let runtime = Runtime::builder().backend(Backend::Polling).build()?;
/// assert_eq!(runtime.block_on(async { 7 }), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    backend: Backend,
    clock: Option<TestClock>,
    blocking_threads: Option<usize>,
}

impl Builder {
    /// Which door to the operating system the event loop uses.
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.backend = backend;
        self
    }

    /// Has the timers obey a clock that a test drives, and not the machine's.
    pub fn clock(mut self, clock: TestClock) -> Builder {
        self.clock = Some(clock);
        self
    }

    /// The most threads for [`spawn_blocking`](crate::spawn_blocking) and for name lookups; the
    /// default is that of [`ThreadPool::default`](crate::ThreadPool). They are started when jobs
    /// come.
    ///
    /// # Panics
    /// When it is 0.
    pub fn blocking_threads(mut self, threads: usize) -> Builder {
        assert!(threads > 0, "a pool without threads would never run a job");
        self.blocking_threads = Some(threads);
        self
    }

    /// Makes the runtime. It runs nothing before `block_on`.
    ///
    /// # Errors
    /// If the operating system refuses the event loop's descriptors.
    pub fn build(self) -> io::Result<Runtime> {
        let clock = self.clock.map_or_else(Clock::real, Clock::test);
        let pool = blocking::pool(self.blocking_threads);
        let driver = EventLoop::new(self.backend, clock, pool)?;
        let shared = driver.shared().clone();
        let executor = LocalExecutor::new(driver);
        let handle = Handle {
            shared,
            spawner: executor.handle(),
        };
        Ok(Runtime {
            executor: Some(executor),
            handle,
        })
    }
}
