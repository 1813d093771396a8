//! A thread's own magazines: where the memory of a task comes from, and where it goes.
//!
//! ```text
//!   allocate <── this thread's magazine <── the depot, when it is empty <── else: the allocator
//!   free_later ──> this thread's magazine ──> the depot of the executor that this thread works for:
//!                                             when it is full, the thread goes to sleep or ends
//! ```
//!
//! Only what ends on another thread than it began on is left here (`is_from_elsewhere`). The rest is
//! better off with the allocator, which lets a thread use again what it freed itself without asking
//! anybody.
//!
//! Owns      per thread a magazine of dead cells for each size (depot.rs), which it frees at its end.
//! Holds     a thread that spawns, from outside or not, MAGAZINE cells of a size at most; a worker none
//!           while it sleeps for want of work. (A job or task that blocks its thread keeps them there
//!           for as long. Threads that are not workers free at once: nothing would tell them to pass
//!           on what they keep.)
//! Cost      a cell taken: two loads and a store. A cell left: three stores. Where there is none: a
//!           look at the thread's magazine and one at the depot.
//! Next: `cell.rs`.

use super::depot::{CLASSES, Class, Depot, Magazine};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

/// Every run of a model must find the same; and AddressSanitizer must see each free, or it would take
/// a stale pointer to a cell for one to the next task's.
const KEEPS_CELLS: bool = cfg!(not(any(loom, asan)));

/// What this thread has.
struct Own {
    /// By class.
    magazines: [Cell<Option<Magazine>>; CLASSES],
    /// Was there ever something since it passed all on?
    stocked: Cell<bool>,
    /// Where full magazines go. `None`: to the allocator.
    depot: Cell<Option<Arc<Depot>>>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            magazines: [const { Cell::new(None) }; CLASSES],
            stocked: Cell::new(false),
            depot: Cell::new(None),
        }
    };
}

