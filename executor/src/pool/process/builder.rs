//! `ProcessPoolBuilder`: what a pool can be told before it is made.
//!
//! Next: nothing; `pool.rs`, which it goes with, came before.

use super::policy::{OnDeath, Rules};
use super::pool::ProcessPool;
use crate::pool::cpus::available_cpus;
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
}

impl ProcessPoolBuilder {
    pub(super) fn new() -> ProcessPoolBuilder {
        ProcessPoolBuilder {
            rules: Rules::new(available_cpus()),
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
    /// nothing; decoding the argument and encoding the result count. Without this there is no
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

    /// Makes the pool. No process is started yet, unless it is the fork server.
    ///
    /// # Errors
    /// - The fork server is not running and cannot be started now, because the process has more
    ///   than one thread already: call [`ForkServer::start`](crate::ForkServer::start) as the first line of `main`.
    /// - `workers` is 0.
    /// - The system refuses a process or a descriptor.
    pub fn build(self) -> io::Result<ProcessPool> {
        if self.rules.workers == 0 {
            let text = "a process pool without workers would never run a job";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        ProcessPool::make(self.rules)
    }
}
