//! The waker of `block_on`'s own future, which is no task: two flags beside the queue.
//!
//! ```text
//!     wake on the owner's thread, inside the executor      Local::root_woken    a plain flag
//!     wake from any other                                  Shared::root_woken   atomic, and unpark
//! ```
//!
//! The waker is a counted pointer to `Shared`, as a task's way home, so that a handle which stores
//! and drops it costs no locked instruction at home. It outlives its `block_on` if somebody keeps
//! it: then it wakes the main future of the next one for no reason, which a future must bear.
//!
//! | operation             | ordering | pairs with                                                |
//! |-----------------------|----------|-----------------------------------------------------------|
//! | wake: swap to true    | Release  | `take_woken`: what was done before the wake is seen after |
//! | `take_woken`: to false| Acquire  | the wake                                                  |
//!
//! Next: `../single.rs`.

use super::shared::{Home, Owner, Shared};
use crate::sync::atomic::Ordering;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The waker for as long as a `block_on`, which holds the executor: it needs no count.
pub(super) struct RootWaker<'a> {
    waker: ManuallyDrop<Waker>,
    /// Does not leave the owner's thread, so neither does this.
    owner: &'a Owner,
}

impl<'a> RootWaker<'a> {
    pub(super) fn new(owner: &'a Owner) -> Self {
        // SAFETY: WAKER's functions take an owner's pointers. This waker is not dropped, and the
        // borrow outlives it.
        let waker = unsafe { Waker::from_raw(raw(owner.as_raw())) };
        Self {
            waker: ManuallyDrop::new(waker),
            owner,
        }
    }

    #[inline]
    pub(super) fn is_woken(&self) -> bool {
        // SAFETY: the owner's thread; a look runs no user code.
        let here = unsafe { self.owner.with_local(|local| local.root_woken) };
        // Relaxed: a look; `take_woken` orders.
        here || self.owner.root_woken.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn take_woken(&self) -> bool {
        // SAFETY: as above.
        let here = unsafe {
            self.owner
                .with_local(|local| std::mem::take(&mut local.root_woken))
        };
        // Relaxed: a look that saves the locked instruction.
        let away = self.owner.root_woken.load(Ordering::Relaxed)
            // Acquire: see the table.
            && self.owner.root_woken.swap(false, Ordering::Acquire);
        here || away
    }
}

impl Deref for RootWaker<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

fn raw(shared: NonNull<Shared>) -> RawWaker {
    RawWaker::new(shared.as_ptr().cast_const().cast(), &WAKER)
}

/// # Safety
/// `data` came from `raw`.
unsafe fn pointer(data: *const ()) -> NonNull<Shared> {
    // SAFETY: `raw` was given a NonNull.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: std calls this with the data of a live waker, which has a reference (or a borrow).
    raw(unsafe { Home::new(pointer(data)) }.into_raw())
}

/// (6) The waker is called and consumed.
unsafe fn wake(data: *const ()) {
    // SAFETY: std calls this with a live waker's data and gives its reference up to us.
    let home = unsafe { Home::from_raw(pointer(data)) };
    home.wake_root();
}

/// (6) The waker is called and stays.
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`; `Shared` is only ever shared.
    unsafe { pointer(data).as_ref() }.wake_root();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `wake`.
    drop(unsafe { Home::from_raw(pointer(data)) });
}

impl Shared {
    /// The main future is woken.
    #[inline]
    pub(super) fn wake_root(&self) {
        if self.is_current() {
            // SAFETY: CURRENT names us on the owner's thread only; a flag runs no user code.
            unsafe { self.with_local(|local| local.root_woken = true) };
            return;
        }
        // A swap, not a store: a flag that is already set must carry this wake's work too.
        // Before the unpark, as in I3.
        self.root_woken.swap(true, Ordering::Release);
        self.unparker.wake_by_ref();
    }
}
