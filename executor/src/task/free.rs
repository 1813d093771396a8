//! The memory of tasks that are over, on its way back to the allocator.
//!
//! ```text
//!   free_later ──> dead cell ──> dead cell ──> ... ──┐ BATCH of them, or the thread goes to sleep,
//!                                                    v or it ends
//!                                       free_now: back to the allocator, one after the other
//! ```
//!
//! An allocator lets a thread use again what it freed itself without asking anybody. But memory that
//! another thread asked for has to go home, to a list which that thread empties: each free is then
//! a locked instruction on a cache line which the freeing threads and the allocating one fight for.
//! That is the rule for tasks that are spawned from outside of a runtime, and for jobs of a thread
//! pool, when their handle was dropped. Given back in batches, the line stays for a batch.
//!
//! Owns      per thread a list of dead cells, which runs through the cells themselves.
//! Holds     per thread BATCH cells of LARGEST bytes at most, 32 KiB; none while it sleeps for want of
//!           work. (A job or task that blocks its thread keeps them there for as long. Threads that are
//!           not workers keep none: nothing would tell them to free it. See `is_from_elsewhere`.)
//! Cost      later: four plain writes. Measured on 2 CPUs: two threads that free boxes of a third
//!           take 93 ns for each box, in batches of 16 56, of 64 30 to 37.
//! Rejected  giving the cells back to the spawning thread, for its next tasks: an allocator of our
//!           own, with a place to meet for each pair of threads. Next: `harness.rs`.

use std::alloc::{Layout, dealloc};
use std::cell::Cell;
use std::mem::{align_of, size_of};
use std::ptr::{self, NonNull};

/// How many dead cells wait at most.
const BATCH: usize = 64;

/// Larger cells do not wait, in bytes: BATCH of them would be too much to keep.
const LARGEST: usize = 512;

/// What a dead cell holds.
struct Dead {
    next: *mut Dead,
    layout: Layout,
}

/// This thread's dead cells.
struct List {
    first: Cell<*mut Dead>,
    len: Cell<usize>,
}

thread_local! {
    static DEAD: List = const {
        List {
            first: Cell::new(ptr::null_mut()),
            len: Cell::new(0),
        }
    };
}

/// Frees memory that another thread asked for, soon.
///
/// # Safety
/// The global allocator gave it for this layout, and nobody uses it any more.
#[inline]
pub(super) unsafe fn free_later(memory: NonNull<u8>, layout: Layout) {
    let keeps = layout.size() >= size_of::<Dead>()
        && layout.align() >= align_of::<Dead>()
        && layout.size() <= LARGEST;
    // SAFETY: by the caller; called only when a `Dead` fits.
    let push = |list: &List| unsafe { list.push(memory, layout) };
    // An error: the thread is at its end, and its list is gone already.
    if !keeps || DEAD.try_with(push).is_err() {
        // SAFETY: by the caller.
        unsafe { dealloc(memory.as_ptr(), layout) }
    }
}

/// Frees what waits: before this thread goes to sleep.
pub(crate) fn free_now() {
    // An error: the thread is at its end, and its list is gone already.
    let _ = DEAD.try_with(List::free);
}

impl List {
    /// # Safety
    /// As `free_later`, and a `Dead` fits.
    #[inline]
    unsafe fn push(&self, memory: NonNull<u8>, layout: Layout) {
        let dead = memory.cast::<Dead>();
        let next = self.first.replace(dead.as_ptr());
        // SAFETY: by the caller: ours, and large enough.
        unsafe { dead.write(Dead { next, layout }) };
        self.len.set(self.len.get() + 1);
        if self.len.get() == BATCH {
            self.free();
        }
    }

    #[cold]
    fn free(&self) {
        self.len.set(0);
        let mut next = self.first.replace(ptr::null_mut());
        while let Some(dead) = NonNull::new(next) {
            // SAFETY: `push` wrote it, and it is on no list any more.
            let Dead {
                next: after,
                layout,
            } = unsafe { dead.read() };
            // SAFETY: by the caller of `free_later`.
            unsafe { dealloc(dead.as_ptr().cast(), layout) };
            next = after;
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::alloc::alloc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn len() -> usize {
        DEAD.with(|list| list.len.get())
    }

    /// LeakSanitizer sees what is not freed, AddressSanitizer what is freed twice.
    #[test]
    fn what_is_freed_later_waits_for_a_batch_and_not_for_a_sleeper() {
        free_now();
        let free = |size| {
            let layout = Layout::from_size_align(size, align_of::<Dead>()).unwrap();
            // SAFETY: the layout is not empty; the memory is freed once, with the same layout.
            unsafe { free_later(NonNull::new(alloc(layout)).unwrap(), layout) };
        };
        for waiting in 1..BATCH {
            free(size_of::<Dead>() + waiting);
            assert_eq!(len(), waiting);
        }
        free(LARGEST);
        assert_eq!(len(), 0, "a batch");
        free(LARGEST + 1);
        free(size_of::<Dead>() - 1);
        assert_eq!(len(), 0, "too large, too small");
        free(LARGEST);
        free_now();
        assert_eq!(len(), 0, "before a sleep");
        free(LARGEST); // for the end of the thread
    }

    static WITHOUT_LIST: AtomicUsize = AtomicUsize::new(0);

    /// A destructor of a thread-local that frees a task.
    struct Late;

    impl Drop for Late {
        fn drop(&mut self) {
            let gone = DEAD.try_with(|_| ()).is_err();
            WITHOUT_LIST.fetch_add(usize::from(gone), Ordering::Relaxed);
            let layout = Layout::new::<[Dead; 2]>();
            // SAFETY: as above.
            unsafe { free_later(NonNull::new(alloc(layout)).unwrap(), layout) };
        }
    }

    /// The sanitizers, as above, see what becomes of it.
    #[test]
    fn a_thread_frees_at_its_end_before_its_list_is_gone_and_after() {
        thread_local! {
            static EARLIER: Late = const { Late };
            static LATER: Late = const { Late };
        }
        let thread = std::thread::spawn(|| {
            EARLIER.with(|_| ());
            DEAD.with(|_| ());
            LATER.with(|_| ());
        });
        thread.join().unwrap();
        // They go in order, or against it: the list is between.
        assert_eq!(WITHOUT_LIST.load(Ordering::Relaxed), 1);
    }
}
