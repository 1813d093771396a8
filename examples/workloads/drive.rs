//! One driver for every mode that is an `Executor`: submit, record what ends, go on.
//!
//! ```text
//!   jobs ──submit(work, job)──> Sequential | ThreadPool | ProcessPool ──handles──> as_completed
//!                                                                                      |
//!                                      session.record(place, item) <───────────────────┘
//! ```
//!
//! A job that came to nothing (its worker process was killed, it panicked) is an item like any
//! other, with its error: one failure never stops the rest. Next: `cli.rs`.

use crate::mode::Mode;
use crate::refused::refused;
use crate::report::model::Item;
use crate::session::Session;
use crate::stamp::Place;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tatkal::{
    AbortHandle, Executor, JoinError, JoinHandle, Portable, ProcessPool, Sequential, Shutdown,
    ThreadPool, as_completed,
};

/// What a job of either workload is: data that can be sent anywhere, with a name.
pub trait Job: Portable {
    /// What its item is called.
    fn name(&self) -> String;
}

/// Runs `jobs` in one of the modes that are executors, from the first pool thread to the last
/// result.
///
/// # Errors
/// A sentence when the pool could not be made.
///
/// # Panics
/// For the async modes, whose jobs are not functions but futures: each program drives its own.
pub fn run<J, F>(
    session: &Arc<Session>,
    mode: Mode,
    workers: usize,
    work: F,
    jobs: Vec<J>,
) -> Result<(), String>
where
    J: Job,
    F: Fn(J) -> Item + Copy + Send + 'static,
{
    let crew = match mode {
        Mode::Sequential => 1,
        _ => workers,
    };
    session.begin(mode, crew, None, jobs.len());
    match mode {
        Mode::Sequential => drive(session, &Sequential::new(), work, jobs),
        Mode::Threads | Mode::ThreadsGil => drive(session, &ThreadPool::new(workers), work, jobs),
        Mode::Processes => {
            let pool = Killable::new(workers).map_err(|error| refused("workers", &error))?;
            let pool = Arc::new(pool);
            let doomed = pool.clone();
            session.on_interrupt(move || doomed.kill());
            drive(session, &*pool, work, jobs);
            // Before it goes, and its workers with it.
            session.account(pool.pool.metrics());
        }
        Mode::Async | Mode::AsyncThreads => unreachable!("async jobs are driven by their program"),
    }
    Ok(())
}

/// Submits and records. The mode's clock stops before the executor goes.
fn drive<E, J, F>(session: &Session, executor: &E, work: F, jobs: Vec<J>)
where
    E: Executor,
    J: Job,
    F: Fn(J) -> Item + Copy + Send + 'static,
{
    let names: Vec<String> = jobs.iter().map(Job::name).collect();
    // `Sequential` works inside `submit`: what it has done is recorded before it does the next.
    let at_once = match executor.default_window() {
        1 => 1,
        _ => names.len(),
    };
    let mut jobs = jobs.into_iter();
    let mut first = 0;
    while first < names.len() {
        let batch = jobs.by_ref().take(at_once);
        let handles: Vec<_> = batch.map(|job| executor.submit(work, job)).collect();
        let submitted = handles.len();
        for (index, result) in as_completed(handles) {
            let place = first + index;
            let item = result.unwrap_or_else(|error| lost(&names[place], error));
            session.record(place, item);
        }
        first += submitted;
    }
    session.complete();
}

/// A process pool that another thread can put an end to, running jobs included.
struct Killable {
    pool: ProcessPool,
    /// Everything submitted so far. Locked around each `submit`, so that `kill` misses nothing.
    jobs: Mutex<Vec<AbortHandle>>,
}

impl Killable {
    fn new(workers: usize) -> io::Result<Self> {
        Ok(Self {
            // What that costs is nothing beside these jobs.
            pool: ProcessPool::builder()
                .workers(workers)
                .measure(true)
                .build()?,
            jobs: Mutex::default(),
        })
    }

    /// Takes no more jobs, and kills the workers of those that run; returns when they are gone.
    fn kill(&self) {
        self.pool.shutdown(Shutdown::cancel().without_waiting());
        for job in self.lock().iter() {
            job.abort();
        }
        self.pool.shutdown(Shutdown::cancel());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.jobs
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Executor for Killable {
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        let mut jobs = self.lock();
        let handle = self.pool.submit(function, argument);
        jobs.push(handle.abort_handle());
        handle
    }

    fn workers(&self) -> usize {
        self.pool.workers()
    }

    fn shutdown(&self, how: Shutdown) {
        self.pool.shutdown(how);
    }
}

/// The item of a job that came to nothing.
pub fn lost(name: &str, error: JoinError) -> Item {
    let mut item = Item::lost(name.to_owned(), error.to_string());
    if let JoinError::WorkerDied(exit) = error {
        item.place = Place {
            pid: exit.pid,
            tid: exit.pid,
        };
    }
    item
}