/// Memory for a task, perhaps from this depot.
#[inline]
pub(super) fn allocate(layout: Layout, depot: Option<&Depot>) -> NonNull<u8> {
    debug_assert!(layout.size() > 0);
    if KEEPS_CELLS
        && let Some(depot) = depot
        && let Some(class) = Class::of(layout)
        // An error: the thread is at its end, and its magazines are gone already.
        && let Ok(Some(memory)) = OWN.try_with(|own| own.pop(class, depot))
    {
        return memory;
    }
    // SAFETY: every layout here is a cell's, which is not empty.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Frees memory that another thread asked for, soon, or has it used again.
///
/// # Safety
/// The global allocator gave it for this layout, and nobody uses it any more.
#[inline]
pub(super) unsafe fn free_later(memory: NonNull<u8>, layout: Layout) {
    let class = Class::of(layout).filter(|_| KEEPS_CELLS);
    // SAFETY: by the caller.
    let push = |class| OWN.try_with(|own| unsafe { own.push(class, memory) });
    // An error: as in `allocate`.
    if class.is_none_or(|class| push(class).is_err()) {
        // SAFETY: by the caller.
        unsafe { dealloc(memory.as_ptr(), layout) }
    }
}

/// This thread, a worker, leaves what it frees to the threads that spawn from this depot.
pub(crate) fn leave_cells_to(depot: &Arc<Depot>) {
    if KEEPS_CELLS {
        // An error: as in `allocate`.
        let _ = OWN.try_with(|own| own.depot.set(Some(depot.clone())));
    }
}

/// Passes on what this thread keeps: before it goes to sleep.
pub(crate) fn pass_on_cells() {
    // An error: as in `allocate`.
    let _ = OWN.try_with(Own::pass_all_on);
}

impl Own {
    #[inline]
    fn pop(&self, class: Class, depot: &Depot) -> Option<NonNull<u8>> {
        let magazine = &self.magazines[class.index()];
        let found = magazine.take().or_else(|| self.fetch(class, depot));
        let (memory, rest) = found?.split();
        magazine.set(rest);
        Some(memory)
    }

    #[inline]
    fn fetch(&self, class: Class, depot: &Depot) -> Option<Magazine> {
        let magazine = depot.take(class)?;
        self.stocked.set(true);
        Some(magazine)
    }

    /// # Safety
    /// As `Magazine::with`.
    #[inline]
    unsafe fn push(&self, class: Class, memory: NonNull<u8>) {
        let place = &self.magazines[class.index()];
        // SAFETY: by the caller.
        let magazine = unsafe { Magazine::with(place.take(), class, memory) };
        if magazine.is_full() {
            self.pass_on(magazine);
        } else {
            place.set(Some(magazine));
            self.stocked.set(true);
        }
    }

    #[cold]
    fn pass_on(&self, magazine: Magazine) {
        let depot = self.depot.take();
        match &depot {
            Some(depot) => depot.give(magazine),
            None => drop(magazine),
        }
        self.depot.set(depot);
    }

    fn pass_all_on(&self) {
        if self.stocked.replace(false) {
            let magazines = self.magazines.iter().filter_map(Cell::take);
            magazines.for_each(|magazine| self.pass_on(magazine));
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.pass_all_on();
    }
}

#[cfg(all(test, not(any(loom, asan))))]
mod tests {
    use super::*;
    use crate::task::depot::MAGAZINE;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const CELL: Layout = Layout::new::<[usize; 9]>();

    /// Gives `count` cells back on a thread that works for the depot, if there is one. Returns their
    /// addresses.
    fn die_elsewhere(depot: Option<&Arc<Depot>>, count: usize) -> HashSet<usize> {
        let worker = || {
            depot.map(leave_cells_to);
            let cells: Vec<_> = (0..count).map(|_| allocate(CELL, None)).collect();
            // SAFETY: each was allocated with this layout, and is given back once.
            cells
                .iter()
                .for_each(|cell| unsafe { free_later(*cell, CELL) });
            pass_on_cells();
            cells.iter().map(|cell| cell.addr().get()).collect()
        };
        thread::scope(|scope| scope.spawn(worker).join().unwrap())
    }

    /// LeakSanitizer sees what is not freed, AddressSanitizer what is freed twice.
    #[test]
    fn a_cell_that_died_elsewhere_is_used_again() {
        const CELLS: usize = 2 * MAGAZINE + 1;
        let depot = Arc::new(Depot::new());
        let died = die_elsewhere(Some(&depot), CELLS);
        let cells: Vec<_> = (0..CELLS).map(|_| allocate(CELL, Some(&depot))).collect();
        assert!(!depot.is_stocked());
        let used: HashSet<_> = cells.iter().map(|cell| cell.addr().get()).collect();
        assert_eq!(used, died);
        let other = allocate(CELL, Some(&depot));
        assert!(!died.contains(&other.addr().get()));
        for cell in cells.into_iter().chain([other]) {
            // SAFETY: as above.
            unsafe { dealloc(cell.as_ptr(), CELL) };
        }
    }

    #[test]
    fn other_sizes_and_other_threads_use_the_allocator() {
        let depot = Arc::new(Depot::new());
        die_elsewhere(None, MAGAZINE);
        assert!(!depot.is_stocked());
        die_elsewhere(Some(&depot), 1);
        let large = Layout::new::<[usize; 100]>();
        let cell = allocate(large, Some(&depot));
        // SAFETY: as above.
        unsafe { free_later(cell, large) };
        assert!(depot.is_stocked(), "of the other size");
    }

    #[test]
    fn a_worker_that_only_takes_passes_on_what_it_does_not_need() {
        let depot = Arc::new(Depot::new());
        die_elsewhere(Some(&depot), 2);
        let worker = || {
            leave_cells_to(&depot);
            let cell = allocate(CELL, Some(&depot));
            assert!(!depot.is_stocked());
            pass_on_cells();
            assert!(depot.is_stocked());
            // SAFETY: as above.
            unsafe { dealloc(cell.as_ptr(), CELL) };
        };
        thread::scope(|scope| scope.spawn(worker).join().unwrap());
    }

    static WITHOUT_MAGAZINES: AtomicUsize = AtomicUsize::new(0);

    /// A destructor of a thread-local that spawns and frees a task.
    struct Late(Arc<Depot>);

    impl Drop for Late {
        fn drop(&mut self) {
            let gone = OWN.try_with(|_| ()).is_err();
            WITHOUT_MAGAZINES.fetch_add(usize::from(gone), Ordering::Relaxed);
            let cell = allocate(CELL, Some(&self.0));
            // SAFETY: as above.
            unsafe { free_later(cell, CELL) };
        }
    }

    /// The sanitizers, as above, see what becomes of it.
    #[test]
    fn a_thread_may_end_in_any_order() {
        thread_local! {
            static EARLIER: Cell<Option<Late>> = const { Cell::new(None) };
            static LATER: Cell<Option<Late>> = const { Cell::new(None) };
        }
        let depot = Arc::new(Depot::new());
        die_elsewhere(Some(&depot), 3);
        let at_work = depot.clone();
        let thread = thread::spawn(move || {
            EARLIER.set(Some(Late(at_work.clone())));
            leave_cells_to(&at_work);
            LATER.set(Some(Late(at_work)));
        });
        thread.join().unwrap();
        // They go in order, or against it: the magazines are between.
        assert_eq!(WITHOUT_MAGAZINES.load(Ordering::Relaxed), 1);
        assert!(depot.is_stocked(), "what it kept went there");
    }
}
