//! What happens to a task: poll, complete, cancel, free. The only file that touches the stage.
//!
//! ```text
//!   Runnable::run ──> to_polling ──Poll──> poll ──Ready──> complete ──> references go
//!                        |   |              |  \──panic──>    ^
//!                        |   Cancel ──────> cancel ───────────┘
//!                        Husk               ^
//!                        |                  |Cancel
//!                   reference goes       Pending ──> to_idle ──Reschedule──> Schedule::schedule
//! ```
//!
//! Each function says which reference it consumes. User code (poll, drop of the future or of the
//! output, the join waker) runs outside every lock and every panic of it is caught here:
//! a panic reaches the join handle and nothing else.
//!
//! Source    tokio's `runtime/task/harness.rs` for the division of labour. Next: `join.rs`.

use super::cell::{Cell, Failure, Header, Stage, Task, VTable, drop_references};
use super::memory::free_later;
use super::runnable::Runnable;
use super::schedule::{Schedule, Scheduled, TaskId};
use super::waker::WakerRef;
use super::word::{Abort, Shutdown, ToComplete, ToIdle, ToRunning};
use crate::budget;
use crate::error::{JoinError, PanicReport, contain};
use crate::park::Vigil;
use std::alloc::{Layout, dealloc};
use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

/// The functions of one task type.
pub(super) fn vtable<F, T, S>() -> &'static VTable
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    const {
        &VTable {
            run: run::<F, T, S>,
            cancel: cancel_runnable::<F, T, S>,
            fail: fail::<F, T, S>,
            schedule: schedule::<S>,
            abort: abort::<F, T, S>,
            vigil: vigil::<F, T, S>,
            shutdown: shutdown::<F, T, S>,
            free: free::<F, T, S>,
            read_output: read_output::<F, T, S>,
            drop_output: drop_output::<F, T, S>,
            is_error: is_error::<F, T, S>,
        }
    }
}

/// # Safety
/// `pointer` was allocated as `Cell<F, T, S>` and the caller holds a reference while `'a` lasts.
#[inline]
unsafe fn cell<'a, F, T, S>(pointer: NonNull<Header>) -> &'a Cell<F, T, S> {
    // SAFETY: by the caller. A cell is only ever shared; what changes is in `UnsafeCell`s.
    unsafe { pointer.cast().as_ref() }
}

/// # Safety
/// The caller gives up the runnable.
unsafe fn run<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: the vtable belongs to this type; the runnable's reference keeps the cell alive.
    let cell = unsafe { cell::<F, T, S>(pointer) };
    let state = &cell.prefix.header.state;
    let running = if S::CANCEL_IN_PLACE {
        state.transition_to_running()
    } else {
        state.transition_to_polling()
    };
    match running {
        ToRunning::Poll => {}
        // SAFETY: the stage is ours, and the runnable's reference goes into `cancel`.
        ToRunning::Cancel => return unsafe { cancel::<F, T, S>(pointer) },
        // SAFETY: the runnable's reference.
        ToRunning::Husk => return unsafe { drop_references(pointer, 1) },
    }
    // SAFETY: our reference outlives the poll.
    let waker = unsafe { WakerRef::new(pointer) };
    budget::refill();
    let polled = catch_unwind(AssertUnwindSafe(|| {
        cell.stage.with_mut(|stage| {
            // SAFETY: I2: we poll and the task is not complete, so the stage is the future and
            // ours. It never moves: the cell is on the heap until it is freed.
            let future = unsafe { Pin::new_unchecked(&mut *(*stage).future) };
            future.poll(&mut Context::from_waker(&waker))
        })
    }));
    match polled {
        Ok(Poll::Pending) => match state.transition_to_idle() {
            ToIdle::Idle => {}
            // SAFETY: `transition_to_idle` dropped our reference, and it was the last.
            ToIdle::Free => unsafe { free::<F, T, S>(pointer) },
            ToIdle::Reschedule => {
                // SAFETY: SCHEDULED is set and our reference goes into the new runnable; this
                // vtable belongs to scheduler `S`.
                S::reschedule(unsafe { Scheduled::new(Runnable::from_raw(pointer)) });
            }
            // SAFETY: the stage is still ours, and the reference.
            ToIdle::Cancel => unsafe { cancel::<F, T, S>(pointer) },
        },
        // SAFETY: the stage is ours; the future is still in it, and goes now.
        Ok(Poll::Ready(output)) => unsafe { retire::<F, T, S>(pointer, output) },
        // SAFETY: the same.
        Err(panic) => unsafe { retire::<F, T, S>(pointer, Err(panicked(panic))) },
    }
}

fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
    JoinError::Panicked(PanicReport::from_payload(payload))
}

/// Drops the future without an output: the task was cancelled.
///
/// # Safety
/// The stage is the caller's (I2), who gives up one reference.
unsafe fn cancel<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: passed on.
    unsafe { retire::<F, T, S>(pointer, Err(JoinError::Cancelled)) }
}

