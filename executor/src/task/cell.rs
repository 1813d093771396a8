//! The memory of a task: one allocation, and who may touch which part of it when.
//!
//! ```text
//!   +----------+-----------------------------------------------------------+
//!   | header   | state word, vtable, slot in the scheduler's list of live  |
//!   |          | tasks. Reached without knowing any type.                  |
//!   |          +-----------------------------------------------------------+
//!   |          | join waker. Written by the handle while JOIN_WAKER is     |
//!   |          | clear, read by the completer when set (I4)                |
//!   +----------+-----------------------------------------------------------+
//!   | scheduler| read by anyone with a reference                           |
//!   +----------+-----------------------------------------------------------+
//!   | stage    | the future; after COMPLETE the output. One at a time, in  |
//!   |          | the same bytes. Touched by who polls, after that by the   |
//!   |          | join handle (I2 in word.rs)                               |
//!   +----------+-----------------------------------------------------------+
//! ```
//!
//! The stage needs no tag of its own: not COMPLETE means future, COMPLETE means output until the
//! handle reads or drops it (or the completer, when there is no handle). So when the last
//! reference goes, either the future is still there (nobody ever completed it) or nothing is.
//!
//! Cost      16 bytes of header and list slot, 8 of state, one pointer of scheduler, 16 of join
//!           waker, and the larger of future and output, whose error is one pointer (`Failure`).
//! Next: `waker.rs`.

use super::depot::Depot;
use super::harness;
use super::memory::allocate;
use super::schedule::Schedule;
use super::state::State;
use super::word::Snapshot;
use crate::error::JoinError;
use crate::park::Vigil;
use crate::sync::UnsafeCell;
use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::Waker;

/// The part of a task that has the same shape for every task.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static VTable,
    /// Where the scheduler keeps the task in its lists of live tasks. Written once, by whoever
    /// lists the task, before the task is first scheduled; read at its completion.
    pub(crate) slot: UnsafeCell<Slot>,
    /// The join handle's waker, shared with the completer as I4 says.
    pub(crate) join_waker: UnsafeCell<Option<Waker>>,
}

/// A place in a scheduler's lists of live tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Which list.
    pub(crate) list: u32,
    /// Which place in it.
    pub(crate) index: u32,
}

impl Slot {
    /// The slot of a task that is not listed.
    pub(crate) const NONE: Self = Self {
        list: u32::MAX,
        index: u32::MAX,
    };
}

/// What can be done to a task without knowing its types. Each function takes the pointer that
/// `Cell::allocate` made; which reference it consumes is said in `harness.rs`.
pub(crate) struct VTable {
    pub(crate) run: unsafe fn(NonNull<Header>),
    pub(crate) cancel: unsafe fn(NonNull<Header>),
    pub(crate) fail: unsafe fn(NonNull<Header>, JoinError),
    pub(crate) schedule: unsafe fn(NonNull<Header>),
    pub(crate) abort: unsafe fn(NonNull<Header>),
    pub(crate) vigil: unsafe fn(NonNull<Header>) -> Option<Box<dyn Vigil>>,
    pub(crate) shutdown: unsafe fn(NonNull<Header>),
    pub(crate) free: unsafe fn(NonNull<Header>),
    /// Moves the output to the given place, a `*mut Result<T, JoinError>`.
    pub(crate) read_output: unsafe fn(NonNull<Header>, *mut ()),
    pub(crate) drop_output: unsafe fn(NonNull<Header>),
    pub(crate) is_error: unsafe fn(NonNull<Header>) -> bool,
}

/// A whole task. `F`'s output is a `Result` so that a body may fail by itself with any
/// `JoinError`; a plain future is wrapped to never do so (see `body::Plain`).
#[repr(C)]
pub(crate) struct Cell<F, T, S> {
    pub(crate) prefix: Prefix<S>,
    pub(crate) stage: UnsafeCell<Stage<F, T>>,
}

/// The part that can be reached by knowing the scheduler's type alone.
#[repr(C)]
pub(crate) struct Prefix<S> {
    pub(crate) header: Header,
    pub(crate) scheduler: S,
}

