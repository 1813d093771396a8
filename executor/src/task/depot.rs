//! The depot: where the memory of tasks that are over waits for the next ones.
//!
//! ```text
//!   a worker, where tasks die that          an executor's            a thread that spawns:
//!   others spawned: a magazine              or a pool's depot        a magazine for each
//!   for each size                                                    size
//!       full, or the worker ──── give ────> [mag mag mag] 64 bytes ──── take ────> empty
//!       goes to sleep                       [mag        ] 96 bytes
//!                                              │ KEPT bytes of a size, or release
//!                                              v
//!                                           the allocator
//! ```
//!
//! A task from outside, one that was stolen and a job of a pool are made by one thread and end on
//! another. An allocator takes memory back to where it was asked for: a locked instruction for each
//! cell, on a line for which the freeing threads and the asking one fight, and then a walk over cold
//! memory for the next. Here a magazine of up to MAGAZINE cells goes round instead, and between two
//! visits here a thread takes or leaves a cell with a few plain instructions (`memory.rs`).
//!
//! Nobody waits here: who finds another one inside uses the allocator.
//!
//! Owns      magazines: each owns its cells, and frees them when it is dropped. A cell's memory is the
//!           allocator's, of exactly its layout, whoever used it in between.
//! Holds     M1 the cells of a magazine have one layout, that of its class, and nobody else has a
//!           pointer to them.
//!           At most KEPT bytes of each size; none when its executor was idle for a moment or is
//!           gone.
//! Ordering  `stocked` is written under the lock and read without, Relaxed: who is misled uses the
//!           allocator, or finds an empty shelf.
//! Cost      one lock, which nobody waits for, for MAGAZINE cells on each side. 1.5 KiB for each depot.
//! Rejected  lists that are exchanged without a lock: nobody could say how much lies in them. A cell
//!           of any size that is large enough: an idle task would cost more than it needs.
//! Source    Bonwick and Adams, "Magazines and Vmem", USENIX 2001: the names and the idea, without
//!           what it does to find a magazine's best size. Next: `memory.rs`.

use crate::sync::TryLock;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::alloc::{Layout, dealloc};
use std::fmt;
use std::mem::{ManuallyDrop, align_of, size_of};
use std::ptr::NonNull;

/// As many as a word has bits.
pub(super) const CLASSES: usize = u64::BITS as usize;

/// Sizes are multiples of it, alignments equal it.
const GRAIN: usize = align_of::<Dead>();

/// How many cells a magazine holds at most.
pub(super) const MAGAZINE: usize = 64;

/// How much memory of one size is kept, in bytes: 10,000 tasks from outside took 186 ns each with
/// 128 KiB, 166 with 512, no less with a MiB.
const KEPT: usize = 512 * 1024;

/// The layouts of cells that are kept, by size: smaller than CLASSES grains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u32);

/// What a dead cell holds.
struct Dead {
    next: Option<Magazine>,
    /// Of the magazine whose first cell it is.
    len: u32,
    class: Class,
}

/// Dead cells of one layout, linked through themselves: at least one.
#[derive(Debug)]
pub(super) struct Magazine {
    first: NonNull<Dead>,
}

// SAFETY: M1: memory that is nobody else's.
unsafe impl Send for Magazine {}

/// See the file head.
pub(crate) struct Depot {
    /// Of which classes is there something? A bit for each.
    stocked: AtomicU64,
    /// By class.
    shelves: TryLock<[Vec<Magazine>; CLASSES]>,
}

impl Class {
    /// `None`: such a cell is not kept.
    #[inline]
    pub(super) const fn of(layout: Layout) -> Option<Self> {
        let grains = layout.size() / GRAIN;
        let keeps = layout.size() >= size_of::<Dead>()
            && layout.size().is_multiple_of(GRAIN)
            && layout.align() == GRAIN
            && grains < CLASSES;
        if keeps {
            Some(Self(grains as u32))
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    fn bit(self) -> u64 {
        1 << self.0
    }

    fn size(self) -> usize {
        self.index() * GRAIN
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), GRAIN).expect("`of` saw one like it")
    }

    /// How many magazines are kept.
    fn room(self) -> usize {
        KEPT / (MAGAZINE * self.size())
    }
}

