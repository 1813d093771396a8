//! The waker of a task: a counted pointer to its header, behind std's `RawWaker` vtable.
//!
//! One static vtable serves every task (the type-specific part is reached through the header), so
//! `Waker::will_wake` is exact: same task, same waker. During a poll the task lends its own
//! reference (`WakerRef`) and no count changes unless the future clones it.
//!
//! Cost      clone and drop: one atomic addition each. wake: one compare-exchange, and the run
//!           queue when the task slept.
//! Source    `std::task::RawWaker`. Next: `runnable.rs`.

use super::cell::{Header, drop_references};
use super::word::Wake;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake_by_value, wake_by_ref, drop_waker);

/// A waker that borrows the runner's reference for the length of a poll.
pub(crate) struct WakerRef<'poll> {
    waker: ManuallyDrop<Waker>,
    _borrow: PhantomData<&'poll Header>,
}

impl WakerRef<'_> {
    /// # Safety
    /// The caller holds a reference for as long as the result lives.
    #[inline]
    pub(crate) unsafe fn new(pointer: NonNull<Header>) -> Self {
        // SAFETY: the vtable's functions take pointers made by `Cell::allocate`. The reference
        // that this waker stands for is not dropped by it (ManuallyDrop).
        let waker = unsafe { Waker::from_raw(raw(pointer)) };
        Self {
            waker: ManuallyDrop::new(waker),
            _borrow: PhantomData,
        }
    }
}

impl Deref for WakerRef<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

fn raw(pointer: NonNull<Header>) -> RawWaker {
    RawWaker::new(pointer.as_ptr().cast_const().cast(), &WAKER)
}

/// # Safety
/// `data` came from `raw`, and the waker it belongs to still owns its reference.
unsafe fn pointer(data: *const ()) -> NonNull<Header> {
    // SAFETY: `raw` was given a NonNull.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: std calls this with a live waker's data.
    let pointer = unsafe { pointer(data) };
    // SAFETY: alive by that waker's reference.
    unsafe { pointer.as_ref() }.state.add_reference();
    raw(pointer)
}

/// (6) The waker is called and consumed.
unsafe fn wake_by_value(data: *const ()) {
    // SAFETY: std calls this with a live waker's data and gives its reference up to us.
    unsafe {
        let pointer = pointer(data);
        let header = pointer.as_ref();
        match header.state.wake_by_value() {
            Wake::Nothing => {}
            // (7) Our reference became the runnable's.
            Wake::Schedule => (header.vtable.schedule)(pointer),
            Wake::Free => (header.vtable.free)(pointer),
        }
    }
}

/// (6) The waker is called and stays.
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: std calls this with a live waker's data, whose reference stays.
    unsafe {
        let pointer = pointer(data);
        let header = pointer.as_ref();
        if header.state.wake_by_ref() == Wake::Schedule {
            // (7) `wake_by_ref` counted a reference for the runnable.
            (header.vtable.schedule)(pointer);
        }
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: std calls this once, with the data of a waker whose reference goes.
    unsafe { drop_references(pointer(data), 1) }
}
