//! `ProcessPoolBuilder`: what a pool can be told before it is made.
//!
//! Next: nothing; `pool.rs`, which it goes with, came before.

use super::entry::{Entry, Single};
use super::panics::catch;
use super::policy::{Initializer, OnDeath, Rules, Terms};
use super::pool::ProcessPool;
use super::wire::codec::{encode, panicked};
use crate::pool::cpus::available_cpus;
use crate::pool::executor::{Portable, refuse_captures};
use std::io;
use std::time::Duration;

/// How to make a [`ProcessPool`]. Made by [`ProcessPool::builder`].
///
/// # Example
/// ```
/// # fn main() -> std::io::Result<()> {
/// use tatkal_executor::ProcessPool;
/// let pool = ProcessPool::builder().workers(2).capacity(100).build()?;
/// assert_eq!(pool.workers(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ProcessPoolBuilder {
    rules: Rules,
    /// Why the initializer cannot be used, if it cannot.
    unusable: Option<String>,
}

impl ProcessPoolBuilder {
    pub(super) fn new() -> ProcessPoolBuilder {
        ProcessPoolBuilder {
            rules: Rules::new(available_cpus()),
            unusable: None,
        }
    }

    /// At most so many worker processes. The default is [`available_cpus`], as in CPython.
    pub fn workers(mut self, workers: usize) -> Self {
        self.rules.workers = workers;
        self
    }

