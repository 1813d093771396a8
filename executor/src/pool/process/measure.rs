//! Where a job's time goes: a promise that is stamped on its way.
//!
//! ```text
//!   submit      offer                       take in     finish
//!   | encode |  :                           :           | decode |
//!   s        a  o                           :           b        e     stamps, in the program
//!            |........ queue ...|           :           |
//!                               f  d | run | e                         laps, in the worker
//!                               |~~|          |~~~~~~~~~|   transfer: the rest
//! ```
//!
//! `f` is when the worker was free: when the job was offered, or the job before it was done. All
//! stamps are of the one clock that all processes of a machine share (CLOCK_MONOTONIC).
//!
//! Only for a pool that was told to measure. Elsewhere the promise stands alone, and no clock is
//! read for this.
//!
//! Owns      the sums of a pool, under a lock of their own that is held for one addition.
//! Holds     the five parts of a job add up to its whole, whatever the worker has written: every
//!           part is cut to what is left. A job is counted before its handle is told.
//! Cost      nine looks at the clock and a short lock per job. Next: `member.rs`.

use super::job::{Outcome, RemoteJob, result_of};
use super::metrics::JobPhases;
use super::scene::Laps;
use super::sys;
use crate::sync::{Mutex, lock};
use crate::task::promise::Promise;
use crate::task::schedule::{Schedule, TaskId};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// The sums of a pool.
#[derive(Debug, Default)]
pub(super) struct Account(Mutex<JobPhases>);

impl Account {
    pub(super) fn read(&self) -> JobPhases {
        *lock(&self.0)
    }
}

/// Moments of one job, in nanoseconds of the machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamps {
    pub(super) submitted_ns: u64,
    /// Its argument is encoded.
    pub(super) accepted_ns: u64,
    /// It was given to a worker, the last time.
    pub(super) offered_ns: u64,
    /// That worker was done with the job before.
    pub(super) free_ns: u64,
    pub(super) laps: Laps,
}

impl Stamps {
    fn phases(&self, begun_ns: u64, ended_ns: u64) -> JobPhases {
        let mut rest = begun_ns.saturating_sub(self.accepted_ns);
        let mut part = |ns: u64| {
            let part = ns.min(rest);
            rest -= part;
            Duration::from_nanos(part)
        };
        let free_ns = self.offered_ns.max(self.free_ns);
        let queue = part(free_ns.saturating_sub(self.accepted_ns));
        let run = part(self.laps.run_ns);
        let (decode, encode) = (part(self.laps.decode_ns), part(self.laps.encode_ns));
        let here = |from: u64, to: u64| Duration::from_nanos(to.saturating_sub(from));
        JobPhases {
            jobs: 1,
            encode: here(self.submitted_ns, self.accepted_ns) + encode,
            queue,
            transfer: Duration::from_nanos(rest),
            run,
            decode: decode + here(begun_ns, ended_ns),
        }
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
        lock(&self.account.0).add(phases);
        self.promise.complete(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps() -> Stamps {
        Stamps {
            submitted_ns: 100,
            accepted_ns: 110,
            offered_ns: 150,
            free_ns: 300,
            laps: Laps {
                decode_ns: 2,
                run_ns: 500,
                encode_ns: 3,
                done_ns: 850,
            },
        }
    }

    #[test]
    fn the_parts_are_what_they_are_called() {
        let phases = stamps().phases(1_000, 1_020);
        let expected = JobPhases {
            jobs: 1,
            encode: Duration::from_nanos(10 + 3),
            queue: Duration::from_nanos(300 - 110),
            transfer: Duration::from_nanos(1_000 - 300 - 505),
            run: Duration::from_nanos(500),
            decode: Duration::from_nanos(2 + 20),
        };
        assert_eq!(phases, expected);
        let idle = Stamps {
            free_ns: 0,
            ..stamps()
        };
        let queue = idle.phases(1_000, 1_020).queue;
        assert_eq!(queue, Duration::from_nanos(150 - 110));
    }

    #[test]
    fn they_add_up_to_the_whole_whatever_the_worker_wrote() {
        let wild = [0, 1, 400, 10_000, u64::MAX];
        for free_ns in wild {
            for run_ns in wild {
                for encode_ns in wild {
                    let mut stamps = stamps();
                    stamps.free_ns = free_ns;
                    stamps.laps.run_ns = run_ns;
                    stamps.laps.encode_ns = encode_ns;
                    let total = stamps.phases(1_000, 1_020).total();
                    assert_eq!(total, Duration::from_nanos(1_020 - 100));
                }
            }
        }
    }
}
