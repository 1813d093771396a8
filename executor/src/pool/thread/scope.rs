//! Scope: jobs that borrow from the frame that waits for them.
//!
//! The body runs on the thread that calls `scope`; its jobs wait in the scope's own queue, with a
//! ticket each in the pool's (see `ticket.rs`).
//!
//! # Why borrowing is sound
//! The task erases the closure's type and with it the lifetimes, so nothing but this argument
//! keeps a job from outliving what it borrows:
//!
//! Holds     S1 `run` returns, or unwinds, only when nothing is unfinished (T2). It owns the
//!              `Scope` and gives `body` a shared reference: nothing to forget or to replace.
//!           S2 when a job counts as finished (T1), its closure has been dropped, and its output
//!              too, unless a handle exists.
//!           S3 the output belongs to the `ScopedHandle`, which cannot leave `'scope`. A leaked
//!              handle leaks the output: never touched again. No other handle is given out: an
//!              `abort` from elsewhere would drop the closure beside S2.
//!
//! The lifetimes are std's: `'scope` is the time until all jobs are over, `'env` what they may
//! borrow from, both invariant, so that neither can be shrunk or stretched.
//!
//! Cost      a job: its cell, and two short locks more than a plain one.
//! Source    `std::thread::scope`. Next: `pool.rs`.

use super::ticket::{ScopeQueue, Ticket};
use super::worker::{OnPool, Shared, Work};
use crate::error::JoinError;
use crate::task::body::{Job, new_task_from};
use crate::task::join::JoinHandle;
use crate::task::runnable::Runnable;
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
        let (runnable, handle) =
            new_task_from(Some(&self.pool.queue.depot), Job::new(watched), OnPool);
        jobs.push(runnable);
        let ticket = Ticket::new(self.jobs.clone());
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
        self.jobs.count_panic();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("unfinished", &self.jobs.unfinished())
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
