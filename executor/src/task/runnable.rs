//! The runnable: the right to poll a task once. What run queues hold. Next: `harness.rs`.

use super::cell::{Header, drop_references};
use super::schedule::TaskId;
use crate::error::JoinError;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The right to poll a task once; at most one exists per task (I1 in state.rs).
///
/// Dropped without being run it cancels the task: the future is dropped on this thread.
#[derive(Debug)]
pub(crate) struct Runnable {
    pointer: NonNull<Header>,
}

// SAFETY: schedulers move runnables between threads only for futures that are `Send`; those of
// `spawn_local` are sent home unopened (single.rs), and running or dropping them happens there.
unsafe impl Send for Runnable {}

impl Runnable {
    /// # Safety
    /// The caller gives up one reference and the SCHEDULED bit that it set.
    pub(crate) unsafe fn from_raw(pointer: NonNull<Header>) -> Self {
        Self { pointer }
    }

    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).pointer
    }

    /// (2) Polls the task once; completes it, or leaves it to its wakers.
    #[inline]
    pub(crate) fn run(self) {
        let pointer = self.into_raw();
        // SAFETY: the runnable's reference keeps the cell alive and is consumed by `run`.
        unsafe { (pointer.as_ref().vtable.run)(pointer) }
    }

    /// Gives the reference back without touching the future: for a thread that must not drop it,
    /// when the task's owner is known to cancel it. The task is never scheduled again.
    pub(crate) fn discard(self) {
        // SAFETY: we own the runnable's reference.
        unsafe { drop_references(self.into_raw(), 1) }
    }

    /// Drops the body without polling it and completes the task with `error`: for a pool that
    /// cannot take it. A task that was aborted meanwhile stays cancelled.
    pub(crate) fn fail(self, error: JoinError) {
        let pointer = self.into_raw();
        // SAFETY: the runnable's reference keeps the cell alive and is consumed by `fail`.
        unsafe { (pointer.as_ref().vtable.fail)(pointer, error) }
    }

    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.pointer
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId(self.pointer.as_ptr() as usize)
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: our reference keeps the cell alive, and a header is only ever shared.
        unsafe { self.pointer.as_ref() }
    }
}

impl Drop for Runnable {
    fn drop(&mut self) {
        // SAFETY: as in `run`; `cancel` consumes the reference.
        unsafe { (self.header().vtable.cancel)(self.pointer) }
    }
}