    /// Bounds the queue: at most `jobs` wait while every worker is at work (0: none does). Beyond
    /// that `submit` waits and `try_submit` refuses. Without this the queue is unbounded.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.rules.capacity = Some(jobs);
        self
    }

    /// How long a job may run. One that runs longer is stopped as if it had been
    /// [aborted](crate::JoinHandle::abort), and its handle reports
    /// [`JoinError::TimedOut`](crate::JoinError::TimedOut); the worker is replaced.
    ///
    /// The time begins when a worker is free for the job, so that waiting in the queue costs
    /// nothing; decoding the argument and encoding the result count. (Where the worker takes its
    /// time to begin, the job gets some more; a worker that does not begin at all is replaced, and
    /// the job is run by another.) Without this there is no
    /// limit. [`Jobs::timeout`](crate::Jobs::timeout) sets it for some jobs.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.rules.terms.timeout = Some(limit);
        self
    }

    /// What becomes of a job whose worker dies. [`Jobs::on_death`](crate::Jobs::on_death) sets it
    /// for some jobs.
    pub fn on_death(mut self, what: OnDeath) -> Self {
        self.rules.terms.on_death = what;
        self
    }

    /// How long a running job that is to stop (it was aborted, its time is up, the pool is
    /// [terminated](ProcessPool::terminate)) may take after SIGTERM until SIGKILL follows. With
    /// zero, SIGKILL comes at once.
    ///
    /// The default is a second. For most jobs it makes no difference, as SIGTERM ends a process
    /// that has made no arrangements for it.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.rules.grace = grace;
        self
    }

    /// How much memory a worker may map beyond what it has when it begins.
    ///
    /// An allocation beyond that fails, which in most code aborts the process: the job fails with
    /// [`JoinError::WorkerDied`](crate::JoinError::WorkerDied), and
    /// [`WorkerExit::limit`](crate::WorkerExit::limit) says why. What counts is address space
    /// (RLIMIT_AS). Allocators reserve more of it than they use, and every thread needs some for
    /// its stack, so leave room.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.rules.limits.memory_bytes = bytes;
        self
    }

    /// How much CPU time a job may use, all its threads together; waiting and sleeping are free.
    /// Rounded up to whole seconds, which is what the kernel counts in (RLIMIT_CPU).
    ///
    /// A job that uses more ends its worker, and fails with
    /// [`JoinError::WorkerDied`](crate::JoinError::WorkerDied), where
    /// [`WorkerExit::limit`](crate::WorkerExit::limit) says why. Child processes of a job are not
    /// counted, and a job that ignores SIGXCPU is not stopped: [`timeout`](Self::timeout) stops
    /// everything.
    pub fn cpu_limit(mut self, time: Duration) -> Self {
        let rounded_up = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        self.rules.limits.cpu_s = rounded_up.max(1);
        self
    }

    /// Replaces a worker when it has done so many jobs: for code that leaks, or for a fresh process
    /// for every job (1). A fork costs some hundred microseconds.
    pub fn max_jobs_per_worker(mut self, jobs: u64) -> Self {
        self.rules.max_jobs = Some(jobs);
        self
    }

    /// Replaces a worker of this age, as soon as it is done with the jobs that it has been given.
    pub fn max_worker_age(mut self, age: Duration) -> Self {
        self.rules.max_age = Some(age);
        self
    }

    /// Notes where the time of the jobs goes:
    /// [`ProcessPoolMetrics::phases`](crate::ProcessPoolMetrics::phases). Off at first, because it
    /// costs every job nine looks at the clock and a short lock.
    pub fn measure(mut self, whether: bool) -> Self {
        self.rules.measure = whether;
        self
    }

    /// What every new worker does before its first job: to load what all jobs need into statics,
    /// say. Function and argument cross like those of a job, and the pool's
    /// [`timeout`](Self::timeout) holds for it too.
    ///
    /// Should it panic, or end its worker, the pool breaks: all its jobs, and all later ones, fail
    /// with [`JoinError::Broken`](crate::JoinError::Broken), which tells why.
    ///
    /// # Example
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::sync::OnceLock;
    /// use tatkal_executor::ProcessPool;
    /// static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    ///
    /// let load = |text: String| {
    ///     let words = text.split(' ').map(str::to_owned).collect();
    ///     WORDS.set(words).expect("a new worker");
    /// };
    /// let pool = ProcessPool::builder().workers(2).initializer(load, "at once".to_owned()).build()?;
    /// let word = pool.submit(|index: usize| WORDS.get().unwrap()[index].clone(), 1);
    /// assert_eq!(word.join().unwrap(), "once");
    /// # Ok(()) }
    /// ```
    pub fn initializer<F, A>(mut self, function: F, argument: A) -> Self
    where
        F: Fn(A) + Copy + Send + 'static,
        A: Portable,
    {
        refuse_captures::<F>();
        match catch(|| encode(&argument)) {
            Ok(Ok(bytes)) => {
                self.rules.initializer = Some(Initializer {
                    entry: Entry::of::<Single<F, A, ()>>(&function).address(),
                    argument: bytes.into(),
                    terms: Terms::default(),
                });
            }
            Ok(Err(reason)) => self.unusable = Some(reason),
            Err(panic) => self.unusable = Some(panicked(&panic)),
        }
        self
    }

    /// Makes the pool. No process is started yet, unless it is the fork server.
    ///
    /// # Errors
    /// - The fork server is not running and cannot be started now, because the process has more
    ///   than one thread already: call [`ForkServer::start`](crate::ForkServer::start) as the first line of `main`.
    /// - `workers` is 0, or `max_jobs_per_worker` is.
    /// - The initializer's argument cannot be encoded.
    /// - The system refuses a process or a descriptor.
    pub fn build(mut self) -> io::Result<ProcessPool> {
        let refused = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if self.rules.workers == 0 {
            return refused(
                "a process pool without workers would never run a job: give at least 1",
            );
        }
        if self.rules.max_jobs == Some(0) {
            return refused("workers that stay for no job would never run one: give at least 1");
        }
        if let Some(reason) = self.unusable {
            return refused(&format!(
                "encoding the initializer's argument failed: {reason}"
            ));
        }
        if let Some(initializer) = &mut self.rules.initializer {
            initializer.terms.timeout = self.rules.terms.timeout;
        }
        ProcessPool::make(self.rules)
    }
}
