//! Builder: the settings of a runtime, and how its parts are put together.
//!
//! Next: nothing. `examples/` is where to go from here.

use crate::blocking::{self, Home};
use crate::context::{self, As, Shared, Spawner};
use crate::driver::EventLoop;
use crate::handle::Handle;
use crate::reactor::Backend;
use crate::runtime::{Executor, Runtime};
use crate::time::{Clock, TestClock};
use std::fmt;
use std::io;
use std::sync::Arc;
use tatkal_executor::{LocalExecutor, MultiBuilder};

type Hook = Arc<dyn Fn() + Send + Sync>;

/// Chooses the parts of a [`Runtime`].
///
/// # Example
/// ```
/// use tatkal::{Backend, Runtime, spawn};
/// let runtime = Runtime::builder()
///     .worker_threads(2)
///     .backend(Backend::Polling)
///     .build()?;
/// let task = runtime.spawn(async { spawn(async { 7 }).await.unwrap() });
/// assert_eq!(task.join().unwrap(), 7); // it runs without a `block_on`
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    backend: Backend,
    clock: Option<TestClock>,
    blocking_threads: Option<usize>,
    /// `None`: one thread, the caller's.
    workers: Option<usize>,
    thread_name: Option<String>,
    stack_size: Option<usize>,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
}

impl Builder {
    /// Runs the tasks on this many threads of the runtime's own, which steal each other's work.
    /// Without this they run on the thread that calls `block_on`.
    ///
    /// [`available_cpus`](crate::available_cpus) is the number for work that computes.
    ///
    /// # Panics
    /// When `threads` is 0 or more than 65,535.
    pub fn worker_threads(mut self, threads: usize) -> Builder {
        drop(MultiBuilder::new(threads)); // checks the number
        self.workers = Some(threads);
        self
    }

    /// What the worker threads are called: this, a hyphen, and a number from 0.
    pub fn thread_name(mut self, name: impl Into<String>) -> Builder {
        self.thread_name = Some(name.into());
        self
    }

    /// The stack of each thread of the runtime's own, workers and those for blocking work, in bytes;
    /// the default is std's (2 MiB, or `RUST_MIN_STACK`).
    pub fn thread_stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Called on each worker thread before its first task, on the runtime.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.on_start = Some(Arc::new(hook));
        self
    }

    /// Called on each worker thread after its last task, on the runtime.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.on_stop = Some(Arc::new(hook));
        self
    }

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

    /// Makes the runtime. Worker threads start now; a one-thread runtime runs nothing before
    /// `block_on`.
    ///
    /// # Errors
    /// If the operating system refuses the event loop's descriptors, or a thread.
    pub fn build(self) -> io::Result<Runtime> {
        let clock = self.clock.clone().map_or_else(Clock::real, Clock::test);
        let home = Home::default();
        let pool = blocking::pool(self.blocking_threads, self.stack_size, home.clone());
        let driver = EventLoop::new(self.backend, clock, pool)?;
        let shared = driver.shared().clone();
        // No thread of the pool can have looked for it yet.
        let _first = home.set(Arc::downgrade(&shared));
        let (executor, spawner) = match self.workers {
            None => {
                let executor = LocalExecutor::new(driver);
                let spawner = Spawner::One(executor.handle());
                (Executor::One(executor), spawner)
            }
            Some(workers) => {
                let executor = self.multi(workers, &shared).build(driver)?;
                let spawner = Spawner::Many(executor.handle());
                (Executor::Many(executor), spawner)
            }
        };
        // Nothing can have been spawned before this.
        let _first = shared.spawner.set(spawner);
        Ok(Runtime::with(executor, Handle::new(shared)))
    }

    fn multi(self, workers: usize, shared: &Arc<Shared>) -> MultiBuilder {
        let mut builder = MultiBuilder::new(workers);
        if let Some(name) = self.thread_name {
            builder = builder.thread_name(name);
        }
        if let Some(bytes) = self.stack_size {
            builder = builder.thread_stack_size(bytes);
        }
        // The hooks hold the runtime's shared part, and belong to the threads: no cycle.
        let (shared, on_start, on_stop) = (shared.clone(), self.on_start, self.on_stop);
        builder
            .on_thread_start(move || {
                context::enter_for_life(shared.clone(), As::Worker);
                if let Some(hook) = &on_start {
                    hook();
                }
            })
            .on_thread_park(context::hand_over)
            .on_thread_stop(move || {
                if let Some(hook) = &on_stop {
                    hook();
                }
                context::leave();
            })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("backend", &self.backend)
            .field("clock", &self.clock)
            .field("blocking_threads", &self.blocking_threads)
            .field("workers", &self.workers)
            .field("thread_name", &self.thread_name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
