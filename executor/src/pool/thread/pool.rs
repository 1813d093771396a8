//! ThreadPool: submit, scope, shut down.
//!
//! ```text
//!   submit(closure) ──> task cell: closure, then result (the one allocation)
//!                         |                |
//!                     Runnable         JoinHandle<T>
//!                         v
//!                       Queue ──> a worker runs it
//! ```
//!
//! Who waits for whom, and why that ends:
//! - `drop` and `shutdown` wait for the workers. A worker of the same pool must not (it would wait
//!   for itself, or two of them for each other), so there they only close the pool.
//! - `submit` to a full queue waits for a worker. A worker of the same pool does not (when all of
//!   them wait, nobody makes room): its job goes over the capacity.
//! - `join` in a job for a job of the same pool waits for a thread that may not come when every
//!   thread does so. That one is the user's, as in every pool; [`ThreadPool`] says so.
//!
//! Source    CPython's `concurrent/futures/thread.py`. Next: `builder.rs`.

use super::queue::Refused;
use super::scope::{self, Scope};
use super::worker::{OnPool, Settings, Shared, Work};
use crate::block_on::refuse_if_entered;
use crate::pool::executor::{Executor, Portable, Shutdown, refuse_captures};
use crate::scheduler::StillRunning;
use crate::task::body::{Job, new_task_from};
use crate::task::join::JoinHandle;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs closures on up to N threads.
///
/// For blocking I/O and for computation. A thread is started when a job comes and no thread is
/// free, and then lives until the pool goes. Jobs start in the order in which they were
/// submitted. A panic of a job reaches its handle; the thread lives on.
///
/// Dropping the pool waits for its jobs, queued ones included ([`Shutdown::finish`]), unless it
/// was shut down before; in a job of the pool itself it does not wait. A thread that runs an
/// executor stands still meanwhile: there, shut the pool down without waiting first.
///
/// As an [`Executor`] it takes a function and its argument: `Executor::submit(&pool, function,
/// argument)`.
///
/// # Jobs that wait for jobs
/// A job may submit to its own pool. When it also waits for that job (`join`), it holds a thread
/// meanwhile; when every thread is held like that, none is left to run what they wait for. Give
/// such jobs a pool of their own, or use `scope`.
///
/// # Cost
/// A job: one allocation (or the memory of one that is over, which the pool keeps until it has had
/// nothing to do for a moment), one short lock to submit it and one to take it; a system call only
/// when a sleeping thread is to be woken.
///
/// # Example
/// ```
/// use tatkal_executor::ThreadPool;
/// let pool = ThreadPool::new(4);
/// let lengths: Vec<_> = ["yemen", "zambia"].map(|name| pool.submit(move || name.len())).into();
/// let total: usize = lengths.into_iter().map(|handle| handle.join().unwrap()).sum();
/// assert_eq!(total, 11);
/// ```
pub struct ThreadPool {
    shared: Arc<Shared>,
}

