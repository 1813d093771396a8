//! Where a check looks at an executor: a directory in which jobs leave marks and wait at gates.
//!
//! ```text
//!   check                               job (any thread, any process)
//!   tally.count()  <── size of a file ──  leave_mark(tally): one byte, appended
//!   gate.open() ── makes a file ──>       wait_at(gate): leaves a mark, then looks until it is open
//! ```
//!
//! Appending a byte is one atomic step wherever the job runs, so marks are neither lost nor doubled.
//! Jobs at a gate look again every millisecond, and give up after the limit: nothing hangs for ever.
//! Next: `answers.rs`.

use super::{Verdict, ensure};
use crate::error::JoinError;
use crate::pool::Executor;
use crate::task::join::JoinHandle;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a job at a gate looks.
const LOOK: Duration = Duration::from_millis(1);

/// What a check works with.
pub(super) struct Bed<E> {
    pub(super) limit: Duration,
    make: Arc<dyn Fn() -> E + Send + Sync>,
    directory: PathBuf,
    /// Names for gates and tallies.
    next: AtomicUsize,
}

impl<E: Executor> Bed<E> {
    pub(super) fn new(make: Arc<dyn Fn() -> E + Send + Sync>, limit: Duration) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed, here and below: distinct numbers are all that is asked.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tatkal-testing-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory for the marks of jobs");
        Self {
            limit,
            make,
            directory,
            next: AtomicUsize::new(0),
        }
    }

    /// A new executor.
    pub(super) fn executor(&self) -> E {
        (self.make)()
    }

    /// An executor whose jobs run beside the caller; `None` where they run in its thread: much of
    /// what is to be looked at does not exist there, since a job is over when `submit` returns.
    pub(super) fn beside(&self) -> Option<E> {
        let executor = self.executor();
        let job = executor.submit(whereabouts, ());
        (job.join().ok()? != whereabouts(())).then_some(executor)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally(self.path("tally"))
    }

    pub(super) fn gate(&self) -> Gate {
        let directory = self.path("gate");
        fs::create_dir(&directory).expect("a gate");
        Gate {
            directory,
            limit: self.limit,
        }
    }

    fn path(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{kind}-{number}"))
    }

    /// Has every worker wait at the gate: what is submitted after that is queued.
    pub(super) fn occupy(&self, executor: &E, gate: &Gate) -> Result<Vec<JoinHandle<()>>, String> {
        let workers = executor.workers();
        let held = (0..workers).map(|_| executor.submit(wait_at, gate.ticket()));
        let held: Vec<_> = held.collect();
        gate.until_held(workers)?;
        Ok(held)
    }

    /// The result of a job that has to come to an end.
    pub(super) fn result<T>(
        &self,
        mut handle: JoinHandle<T>,
    ) -> Result<Result<T, JoinError>, String> {
        handle
            .join_timeout(self.limit)
            .ok_or_else(|| format!("a job was not over after {:?}", self.limit))
    }

    /// The value of a job that has to come to a good end.
    pub(super) fn value<T>(&self, handle: JoinHandle<T>) -> Result<T, String> {
        self.result(handle)?
            .map_err(|error| format!("a job that cannot fail failed: {error}"))
    }
}

impl<E> Drop for Bed<E> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Counts the marks that jobs leave.
pub(super) struct Tally(PathBuf);

impl Tally {
    /// What a job needs in order to leave a mark.
    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub(super) fn count(&self) -> usize {
        fs::metadata(&self.0).map_or(0, |file| file.len() as usize)
    }

    pub(super) fn expect(&self, marks: usize, what: &str) -> Verdict {
        let found = self.count();
        ensure!(found == marks, "{what}: {found} ran, not {marks}");
        Ok(())
    }
}

/// Where jobs wait until the check lets them go on; at the latest when it goes.
pub(super) struct Gate {
    directory: PathBuf,
    limit: Duration,
}

/// What a job needs in order to wait at a gate.
pub(super) type GateTicket = (PathBuf, Duration);

impl Gate {
    pub(super) fn ticket(&self) -> GateTicket {
        (self.directory.clone(), self.limit)
    }

    pub(super) fn open(&self) {
        fs::write(open(&self.directory), "").expect("the gate opens");
    }

    /// Waits until so many jobs have come to the gate.
    pub(super) fn until_held(&self, jobs: usize) -> Verdict {
        let arrived = Tally(arrivals(&self.directory));
        let deadline = Instant::now() + self.limit;
        while arrived.count() < jobs {
            let found = arrived.count();
            ensure!(
                Instant::now() < deadline,
                "{found} of {jobs} jobs ran at the same time"
            );
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A check that failed midway must not leave jobs waiting.
        let _ = fs::write(open(&self.directory), "");
    }
}

fn open(directory: &Path) -> PathBuf {
    directory.join("open")
}

fn arrivals(directory: &Path) -> PathBuf {
    directory.join("arrivals")
}

/// A job: comes to the gate, and returns when it is open.
///
/// # Panics
/// After the limit, or where the file system fails.
pub(super) fn wait_at((directory, limit): GateTicket) {
    append(&arrivals(&directory));
    let deadline = Instant::now() + limit;
    while !open(&directory).exists() {
        assert!(Instant::now() < deadline, "the gate stayed shut");
        thread::sleep(LOOK);
    }
}

/// A job: leaves a mark, and gives its number back.
pub(super) fn leave_mark((tally, number): (PathBuf, u64)) -> u64 {
    append(&tally);
    number
}

fn append(path: &Path) {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(b"."))
        .expect("a mark is left");
}

/// A job: which thread of which process runs it.
fn whereabouts((): ()) -> (u32, String) {
    let thread = thread::current().id();
    (std::process::id(), format!("{thread:?}"))
}
