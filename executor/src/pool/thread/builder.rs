//! The settings of a thread pool, and the three ways to make one. Next: `models.rs`, then
//! `../process/`.

use super::pool::ThreadPool;
use super::worker::Settings;
use crate::pool::cpus::available_cpus;
use std::fmt;
use std::sync::Arc;

/// CPython's default size: this many threads more than CPUs ...
const MORE_THAN_CPUS: usize = 4;
/// ... and never more than this many.
const DEFAULT_LIMIT: usize = 32;

/// The name of the threads, before their number. Linux shows 15 bytes of a thread's name: this
/// leaves room for three digits.
const DEFAULT_NAME: &str = "tatkal-pool";

impl ThreadPool {
    /// A pool of at most `threads` threads, with an unbounded queue.
    ///
    /// # Panics
    /// When `threads` is 0.
    pub fn new(threads: usize) -> Self {
        Self::builder().threads(threads).build()
    }

    /// A pool with other settings.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }
}

impl Default for ThreadPool {
    /// A pool of CPython's default size: four threads more than there are
    /// [CPUs](crate::available_cpus), because blocking jobs leave CPUs free, and 32 at most.
    fn default() -> Self {
        Self::builder().build()
    }
}

/// Makes a [`ThreadPool`].
///
/// # Example
/// ```
/// use tatkal_executor::ThreadPool;
/// let pool = ThreadPool::builder().threads(2).name("disk").capacity(100).build();
/// let name = pool.submit(|| std::thread::current().name().map(str::to_owned));
/// assert_eq!(name.join().unwrap().as_deref(), Some("disk-0"));
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ThreadPoolBuilder {
    settings: Settings,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                threads: DEFAULT_LIMIT.min(available_cpus() + MORE_THAN_CPUS),
                capacity: None,
                name: DEFAULT_NAME.to_owned(),
                stack_size: None,
                on_thread_start: None,
                on_thread_stop: None,
            },
        }
    }

    /// The most threads there may be. The default is that of [`ThreadPool::default`].
    ///
    /// # Panics
    /// When it is 0.
    pub fn threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "a pool without threads would never run a job");
        self.settings.threads = threads;
        self
    }

    /// What the threads are called: this, a hyphen, and a number from 0.
    ///
    /// # Panics
    /// When it contains a NUL character, which no thread's name may.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        assert!(
            !self.settings.name.contains('\0'),
            "a thread's name cannot contain a NUL character"
        );
        self
    }

    /// Bounds the queue: at most `jobs` wait while every thread is at work (0: none does). Beyond
    /// that `submit` waits and `try_submit` refuses. Without this the queue is unbounded.
    ///
    /// A job of the pool itself that submits another is let in above the bound: when all threads
    /// wait for room, nobody is left to make it.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.settings.capacity = Some(jobs);
        self
    }

    /// The stack of each thread, in bytes; the default is std's (2 MiB, or `RUST_MIN_STACK`).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// Runs on each thread before its first job. A panic in it is printed and changes nothing.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.settings.on_thread_start = Some(Arc::new(hook));
        self
    }

    /// Runs on each thread after its last job. A panic in it is printed and changes nothing.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.settings.on_thread_stop = Some(Arc::new(hook));
        self
    }

    /// The pool. It has no thread until its first job.
    pub fn build(self) -> ThreadPool {
        ThreadPool::with_settings(self.settings)
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("threads", &self.settings.threads)
            .field("capacity", &self.settings.capacity)
            .field("name", &self.settings.name)
            .field("stack_size", &self.settings.stack_size)
            .finish_non_exhaustive()
    }
}