impl ThreadPool {
    pub(super) fn with_settings(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared::new(settings)),
        }
    }

    /// Runs `job` on a thread of the pool.
    ///
    /// Waits only where the queue is bounded ([`ThreadPoolBuilder::capacity`](crate::ThreadPoolBuilder::capacity)) and full, and not
    /// in a job of this pool. When the pool is or gets shut down, the handle reports
    /// [`JoinError::Closed`](crate::JoinError::Closed); when the pool has no thread and cannot
    /// start one, [`JoinError::Start`](crate::JoinError::Start).
    ///
    /// # Cancellation
    /// Dropping the handle detaches the job. [`JoinHandle::abort`] drops it while it is queued (an
    /// empty place stays in the queue until a thread comes to it); a running job runs on.
    ///
    /// # Panics
    /// With a bounded queue, on a thread that runs an executor: it might have to wait there. Use
    /// [`try_submit`](Self::try_submit).
    #[track_caller]
    pub fn submit<T, F>(&self, job: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let when_full = self.shared.when_full();
        let (runnable, handle) =
            new_task_from(Some(&self.shared.queue.depot), Job::new(job), OnPool);
        self.shared.push(Work::Job(runnable), when_full);
        handle
    }

    /// As [`submit`](Self::submit), but never waits.
    ///
    /// # Errors
    /// When a bounded queue is full, or the pool is shut down: with the closure inside.
    ///
    /// # Example
    /// ```
    /// use tatkal_executor::{ThreadPool, TrySubmitError};
    /// let pool = ThreadPool::builder().threads(1).capacity(0).build();
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let first = pool.try_submit(move || wait.recv()).unwrap();
    /// match pool.try_submit(|| "later") {
    ///     Err(TrySubmitError::Full(job)) => assert_eq!(job(), "later"), // run it here instead
    ///     other => panic!("{other:?}"),
    /// }
    /// drop(go);
    /// # let _ = first.join();
    /// ```
    pub fn try_submit<T, F>(&self, job: F) -> Result<JoinHandle<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = match self.shared.queue.place() {
            Ok(place) => place,
            Err(Refused::Full) => return Err(TrySubmitError::Full(job)),
            Err(Refused::Closed) => return Err(TrySubmitError::Closed(job)),
        };
        // Under the lock that `place` holds: an allocation, no user code.
        let (runnable, handle) =
            new_task_from(Some(&self.shared.queue.depot), Job::new(job), OnPool);
        let admitted = place.fill(Work::Job(runnable));
        self.shared.follow(admitted);
        Ok(handle)
    }

    /// Takes no more jobs; `how` says what becomes of the queued ones, and whether to wait.
    ///
    /// Running jobs run on. May be called more than once, from any thread: a later call may still
    /// cancel what is queued, or wait. In a job of this pool it does not wait, whatever `how`
    /// says: the pool cannot end before the job does.
    ///
    /// # Panics
    /// When it would wait on a thread that runs an executor.
    ///
    /// # Example
    /// ```
    /// use tatkal_executor::{JoinError, Shutdown, ThreadPool};
    /// let pool = ThreadPool::new(1);
    /// let first = pool.submit(|| "done");
    /// pool.shutdown(Shutdown::finish());
    /// assert!(first.is_finished());
    /// assert!(matches!(pool.submit(|| "more").join(), Err(JoinError::Closed)));
    /// ```
    #[track_caller]
    pub fn shutdown(&self, how: Shutdown) {
        let wait = how.wait && !self.shared.is_own_worker();
        if wait {
            refuse_if_entered();
        }
        self.close(how.cancel_queued, wait);
    }

    /// Takes no more jobs, as [`shutdown`](Self::shutdown), and waits for the threads no longer
    /// than `limit`. (`how.wait` says nothing here: for not waiting at all, there is a limit of
    /// zero.) In a job of this pool it waits for the other threads.
    ///
    /// # Errors
    /// How many threads have not ended. They are left to themselves: each ends when its job
    /// returns and, unless they were cancelled, the queued jobs are done.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use tatkal_executor::{Shutdown, ThreadPool};
    /// let pool = ThreadPool::new(1);
    /// let (go, gate) = std::sync::mpsc::channel::<()>();
    /// let stuck = pool.submit(move || gate.recv());
    /// let limit = Duration::from_millis(1);
    /// assert_eq!(pool.shutdown_timeout(Shutdown::finish(), limit).unwrap_err().jobs, 1);
    /// drop(go);
    /// # let _ = stuck.join();
    /// pool.shutdown_timeout(Shutdown::finish(), Duration::MAX).unwrap();
    /// ```
    pub fn shutdown_timeout(&self, how: Shutdown, limit: Duration) -> Result<(), StillRunning> {
        // Past the end of the clock is no deadline.
        let deadline = Instant::now().checked_add(limit);
        self.close(how.cancel_queued, false);
        let own = usize::from(self.shared.is_own_worker());
        match self.shared.queue.wait_for_threads(own, deadline) {
            0 => Ok(()),
            jobs => Err(StillRunning::of_jobs(jobs)),
        }
    }

    /// Runs `body`, in which jobs of this pool may borrow from what is outside, and waits until
    /// all of them are over.
    ///
    /// `body` runs here, its jobs on the pool's threads. In a job of this pool it works too: the
    /// waiting thread then runs the scope's own queued jobs, so that nested scopes end even on
    /// one thread. (Two pools whose jobs scope into each other in a circle may wait for ever.)
    ///
    /// # Panics
    /// As `std::thread::scope`: when `body` panics, and when a job panicked whose handle was not
    /// joined; always after every job is over. And on a thread that runs an executor.
    ///
    /// # Example
    /// ```
    /// let pool = tatkal_executor::ThreadPool::new(2);
    /// let numbers = vec![1, 2, 3, 4];
    /// let (left, right) = numbers.split_at(2);
    /// let sum: i32 = pool.scope(|scope| {
    ///     let left = scope.submit(|| left.iter().sum::<i32>());
    ///     let right = scope.submit(|| right.iter().sum::<i32>());
    ///     left.join().unwrap() + right.join().unwrap()
    /// });
    /// assert_eq!(sum, numbers.iter().sum());
    /// ```
    #[track_caller]
    pub fn scope<'env, F, R>(&self, body: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        refuse_if_entered();
        scope::run(&self.shared, body)
    }

    /// The most threads there may be.
    pub fn workers(&self) -> usize {
        self.shared.settings.threads
    }

    /// How many threads there are now.
    pub fn threads(&self) -> usize {
        self.shared.queue.counts().0.threads
    }

    /// How many of them have nothing to do.
    pub fn idle_threads(&self) -> usize {
        let (roster, _) = self.shared.queue.counts();
        roster.threads - roster.running()
    }

    /// How many jobs wait for a thread. Aborted ones count until a thread comes to them.
    pub fn queued(&self) -> usize {
        self.shared.queue.counts().1
    }

    fn close(&self, cancel_queued: bool, wait: bool) {
        // Dropping work cancels it, here and without the lock.
        drop(self.shared.queue.close(cancel_queued));
        if wait {
            self.shared.queue.join_threads();
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        if !self.shared.queue.is_closed() {
            self.close(false, !self.shared.is_own_worker());
        }
    }
}