impl Magazine {
    /// `rest`, which is of this class, and one more cell.
    ///
    /// # Safety
    /// The global allocator gave the memory for a layout of this class, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn with(rest: Option<Self>, class: Class, memory: NonNull<u8>) -> Self {
        debug_assert!(rest.as_ref().is_none_or(|rest| rest.class() == class));
        let first = memory.cast::<Dead>();
        let dead = Dead {
            len: 1 + rest.as_ref().map_or(0, |rest| rest.dead().len),
            next: rest,
            class,
        };
        // SAFETY: by the caller: ours, and, by `Class::of`, large enough and aligned.
        unsafe { first.write(dead) };
        Self { first }
    }

    /// One of the cells, and the others.
    #[inline]
    pub(super) fn split(self) -> (NonNull<u8>, Option<Self>) {
        let first = ManuallyDrop::new(self).first;
        // SAFETY: M1; `with` wrote it, and it is read no more.
        let Dead { next, .. } = unsafe { first.read() };
        (first.cast(), next)
    }

    pub(super) fn is_full(&self) -> bool {
        self.dead().len as usize >= MAGAZINE
    }

    pub(super) fn class(&self) -> Class {
        self.dead().class
    }

    #[inline]
    fn dead(&self) -> &Dead {
        // SAFETY: M1; `with` wrote it.
        unsafe { self.first.as_ref() }
    }
}

impl Drop for Magazine {
    fn drop(&mut self) {
        let layout = self.class().layout();
        let mut next = Some(Self { first: self.first });
        while let Some(magazine) = next {
            let (memory, rest) = magazine.split();
            // SAFETY: M1: of this layout, by `with`, and nobody's from here on.
            unsafe { dealloc(memory.as_ptr(), layout) };
            next = rest;
        }
    }
}

impl Depot {
    pub(crate) fn new() -> Self {
        Self {
            stocked: AtomicU64::new(0),
            shelves: TryLock::new([const { Vec::new() }; CLASSES]),
        }
    }

    /// Is there anything? A moment ago.
    pub(crate) fn is_stocked(&self) -> bool {
        // Relaxed: a look.
        self.stocked.load(Ordering::Relaxed) != 0
    }

    /// Keeps a magazine, or gives it back to the allocator.
    pub(super) fn give(&self, magazine: Magazine) {
        drop(self.try_give(magazine)); // without the lock
    }

    fn try_give(&self, magazine: Magazine) -> Option<Magazine> {
        let class = magazine.class();
        let Some(mut shelves) = self.shelves.try_lock() else {
            return Some(magazine);
        };
        let shelf = &mut shelves[class.index()];
        if shelf.len() >= class.room() {
            return Some(magazine);
        }
        shelf.push(magazine);
        // Relaxed: see the file head. Not one atomic operation: the lock's holder is the only writer.
        let stocked = self.stocked.load(Ordering::Relaxed);
        self.stocked.store(stocked | class.bit(), Ordering::Relaxed);
        None
    }

    /// Takes a magazine out, if there is one.
    #[inline]
    pub(super) fn take(&self, class: Class) -> Option<Magazine> {
        // Relaxed: a look.
        if self.stocked.load(Ordering::Relaxed) & class.bit() == 0 {
            return None;
        }
        self.take_off_the_shelf(class)
    }

    #[cold]
    fn take_off_the_shelf(&self, class: Class) -> Option<Magazine> {
        let mut shelves = self.shelves.try_lock()?;
        let shelf = &mut shelves[class.index()];
        let magazine = shelf.pop();
        if shelf.is_empty() {
            // Relaxed: as in `try_give`.
            let stocked = self.stocked.load(Ordering::Relaxed);
            self.stocked
                .store(stocked & !class.bit(), Ordering::Relaxed);
        }
        magazine
    }

    /// Gives everything back to the allocator; what another thread brings or fetches right now may stay.
    pub(crate) fn release(&self) {
        if !self.is_stocked() {
            return;
        }
        let shelves = self.shelves.try_lock().map(|mut shelves| {
            self.stocked.store(0, Ordering::Relaxed);
            std::mem::replace(&mut *shelves, [const { Vec::new() }; CLASSES])
        });
        drop(shelves); // without the lock
    }
}

