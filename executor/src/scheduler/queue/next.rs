//! The next slot: the one task that a worker runs next. Its owner fills it and takes from it without
//! a locked instruction; once in a blue moon a thief takes from it all the same.
//!
//! ```text
//!                     owner: replace
//!      ┌─────────┐ ────────────────────> ┌──────┐ ──┐ owner: replace, the one before comes out
//!      │  empty  │                       │ task │   │
//!      └─────────┘ <──────────────────── └──────┘ <─┘
//!                     owner: take
//!                     thief: steal (only while it has the claim, and the owner is not taking)
//! ```
//!
//! A take is a load and a store, so no thief may come between them. The two ask each other, as in
//! Dekker's algorithm, and of the fences that this needs the thief pays for both (`sync/fence.rs`):
//!
//! ```text
//!   owner                                      thief
//!   o1 taking := true                          t1 claimed := true
//!   o2 light()                                 t2 heavy()
//!   o3 claimed? take by an exchange            t3 taking? give up
//!      else     take by a load and a store     t4 take by an exchange
//!   o4 taking := false                         t5 claimed := false
//! ```
//!
//! Holds     N1 only the owner fills the slot: one that it sees empty stays empty.
//!           N2 no exchange of a thief's falls between the load and the store of o3. Say that t4 is
//!              done, so t3 saw `taking` false. Either o3 saw t1: then it took by an exchange, too. Or
//!              it did not: then, by the fences, t3 saw o1 or what came after it, so o4, and t4 comes
//!              after the whole take. Or o3 saw t5, and comes after the whole theft.
//!           N3 a thief that gives up has lost nothing: the owner is not stuck, but on its way to run
//!              the task.
//!
//! | operation            | ordering | pairs with                                                |
//! |----------------------|----------|-----------------------------------------------------------|
//! | slot: store, swap    | Release  | the taker's swap: the task behind the pointer             |
//! | o4 store, t3 load    | Release, | the owner's store in the slot is seen by t4               |
//! |                      | Acquire  |                                                           |
//! | t5 store, o3 load    | Release, | the thief's exchange is seen by the owner's load and next |
//! |                      | Acquire  | thief's                                                   |
//!
//! Cost      replace into the empty slot: a store. Otherwise three stores and two loads; where
//!           there is no heavy fence the slot is claimed for good: an exchange.
//!           steal: some 20 us, if there is something to take.
//! Rejected  exchanges on both sides: each hand-over between two tasks pays 20 cycles for a thief who
//!           looks every 10 ms. A thief who waits until the owner is done: it may not run for long.
//! Next: `inject.rs`.

use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::sync::fence::{can_be_heavy, heavy, light};
use crate::task::cell::Header;
use crate::task::runnable::Runnable;
use std::ptr::{self, NonNull};

/// Only one thread, the owner, may call `replace`, `take` and `is_full`.
#[derive(Debug)]
pub(crate) struct NextSlot {
    task: AtomicPtr<Header>,
    taking: AtomicBool,
    claimed: AtomicBool,
    /// Claimed for good?
    shared: bool,
}

impl NextSlot {
    pub(crate) fn new() -> Self {
        Self::with_fences(can_be_heavy())
    }

    fn with_fences(there_are: bool) -> Self {
        Self {
            task: AtomicPtr::new(ptr::null_mut()),
            taking: AtomicBool::new(false),
            claimed: AtomicBool::new(!there_are),
            shared: !there_are,
        }
    }

    /// Is there something in it? Owner only.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        // Relaxed: N1.
        !self.task.load(Ordering::Relaxed).is_null()
    }

    /// Puts a runnable in; gives back the one that was there. Owner only.
    #[inline]
    pub(crate) fn replace(&self, runnable: Runnable) -> Option<Runnable> {
        let new = runnable.into_raw().as_ptr();
        if self.is_full() {
            return self.take_for(new);
        }
        // N1. Release: see the table.
        self.task.store(new, Ordering::Release);
        None
    }

    /// Takes what is there. Owner only.
    #[inline]
    pub(crate) fn take(&self) -> Option<Runnable> {
        if self.is_full() {
            self.take_for(ptr::null_mut())
        } else {
            None
        }
    }

    #[inline]
    fn take_for(&self, new: *mut Header) -> Option<Runnable> {
        // Relaxed: the fences order.
        self.taking.store(true, Ordering::Relaxed);
        light();
        // Acquire: pairs with the Release of t5.
        let task = if self.claimed.load(Ordering::Acquire) {
            // AcqRel: see the table.
            self.task.swap(new, Ordering::AcqRel)
        } else {
            // Relaxed: written by us, or seen with `claimed`.
            let task = self.task.load(Ordering::Relaxed);
            // Release: see the table.
            self.task.store(new, Ordering::Release);
            task
        };
        // Release: pairs with the Acquire of t3.
        self.taking.store(false, Ordering::Release);
        // SAFETY: N2: what was in the slot we alone took out.
        unsafe { runnable(task) }
    }

    /// Takes what is there, from any thread. `None` also when another thief is there, or the owner is
    /// about to take it.
    pub(crate) fn steal(&self) -> Option<Runnable> {
        // Relaxed: a look, before the fence.
        let task = self.task.load(Ordering::Relaxed);
        if task.is_null() {
            return None;
        }
        if self.shared {
            return self.steal_this(task);
        }
        // Acquire: pairs with the Release of t5, of the thief before.
        if self.claimed.swap(true, Ordering::Acquire) {
            return None;
        }
        // Acquire: pairs with the Release of o4.
        let is_free = heavy() && !self.taking.load(Ordering::Acquire);
        let stolen = if is_free { self.steal_this(task) } else { None };
        // Release: pairs with the Acquire of o3. (Not a store: loom might order that before the
        // exchange of a thief that did not see it.)
        self.claimed.swap(false, Ordering::Release);
        stolen
    }

    /// What the thief saw, if it is still there: an exchange of nothing for nothing would be as good,
    /// but loom might order it after a store that did not see it.
    fn steal_this(&self, task: *mut Header) -> Option<Runnable> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed); // see the table
        let stolen = self
            .task
            .compare_exchange(task, ptr::null_mut(), success, failure);
        // SAFETY: N2: what was in the slot we alone took out.
        stolen.ok().and_then(|task| unsafe { runnable(task) })
    }
}

