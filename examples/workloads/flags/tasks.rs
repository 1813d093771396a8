//! Async mode: tasks that take turns on one thread, each with one download at a time.
//!
//! ```text
//!   jobs ──next()──> task 1: download, record, next ...       the loop polls whichever task its
//!          └───────> task 2: download, record, next ...       socket or timer has made ready
//!          └───────> ...     as many as `--max-concurrency`
//! ```
//!
//! As many tasks as downloads may be under way, and each takes the next job when it has done one:
//! that bounds them without a semaphore. All of them share one client and its connections.
//! Next: `program.rs`.

use super::blocking;
use super::download::Download;
use super::job::Job;
use crate::drive::Job as _;
use crate::http::client::Client;
use crate::http::tatkal_net::TatkalNet;
use crate::mode::Mode;
use crate::report::model::Item;
use crate::session::Session;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tatkal::{Runtime, ThreadPool};

/// The jobs that no task has taken yet, each with its place in the order of asking.
type Queue = Rc<RefCell<dyn Iterator<Item = (usize, Job)>>>;

/// Runs all jobs on this thread, at most `tasks` at a time, and records each as it ends.
///
/// # Errors
/// Those of making the event loop.
pub fn run(
    session: &Arc<Session>,
    jobs: Vec<Job>,
    tasks: usize,
    cacert: Option<&Path>,
) -> io::Result<()> {
    session.begin(Mode::Async, 1, Some(tasks), jobs.len());
    let runtime = Runtime::new()?;
    let config = blocking::config(cacert).map_err(io::Error::other)?;
    let client = Rc::new(Client::new(config, TatkalNet));
    let disk = Rc::new(ThreadPool::new(1));
    let queue: Queue = Rc::new(RefCell::new(jobs.into_iter().enumerate()));
    let spawn = |_| {
        let task = work(session.clone(), queue.clone(), client.clone(), disk.clone());
        runtime.spawn_local(task)
    };
    let handles: Vec<_> = (0..tasks).map(spawn).collect();
    runtime.block_on(async {
        for handle in handles {
            // A download that panics is recorded by its task; here is nothing left to fail.
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
    client: Rc<Client<TatkalNet>>,
    disk: Rc<ThreadPool>,
) {
    loop {
        // The borrow ends before the await.
        let next = queue.borrow_mut().next();
        let Some((place, job)) = next else { return };
        let item = download(job, &client, &disk).await;
        session.record(place, item);
    }
}

/// The async twin of `blocking::run`.
async fn download(job: Job, client: &Client<TatkalNet>, disk: &ThreadPool) -> Item {
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
    saved.unwrap_or_else(|error| Item::lost(name, error.to_string()))
}
