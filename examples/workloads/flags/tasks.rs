//! The async modes: tasks that take turns, each with one download at a time.
//!
//! ```text
//!   jobs ──next()──> task 1: download, record, next ...       polled whenever its socket or timer
//!          └───────> task 2: download, record, next ...       has made it ready: on this thread, or
//!          └───────> ...     as many as `--max-concurrency`   on whichever worker is free
//! ```
//!
//! As many tasks as downloads may be under way, and each takes the next job when it has done one:
//! that bounds them without a semaphore. All of them share one client and its connections.
//!
//! One thread or many: the tasks are the same. They can move between threads (they are `Send`), and
//! a lock that nobody contends for costs them nothing that could be measured beside a download.
//! Next: `program.rs`.

use super::blocking;
use super::download::Download;
use super::job::Job;
use crate::drive::{Job as _, lost};
use crate::http::client::Client;
use crate::http::tatkal_net::TatkalNet;
use crate::mode::Mode;
use crate::report::model::Item;
use crate::session::Session;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tatkal::{Runtime, ThreadPool, spawn};

/// The jobs that no task has taken yet, each with its place in the order of asking.
type Queue = Arc<Mutex<dyn Iterator<Item = (usize, Job)> + Send>>;

/// Where the tasks of a mode run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// This thread, between two looks at the event loop.
    OneThread,
    /// So many threads of their own.
    Threads(usize),
}

/// Runs all jobs, at most `tasks` at a time, and records each as it ends.
///
/// # Errors
/// Those of making the event loop and its threads.
pub fn run(
    session: &Arc<Session>,
    on: On,
    jobs: Vec<Job>,
    tasks: usize,
    cacert: Option<&Path>,
) -> io::Result<()> {
    let (mode, threads) = match on {
        On::OneThread => (Mode::Async, 1),
        On::Threads(threads) => (Mode::AsyncThreads, threads),
    };
    session.begin(mode, threads, Some(tasks), jobs.len());
    let runtime = match on {
        On::OneThread => Runtime::new()?,
        On::Threads(threads) => Runtime::builder().worker_threads(threads).build()?,
    };
    let config = blocking::config(cacert).map_err(io::Error::other)?;
    let client = Arc::new(Client::new(config, TatkalNet));
    let disk = Arc::new(ThreadPool::new(1));
    let queue: Queue = Arc::new(Mutex::new(jobs.into_iter().enumerate()));
    let start = |_| {
        let task = work(session.clone(), queue.clone(), client.clone(), disk.clone());
        runtime.spawn(task)
    };
    let handles: Vec<_> = (0..tasks).map(start).collect();
    runtime.block_on(async {
        for handle in handles {
            // Whatever became of a download is recorded by the task, which cannot fail itself.
            let _ = handle.await;
        }
    });
    session.complete();
    Ok(())
}

/// One task: a download, and the next.
async fn work(
    session: Arc<Session>,
    queue: Queue,
    client: Arc<Client<TatkalNet>>,
    disk: Arc<ThreadPool>,
) {
    while let Some((place, job)) = next(&queue) {
        let name = job.name();
        // A task of its own: should it panic, it is an item like any other.
        let task = spawn(download(job, client.clone(), disk.clone()));
        let item = task.await.unwrap_or_else(|error| lost(&name, error));
        session.record(place, item);
    }
}

/// The lock is released before the download, so that no task waits for another's.
fn next(queue: &Mutex<dyn Iterator<Item = (usize, Job)> + Send>) -> Option<(usize, Job)> {
    let mut jobs = queue
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    jobs.next()
}

/// The async twin of `blocking::run`.
async fn download(job: Job, client: Arc<Client<TatkalNet>>, disk: Arc<ThreadPool>) -> Item {
    let name = job.name();
    let mut download = Download::of(job);
    let outcome = loop {
        let answer = match download.url() {
            Ok(url) => client.get(&url, download.deadline()).await,
            Err(error) => Err(error),
        };
        if let Some(outcome) = download.answered(answer) {
            break outcome;
        }
    };
    if !download.saves() {
        return download.end(outcome);
    }
    // Writing a file waits for the disk, and nobody else on the loop should.
    let saved = disk.submit(move || download.end(outcome)).await;
    saved.unwrap_or_else(|error| lost(&name, error))
}