/// Drops the future, then completes with `output`. A panic of that drop becomes the output.
///
/// # Safety
/// The stage is the caller's (I2) and holds the future, and the caller gives up one reference.
unsafe fn retire<F, T, S>(pointer: NonNull<Header>, output: Result<T, JoinError>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: alive by the caller's reference.
    let cell = unsafe { cell::<F, T, S>(pointer) };
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: I2, and the future is dropped only here: after this the stage is overwritten.
        cell.stage
            .with_mut(|stage| unsafe { ManuallyDrop::drop(&mut (*stage).future) })
    }));
    let output = match dropped {
        Ok(()) => output,
        Err(panic) => {
            contain(|| drop(output));
            Err(panicked(panic))
        }
    };
    // SAFETY: the stage is ours and empty.
    unsafe { complete::<F, T, S>(pointer, output) }
}

/// (8) Stores the output, tells the join handle, leaves the list of live tasks.
///
/// # Safety
/// The stage is the caller's (I2) and empty, and the caller gives up one reference.
pub(super) unsafe fn complete<F, T, S>(pointer: NonNull<Header>, output: Result<T, JoinError>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: alive by the caller's reference.
    let cell = unsafe { cell::<F, T, S>(pointer) };
    cell.stage.with_mut(|stage| {
        // SAFETY: I2: not COMPLETE yet. The stage holds nothing that the write would leak.
        unsafe {
            stage.write(Stage {
                output: ManuallyDrop::new(output.map_err(Failure::new)),
            })
        }
    });
    // Off the list first, so that the list's reference can go in the same step as ours.
    // SAFETY: written before the task was first scheduled, which happened before this.
    let slot = cell.prefix.header.slot.with(|slot| unsafe { *slot });
    let listed = cell.prefix.scheduler.release(slot).map(Task::into_raw);
    let references = 1 + usize::from(listed.is_some());
    match cell.prefix.header.state.transition_to_complete(references) {
        ToComplete::Done => return,
        ToComplete::Wake => {
            // SAFETY: I4: COMPLETE and JOIN_WAKER are set, so the waker is ours, once; the handle
            // may compare its bytes right now, but writes and drops them no more, nor does `free`.
            let waker = cell
                .prefix
                .header
                .join_waker
                .with(|waker| unsafe { std::ptr::read(waker) });
            contain(|| waker.expect("JOIN_WAKER without a waker").wake());
        }
        ToComplete::Orphan => {
            // SAFETY: I2: no handle, so the output is the completer's to drop, once.
            contain(|| unsafe { drop_output::<F, T, S>(pointer) });
            let later = cell.prefix.scheduler.is_from_elsewhere(slot);
            if cell.prefix.header.state.drop_last_references(references) {
                // SAFETY: nobody else has a reference.
                unsafe { bury::<F, T, S>(pointer, later) }
            }
            return;
        }
    }
    // SAFETY: the caller's reference, and the list's when it gave one back.
    unsafe { drop_references(pointer, references) }
}

/// A runnable cannot be run, for a reason of its scheduler's.
///
/// # Safety
/// The caller gives up the runnable.
unsafe fn fail<F, T, S>(pointer: NonNull<Header>, error: JoinError)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: the runnable's reference.
    match unsafe { pointer.as_ref() }.state.transition_to_running() {
        // SAFETY: we own RUNNING and the reference.
        ToRunning::Poll => unsafe { retire::<F, T, S>(pointer, Err(error)) },
        // SAFETY: as above.
        ToRunning::Cancel => unsafe { cancel::<F, T, S>(pointer) },
        // SAFETY: the runnable's reference.
        ToRunning::Husk => unsafe { drop_references(pointer, 1) },
    }
}

/// A runnable is dropped without being run.
///
/// # Safety
/// The caller gives up the runnable.
unsafe fn cancel_runnable<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: the runnable's reference.
    match unsafe { pointer.as_ref() }.state.transition_to_running() {
        // SAFETY: we own RUNNING and the reference.
        ToRunning::Poll | ToRunning::Cancel => unsafe { cancel::<F, T, S>(pointer) },
        // SAFETY: the runnable's reference.
        ToRunning::Husk => unsafe { drop_references(pointer, 1) },
    }
}

/// # Safety
/// The caller set SCHEDULED and gives up one reference, which becomes the runnable's.
unsafe fn schedule<S: Schedule>(pointer: NonNull<Header>) {
    // SAFETY: SCHEDULED and one reference by the caller; this vtable belongs to scheduler `S`.
    S::schedule(unsafe { Scheduled::new(Runnable::from_raw(pointer)) });
}

