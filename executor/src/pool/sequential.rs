//! The smallest executor: `submit` runs the job before it returns. The baseline of every table.
//!
//! The job is the same cell with the same handle as in every other mode, so that a panic reaches
//! the handle here too. Next: `thread/`.

use super::executor::{Executor, Portable, Shutdown, refuse_captures};
use crate::budget;
use crate::error::JoinError;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::task::body::{Job, new_task};
use crate::task::join::JoinHandle;
use crate::task::schedule::{Schedule, Scheduled};
use std::fmt;

/// Runs each job in the thread that submits it, at once.
///
/// # Example
/// ```
/// use tatkal_executor::{Executor, Sequential};
/// let handle = Sequential::new().submit(|name: String| name.len(), "yemen".to_owned());
/// assert!(handle.is_finished());
/// assert_eq!(handle.join().unwrap(), 5);
/// ```
pub struct Sequential {
    closed: AtomicBool,
}

/// Where a sequential job's wakes would go: it is polled once and has none.
struct Caller;

impl Schedule for Caller {
    const CANCEL_IN_PLACE: bool = true;

    fn schedule(scheduled: Scheduled<Self>) {
        drop(scheduled.into_runnable());
    }
}

impl Sequential {
    /// An executor without any worker but the caller.
    pub fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
        }
    }
}

impl Default for Sequential {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor for Sequential {
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        refuse_captures::<F>();
        let (runnable, handle) = new_task(Job::new(move || function(argument)), Caller);
        // Relaxed: a flag and nothing behind it.
        if self.closed.load(Ordering::Relaxed) {
            runnable.fail(JoinError::Closed);
        } else {
            // The job's budget is its own: a task that submits jobs in a loop must not go on for
            // ever on theirs.
            let _before = budget::Before::save();
            runnable.run();
        }
        handle
    }

    fn workers(&self) -> usize {
        1
    }

    /// There is nothing to wait for or to cancel: only new jobs are refused.
    fn shutdown(&self, _: Shutdown) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// 1: running ahead of the caller would only delay the result that it asked for.
    fn default_window(&self) -> usize {
        1
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequential").finish_non_exhaustive()
    }
}