impl fmt::Debug for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot")
            .field("stocked", &self.is_stocked())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::alloc;

    fn class(size: usize) -> Class {
        Class::of(Layout::from_size_align(size, GRAIN).unwrap()).unwrap()
    }

    fn magazine(class: Class, cells: usize) -> Magazine {
        let one_more = |rest, _| {
            // SAFETY: the layout is not empty.
            let memory = NonNull::new(unsafe { alloc(class.layout()) }).unwrap();
            // SAFETY: of this layout, and this magazine's.
            Some(unsafe { Magazine::with(rest, class, memory) })
        };
        (0..cells).fold(None, one_more).unwrap()
    }

    /// The sanitizers see what is not freed, or freed twice.
    #[cfg(not(loom))]
    #[test]
    fn what_is_given_is_taken_by_who_asks_for_that_size() {
        let depot = Depot::new();
        let (small, large) = (class(64), class(72));
        let given = magazine(small, 2);
        let first = given.first;
        depot.give(given);
        assert!(depot.take(large).is_none(), "another size");
        let (memory, rest) = depot.take(small).unwrap().split();
        assert_eq!(memory, first.cast());
        assert!(!depot.is_stocked() && depot.take(small).is_none());
        // SAFETY: just taken out.
        let whole = unsafe { Magazine::with(rest, small, memory) };
        assert_eq!(whole.dead().len, 2);
        depot.give(whole);
        depot.give(magazine(large, MAGAZINE));
        depot.release();
        assert!(!depot.is_stocked());
        depot.give(magazine(large, 1)); // for the depot's end
    }

    #[cfg(not(loom))]
    #[test]
    fn no_more_than_so_much_of_a_size_is_kept() {
        let depot = Depot::new();
        let (small, large) = (class(64), class(128));
        for class in [large, small] {
            (0..class.room() + 3).for_each(|_| depot.give(magazine(class, 1)));
        }
        for class in [large, small] {
            let kept = std::iter::from_fn(|| depot.take(class)).count();
            assert_eq!(kept, class.room());
            assert!(kept * MAGAZINE * class.size() <= KEPT);
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn only_layouts_that_are_told_by_their_size_are_kept() {
        let of = |size, align| Class::of(Layout::from_size_align(size, align).unwrap());
        let largest = (CLASSES - 1) * GRAIN;
        for size in [size_of::<Dead>(), 64, largest] {
            let class = of(size, GRAIN).expect("kept");
            assert_eq!((class.size(), class.layout().size()), (size, size));
            assert!(class.room() > 0);
            assert_eq!(of(size, 2 * GRAIN), None, "more aligned");
            assert_eq!(of(size, GRAIN / 2), None, "less aligned");
        }
        assert_eq!(of(size_of::<Dead>() - GRAIN, GRAIN), None, "too small");
        assert_eq!(of(largest + GRAIN, GRAIN), None, "too large");
        assert_eq!(of(65, GRAIN), None, "no type's size");
    }

    /// Two workers give, a spawner takes, and the depot is released: each magazine goes to one of
    /// them, who sees what its giver did.
    #[cfg(loom)]
    #[test]
    fn loom_each_magazine_is_taken_once() {
        use crate::sync::UnsafeCell;
        use std::collections::HashMap;
        use std::sync::Arc;

        loom::model(|| {
            let depot = Arc::new(Depot::new());
            let class = class(64);
            let magazines: Vec<_> = (0..2).map(|_| magazine(class, 1)).collect();
            // Beside each cell one in which loom sees who touches it.
            let watched = |magazine: &Magazine| {
                let address = magazine.first.as_ptr() as usize;
                (address, UnsafeCell::new(0))
            };
            let cells: HashMap<_, _> = magazines.iter().map(watched).collect();
            let cells = Arc::new(cells);
            let touch = {
                let cells = cells.clone();
                move |magazine: &Magazine| {
                    let cell = &cells[&(magazine.first.as_ptr() as usize)];
                    // SAFETY: loom checks that nobody else does so at the same time.
                    cell.with_mut(|touched| unsafe { *touched += 1 });
                }
            };
            let give = |magazine: Magazine| {
                let (depot, touch) = (depot.clone(), touch.clone());
                loom::thread::spawn(move || {
                    touch(&magazine);
                    depot.give(magazine);
                })
            };
            let givers: Vec<_> = magazines.into_iter().map(give).collect();
            let take = || depot.take(class).inspect(&touch);
            let mut taken: Vec<_> = take().into_iter().collect();
            depot.release();
            givers.into_iter().for_each(|giver| giver.join().unwrap());
            taken.extend(std::iter::from_fn(take));
            let mut addresses: Vec<_> = taken.iter().map(|magazine| magazine.first).collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), taken.len());
        });
    }
}
