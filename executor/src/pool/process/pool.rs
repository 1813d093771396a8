//! `ProcessPool`: what a program sees of all this.
//!
//! ```text
//!   new, builder ──> ProcessPool ──> submit ...                pool/submit.rs
//!                      |    |
//!                      |    +──> workers, worker_pids, queued, metrics    a look at the crew
//!                      v
//!          shutdown, drop ──> close the crew, ring, wait for the manager's last step
//! ```
//!
//! The manager's thread is started by the first job, that of what is printed by the first print.
//!
//! Next: `pool/submit.rs`.

mod batches;
mod jobs;
mod submit;

pub use jobs::Jobs;

use super::builder::ProcessPoolBuilder;
use super::control::{self, Request};
use super::crew::{Crew, Out, Phase};
use super::entry::Entry;
use super::fork_server::{self, Attachment, ForkServer};
use super::image::Images;
use super::job::unknown_code;
use super::limits::Limits;
use super::manager::Manager;
use super::metrics::ProcessPoolMetrics;
use super::policy::{Rules, Terms};
use super::shared::Shared;
use super::sys;
use crate::block_on::refuse_if_entered;
use crate::pool::executor::{Batches, Executor, Portable, Shutdown};
use crate::sync::{Mutex, lock};
use crate::task::join::JoinHandle;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs functions in worker processes.
///
/// What a job does stays in its process: a crash, a leak or a runaway loop costs that one job, and
/// a running job can be stopped by force ([`JoinHandle::abort`] kills its worker, and the pool
/// makes another). How it works, with pictures: [`docs::process_pool`](crate::docs::process_pool).
///
/// # Jobs
/// A job is a function item or a closure that captures nothing, and one argument. Argument and
/// result cross as bytes, so they implement serde's traits. A closure that captures does not
/// compile:
///
/// ```compile_fail
/// # fn main() -> std::io::Result<()> {
/// let factor = 3;
/// let pool = tatkal_executor::ProcessPool::new(1)?;
/// let _ = pool.submit(move |number: u32| number * factor, 14);
/// # Ok(()) }
/// ```
///
/// Jobs run on the worker's main thread, one at a time. What a worker sees of the program, and of
/// which moment, is told at [`ForkServer`]. Statics are the worker's own: changes to them are seen
/// by the later jobs of that worker and by nobody else. A job may use a process pool of its own,
/// with a fork server of its own; both end with its worker.
///
/// # Workers
/// They are started when jobs ask for them, up to the number given, and wait for more. A worker
/// that dies takes the one job that it was running along ([`JoinError::WorkerDied`](crate::JoinError::WorkerDied)), and another
/// one is made when there is a job for it. Jobs that were waiting, even at that worker, are run by
/// others. Workers ignore Ctrl-C (SIGINT): it goes to the program as well, which decides.
///
/// What they print is written by the program, in whole lines, and before the result is told:
/// [the rules](crate::docs::process_pool#what-workers-print).
///
/// Time limits, what to do when a worker dies, limits of memory and CPU time, an initializer: see
/// [`ProcessPoolBuilder`], and [`jobs`](Self::jobs) for what can be told for some jobs.
///
/// # The end
/// Dropping the pool waits until all its jobs are done and its workers are gone;
/// [`shutdown`](Self::shutdown) offers the other ways. After a `shutdown`, dropping does not wait
/// again. A handle may outlive its pool. Should the program die, its workers die with it, in the
/// middle of their jobs.
///
/// A pool must not be used in a child that the program forks by itself; dropping it there does
/// nothing.
///
/// # Example
/// ```
/// use tatkal_executor::{ForkServer, ProcessPool};
///
/// fn sum(numbers: Vec<u64>) -> u64 {
///     numbers.iter().sum()
/// }
///
/// fn main() -> std::io::Result<()> {
///     ForkServer::start()?; // first line of main
///     let pool = ProcessPool::new(2)?;
///     let handle = pool.submit(sum, vec![1, 2, 3]);
///     assert_eq!(handle.join().unwrap(), 6);
///     Ok(())
/// }
/// ```
pub struct ProcessPool {
    shared: Arc<Shared>,
    images: Images,
    terms: Terms,
    manager: Mutex<ManagerThread>,
    /// The process that made the pool: in a forked copy of it there is no manager.
    program: libc::pid_t,
}

/// The manager's thread, which is not started before the first job.
enum ManagerThread {
    Waiting { line: OwnedFd },
    Running(thread::JoinHandle<()>),
    Ended,
}

impl ProcessPool {
    /// A pool of at most `workers` processes.
    ///
    /// # Errors
    /// As [`ProcessPoolBuilder::build`].
    pub fn new(workers: usize) -> io::Result<ProcessPool> {
        Self::builder().workers(workers).build()
    }

