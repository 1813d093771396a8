//! Scope: jobs that borrow from the frame that waits for them.
//!
//! ```text
//!   scope.submit(job) ──> scope's own queue: [job job job]        pool's queue: [.. ticket ticket]
//!                               ^         ^                                        |
//!        the waiting thread, if |         | run: take the first job, if any <──────┘ a worker
//!        it is a worker of the  |
//!        pool, takes from here  ┘         each job that leaves: `finish`; at none left the scope ends
//! ```
//!
//! Why two queues: a worker that waits for a nested scope must run that scope's jobs, or a pool
//! whose threads all wait would stand still. And no others: a foreign job on top of this stack
//! could wait for the very job that lies below it. So jobs wait in their scope, and the pool's
//! queue holds tickets, each good for one job of that scope. A ticket that comes late finds
//! nothing and does nothing.
//!
//! # Why borrowing is sound
//! The task erases the closure's type and with it the lifetimes, so nothing but this argument
//! keeps a job from outliving what it borrows:
//!
//! Holds     S1 `run` returns, or unwinds, only when `unfinished` is 0. It owns the `Scope` and
//!              gives `body` a shared reference, so there is nothing to forget or to replace.
//!           S2 a job counts as unfinished from before it is queued until after its `Runnable` has
//!              been run, failed or dropped: by then its closure is dropped, and its output too,
//!              unless a handle exists.
//!           S3 the output belongs to the `ScopedHandle`, which cannot leave `'scope`. A leaked
//!              handle leaks the output: never touched again. No other handle is given out: an
//!              `abort` from elsewhere would drop the closure beside S2.
//!           S4 a ticket holds no job and borrows nothing; it may outlive the scope.
//!
//! The lifetimes are std's: `'scope` is the time until all jobs are over, `'env` what they may
//! borrow from, both invariant, so that neither can be shrunk or stretched.
//!
//! Cost      a job: its cell, and two short locks more than a plain one.
//! Source    `std::thread::scope`; helping the own scope only is the cure for what rayon's
//!           work-stealing waits are warned about. Next: `builder.rs`.

use super::pool::{OnPool, Shared, Work};
use crate::error::JoinError;
use crate::sync::{Condvar, Mutex, lock};
use crate::task::harness::{Job, Runnable, new_task};
use crate::task::join::JoinHandle;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Submits jobs that borrow. See [`ThreadPool::scope`](crate::ThreadPool::scope).
///
/// What lives only inside the body cannot be borrowed, since it goes before the scope waits:
///
/// ```compile_fail,E0597
/// let pool = tatkal_executor::ThreadPool::new(1);
/// pool.scope(|scope| {
///     let inside = String::from("gone too early");
///     let _handle = scope.submit(|| inside.len());
/// });
/// ```
///
/// Nor does a handle leave the scope:
///
/// ```compile_fail
/// let pool = tatkal_executor::ThreadPool::new(1);
/// let escaped = pool.scope(|scope| scope.submit(|| 1));
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    pool: Arc<Shared>,
    jobs: Arc<ScopeQueue<Runnable>>,
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// The handle of a scope's job.
///
/// Dropping it leaves the job to run; the scope waits for it all the same.
#[must_use = "a panic of a job whose handle is not joined becomes a panic of the scope"]
pub struct ScopedHandle<'scope, T> {
    handle: JoinHandle<T>,
    pool: &'scope Shared,
    jobs: &'scope ScopeQueue<Runnable>,
}

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
    /// S2: jobs that are queued, or taken out and not over.
    unfinished: usize,
    /// Panics that no handle has reported.
    panics: usize,
    /// Does the scope's thread sleep, and would it help?
    helper_sleeps: bool,
}

/// Runs a scope: the body, then the wait (S1).
#[track_caller]
pub(super) fn run<'env, F, R>(pool: &Arc<Shared>, body: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope {
        pool: pool.clone(),
        jobs: Arc::new(ScopeQueue::new()),
        _scope: PhantomData,
        _env: PhantomData,
    };
    // The body's panic waits too.
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    scope.jobs.wait(pool.is_own_worker(), Runnable::run);
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(_) if scope.jobs.panics() > 0 => panic!("a scoped job panicked"),
        Ok(value) => value,
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Runs `job` on a thread of the pool. It may borrow whatever outlives the scope, and use the
    /// scope itself to submit more.
    ///
    /// Waits, and fails when the pool is shut down, as [`ThreadPool::submit`] does.
    ///
    /// # Panics
    /// As [`ThreadPool::submit`].
    ///
    /// [`ThreadPool::submit`]: crate::ThreadPool::submit
    #[track_caller]
    pub fn submit<T, F>(&'scope self, job: F) -> ScopedHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let when_full = self.pool.when_full();
        let jobs = &*self.jobs;
        let watched = move || {
            let watch = PanicWatch { jobs };
            let output = job();
            mem::forget(watch);
            output
        };
        let (runnable, handle) = new_task(Job::new(watched), OnPool);
        jobs.push(runnable);
        let ticket = Ticket {
            jobs: Some(self.jobs.clone()),
        };
        self.pool.push(Work::Ticket(ticket), when_full);
        ScopedHandle {
            handle,
            pool: &self.pool,
            jobs,
        }
    }
}

impl<T> ScopedHandle<'_, T> {
    /// Waits for the result. In a job of the same pool, a job that is still queued is run here.
    ///
    /// # Errors
    /// See [`JoinError`]. A panic that is reported here does not become one of the scope.
    ///
    /// # Panics
    /// On a thread that runs an executor, unless the job is over.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        // Only this one: whoever waits for it here depends on it, and on no other.
        if self.pool.is_own_worker()
            && let Some(runnable) = self.jobs.take_if(|job| Some(job.id()) == self.handle.id())
        {
            runnable.run();
            self.jobs.finish();
        }
        let result = self.handle.join();
        if matches!(result, Err(JoinError::Panicked(_))) {
            self.jobs.panic_was_reported();
        }
        result
    }

    /// Is the result there?
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// Lives while a job's closure runs: dropped only by its panic.
struct PanicWatch<'scope> {
    jobs: &'scope ScopeQueue<Runnable>,
}

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        lock(&self.jobs.state).panics += 1;
    }
}

impl Ticket {
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

    fn take_if(&self, is_it: impl FnMut(&J) -> bool) -> Option<J> {
        let mut state = lock(&self.state);
        // Handles are mostly joined in the order of submission: then it is at the front.
        let place = state.queued.iter().position(is_it)?;
        state.queued.remove(place)
    }

    /// S2: a job that was taken is over.
    pub(super) fn finish(&self) {
        let mut state = lock(&self.state);
        state.unfinished -= 1;
        if state.unfinished == 0 {
            self.changed.notify_one();
        }
    }

    /// S1: returns when nothing is unfinished. Only the scope's own thread waits.
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

    fn panics(&self) -> usize {
        lock(&self.state).panics
    }

    fn panic_was_reported(&self) {
        let mut state = lock(&self.state);
        // Not below 0: a cancelled job's closure may panic in its drop, which nobody counted.
        state.panics = state.panics.saturating_sub(1);
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("unfinished", &lock(&self.jobs.state).unfinished)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}
