//! Starting, stopping and talking to the workers: the public face of the multi-thread executor.
//!
//! The end of this room; next: `../guest.rs`.

use super::super::metrics::WorkerMetrics;
use super::home::{Outside, spawn};
use super::idle::MAX_WORKERS;
use super::shared::{Hook, Shared};
use super::worker::Worker;
use crate::driver::Driver;
use crate::error::contain;
use crate::park::Parker;
use crate::sync::{Condvar, Mutex, lock};
use crate::task::join::JoinHandle;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a shutdown looks for what waits behind a poll: long against those that return.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// An executor with several worker threads that steal each other's work.
///
/// Tasks must be `Send`: they move between threads. They run as soon as they are spawned, whether
/// someone is in [`block_on`](Self::block_on) or not. Dropping the executor cancels every task
/// and waits for the workers to finish the polls they are in; see
/// [`shutdown_timeout`](Self::shutdown_timeout) for not waiting for ever.
///
/// # Example
/// ```
/// use tatkal_executor::{MultiExecutor, spawn};
/// let executor = MultiExecutor::new(2)?;
/// let sum = executor.block_on(async {
///     let tasks: Vec<_> = (0..10).map(|i| spawn(async move { i * i })).collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.unwrap();
///     }
///     sum
/// });
/// assert_eq!(sum, 285);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct MultiExecutor {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
    running: Arc<Running>,
}

/// How many worker threads have not ended yet.
struct Running {
    count: Mutex<usize>,
    ended: Condvar,
}

/// Settings of a [`MultiExecutor`].
pub struct MultiBuilder {
    workers: usize,
    name: String,
    stack_size: Option<usize>,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    on_park: Option<Hook>,
}

/// Spawns onto a [`MultiExecutor`] from any thread, and blocks on it.
#[derive(Clone)]
pub struct MultiHandle {
    shared: Arc<Shared>,
}

/// What did not stop within a `shutdown_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StillRunning {
    /// Worker threads that are inside a poll which does not return.
    pub workers: usize,
    /// Threads of a pool that are inside a job which does not return.
    pub jobs: usize,
}

impl MultiBuilder {
    /// `workers` threads, named `tatkal-worker-0` and so on.
    ///
    /// # Panics
    /// When `workers` is 0 or more than 65,535.
    pub fn new(workers: usize) -> Self {
        assert!(workers > 0, "an executor needs at least one worker");
        assert!(
            workers <= MAX_WORKERS,
            "at most {MAX_WORKERS} workers, not {workers}"
        );
        let name = "tatkal-worker".to_owned();
        Self {
            workers,
            name,
            stack_size: None,
            on_start: None,
            on_stop: None,
            on_park: None,
        }
    }

    /// The threads' names, to which `-0`, `-1` and so on is added.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The threads' stack size in bytes; std's default otherwise.
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Called on each worker thread before its first task. A panic in it is printed and changes
    /// nothing else.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_start = Some(Arc::new(hook));
        self
    }

    /// Called on each worker thread after its last task. A panic in it is printed and changes
    /// nothing else.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Arc::new(hook));
        self
    }

    /// Called on each worker thread before it goes to sleep, and every few dozen tasks while it has
    /// work: the moment to pass on what the worker has been keeping to itself.
    pub fn on_thread_park(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_park = Some(Arc::new(hook));
        self
    }

    /// Starts the workers; they sleep on `driver`, one at a time.
    ///
    /// # Errors
    /// When the operating system refuses a thread; those that were started are stopped again.
    pub fn build(self, driver: impl Driver) -> io::Result<MultiExecutor> {
        let mut executor = MultiExecutor {
            shared: Arc::new(Shared::new(self.workers, Box::new(driver), self.on_park)),
            threads: Vec::with_capacity(self.workers),
            running: Arc::new(Running {
                count: Mutex::new(0),
                ended: Condvar::new(),
            }),
        };
        for index in 0..self.workers {
            let mut thread = thread::Builder::new().name(format!("{}-{index}", self.name));
            if let Some(bytes) = self.stack_size {
                thread = thread.stack_size(bytes);
            }
            let shared = executor.shared.clone();
            let running = RunningGuard::new(&executor.running, &shared);
            let (on_start, on_stop) = (self.on_start.clone(), self.on_stop.clone());
            // On an error the executor is dropped, which stops the threads there are.
            executor.threads.push(thread.spawn(move || {
                let _running = running;
                if let Some(hook) = on_start {
                    contain(|| hook());
                }
                Worker::new(shared, index).run();
                if let Some(hook) = on_stop {
                    contain(|| hook());
                }
            })?);
        }
        Ok(executor)
    }
}