    /// Settings for a new pool.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::new()
    }

    pub(super) fn make(rules: Rules) -> io::Result<ProcessPool> {
        ForkServer::start()?;
        let Attachment { line, images } = fork_server::attach()?;
        let initializer = rules.initializer.as_ref();
        if initializer.is_some_and(|it| Entry::at(it.entry, &images).is_none()) {
            return Err(unknown_code());
        }
        if rules.limits != Limits::NONE {
            control::send(&line, Request::Limit(rules.limits), &[])?;
        }
        Ok(ProcessPool {
            terms: rules.terms,
            shared: Shared::new(Crew::new(rules))?,
            images,
            manager: Mutex::new(ManagerThread::Waiting { line }),
            program: sys::own_pid(),
        })
    }

    /// At most so many worker processes.
    pub fn workers(&self) -> usize {
        lock(&self.shared.crew).limit()
    }

    /// The process ids of the workers that exist now.
    pub fn worker_pids(&self) -> Vec<u32> {
        lock(&self.shared.crew).pids()
    }

    /// How many jobs wait while no worker is at them. Aborted ones count until their turn comes.
    pub fn queued(&self) -> usize {
        lock(&self.shared.crew).waiting()
    }

    /// What the pool has done so far, by whom, and where the time went.
    ///
    /// Jobs and bytes are of one moment; CPU time and memory of the workers are read right after it.
    /// A job is counted before its handle is told, so whoever has a result finds it here. Waits for
    /// the pool's lock only, and may be called at any time, also after the end.
    ///
    /// # Cost
    /// One short lock, and for each worker one system call and two small files of the kernel's: some
    /// ten microseconds. Nothing while nobody asks, but for what
    /// [`measure`](ProcessPoolBuilder::measure) costs.
    ///
    /// # Example
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use tatkal_executor::ProcessPool;
    /// let pool = ProcessPool::builder().workers(1).measure(true).build()?;
    /// pool.submit(|text: String| text.len(), "to another process".to_owned()).join().unwrap();
    /// let metrics = pool.metrics();
    /// assert_eq!(metrics.total().jobs, 1);
    /// let phases = metrics.phases.unwrap();
    /// println!("{:?} on the way, {:?} at work", phases.transfer, phases.run);
    /// # Ok(()) }
    /// ```
    pub fn metrics(&self) -> ProcessPoolMetrics {
        let mut metrics = lock(&self.shared.crew).metrics();
        metrics.phases = self.shared.account.as_ref().map(|account| account.read());
        let server = ForkServer::find().map(|server| server.pid());
        for worker in &mut metrics.workers {
            let usage = server.and_then(|server| sys::usage_of(worker.pid, server));
            (worker.work.cpu_time, worker.rss_bytes) = usage.unwrap_or_default();
        }
        metrics
    }

    /// Takes no more jobs: a later `submit` returns a handle that reports [`JoinError::Closed`](crate::JoinError::Closed).
    /// What happens to the jobs that wait, and whether this call does, is in `how`. Running jobs
    /// run on. May be called more than once and from any thread.
    ///
    /// # Panics
    /// When it would wait on a thread that runs an executor.
    #[track_caller]
    pub fn shutdown(&self, how: Shutdown) {
        let wait = how.wait && !self.shared.is_delivering();
        if wait {
            refuse_if_entered();
        }
        self.end(|crew, out| crew.close(how.cancel_queued, out), wait);
    }

    /// Stops the whole pool: takes no more jobs, cancels those that wait, and stops those that run
    /// as [`JoinHandle::abort`] does, with SIGTERM and, after the grace
    /// ([`ProcessPoolBuilder::grace`]), SIGKILL. Their handles report
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled) when their workers are dead.
    ///
    /// Does not wait, and may be called from any thread and any task. A [`shutdown`](Self::shutdown) after it
    /// waits until all workers are gone.
    pub fn terminate(&self) {
        self.end(|crew, out| crew.stop_all(crew.grace(), out), false);
    }

    /// As [`terminate`](Self::terminate), with SIGKILL and without any grace.
    pub fn kill(&self) {
        self.end(|crew, out| crew.stop_all(Duration::ZERO, out), false);
    }

    fn end(&self, transition: impl FnOnce(&mut Crew, &mut Out), wait: bool) {
        self.shared.change(transition);
        self.shared.ring();
        let mut manager = lock(&self.manager);
        if let ManagerThread::Waiting { .. } = &*manager {
            self.shared.change(|crew, _| crew.phase = Phase::Ended);
            *manager = ManagerThread::Ended;
        }
        drop(manager);
        if wait {
            self.wait_for_end();
        }
    }

    fn wait_for_end(&self) {
        let mut crew = lock(&self.shared.crew);
        while crew.phase != Phase::Ended {
            crew = self.shared.wait(crew);
        }
        drop(crew);
        // Its last step is behind it; the first of several waiters sees the thread out.
        let manager = std::mem::replace(&mut *lock(&self.manager), ManagerThread::Ended);
        if let ManagerThread::Running(thread) = manager {
            let _ = thread.join();
        }
    }

    fn start_manager(&self) -> io::Result<()> {
        let mut manager = lock(&self.manager);
        if let ManagerThread::Waiting { line } = &*manager {
            let managed = Manager::new(self.shared.clone(), line.try_clone()?)?;
            let thread = thread::Builder::new().name("tatkal-processes".to_owned());
            *manager = ManagerThread::Running(thread.spawn(move || managed.run())?);
            lock(&self.shared.crew).managed = true;
        }
        Ok(())
    }
}

impl Executor for ProcessPool {
    #[track_caller]
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        ProcessPool::submit(self, function, argument)
    }

    fn workers(&self) -> usize {
        ProcessPool::workers(self)
    }

    /// More than for threads: short items are handed over many at a time. (Of long ones fewer are
    /// in flight.)
    fn default_window(&self) -> usize {
        self.default_window_on(self.terms)
    }

    fn batches<'pool, F, A, R>(&'pool self, function: F) -> Option<Box<dyn Batches<A, R> + 'pool>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.batches_on(self.terms, function)
    }

    #[track_caller]
    fn shutdown(&self, how: Shutdown) {
        ProcessPool::shutdown(self, how);
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        // First: in a forked copy the lock may be held by a thread that is not there.
        if sys::own_pid() != self.program {
            return;
        }
        let told = lock(&self.shared.crew).was_told_to_end();
        if !told {
            let wait = !self.shared.is_delivering();
            self.end(|crew, out| crew.close(false, out), wait);
        }
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("workers", &self.workers())
            .field("worker_pids", &self.worker_pids())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