/// # Safety
/// A pointer that is not null was taken out of a slot, by the caller alone.
unsafe fn runnable(task: *mut Header) -> Option<Runnable> {
    // SAFETY: a pointer in the slot is a runnable, and the caller's now.
    NonNull::new(task).map(|pointer| unsafe { Runnable::from_raw(pointer) })
}

impl Drop for NextSlot {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(loom))]
    use crate::scheduler::queue::weighing;
    #[cfg(not(loom))]
    use crate::sync::atomic::AtomicUsize;
    #[cfg(loom)]
    use crate::task::body::{Plain, new_task};
    #[cfg(loom)]
    use crate::task::schedule::Nowhere;
    use std::sync::Arc;

    #[cfg(not(loom))]
    #[test]
    fn the_owner_gets_out_what_it_put_in_with_fences_and_without() {
        for slot in [true, false].map(NextSlot::with_fences) {
            let total = Arc::new(AtomicUsize::new(0));
            assert!(slot.take().is_none() && slot.steal().is_none());
            assert!(slot.replace(weighing(&total, 1)).is_none());
            slot.replace(weighing(&total, 2)).expect("the first").run();
            assert_eq!(total.load(Ordering::Relaxed), 1);
            slot.take().expect("the second").run();
            assert_eq!(total.load(Ordering::Relaxed), 3);
            assert!(!slot.is_full());
            drop(slot.replace(weighing(&total, 4)));
            assert!(slot.is_full());
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_thief_takes_what_the_owner_leaves_there() {
        // Without fences where there are none.
        for slot in [NextSlot::new(), NextSlot::with_fences(false)] {
            let total = Arc::new(AtomicUsize::new(0));
            for weight in [1, 10] {
                drop(slot.replace(weighing(&total, weight)));
                slot.steal().expect("nobody takes it").run();
            }
            assert_eq!(total.load(Ordering::Relaxed), 11);
            assert!(slot.take().is_none());
        }
    }

    /// The owner puts in, replaces and takes while thieves steal: each runnable comes out once, with
    /// what its maker wrote.
    #[cfg(loom)]
    fn every_runnable_comes_out_once(fences: bool, thieves: usize, preemptions: usize) {
        let seen = |runnable: Runnable| {
            runnable.header().slot.with(|_| ()); // loom checks that it was written before
            runnable
        };
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let slot = Arc::new(NextSlot::with_fences(fences));
            let runnable = || new_task(Plain(async {}), Nowhere).0;
            let runnables = [runnable(), runnable(), runnable()];
            let ids = runnables.each_ref().map(Runnable::id);
            let threads: Vec<_> = (0..thieves)
                .map(|_| {
                    let slot = slot.clone();
                    loom::thread::spawn(move || slot.steal().map(seen))
                })
                .collect();
            let mut out: Vec<_> = runnables
                .into_iter()
                .filter_map(|runnable| slot.replace(runnable).map(seen))
                .collect();
            out.extend(slot.take());
            assert!(!slot.is_full());
            out.extend(threads.into_iter().filter_map(|t| t.join().unwrap()));
            let mut out: Vec<_> = out.iter().map(Runnable::id).collect();
            out.sort_unstable();
            let mut ids = ids;
            ids.sort_unstable();
            assert_eq!(out, ids);
        });
    }

    #[cfg(loom)]
    #[test]
    fn the_owner_meets_a_thief() {
        every_runnable_comes_out_once(true, 1, 4);
    }

    #[cfg(loom)]
    #[test]
    fn the_owner_meets_two_thieves() {
        every_runnable_comes_out_once(true, 2, 2);
    }

    #[cfg(loom)]
    #[test]
    fn the_owner_of_a_shared_slot_meets_two_thieves() {
        every_runnable_comes_out_once(false, 2, 2);
    }
}