/// `abort()` on the join handle or its clone-free cousin.
///
/// # Safety
/// The caller holds a reference, and keeps it.
unsafe fn abort<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: alive by the caller's reference.
    let cell = unsafe { cell::<F, T, S>(pointer) };
    match cell.prefix.header.state.abort(S::CANCEL_IN_PLACE) {
        Abort::Nothing => {}
        // SAFETY: the transition set SCHEDULED and counted a reference for the runnable.
        Abort::Schedule => unsafe { schedule::<S>(pointer) },
        Abort::Running => cell
            .prefix
            .scheduler
            .abort_running(TaskId(pointer.as_ptr() as usize)),
        Abort::InPlace => {
            cell.prefix.header.state.add_reference();
            // SAFETY: the transition gave us RUNNING; `cancel` consumes the reference just made.
            unsafe { cancel::<F, T, S>(pointer) }
        }
    }
}

/// What a plain thread may wait on.
///
/// # Safety
/// The caller holds a reference, and keeps it.
unsafe fn vigil<F, T, S: Schedule>(pointer: NonNull<Header>) -> Option<Box<dyn Vigil>> {
    // SAFETY: alive by the caller's reference.
    unsafe { cell::<F, T, S>(pointer) }.prefix.scheduler.vigil()
}

/// The scheduler shuts down.
///
/// # Safety
/// The caller may drop the future on this thread and gives up one reference.
unsafe fn shutdown<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: alive by the caller's reference.
    let cell = unsafe { cell::<F, T, S>(pointer) };
    match cell.prefix.header.state.transition_to_shutdown(S::AT_HOME) {
        // SAFETY: the caller's reference.
        Shutdown::Nothing => unsafe { drop_references(pointer, 1) },
        // SAFETY: RUNNING is ours; `cancel` consumes the caller's reference.
        Shutdown::Cancel => unsafe { cancel::<F, T, S>(pointer) },
    }
}

/// Frees the cell.
///
/// # Safety
/// The last reference is gone; nobody else can reach the cell (I5).
unsafe fn free<F, T, S>(pointer: NonNull<Header>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    // SAFETY: passed on.
    unsafe { bury::<F, T, S>(pointer, false) }
}

/// Frees the cell; its memory perhaps later, with others'.
///
/// # Safety
/// As `free`.
unsafe fn bury<F, T, S>(pointer: NonNull<Header>, later: bool)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    let memory = pointer.cast::<Cell<F, T, S>>();
    // SAFETY: allocated as this type by `Cell::allocate`, and nobody else can reach it.
    let cell = unsafe { memory.as_ref() };
    #[cfg(loom)] // a free touches everything: loom checks that every other access came before
    {
        cell.stage.with_mut(|_| ());
        cell.prefix.header.join_waker.with_mut(|_| ());
    }
    let state = cell.prefix.header.state.load();
    if state.is_complete() && state.has_join_waker() {
        // SAFETY: nobody else is left. I4: the completer took the waker out.
        cell.prefix
            .header
            .join_waker
            .with_mut(|waker| std::mem::forget(unsafe { std::mem::take(&mut *waker) }));
    }
    if !state.is_complete() {
        // SAFETY: never completed, so the stage is still the future; nobody else is left.
        let drop_future =
            |stage: *mut Stage<F, T>| unsafe { ManuallyDrop::drop(&mut (*stage).future) };
        contain(|| cell.stage.with_mut(drop_future));
    }
    // With the cell go the scheduler's pointer and the join waker: user code too, and whoever drops
    // the last reference, a loop that runs other tasks perhaps, has no part in its panic.
    // SAFETY: as above, and `cell` is used no more.
    contain(|| unsafe { ptr::drop_in_place(memory.as_ptr()) });
    let layout = Layout::new::<Cell<F, T, S>>();
    // SAFETY: as above: it was a `Box` of this type.
    unsafe {
        if later {
            free_later(memory.cast(), layout);
        } else {
            dealloc(memory.as_ptr().cast(), layout);
        }
    }
}

/// # Safety
/// The task is complete, the caller is its join handle, the output is there and goes to
/// `target`, a valid `*mut Result<T, JoinError>`.
unsafe fn read_output<F, T, S>(pointer: NonNull<Header>, target: *mut ()) {
    // SAFETY: by the caller: I2 gives the stage to the handle; `target` is valid for one write.
    unsafe {
        cell::<F, T, S>(pointer).stage.with(|stage| {
            let output = ManuallyDrop::into_inner(std::ptr::read(&raw const (*stage).output));
            target
                .cast::<Result<T, JoinError>>()
                .write(output.map_err(Failure::into_error));
        });
    }
}

/// # Safety
/// The task is complete, the output is there and the caller's (the handle's, or the completer's
/// when there is none).
unsafe fn drop_output<F, T, S>(pointer: NonNull<Header>) {
    // SAFETY: by the caller.
    unsafe {
        cell::<F, T, S>(pointer)
            .stage
            .with_mut(|stage| ManuallyDrop::drop(&mut (*stage).output));
    }
}

/// # Safety
/// The task is complete, the caller is its join handle and has not read the output.
unsafe fn is_error<F, T, S>(pointer: NonNull<Header>) -> bool {
    // SAFETY: by the caller.
    unsafe {
        cell::<F, T, S>(pointer)
            .stage
            .with(|stage| (*stage).output.is_err())
    }
}
