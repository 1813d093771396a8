//! Where jobs' time goes: a promise that is stamped on its way, and the pool's sums.
//!
//! Only for a pool that was told to measure. Elsewhere the promise stands alone, and no clock is
//! read for this.
//!
//! Owns      the sums of a pool, under a lock of their own that is held for one addition.
//! Holds     a job is counted before its handle is told.
//! Cost      nine looks at the clock and a short lock per job. Next: `chunk.rs`.

use super::job::{Outcome, RemoteJob, result_of};
use super::metrics::JobPhases;
use super::stamps::Stamps;
use super::sys;
use crate::sync::{Mutex, lock};
use crate::task::promise::Promise;
use crate::task::schedule::{Schedule, TaskId};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The sums of a pool.
#[derive(Debug, Default)]
pub(super) struct Account(Mutex<JobPhases>);

impl Account {
    pub(super) fn read(&self) -> JobPhases {
        *lock(&self.0)
    }

    pub(super) fn add(&self, phases: JobPhases) {
        lock(&self.0).add(phases);
    }
}

/// A promise that is measured.
pub(super) struct Measured<R, S: Schedule> {
    promise: Promise<R, S>,
    stamps: Stamps,
    account: Arc<Account>,
}

impl<R, S: Schedule> Measured<R, S> {
    /// Its time begins.
    pub(super) fn new(promise: Promise<R, S>, account: Arc<Account>) -> Measured<R, S> {
        let submitted_ns = sys::now_ns();
        let stamps = Stamps {
            submitted_ns,
            ..Stamps::default()
        };
        Measured {
            promise,
            stamps,
            account,
        }
    }
}

impl<R, S> RemoteJob for Measured<R, S>
where
    R: DeserializeOwned + Send + 'static,
    S: Schedule,
{
    fn id(&self) -> TaskId {
        self.promise.id()
    }

    fn start(&mut self) -> bool {
        self.promise.start()
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let Outcome::Answer(answer) = outcome else {
            return Box::new(self.promise).finish(outcome);
        };
        let begun_ns = sys::now_ns();
        let result = result_of(answer);
        let phases = self.stamps.phases(begun_ns, sys::now_ns());
        self.account.add(phases);
        self.promise.complete(result);
    }
}
