//! What a task asks of whoever runs it. Owned by the task, so that a task knows no scheduler.
//! Next: `word.rs`.

use super::cell::{Prefix, Slot, Task};
use super::runnable::Runnable;
use crate::park::Vigil;
use std::marker::PhantomData;

/// Where a runnable task goes, and what else its owner wants to hear.
///
/// One value of this type lives in every task, so it should be one pointer (an `Arc`) or nothing.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// True where a queued or idle body may be dropped by whichever thread calls `abort`: the
    /// pools, whose jobs are `Send` and have never run. False where it must be dropped by the
    /// thread that runs it.
    const CANCEL_IN_PLACE: bool;

    /// True where tasks are shut down by the thread that polls them, while it is in none of them:
    /// then a task that is queued can be dropped at once, with its runnable wherever that is. Elsewhere
    /// whoever has the runnable does so.
    const AT_HOME: bool = false;

    /// (7) The task became runnable: keep the runnable until it can be run.
    fn schedule(scheduled: Scheduled<Self>)
    where
        Self: Sized;

    /// (7) As `schedule`, for a task that was woken during its own poll and has to let others run
    /// first.
    fn reschedule(scheduled: Scheduled<Self>)
    where
        Self: Sized,
    {
        Self::schedule(scheduled);
    }

    /// The task is complete and its future is gone: forget it. Called once, by the thread that
    /// completed it; for all the task knows, the scheduler is gone afterwards. `slot` is what `spawn`
    /// stored in the header. Returns the reference that the list of live tasks held, if there is such a
    /// list.
    fn release(&self, slot: Slot) -> Option<Task> {
        let _ = slot;
        None
    }

    /// Did most likely another thread than this one ask for the task's memory? Asked of the thread
    /// that completes a task whose handle is gone, to free it, after `release`; `slot` as there.
    fn is_from_elsewhere(&self, slot: Slot) -> bool {
        let _ = slot;
        false
    }

    /// What a plain thread may wait on until this task is complete, doing some of the scheduler's
    /// work in between. `None`: it sleeps on a parker.
    fn vigil(&self) -> Option<Box<dyn Vigil>> {
        None
    }

    /// `abort` was called while the body was running. A task stops at its next await without
    /// help; a process job has a worker to kill. `id` is the one `Promise::id` gives.
    fn abort_running(&self, id: TaskId) {
        let _ = id;
    }
}

/// Names a task while a reference to it is held: the address of its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskId(pub(crate) usize);

/// A runnable on its way to its scheduler.
///
/// Not `&self` and a runnable: once the runnable is handed to another thread the task may be run
/// and freed, and the scheduler's pointer inside it with it. Here the pointer is borrowed from the
/// runnable, so the compiler sees to it that whoever needs it longer clones it first.
pub(crate) struct Scheduled<S> {
    runnable: Runnable,
    _scheduler: PhantomData<fn() -> S>,
}

impl<S: Schedule> Scheduled<S> {
    /// # Safety
    /// The runnable's task was allocated with a scheduler of type `S`.
    pub(crate) unsafe fn new(runnable: Runnable) -> Self {
        Self {
            runnable,
            _scheduler: PhantomData,
        }
    }

    /// The scheduler that the task was spawned on.
    pub(crate) fn scheduler(&self) -> &S {
        // SAFETY: by `new` the cell starts with `Prefix<S>`; the runnable's reference keeps it
        // alive for as long as the borrow.
        unsafe {
            &self
                .runnable
                .as_raw()
                .cast::<Prefix<S>>()
                .as_ref()
                .scheduler
        }
    }

    /// The runnable itself.
    pub(crate) fn into_runnable(self) -> Runnable {
        self.runnable
    }
}

/// For tests of queues and lists: a task that is woken is dropped.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct Nowhere;

#[cfg(test)]
impl Schedule for Nowhere {
    const CANCEL_IN_PLACE: bool = true;
    fn schedule(scheduled: Scheduled<Self>) {
        drop(scheduled.into_runnable());
    }
}
