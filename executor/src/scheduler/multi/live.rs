//! The tasks that exist, by who spawned them: listed without a lock, struck off from any thread.
//!
//! ```text
//!                 owner: insert                    any worker: remove
//!   vacant ──────────────────────> task ──────────────────────────────> vacant, on a chain
//!     ^                              │                                     │
//!     │ owner: take what is returned │ close: sweep                        │ give_back,
//!     └───────── returned <──────────┼─────────────────────────────────────┘ a chain at a time
//!                                    v
//!                            taken (shut down)
//! ```
//!
//! A place holds a task's pointer or the index of the next vacant place (lowest bit set, which a
//! cell's address never has). Places are in chunks, each a fifth of all places at most; a
//! chunk never moves, so that others may go to a place while the owner adds more. Each list has
//! one owner, who alone inserts: a worker for what it spawns, the inject queue's lock for the rest.
//!
//! Owns      one reference per task: whoever takes the pointer out of its place owns it (I1).
//! Holds     I1 a task leaves its place by one exchange: a remover's, or a sweeper's.
//!           I2 a vacant place is on exactly one chain: the owner's, a remover's, or `returned`.
//!
//! | operation             | ordering | pairs with                                            |
//! |-----------------------|----------|-------------------------------------------------------|
//! | insert: store         | Release  | sweep's exchange: the task behind the pointer         |
//! | remove: swap          | AcqRel   | the same; and the next insert here, through the chain |
//! | sweep: exchange       | AcqRel   | as remove                                             |
//! | returned: exchange    | Release  | the owner's swap (Acquire): the links of the chain    |
//! | chunk: store, load    | Release, | the places were made before anyone goes there         |
//! |                       | Acquire  |                                                       |
//!
//! Cost      insert: no locked instruction. remove: one. A chain for another's list is given back
//!           with one exchange per CHAIN places. 8 bytes per task, and at most 2 more vacant.
//! Source    the remote list is that of mimalloc's pages (Leijen, Zorn, de Moura 2019). Rejected: a
//!           lock per list, which owner and thieves contend for at each task. Next: `shared.rs`.

use crate::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::task::cell::{Header, Slot, Task};
use std::ptr::{self, NonNull};

/// Chunks per doubling: at most a fifth of a list's places is there for no task.
const STEPS: usize = 4;

/// Places in the first STEPS chunks together. Loom gets chunks of one, to see them being added.
const FIRST: usize = if cfg!(loom) { STEPS } else { 64 };

/// Chunks for as many places as `index` can name.
const CHUNKS: usize = STEPS * if cfg!(loom) { 3 } else { 25 };

/// The end of a chain.
const NONE: u32 = u32::MAX >> 1;

/// So many vacant places of another's list are collected before they are given back.
const CHAIN: u32 = 64;

/// See the file head.
#[repr(align(128))] // `returned` is written by thieves: apart from its neighbours
pub(super) struct LiveList {
    number: u32,
    chunks: [AtomicPtr<Place>; CHUNKS],
    returned: AtomicU32,
}

type Place = AtomicPtr<Header>;

/// The right to insert into one list: there is one for each.
#[derive(Clone, Copy)]
pub(super) struct Lister {
    vacant: u32,
    /// How many places were ever used.
    used: u32,
}

impl Lister {
    pub(super) const fn new() -> Self {
        Self {
            vacant: NONE,
            used: 0,
        }
    }
}

/// Vacant places of a list, on their way back to its owner.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    len: u32,
}

impl Chain {
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        len: 0,
    };
}

/// What a vacant place holds.
fn link(next: u32) -> *mut Header {
    ptr::without_provenance_mut(((next as usize) << 1) | 1)
}

fn is_link(pointer: *mut Header) -> bool {
    pointer.addr() & 1 == 1
}

/// Which chunk, and where in it.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let position = index as usize + FIRST;
    // As in a floating-point number: an exponent, and a few digits after the leading one.
    let exponent = position.ilog2() - STEPS.ilog2();
    let leading = position >> exponent;
    let doubled = (exponent - (FIRST / STEPS).ilog2()) as usize;
    let chunk = doubled * STEPS + leading - STEPS;
    (chunk, position - (leading << exponent))
}