impl MultiExecutor {
    /// An executor that waits for wake-ups only: no sockets, no timers.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn new(workers: usize) -> io::Result<Self> {
        MultiBuilder::new(workers).build(Parker::new())
    }

    /// A handle that spawns from any thread.
    pub fn handle(&self) -> MultiHandle {
        MultiHandle {
            shared: self.shared.clone(),
        }
    }

    /// This thread is in the executor's `block_on` while what is returned lives.
    pub(crate) fn outside(&self) -> Outside<'_> {
        Outside::enter(&self.shared)
    }

    /// Cancels every task and waits for the workers to end, but no longer than `limit`.
    ///
    /// # Errors
    /// How many workers are still inside a poll. Their threads are left to themselves: they end
    /// when that poll returns.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Result<(), StillRunning> {
        self.shared.close();
        let workers = self.wait_for_workers(Instant::now().checked_add(limit));
        if workers > 0 {
            // Not joined: dropping the handles lets the threads go.
            self.threads.clear();
            return Err(StillRunning { workers, jobs: 0 });
        }
        Ok(()) // and the drop joins threads that are as good as gone
    }

    /// How many tasks are alive: spawned and not complete.
    pub fn live_tasks(&self) -> usize {
        self.shared.live_tasks()
    }

    /// What each worker has done.
    pub fn worker_metrics(&self) -> Vec<WorkerMetrics> {
        self.shared.worker_metrics()
    }

    /// How many tasks wait in the inject queue.
    pub fn inject_depth(&self) -> usize {
        self.shared.inject.len()
    }

    /// After `close`: waits until the workers have ended, or the deadline passed. Returns how many have
    /// not. What a poll that does not return has spawned or woken meanwhile does not wait for it: it may
    /// be what the poll waits for.
    fn wait_for_workers(&self, deadline: Option<Instant>) -> usize {
        let own = self.own_thread();
        loop {
            let next_look = Instant::now() + LOOK_INTERVAL;
            let until = deadline.map_or(next_look, |deadline| deadline.min(next_look));
            let left = self.running.wait_until(until, own);
            if left == 0 {
                return 0;
            }
            self.shared.cancel_all();
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return left;
            }
        }
    }

    /// 1 when this thread is one of the workers: it cannot wait for itself.
    fn own_thread(&self) -> usize {
        let own = thread::current().id();
        usize::from(
            self.threads
                .iter()
                .any(|thread| thread.thread().id() == own),
        )
    }
}

impl Drop for MultiExecutor {
    /// Cancels every task and waits for the workers. Inside one of its own tasks it cannot wait
    /// for that worker, which ends by itself after this poll.
    fn drop(&mut self) {
        self.shared.close();
        if self.threads.is_empty() {
            return; // left to themselves
        }
        self.wait_for_workers(None);
        let own = thread::current().id();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != own {
                // Never an error: nothing of the user's unwinds into a worker.
                let _ = thread.join();
            }
        }
    }
}

impl MultiHandle {
    /// Spawns a future from any thread.
    ///
    /// When the executor is gone, the future is dropped and the handle reports `Cancelled`.
    ///
    /// # Cancellation
    /// Dropping the handle detaches the task; `abort` drops it at its next await; dropping the
    /// executor drops it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(&self.shared, future)
    }

    /// This thread is in the executor's `block_on` while what is returned lives.
    pub(crate) fn outside(&self) -> Outside<'_> {
        Outside::enter(&self.shared)
    }

    /// As [`MultiExecutor::live_tasks`].
    pub fn live_tasks(&self) -> usize {
        self.shared.live_tasks()
    }

    /// As [`MultiExecutor::worker_metrics`]. What they had done stays there when the workers are
    /// gone.
    pub fn worker_metrics(&self) -> Vec<WorkerMetrics> {
        self.shared.worker_metrics()
    }

    /// As [`MultiExecutor::inject_depth`].
    pub fn inject_depth(&self) -> usize {
        self.shared.inject.len()
    }
}

/// Counts a thread from before its start to its end, unwinding included.
struct RunningGuard {
    running: Arc<Running>,
    shared: Arc<Shared>,
}

impl RunningGuard {
    fn new(running: &Arc<Running>, shared: &Arc<Shared>) -> Self {
        *lock(&running.count) += 1;
        Self {
            running: running.clone(),
            shared: shared.clone(),
        }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut count = lock(&self.running.count);
        *count -= 1;
        let last = *count == 0;
        drop(count);
        self.running.ended.notify_all();
        if last {
            // Handles may live on; what the workers slept on (an event loop) must not.
            self.shared.drop_driver();
        }
    }
}

impl Running {
    /// Waits until at most `but` threads are left, or the deadline passed. Returns how many more
    /// than that there are.
    fn wait_until(&self, deadline: Instant, but: usize) -> usize {
        let mut count = lock(&self.count);
        while *count > but {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ended.wait_timeout(count, left);
            count = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        count.saturating_sub(but)
    }
}

impl StillRunning {
    pub(crate) fn of_jobs(jobs: usize) -> Self {
        Self { workers: 0, jobs }
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize, what: &str| match n {
            1 => format!("1 {what} is"),
            n => format!("{n} {what}s are"),
        };
        match (self.workers, self.jobs) {
            (workers, 0) => write!(f, "{} still inside a poll", count(workers, "worker")),
            (0, jobs) => write!(f, "{} still running", count(jobs, "blocking job")),
            (workers, jobs) => write!(
                f,
                "{} still inside a poll, and {} still running",
                count(workers, "worker"),
                count(jobs, "blocking job")
            ),
        }
    }
}

impl std::error::Error for StillRunning {}

impl fmt::Debug for MultiExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiExecutor")
            .field("workers", &self.shared.workers())
            .field("live_tasks", &self.live_tasks())
            .finish()
    }
}

impl fmt::Debug for MultiHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiHandle")
            .field("workers", &self.shared.workers())
            .finish()
    }
}

impl fmt::Debug for MultiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiBuilder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_still_runs_is_said_in_words() {
        let said = |workers, jobs| StillRunning { workers, jobs }.to_string();
        assert_eq!(said(1, 0), "1 worker is still inside a poll");
        assert_eq!(said(0, 2), "2 blocking jobs are still running");
        assert_eq!(
            said(2, 1),
            "2 workers are still inside a poll, and 1 blocking job is still running"
        );
    }
}