/// The future, then the output, in the same bytes.
pub(crate) union Stage<F, T> {
    pub(crate) future: ManuallyDrop<F>,
    pub(crate) output: ManuallyDrop<Result<T, Failure>>,
}

/// Why there is no output, in one word: a `JoinError` has four, more than most futures and outputs,
/// and every cell would be as large as if its task failed. Cancelled is `None`, and no allocation.
pub(crate) struct Failure(Option<Box<JoinError>>);

impl Failure {
    #[inline]
    pub(crate) fn new(error: JoinError) -> Self {
        match error {
            JoinError::Cancelled => Self(None),
            other => Self(Some(Box::new(other))),
        }
    }

    #[inline]
    pub(crate) fn into_error(self) -> JoinError {
        self.0.map_or(JoinError::Cancelled, |error| *error)
    }
}

impl<F, T, S> Cell<F, T, S>
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    /// (1) The one allocation, perhaps from a depot. The caller owns as many references as it asked
    /// for.
    #[inline]
    pub(crate) fn allocate(
        future: F,
        scheduler: S,
        references: usize,
        depot: Option<&Depot>,
    ) -> NonNull<Header> {
        let cell = Self {
            prefix: Prefix {
                header: Header {
                    state: State::new(Snapshot::new(references)),
                    vtable: harness::vtable::<F, T, S>(),
                    slot: UnsafeCell::new(Slot::NONE),
                    join_waker: UnsafeCell::new(None),
                },
                scheduler,
            },
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        };
        let memory = allocate(Layout::new::<Self>(), depot).cast::<Self>();
        // SAFETY: `allocate` gave us memory of this layout, and only us.
        unsafe { memory.write(cell) };
        memory.cast()
    }
}

/// One counted reference to a task: what a list of live tasks holds.
#[derive(Debug)]
pub(crate) struct Task {
    pointer: NonNull<Header>,
}

// SAFETY: a reference reaches only the header and, through the vtable, what state.rs lets the
// caller touch: `shutdown` drops the future and says on which thread it may be called.
unsafe impl Send for Task {}
// SAFETY: as above; `&Task` offers atomics and the address only.
unsafe impl Sync for Task {}

impl Task {
    /// # Safety
    /// The caller gives up one reference that it owned.
    pub(crate) unsafe fn from_raw(pointer: NonNull<Header>) -> Self {
        Self { pointer }
    }

    /// The pointer; the reference goes with it.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).pointer
    }

    /// The pointer; the reference stays here.
    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.pointer
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: our reference keeps the cell alive, and a header is only ever shared.
        unsafe { self.pointer.as_ref() }
    }

    /// Drops the future and completes the task as cancelled, unless it is complete or being
    /// polled right now (then its runner does so after the poll).
    ///
    /// # Safety
    /// The caller is on a thread where the future may be dropped.
    pub(crate) unsafe fn shutdown(self) {
        let pointer = self.into_raw();
        // SAFETY: `pointer` is alive by our reference, which `shutdown` consumes.
        unsafe { (pointer.as_ref().vtable.shutdown)(pointer) }
    }
}

impl Task {
    /// As drop, for who is most likely the last.
    #[inline]
    pub(crate) fn drop_last(self) {
        let pointer = self.into_raw();
        // SAFETY: we own one reference and give it up here; as in `drop_references`.
        unsafe {
            if pointer.as_ref().state.drop_last_references(1) {
                (pointer.as_ref().vtable.free)(pointer);
            }
        }
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        self.header().state.add_reference();
        Self {
            pointer: self.pointer,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: we own one reference and give it up here.
        unsafe { drop_references(self.pointer, 1) }
    }
}

/// Gives up `count` references, and frees the cell when they were the last.
///
/// # Safety
/// The caller owns `count` references and does not use the pointer afterwards.
#[inline]
pub(crate) unsafe fn drop_references(pointer: NonNull<Header>, count: usize) {
    // SAFETY: alive until our references are gone; free takes over when they were the last (I5).
    unsafe {
        if pointer.as_ref().state.drop_references(count) {
            (pointer.as_ref().vtable.free)(pointer);
        }
    }
}
