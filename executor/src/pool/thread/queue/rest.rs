//! How a worker without a job waits for one: it lets others run, and then sleeps.
//!
//! ```text
//!   the front is empty ──> gather ──> search ──> look, LOOKS_BEFORE_SLEEP times ──> sleep ──┐
//!                                       ^                                                   │
//!                                       └────────────────── a token ────────────────────────┘
//!   the last one to fall asleep dozes first: after IDLE without a job it empties the depot
//! ```
//!
//! A part of `Queue`: same locks, same rules (Q1 to Q4 there).
//!
//! Cost      at least YIELDS_TO_GATHER yields when the front was emptied. Without the looks a submitter
//!           that is slower than its workers paid two system calls per job (counted: 500,000 no-ops
//!           on 2 threads made 244,000 futex calls; with them, a few hundred). Next: `end.rs`.

use super::{Queue, Rear, wait, wait_timeout};
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, lock};
use std::thread;
use std::time::Duration;

/// How often a worker without a job lets other threads run before it sleeps. Each look costs one
/// `sched_yield`, which is cheap beside the two futex calls and two context switches of a sleep;
/// the number is small enough that an idle pool is asleep within microseconds. 3 were enough in
/// the measurement there, 30 no better than 10. The model checker looks under the locks only.
pub(super) const LOOKS_BEFORE_SLEEP: u32 = if cfg!(loom) { 0 } else { 10 };

/// How often a worker that has emptied the front lets other threads run before it exchanges: a
/// microsecond or so on a CPU that nobody else wants. It counts as searching meanwhile, so nobody
/// is woken or started for what it will find. With 1 the measurement in the head of `queue.rs`
/// gives 170, with 2 to 5 about the same.
const YIELDS_TO_GATHER: u32 = if cfg!(loom) { 0 } else { 3 };

/// For how long every thread sleeps before what the depot keeps is freed: short for a person, long
/// against the pauses of a program that submits jobs.
const IDLE: Duration = Duration::from_millis(10);

impl<J> Queue<J> {
    /// Lets others run until there seems to be a job, or enough was looked. Returns the looks.
    pub(super) fn look(&self, mut looks: u32) -> u32 {
        while looks < LOOKS_BEFORE_SLEEP {
            thread::yield_now();
            looks += 1;
            // Relaxed: a guess; the locks come next either way.
            if self.hint.0.load(Ordering::Relaxed) > 0 {
                break;
            }
        }
        looks
    }

    /// Sleeps until a token says that this thread is searching again.
    pub(super) fn sleep<'queue>(&'queue self, mut rear: MutexGuard<'queue, Rear<J>>) {
        rear.roster.fall_asleep();
        if rear.roster.all_sleep() && self.depot.is_stocked() {
            rear = self.doze(rear);
        }
        while rear.tokens == 0 {
            rear = wait(&self.work, rear);
        }
        rear.tokens -= 1;
    }

    /// Sleeps for IDLE at most, and then, when nothing has happened, frees what the depot keeps.
    fn doze<'queue>(
        &'queue self,
        rear: MutexGuard<'queue, Rear<J>>,
    ) -> MutexGuard<'queue, Rear<J>> {
        let rear = wait_timeout(&self.work, rear, IDLE);
        if rear.tokens > 0 || !rear.roster.all_sleep() {
            return rear;
        }
        drop(rear);
        self.depot.release();
        lock(&self.rear.0)
    }
}

/// Lets the rear fill up.
pub(super) fn gather() {
    for _ in 0..YIELDS_TO_GATHER {
        thread::yield_now();
    }
}
