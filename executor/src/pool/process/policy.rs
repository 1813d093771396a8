//! What a pool does when something goes wrong: what it was told, for one job and for all.
//!
//! ```text
//!   builder ──> Rules   of the pool: how many workers, how long they stay, how they are stopped
//!      |
//!      +──────> Terms   of every job; `pool.jobs()` changes them for some
//!                 |
//!                 v
//!              Policy   of one job: its terms, and which workers it has cost so far
//! ```
//!
//! Only what was said is here. What follows from it is decided in `crew.rs`.
//!
//! Source    pebble (limits that kill), CPython's `max_tasks_per_child`. Next: `metrics.rs`.

use super::limits::Limits;
use crate::error::WorkerExit;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a job whose worker died while running it.
///
/// Whatever is chosen, other jobs are not touched (unless the pool is to break), and the worker is
/// replaced. Jobs that were stopped on purpose, by [`abort`](crate::JoinHandle::abort) or by their
/// time limit, are not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnDeath {
    /// The job fails with [`JoinError::WorkerDied`](crate::JoinError::WorkerDied).
    #[default]
    FailJob,
    /// The job is run again, by another worker, up to so many times more. A job that has cost one
    /// worker more than that fails with [`JoinError::Quarantined`](crate::JoinError::Quarantined),
    /// which tells how each of them ended. Only for jobs that may run twice: the first run may
    /// have done half of its work.
    Retry(u32),
    /// The job fails, and the whole pool with it: every other job is stopped, and that and every
    /// later one fails with [`JoinError::Broken`](crate::JoinError::Broken).
    BreakPool,
}

/// What was agreed for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Terms {
    pub(super) timeout: Option<Duration>,
    pub(super) on_death: OnDeath,
}

impl Terms {
    /// What a job carries of them. The usual terms cost nothing.
    pub(super) fn policy(self) -> Option<Box<Policy>> {
        let deaths = Vec::new();
        (self != Terms::default()).then(|| {
            Box::new(Policy {
                terms: self,
                deaths,
            })
        })
    }
}

/// What goes with one job.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) terms: Terms,
    /// How the workers ended that died while running it.
    pub(super) deaths: Vec<WorkerExit>,
}

/// How long a job that is to stop may take after SIGTERM, unless the pool was told otherwise: for
/// most it makes no difference, as SIGTERM ends a process that has made no arrangements.
const GRACE: Duration = Duration::from_secs(1);

/// What was agreed for a pool.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// At most so many workers.
    pub(super) workers: usize,
    /// With every worker at work, so many more jobs may wait.
    pub(super) capacity: Option<usize>,
    /// The terms of jobs that are submitted without any.
    pub(super) terms: Terms,
    /// Between SIGTERM and SIGKILL. Zero: SIGKILL at once.
    pub(super) grace: Duration,
    /// What every worker may use.
    pub(super) limits: Limits,
    /// After so many jobs a worker is replaced.
    pub(super) max_jobs: Option<u64>,
    /// After such a time a worker is replaced.
    pub(super) max_age: Option<Duration>,
    /// Is it noted where the time of the jobs goes?
    pub(super) measure: bool,
    /// What every worker does first.
    pub(super) initializer: Option<Initializer>,
}

/// A function and its argument, in the form in which they cross.
#[derive(Debug, Clone)]
pub(super) struct Initializer {
    /// Address of its `Entry`.
    pub(super) entry: u64,
    pub(super) argument: Arc<[u8]>,
    pub(super) terms: Terms,
}

impl Rules {
    pub(super) fn new(workers: usize) -> Rules {
        Rules {
            workers,
            capacity: None,
            terms: Terms::default(),
            grace: GRACE,
            limits: Limits::NONE,
            max_jobs: None,
            max_age: None,
            measure: false,
            initializer: None,
        }
    }
}
