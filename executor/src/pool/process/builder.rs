//! `ProcessPoolBuilder`: what a pool can be told before it is made.
//!
//! Next: nothing; `pool.rs`, which it goes with, came before.

use super::pool::ProcessPool;
use crate::pool::cpus::available_cpus;
use std::io;

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
    workers: usize,
    capacity: Option<usize>,
}

impl ProcessPoolBuilder {
    pub(super) fn new() -> ProcessPoolBuilder {
        ProcessPoolBuilder {
            workers: available_cpus(),
            capacity: None,
        }
    }

    /// At most so many worker processes. The default is [`available_cpus`], as in CPython.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Bounds the queue: at most `jobs` wait while every worker is at work (0: none does). Beyond
    /// that `submit` waits and `try_submit` refuses. Without this the queue is unbounded.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = Some(jobs);
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
        if self.workers == 0 {
            let text = "a process pool without workers would never run a job";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        ProcessPool::make(self.workers, self.capacity)
    }
}
