//! A count of references that its owner's thread changes without locked instructions.
//!
//! Every task holds its executor, and every waker of the main future does: two locked instructions
//! each, if one atomic counted them, and nearly all on one thread. So there are two halves:
//!
//! ```text
//!     here    a plain number: the owner's thread while it is inside the executor
//!     away    an atomic: every other thread; and EXECUTOR, while the executor exists
//! ```
//!
//! A reference may be counted in one half when it is made and in the other when it goes, so that a
//! half may fall below zero: only the sum means anything, and while the executor exists nobody
//! asks for it. As the executor goes it moves `here` over to `away` and takes EXECUTOR off, in one
//! addition (`settle`). From then on there is one count, and whoever takes it to zero frees.
//!
//! Holds     C1 only the owner's thread touches `here`, and not after `settle`;
//!           C2 the sum, EXECUTOR apart, is the number of references;
//!           C3 without EXECUTOR `away` is the sum, so zero is seen once, by who goes last.
//! Orderings an increment is Relaxed: made from a reference that exists. A decrement and `settle`
//!           are AcqRel: all uses happen before the free. What `here` counted comes before `settle`
//!           on its own thread.
//! Cost      here: an addition; away: a locked one.
//! Source    biased reference counting (Choi, Shull, Torrellas: PACT 2018), with one owner for
//!           all and one moment to settle. Next: `shared.rs`.

use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicU64, Ordering};

/// More than all references together can be. (Counting so far takes decades.)
const EXECUTOR: u64 = 1 << 62;

/// See the file head.
pub(super) struct Count {
    here: UnsafeCell<u64>,
    away: AtomicU64,
}

impl Count {
    /// No references but the executor's own.
    pub(super) fn new() -> Self {
        Self {
            here: UnsafeCell::new(0),
            away: AtomicU64::new(EXECUTOR),
        }
    }

    /// One more, made from one that exists.
    ///
    /// # Safety
    /// `here`: this is the owner's thread, and `settle` was not called.
    #[inline]
    pub(super) unsafe fn up(&self, here: bool) {
        if here {
            // SAFETY: C1, by the caller. Wrapping: a half may be negative.
            self.here
                .with_mut(|count| unsafe { *count = (*count).wrapping_add(1) });
        } else {
            self.away.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One less. True: it was the last, and the executor is gone.
    ///
    /// # Safety
    /// As for `up`; and the caller gives up one reference.
    #[inline]
    #[must_use]
    pub(super) unsafe fn down(&self, here: bool) -> bool {
        if here {
            // SAFETY: C1, by the caller. Never the last: the executor's own is still there.
            self.here
                .with_mut(|count| unsafe { *count = (*count).wrapping_sub(1) });
            false
        } else {
            // AcqRel: see the file head.
            self.away.fetch_sub(1, Ordering::AcqRel) == 1
        }
    }

    /// The executor's own goes. True: no other is left.
    ///
    /// # Safety
    /// This is the owner's thread, which calls this once and then counts as any other.
    #[must_use]
    pub(super) unsafe fn settle(&self) -> bool {
        // SAFETY: C1, by the caller.
        let here = self.here.with(|count| unsafe { *count });
        let change = here.wrapping_sub(EXECUTOR);
        // AcqRel: see the file head.
        let before = self.away.fetch_add(change, Ordering::AcqRel);
        before.wrapping_add(change) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every way to make and drop three references on either side of `settle`: the last one frees.
    #[test]
    fn the_last_reference_frees_wherever_each_was_counted() {
        for ways in 0_u32..1 << 9 {
            let way = |bit: u32| ways >> bit & 1 == 1;
            let count = Count::new();
            let mut frees = 0;
            // SAFETY: one thread; `here` is never said after `settle`.
            unsafe {
                for reference in 0..3 {
                    count.up(way(reference));
                }
                let mut late = 0;
                for reference in 0..3 {
                    if way(6 + reference) {
                        late += 1;
                    } else {
                        frees += u32::from(count.down(way(3 + reference)));
                    }
                }
                assert_eq!(frees, 0, "the executor is still there");
                frees += u32::from(count.settle());
                assert_eq!(frees == 1, late == 0);
                for left in (0..late).rev() {
                    let last = count.down(false);
                    assert_eq!(last, left == 0);
                    frees += u32::from(last);
                }
            }
            assert_eq!(frees, 1);
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::atomic::AtomicUsize;
    use std::sync::Arc;

    #[test]
    fn the_end_of_the_owner_meets_that_of_others() {
        loom::model(|| {
            let counted = Arc::new((Count::new(), UnsafeCell::new(0), AtomicUsize::new(0)));
            // What every holder does with its reference before it goes, and the last one after.
            fn leave(counted: &(Count, UnsafeCell<u32>, AtomicUsize), last: bool) {
                if last {
                    counted.1.with_mut(|value| unsafe { *value += 1 });
                    counted.2.fetch_add(1, Ordering::Relaxed);
                }
            }
            let owner = counted.clone();
            // SAFETY: this is the owner's thread, until `settle`.
            unsafe { owner.0.up(true) }
            let other = counted.clone();
            let thread = loom::thread::spawn(move || {
                other.1.with(|_| ());
                // SAFETY: not here. A clone, then both go.
                unsafe {
                    other.0.up(false);
                    leave(&other, other.0.down(false));
                    leave(&other, other.0.down(false));
                }
            });
            owner.1.with(|_| ());
            // SAFETY: as above: one more, which goes; then the executor.
            unsafe {
                owner.0.up(true);
                leave(&owner, owner.0.down(true));
                leave(&owner, owner.0.settle());
            }
            thread.join().unwrap();
            assert_eq!(counted.2.load(Ordering::Relaxed), 1, "frees");
        });
    }
}