impl Executor for ThreadPool {
    #[track_caller]
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        refuse_captures::<F>();
        ThreadPool::submit(self, move || function(argument))
    }

    fn workers(&self) -> usize {
        ThreadPool::workers(self)
    }

    #[track_caller]
    fn shutdown(&self, how: Shutdown) {
        ThreadPool::shutdown(self, how);
    }
}

/// Why [`ThreadPool::try_submit`] did not take a job; the job is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySubmitError<F> {
    /// The queue is bounded and full: try again later, or run the job yourself.
    Full(F),
    /// The pool is shut down and takes no more work.
    Closed(F),
}

impl<F> TrySubmitError<F> {
    /// The job.
    pub fn into_job(self) -> F {
        match self {
            TrySubmitError::Full(job) | TrySubmitError::Closed(job) => job,
        }
    }
}

impl<F> fmt::Debug for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySubmitError::Full(_) => "Full(..)",
            TrySubmitError::Closed(_) => "Closed(..)",
        })
    }
}

impl<F> fmt::Display for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySubmitError::Full(_) => "the pool's queue is full",
            TrySubmitError::Closed(_) => "the pool is shut down and takes no more work",
        })
    }
}

impl<F> std::error::Error for TrySubmitError<F> {}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roster, queued) = self.shared.queue.counts();
        f.debug_struct("ThreadPool")
            .field("name", &self.shared.settings.name)
            .field("workers", &roster.limit)
            .field("threads", &roster.threads)
            .field("idle_threads", &(roster.threads - roster.running()))
            .field("queued", &queued)
            .finish()
    }
}
