//! The tasks that exist: a scheduler holds one reference to each, so that shutdown can drop every
//! one of them exactly once, also those that sleep and whose wakers are all gone.
//!
//! A slab: a task knows its slot (`Header::slot`), so leaving costs no search. Vacant slots form a
//! list through the slots themselves; a slot is one pointer wide, and a vacant one is told from a
//! task by its lowest bit, which a cell's address never has. The other bits number the next vacant
//! slot, so there are no more slots than these can count (`MAX_SLOTS`).
//!
//! Owns      one reference per listed task. Not synchronised: the owner is one thread, or a lock.
//! Cost      8 to 9 bytes per task (a vector that grows by an eighth), no allocation per task.
//! Next: `fifo.rs`.

use crate::task::cell::{Header, Slot, Task};
use std::ptr::{NonNull, without_provenance_mut};

/// A list of live tasks.
#[derive(Debug)]
pub(crate) struct LiveTasks {
    /// The list's own number, for `Slot`.
    list: u32,
    /// A task's pointer, or `next vacant << 1 | 1`.
    slots: Vec<*mut Header>,
    first_vacant: u32,
    count: usize,
}

// SAFETY: the pointers are counted references, as in `Task`, which is Send.
unsafe impl Send for LiveTasks {}

/// Slots of a list that has just begun: too few to save on.
const FIRST_SLOTS: usize = 64;
/// By which part of itself a full list grows. Each task pays for at most an eighth of a slot that
/// nobody uses. Doubling would copy less, but only a program's largest burst so far copies at all.
const GROWTH: usize = 8;

/// The end of the list of vacant slots.
const NO_SLOT: u32 = MAX_SLOTS;

/// A vacant slot has all bits of a pointer but one for a slot's number, this one included. (Half of
/// the range where pointers have 32 bits: more tasks than fit there in any case.)
const MAX_SLOTS: u32 = if usize::BITS > u32::BITS {
    u32::MAX
} else {
    u32::MAX >> 1
};

impl LiveTasks {
    pub(crate) const fn new(list: u32) -> Self {
        Self {
            list,
            slots: Vec::new(),
            first_vacant: NO_SLOT,
            count: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Lists a task and writes its slot into its header.
    pub(crate) fn insert(&mut self, task: Task) {
        let slot = if self.first_vacant == NO_SLOT {
            let slot = u32::try_from(self.slots.len())
                .ok()
                .filter(|slot| *slot < MAX_SLOTS);
            let slot = slot.expect("more live tasks than a list can hold");
            if self.slots.len() == self.slots.capacity() {
                self.grow();
            }
            self.slots.push(std::ptr::null_mut());
            slot
        } else {
            let slot = self.first_vacant;
            self.first_vacant = (self.slots[slot as usize].addr() >> 1) as u32;
            slot
        };
        let place = Slot {
            list: self.list,
            index: slot,
        };
        // SAFETY: the task was not scheduled yet (see `Header::slot`), so nobody reads the field.
        task.header()
            .slot
            .with_mut(|field| unsafe { *field = place });
        self.slots[slot as usize] = task.into_raw().as_ptr();
        self.count += 1;
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.slots.len() / GROWTH + FIRST_SLOTS;
        self.slots.reserve_exact(more);
    }

    /// Takes the task in `slot` off the list.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Task> {
        let pointer = *self.slots.get(slot as usize)?;
        if pointer.addr() & 1 == 1 {
            return None;
        }
        let next = ((self.first_vacant as usize) << 1) | 1;
        self.slots[slot as usize] = without_provenance_mut(next);
        self.first_vacant = slot;
        self.count -= 1;
        // SAFETY: not vacant, so it is the pointer of the reference that `insert` stored.
        NonNull::new(pointer).map(|pointer| unsafe { Task::from_raw(pointer) })
    }

    /// Takes any task off the list; the order is that of the slots.
    pub(crate) fn pop(&mut self) -> Option<Task> {
        if self.count == 0 {
            // Empty: give the memory back, and start again from slot 0.
            self.slots = Vec::new();
            self.first_vacant = NO_SLOT;
            return None;
        }
        // From the end, and shrinking, so that popping everything costs one pass.
        while let Some(pointer) = self.slots.last() {
            if pointer.addr() & 1 == 0 {
                let slot = (self.slots.len() - 1) as u32;
                let task = self.remove(slot);
                return task;
            }
            // A vacant slot at the end goes out of the vector; the vacant list is rebuilt lazily
            // by being abandoned: nothing is inserted while a scheduler shuts down.
            self.slots.pop();
            self.first_vacant = NO_SLOT;
        }
        None
    }
}

impl Drop for LiveTasks {
    fn drop(&mut self) {
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::body::{Plain, new_listed_task};
    use crate::task::schedule::Nowhere;

    fn task() -> Task {
        new_listed_task(Plain(async {}), Nowhere).2
    }

    #[test]
    fn slots_are_reused_and_every_task_leaves_once() {
        let mut live = LiveTasks::new(0);
        let ids: Vec<_> = (0..4)
            .map(|_| {
                let task = task();
                let id = task.as_raw();
                live.insert(task);
                id
            })
            .collect();
        assert_eq!(live.remove(1).unwrap().as_raw(), ids[1]);
        assert_eq!(live.remove(3).unwrap().as_raw(), ids[3]);
        assert!(live.remove(3).is_none(), "a vacant slot holds no task");
        assert!(live.remove(NO_SLOT).is_none());
        let late = task();
        let late_id = late.as_raw();
        live.insert(late);
        assert_eq!(
            live.remove(3).unwrap().as_raw(),
            late_id,
            "the last vacated slot is used first"
        );
        assert_eq!(live.len(), 2);
        let left: Vec<_> = std::iter::from_fn(|| live.pop().map(|task| task.as_raw())).collect();
        assert_eq!(left, [ids[2], ids[0]]);
    }
}
