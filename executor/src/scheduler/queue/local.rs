//! A worker's own run queue: the owner pushes at one end, owner and thieves take at the other.
//!
//! ```text
//!              head                        tail
//!                v                           v
//!   ... free ... [a] [b] [c] [d] [e] [f] [g] ... free ...      a ring of CAPACITY slots
//!                 └── a thief takes half ──┘ ^
//!                 ^ owner pops one           └ owner pushes one
//! ```
//!
//! Head and tail count up for ever and are reduced to a slot only when one is touched; with 64
//! bits they never wrap, so a compare-exchange on `head` cannot be fooled by a full turn.
//!
//! Owns      the runnables between head and tail. `tail` and the free slots belong to the owner
//!           alone; whoever moves `head` on owns what it passed.
//! Holds     I1 a slot between head and tail is not written: the owner looks at `head` first;
//!           I2 every runnable is taken by exactly one compare-exchange on `head`.
//!           A thief reads slots *before* its compare-exchange; when it loses, what it read may
//!           be stale and is thrown away. The slots are atomics for that reason alone.
//!
//! | operation                 | ordering | pairs with                                          |
//! |---------------------------|----------|-----------------------------------------------------|
//! | push: store `tail`        | Release  | a thief's load of `tail`: it sees the slot, and the |
//! |                           |          | task behind it                                      |
//! | push: load `head`         | Acquire  | a taker's exchange: its reads of the slot are over  |
//! |                           |          | before we write it again                            |
//! | take: exchange on `head`  | AcqRel   | both of the above, for the owner too (a thief may   |
//! |                           |          | have freed the slots that it will use)              |
//! | slots                     | Relaxed  | published by `tail`, freed by `head`                |
//!
//! What `head` orders is reads before later writes. Loom never lets a read see a write to come, so
//! its models below prove the first row, and the counting; the others stand on this argument.
//!
//! Cost      push: no locked instruction. pop: one. Stealing half: one, however many.
//! Rejected  Chase-Lev's deque: its owner takes the newest, so the oldest starves; and its pop
//!           needs a full fence, which costs as much as our exchange. tokio's two heads: needed
//!           only when a thief writes to its own queue after claiming; ours reads before.
//! Source    Go's `runtime/proc.go` (runqput, runqget, runqgrab). Next: `next.rs`.

use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::task::cell::Header;
use crate::task::runnable::Runnable;
use std::ptr::{self, NonNull};

/// Slots in the ring. 256 as in Go: room for the burst of one poll, 2 KiB of memory. What does
/// not fit goes to the inject queue, half of the ring at a time. Loom gets a tiny one.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 4 } else { 256 };

/// How many leave the ring when it overflows.
pub(crate) const HALF: usize = CAPACITY / 2;

/// The shared part. Only one thread, the owner, may call `push`, `pop` and `take_half`.
#[derive(Debug)]
#[repr(align(128))] // two cache lines: the neighbour's prefetcher pulls pairs
pub(crate) struct LocalQueue {
    head: AtomicU64,
    tail: AtomicU64,
    slots: Box<[AtomicPtr<Header>; CAPACITY]>,
}

impl LocalQueue {
    pub(crate) fn new() -> Self {
        let slots: Vec<_> = (0..CAPACITY)
            .map(|_| AtomicPtr::new(ptr::null_mut()))
            .collect();
        let slots = slots
            .into_boxed_slice()
            .try_into()
            .expect("as many slots as CAPACITY");
        Self {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            slots,
        }
    }

    #[inline]
    fn slot(&self, position: u64) -> &AtomicPtr<Header> {
        &self.slots[position as usize % CAPACITY]
    }

    /// Is there something to take? For thieves and sleepers a hint.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait here; from another thread a moment ago.
    pub(crate) fn len(&self) -> usize {
        // Head first: it never passes a tail that is read later. Acquire keeps the two in order.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        tail.saturating_sub(head) as usize
    }

