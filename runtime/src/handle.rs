//! Handle: a runtime, seen from any thread. Next: `local_set.rs`.

use crate::context::{self, As, Entered, Shared, Spawner};
use crate::metrics::RuntimeMetrics;
use std::fmt;
use std::sync::Arc;
use tatkal_executor::JoinHandle;

/// A runtime, seen from any thread: spawns on it, and lends it to code that needs one. Cheap to
/// clone.
///
/// A handle does not keep its runtime running. (It keeps two or three descriptors open, as a socket
/// that outlives its runtime does: those that register with the operating system.)
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// The runtime that this thread is on.
    ///
    /// # Panics
    /// If it is on none.
    #[track_caller]
    pub fn current() -> Handle {
        Handle::new(context::shared())
    }

    /// The runtime that this thread is on, if it is on one.
    pub fn try_current() -> Option<Handle> {
        context::try_shared().map(Handle::new)
    }

    /// Spawns a task from any thread. On a one-thread runtime it runs inside `block_on`.
    ///
    /// When the runtime is gone, the future is dropped here and the handle reports `Cancelled`.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.spawner() {
            Spawner::One(spawner) => spawner.spawn(future),
            Spawner::Many(spawner) => spawner.spawn(future),
        }
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

    /// Runs a future on this thread, with the runtime's sockets and timers. It runs no tasks and
    /// waits for no events: the runtime's own threads do that (with a one-thread runtime, another
    /// thread that is in its `block_on`).
    ///
    /// # Panics
    /// On a thread that is inside a runtime already. Panics of the future pass through.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// let runtime = tatkal::Runtime::builder().worker_threads(1).build()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || {
    ///     handle.block_on(async { tatkal::sleep(Duration::from_millis(1)).await })
    /// });
    /// thread.join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = self.enter_as(As::Guest);
        match self.spawner() {
            Spawner::One(spawner) => spawner.block_on(future),
            Spawner::Many(spawner) => spawner.block_on(future),
        }
    }

    /// Puts this thread on the runtime until the guard is dropped: sockets that are opened and
    /// sleeps that are polled here meanwhile are this runtime's, and [`spawn`](crate::spawn) goes
    /// to it (unless this thread runs tasks itself). Guards nest; drop the last first.
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

    /// What the runtime has done, and what it has to do. It can be asked after its end, too.
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::read(&self.shared, self.spawner())
    }

    pub(crate) fn enter_as(&self, role: As) -> Entered {
        context::enter(self.shared.clone(), role)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn spawner(&self) -> &Spawner {
        let spawner = self.shared.spawner.get();
        spawner.expect("a runtime knows its executor before it runs anything")
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
