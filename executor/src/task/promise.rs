//! A result that comes from elsewhere: another process computes it, and a manager delivers it.
//!
//! The same cell as a task's, with the same handle, but nothing to poll: whoever holds the promise
//! holds what is a runnable for a task, and later RUNNING, and completes it by hand.
//!
//! ```text
//!   promise() ──> queued ──start()──> running ──complete(result)──> complete
//!                   |                    |
//!                   | abort(): cancelled | abort(): Schedule::abort_running(id);
//!                   v in place           v the holder decides, and completes it
//!                 a husk: start() is false
//! ```
//!
//! Next: `completion/`.

use super::body::new_task;
use super::harness;
use super::join::JoinHandle;
use super::runnable::Runnable;
use super::schedule::{Schedule, Scheduled, TaskId};
use super::word::ToRunning;
use crate::error::JoinError;
use std::future::Pending;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// The duty to complete a job. Dropped before that, the job is cancelled.
pub(crate) struct Promise<T, S: Schedule> {
    /// Before `start` a runnable in the sense of state.rs; after it, its reference and RUNNING.
    runnable: ManuallyDrop<Runnable>,
    stage: Stage,
    _type: PhantomData<(T, fn() -> S)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Running,
    /// Cancelled in the queue: the reference is all that is left, and goes in drop. (Not before:
    /// `start` is called under a pool's lock, and what goes with the reference may be user code.)
    Husk,
    /// The reference is gone.
    Done,
}

/// The body of a promise: it has none.
type NoBody<T> = Pending<Result<T, JoinError>>;

/// A new promise and its handle.
pub(crate) fn promise<T, S: Schedule>(scheduler: S) -> (Promise<T, S>, JoinHandle<T>) {
    let (runnable, handle) = new_task::<NoBody<T>, T, S>(std::future::pending(), scheduler);
    let runnable = ManuallyDrop::new(runnable);
    (
        Promise {
            runnable,
            stage: Stage::Queued,
            _type: PhantomData,
        },
        handle,
    )
}

impl<T, S: Schedule> Promise<T, S> {
    /// The name under which `Schedule::abort_running` speaks of this job.
    pub(crate) fn id(&self) -> TaskId {
        self.runnable.id()
    }

    /// The job leaves the queue. False: it was cancelled there; drop the promise. True also when
    /// it was started before.
    pub(crate) fn start(&mut self) -> bool {
        if self.stage == Stage::Queued {
            match self.runnable.header().state.transition_to_running() {
                ToRunning::Poll => self.stage = Stage::Running,
                ToRunning::Cancel => {
                    self.stage = Stage::Running;
                    self.finish(Err(JoinError::Cancelled));
                }
                ToRunning::Husk => self.stage = Stage::Husk,
            }
        }
        self.stage == Stage::Running
    }

    /// Stores the result and tells the handle. For a promise that was cancelled in the queue the
    /// result is dropped.
    pub(crate) fn complete(mut self, result: Result<T, JoinError>) {
        if self.start() {
            self.finish(result);
        }
    }

    fn finish(&mut self, result: Result<T, JoinError>) {
        self.stage = Stage::Done;
        // SAFETY: the reference is ours until here, and `Done` says that it goes now.
        let pointer = unsafe { ManuallyDrop::take(&mut self.runnable) }.into_raw();
        // SAFETY: the stage was Running, so RUNNING and one reference are ours. The cell was
        // allocated with these types, and its future, a `Pending`, needs no drop.
        unsafe { harness::complete::<NoBody<T>, T, S>(pointer, result) }
    }
}

impl<T, S: Schedule> Drop for Promise<T, S> {
    fn drop(&mut self) {
        if self.start() {
            self.finish(Err(JoinError::Cancelled));
        }
        if self.stage == Stage::Husk {
            self.stage = Stage::Done;
            // SAFETY: a husk has its reference, and `Done` says that it goes now.
            unsafe { ManuallyDrop::take(&mut self.runnable) }.discard();
        }
    }
}

/// A promise's scheduler is never handed its runnable: nothing wakes a promise, and an abort
/// in the queue happens in place. For `Schedule::schedule` of such a scheduler.
pub(crate) fn never_scheduled<S: Schedule>(scheduled: Scheduled<S>) -> ! {
    // Not dropped: this is a broken invariant, and unwinding through a waker helps nobody.
    std::mem::forget(scheduled.into_runnable());
    unreachable!("a promise was woken: it has no waker")
}