/// How many places a chunk has.
fn size_of_chunk(chunk: usize) -> usize {
    (FIRST / STEPS) << (chunk / STEPS)
}

impl LiveList {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number: number as u32,
            chunks: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            returned: AtomicU32::new(NONE),
        }
    }

    /// A chunk that exists.
    #[inline]
    fn chunk(&self, chunk: usize) -> Option<&[Place]> {
        // Acquire: pairs with the Release in `grow`.
        let places = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: not null, so it is a chunk of this size that `grow` made; it goes in our drop.
        (!places.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(places, size_of_chunk(chunk)) })
    }

    #[inline]
    fn place(&self, index: u32) -> &Place {
        let (chunk, offset) = locate(index);
        &self.chunk(chunk).expect("an index was given out")[offset]
    }

    /// Lists a task that was not scheduled yet. `lister` is this list's.
    #[inline]
    pub(super) fn insert(&self, lister: &mut Lister, task: Task) {
        let (index, place) = self.vacant(lister);
        let slot = Slot {
            list: self.number,
            index,
        };
        // SAFETY: the task was not scheduled yet (see `Header::slot`), so nobody reads the field.
        task.header()
            .slot
            .with_mut(|field| unsafe { *field = slot });
        // Release: see the table.
        place.store(task.into_raw().as_ptr(), Ordering::Release);
    }

    /// A place for the next task, and its number.
    #[inline]
    fn vacant(&self, lister: &mut Lister) -> (u32, &Place) {
        if lister.vacant == NONE {
            // Relaxed: a look that saves the owner a locked instruction.
            if self.returned.load(Ordering::Relaxed) == NONE {
                let index = self.grow(lister);
                return (index, self.place(index));
            }
            // Acquire: pairs with the Release in `give_back`.
            lister.vacant = self.returned.swap(NONE, Ordering::Acquire);
        }
        let index = lister.vacant;
        let place = self.place(index);
        // Relaxed: ours, or taken over with the Acquire above.
        lister.vacant = (place.load(Ordering::Relaxed).addr() >> 1) as u32;
        (index, place)
    }

    /// A place that was never used.
    fn grow(&self, lister: &mut Lister) -> u32 {
        let index = lister.used;
        let (chunk, offset) = locate(index);
        assert!(chunk < CHUNKS, "more than two thousand million live tasks");
        if offset == 0 {
            let places = (0..size_of_chunk(chunk)).map(|_| Place::new(link(NONE)));
            let places = Box::leak(places.collect::<Box<[Place]>>());
            // Release: pairs with the Acquire in `chunk`.
            self.chunks[chunk].store(places.as_mut_ptr(), Ordering::Release);
        }
        lister.used += 1;
        index
    }

    /// Strikes a task off; `None` when a sweep was faster. Its place joins `chain`, which is one of
    /// this list's. (The owner may let it join its own: `remove_own`.)
    #[inline]
    pub(super) fn remove(&self, index: u32, chain: &mut Chain) -> Option<Task> {
        let task = self.take(index, chain.first);
        chain.first = index;
        if chain.len == 0 {
            chain.last = index;
        }
        chain.len += 1;
        if chain.len == CHAIN {
            self.give_back(chain);
        }
        task
    }

    /// `remove` by the owner.
    #[inline]
    pub(super) fn remove_own(&self, index: u32, lister: &mut Lister) -> Option<Task> {
        let task = self.take(index, lister.vacant);
        lister.vacant = index;
        task
    }

    #[inline]
    fn take(&self, index: u32, next: u32) -> Option<Task> {
        // AcqRel: see the table.
        let pointer = self.place(index).swap(link(next), Ordering::AcqRel);
        // SAFETY: I1: a pointer here is a reference, and the exchange made it ours.
        (!is_link(pointer)).then(|| unsafe { Task::from_raw(NonNull::new_unchecked(pointer)) })
    }

    /// Leaves the places of a chain to the owner.
    pub(super) fn give_back(&self, chain: &mut Chain) {
        let Chain { first, last, len } = std::mem::replace(chain, Chain::EMPTY);
        if len == 0 {
            return;
        }
        // Relaxed: only a guess for the exchange.
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            // Relaxed: published by the exchange.
            self.place(last).store(link(head), Ordering::Relaxed);
            // Release: see the table. What others pushed before us stays published: an exchange
            // continues their release sequence.
            match self.returned.compare_exchange_weak(
                head,
                first,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes every task out, from any thread. One that is inserted meanwhile may stay.
    pub(super) fn sweep(&self, mut shut_down: impl FnMut(Task)) {
        let chunks = (0..CHUNKS).map_while(|chunk| self.chunk(chunk));
        for place in chunks.flatten() {
            // Relaxed: a look; the exchange decides.
            let pointer = place.load(Ordering::Relaxed);
            // AcqRel: see the table. A failure is a remover's: the task is gone. That another one
            // came to the same place and address meanwhile would change nothing.
            if !is_link(pointer)
                && place
                    .compare_exchange(pointer, link(NONE), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                // SAFETY: I1: the exchange made the reference ours.
                shut_down(unsafe { Task::from_raw(NonNull::new_unchecked(pointer)) });
            }
        }
    }
}

impl Drop for LiveList {
    fn drop(&mut self) {
        self.sweep(drop);
        for (chunk, places) in self.chunks.iter().enumerate() {
            // Relaxed: nobody else is left.
            let places = places.load(Ordering::Relaxed);
            if !places.is_null() {
                let places = ptr::slice_from_raw_parts_mut(places, size_of_chunk(chunk));
                // SAFETY: `grow` made it of a box of this size, and nobody is left who goes there.
                drop(unsafe { Box::from_raw(places) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::body::{Plain, new_listed_task};
    use crate::task::schedule::Nowhere;

    fn task() -> Task {
        new_listed_task(Plain(async {}), Nowhere).2
    }

    fn index(task: &Task) -> u32 {
        // SAFETY: written by this thread's `insert`, or handed over with the task.
        task.header().slot.with(|slot| unsafe { (*slot).index })
    }

    #[cfg(not(loom))]
    #[test]
    fn places_are_reused_whoever_vacates_them() {
        let (list, mut lister) = (LiveList::new(0), Lister::new());
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let task = task();
                list.insert(&mut lister, task.clone());
                task
            })
            .collect();
        let mut chain = Chain::EMPTY;
        for (i, task) in tasks.iter().enumerate() {
            let removed = if i % 2 == 0 {
                list.remove(index(task), &mut chain)
            } else {
                list.remove_own(index(task), &mut lister)
            };
            assert_eq!(removed.unwrap().as_raw(), task.as_raw());
        }
        list.give_back(&mut chain);
        let mut seen: Vec<_> = (0..200)
            .map(|_| {
                let task = task();
                list.insert(&mut lister, task.clone());
                index(&task)
            })
            .collect();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..200), "each place once, no new");
        let mut swept = 0;
        list.sweep(|_| swept += 1);
        assert_eq!(swept, 200);
    }

    /// A thief and a sweeper both want the task; the owner goes on inserting into what the thief
    /// gives back. Every reference is taken once, which loom's leak check and `free` tell.
    #[cfg(loom)]
    #[test]
    fn owner_thief_and_sweeper_take_each_task_once() {
        use std::sync::Arc;
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (list, mut lister) = (Arc::new(LiveList::new(0)), Lister::new());
            let tasks: Vec<_> = (0..2).map(|_| task()).collect();
            for task in &tasks {
                list.insert(&mut lister, task.clone());
            }
            let thief = {
                let (list, stolen) = (list.clone(), tasks[0].clone());
                loom::thread::spawn(move || {
                    let mut chain = Chain::EMPTY;
                    let taken = list.remove(index(&stolen), &mut chain).is_some();
                    list.give_back(&mut chain);
                    usize::from(taken)
                })
            };
            let sweeper = {
                let list = list.clone();
                loom::thread::spawn(move || {
                    let mut swept = 0;
                    list.sweep(|_| swept += 1);
                    swept
                })
            };
            list.insert(&mut lister, task());
            let own = list.remove_own(index(&tasks[1]), &mut lister);
            let mut taken = usize::from(own.is_some());
            taken += thief.join().unwrap() + sweeper.join().unwrap();
            list.sweep(|_| taken += 1);
            assert_eq!(taken, 3);
        });
    }
}
