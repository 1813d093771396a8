//! The jobs of one scope, and the tickets that stand for them in the pool's queue.
//!
//! ```text
//!   scope.submit(job) ──> scope's own queue: [job job job]        pool's queue: [.. ticket ticket]
//!                               ^         ^                                        |
//!        the waiting thread, if |         | run: take the first job, if any <──────┘ a worker
//!        it is a worker of the  |
//!        pool, takes from here  ┘         each job that leaves: `finish`; at none left the wait ends
//! ```
//!
//! Why two queues: a worker that waits for a nested scope must run that scope's jobs, or a pool
//! whose threads all wait would stand still. And no others: a foreign job on top of this stack
//! could wait for the very job that lies below it. So jobs wait in their scope, and the pool's
//! queue holds tickets, each good for one job of that scope. A ticket that comes late finds
//! nothing and does nothing; one that is dropped or failed does the same to the last job.
//!
//! Holds     T1 a job is unfinished from `push` until whoever took it has ended it (run, failed or
//!              dropped) and calls `finish`;
//!           T2 `wait` returns only when nothing is unfinished;
//!           T3 a ticket holds no job: it may outlive the scope and what its jobs borrow.
//!           User code never runs under the lock.
//! Next: `worker.rs`.

use crate::error::JoinError;
use crate::sync::{Condvar, Mutex, lock};
use crate::task::runnable::Runnable;
use std::collections::VecDeque;
use std::sync::Arc;

/// The right to one of a scope's jobs, in the pool's queue. Dropped, it cancels one.
pub(super) struct Ticket {
    /// None once it was used.
    jobs: Option<Arc<ScopeQueue<Runnable>>>,
}

/// The jobs of one scope. `J` is `Runnable`; the model uses numbers.
#[derive(Debug)]
pub(super) struct ScopeQueue<J> {
    state: Mutex<State<J>>,
    /// Where the scope's thread sleeps until all is over, or there is a job to help with.
    changed: Condvar,
}

#[derive(Debug)]
struct State<J> {
    queued: VecDeque<J>,
    /// T1: jobs that are queued, or taken out and not over.
    unfinished: usize,
    /// Panics that no handle has reported.
    panics: usize,
    /// Does the scope's thread sleep, and would it help?
    helper_sleeps: bool,
}

impl Ticket {
    pub(super) fn new(jobs: Arc<ScopeQueue<Runnable>>) -> Self {
        Self { jobs: Some(jobs) }
    }

    pub(super) fn run(mut self) {
        self.spend(ScopeQueue::take, Runnable::run);
    }

    pub(super) fn fail(mut self, error: JoinError) {
        // The last is the one this ticket came with, unless another was submitted beside it.
        self.spend(ScopeQueue::take_last, |job| job.fail(error));
    }

    /// Uses the ticket up.
    fn spend(
        &mut self,
        take: impl FnOnce(&ScopeQueue<Runnable>) -> Option<Runnable>,
        end: impl FnOnce(Runnable),
    ) {
        let Some(jobs) = self.jobs.take() else { return };
        if let Some(job) = take(&jobs) {
            end(job);
            jobs.finish();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.spend(ScopeQueue::take_last, drop);
    }
}

impl<J> ScopeQueue<J> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                queued: VecDeque::new(),
                unfinished: 0,
                panics: 0,
                helper_sleeps: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn push(&self, job: J) {
        let mut state = lock(&self.state);
        state.queued.push_back(job);
        state.unfinished += 1;
        if state.helper_sleeps {
            self.changed.notify_one();
        }
    }

    /// A job. The caller ends it, one way or another, and then calls `finish`. So for the two
    /// functions below.
    pub(super) fn take(&self) -> Option<J> {
        lock(&self.state).queued.pop_front()
    }

    fn take_last(&self) -> Option<J> {
        lock(&self.state).queued.pop_back()
    }

    pub(super) fn take_if(&self, is_it: impl FnMut(&J) -> bool) -> Option<J> {
        let mut state = lock(&self.state);
        // Handles are mostly joined in the order of submission: then it is at the front.
        let place = state.queued.iter().position(is_it)?;
        state.queued.remove(place)
    }

    /// T1: a job that was taken is over.
    pub(super) fn finish(&self) {
        let mut state = lock(&self.state);
        state.unfinished -= 1;
        if state.unfinished == 0 {
            self.changed.notify_one();
        }
    }

    /// T2: returns when nothing is unfinished. Only the scope's own thread waits.
    pub(super) fn wait(&self, help: bool, run: impl Fn(J)) {
        let mut state = lock(&self.state);
        while state.unfinished > 0 {
            if help && let Some(job) = state.queued.pop_front() {
                drop(state);
                run(job);
                self.finish();
                state = lock(&self.state);
                continue;
            }
            state.helper_sleeps = help;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            state.helper_sleeps = false;
        }
    }

    pub(super) fn panics(&self) -> usize {
        lock(&self.state).panics
    }

    pub(super) fn unfinished(&self) -> usize {
        lock(&self.state).unfinished
    }

    pub(super) fn count_panic(&self) {
        lock(&self.state).panics += 1;
    }

    pub(super) fn panic_was_reported(&self) {
        let mut state = lock(&self.state);
        // Not below 0: a cancelled job's closure may panic in its drop, which nobody counted.
        state.panics = state.panics.saturating_sub(1);
    }
}