    /// Puts a runnable at the back; gives it back when the ring is full. Owner only.
    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) -> Result<(), Runnable> {
        // Relaxed: only the owner, which is us, writes `tail`.
        let tail = self.tail.load(Ordering::Relaxed);
        // Acquire: pairs with the exchange in `claim`.
        let head = self.head.load(Ordering::Acquire);
        if tail - head == CAPACITY as u64 {
            return Err(runnable);
        }
        // Relaxed: published by `tail`.
        self.slot(tail)
            .store(runnable.into_raw().as_ptr(), Ordering::Relaxed);
        // Release: pairs with the Acquire of a thief's look at `tail`.
        self.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    /// Takes the oldest. Owner only.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Runnable> {
        // Relaxed: only the owner writes `tail`; `claim` validates `head`.
        let tail = self.tail.load(Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Relaxed);
        while head != tail {
            // Relaxed: written by us.
            let pointer = self.slot(head).load(Ordering::Relaxed);
            match self.claim(head, 1) {
                // SAFETY: I2: the exchange made the slot's runnable ours.
                Ok(()) => return Some(unsafe { runnable(pointer) }),
                Err(moved) => head = moved,
            }
        }
        None
    }

    /// Makes room in a full ring: takes the older half, oldest first. `None`: thieves were
    /// faster, and there is room. Owner only.
    pub(crate) fn take_half(&self) -> Option<[Runnable; HALF]> {
        // Relaxed: as in `pop`.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        if tail - head < CAPACITY as u64 {
            return None;
        }
        let taken: [_; HALF] =
            std::array::from_fn(|i| self.slot(head + i as u64).load(Ordering::Relaxed));
        self.claim(head, HALF as u64).ok()?;
        // SAFETY: I2: the exchange made these runnables ours.
        Some(taken.map(|pointer| unsafe { runnable(pointer) }))
    }

    /// Moves the older half of this queue into `to`, whose owner the caller is, and returns one
    /// of them to run at once, with how many were taken in all.
    pub(crate) fn steal_into(&self, to: &LocalQueue) -> Option<Runnable> {
        // Relaxed: only its owner, the caller, writes that tail.
        let free_from = to.tail.load(Ordering::Relaxed);
        // Acquire: pairs with the exchange of whoever stole from `to`.
        let free = CAPACITY as u64 - (free_from - to.head.load(Ordering::Acquire));
        // Acquire: before the look at `tail`, so that head never seems to be past it.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // Acquire: pairs with the Release in `push`.
            let tail = self.tail.load(Ordering::Acquire);
            let waiting = tail.saturating_sub(head);
            // More than fits: `head` was stale, and the exchange below would fail.
            let take = (waiting - waiting / 2).min(CAPACITY as u64);
            if take == 0 {
                return None;
            }
            // The first is for the caller's hands; the others must fit.
            let take = take.min(free + 1);
            // Relaxed: published by `tail`; validated by `claim`.
            let first = self.slot(head).load(Ordering::Relaxed);
            for i in 1..take {
                let pointer = self.slot(head + i).load(Ordering::Relaxed);
                to.slot(free_from + i - 1).store(pointer, Ordering::Relaxed);
            }
            match self.claim(head, take) {
                Ok(()) => {
                    // Release: now the others are ours, and may be stolen on.
                    to.tail.store(free_from + take - 1, Ordering::Release);
                    // SAFETY: I2: the exchange made it ours.
                    return Some(unsafe { runnable(first) });
                }
                Err(moved) => head = moved,
            }
        }
    }

    /// I2: the one step that takes runnables out.
    fn claim(&self, head: u64, count: u64) -> Result<(), u64> {
        // AcqRel: see the table. Acquire on failure: the new head comes with freed slots.
        self.head
            .compare_exchange(head, head + count, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }
}

/// # Safety
/// `pointer` was put into a queue by `push` and was claimed by the caller.
unsafe fn runnable(pointer: *mut Header) -> Runnable {
    // SAFETY: by the caller; `push` stored a NonNull.
    unsafe { Runnable::from_raw(NonNull::new_unchecked(pointer)) }
}

impl Drop for LocalQueue {
    fn drop(&mut self) {
        while let Some(runnable) = self.pop() {
            drop(runnable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::queue::weighing;
    use crate::sync::atomic::AtomicUsize;
    use std::sync::Arc;

    #[cfg(not(loom))]
    #[test]
    fn first_in_first_out_until_full_and_round_the_ring() {
        let queue = LocalQueue::new();
        let total = Arc::new(AtomicUsize::new(0));
        for round in 0..3 {
            for i in 0..CAPACITY {
                queue.push(weighing(&total, i)).expect("room");
            }
            assert_eq!(queue.len(), CAPACITY);
            let refused = queue.push(weighing(&total, 0)).unwrap_err();
            drop(refused);
            for i in 0..CAPACITY {
                let before = total.load(Ordering::Relaxed);
                queue.pop().expect("as many as were pushed").run();
                assert_eq!(total.load(Ordering::Relaxed) - before, i, "round {round}");
            }
            assert!(queue.pop().is_none());
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_thief_takes_the_older_half_and_runs_the_oldest() {
        let (victim, thief) = (LocalQueue::new(), LocalQueue::new());
        let total = Arc::new(AtomicUsize::new(0));
        for weight in [1, 10, 100, 1_000, 10_000] {
            victim.push(weighing(&total, weight)).expect("room");
        }
        victim.steal_into(&thief).expect("five are waiting").run();
        assert_eq!(total.load(Ordering::Relaxed), 1);
        assert_eq!(
            (thief.len(), victim.len()),
            (2, 2),
            "three of five were taken"
        );
        while let Some(runnable) = thief.pop() {
            runnable.run();
        }
        assert_eq!(total.load(Ordering::Relaxed), 111);
    }

    #[cfg(not(loom))]
    #[test]
    fn half_of_a_full_ring_makes_room() {
        let queue = LocalQueue::new();
        let total = Arc::new(AtomicUsize::new(0));
        assert!(queue.take_half().is_none(), "there is room already");
        for i in 0..CAPACITY {
            queue
                .push(weighing(&total, usize::from(i < HALF)))
                .expect("room");
        }
        for runnable in queue.take_half().expect("full") {
            runnable.run();
        }
        assert_eq!(
            total.load(Ordering::Relaxed),
            HALF,
            "the older half was taken"
        );
        assert_eq!(queue.len(), CAPACITY - HALF);
    }

    /// The owner pushes and pops round the tiny ring while thieves steal: every runnable is run
    /// exactly once, which the weights tell. Three preemptions: every bug known in queues like this
    /// one shows with two, and more would take hours.
    #[cfg(loom)]
    fn every_runnable_is_taken_once(thieves: usize, first: usize, later: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let queue = Arc::new(LocalQueue::new());
            let total = Arc::new(AtomicUsize::new(0));
            for i in 0..first {
                queue.push(weighing(&total, 1 << (4 * i))).expect("room");
            }
            let threads: Vec<_> = (0..thieves)
                .map(|_| {
                    let queue = queue.clone();
                    loom::thread::spawn(move || {
                        let own = LocalQueue::new();
                        if let Some(runnable) = queue.steal_into(&own) {
                            runnable.run();
                        }
                        while let Some(runnable) = own.pop() {
                            runnable.run();
                        }
                    })
                })
                .collect();
            for i in first..first + later {
                let mut runnable = weighing(&total, 1 << (4 * i));
                while let Err(refused) = queue.push(runnable) {
                    runnable = refused;
                    for half in queue.take_half().into_iter().flatten() {
                        half.run();
                    }
                }
            }
            while let Some(runnable) = queue.pop() {
                runnable.run();
            }
            for thread in threads {
                thread.join().unwrap();
            }
            let once_each = (0..first + later).map(|i| 1 << (4 * i)).sum();
            assert_eq!(total.load(Ordering::Relaxed), once_each);
        });
    }

    #[cfg(loom)]
    #[test]
    fn owner_pops_while_a_thief_steals() {
        every_runnable_is_taken_once(1, 3, 1);
    }

    #[cfg(loom)]
    #[test]
    fn owner_overflows_while_a_thief_steals() {
        every_runnable_is_taken_once(1, 4, 1);
    }

    #[cfg(loom)]
    #[test]
    fn two_thieves_and_the_owner_share() {
        every_runnable_is_taken_once(2, 2, 0);
    }

    #[cfg(loom)]
    #[test]
    fn a_thief_takes_what_is_being_pushed() {
        every_runnable_is_taken_once(1, 0, 2);
    }

    /// A runnable changes hands twice: what its maker wrote must be seen by the second thief.
    #[cfg(loom)]
    #[test]
    fn a_thief_steals_from_a_thief() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let queues = Arc::new([LocalQueue::new(), LocalQueue::new()]);
            let total = Arc::new(AtomicUsize::new(0));
            let thief = {
                let queues = queues.clone();
                loom::thread::spawn(move || {
                    let own = LocalQueue::new();
                    if let Some(runnable) = queues[1].steal_into(&own) {
                        runnable.run();
                    }
                })
            };
            let first_thief = {
                let queues = queues.clone();
                loom::thread::spawn(move || {
                    if let Some(runnable) = queues[0].steal_into(&queues[1]) {
                        runnable.run();
                    }
                    while let Some(runnable) = queues[1].pop() {
                        runnable.run();
                    }
                })
            };
            for i in 0..3 {
                queues[0]
                    .push(weighing(&total, 1 << (4 * i)))
                    .expect("room");
            }
            while let Some(runnable) = queues[0].pop() {
                runnable.run();
            }
            thief.join().unwrap();
            first_thief.join().unwrap();
            assert_eq!(total.load(Ordering::Relaxed), 0x111);
        });
    }
}
