//! The inject queue: ready tasks from outside the workers, and what overflows from theirs.
//!
//! ```text
//!   push, push_batch ──> inbox ── all of it, when the outbox is empty ──> outbox ──> pop_share
//!                        (lock)                                           (lock)
//! ```
//!
//! Two locks, so that who brings one task waits for a worker that fetches many only as long as it
//! takes to exchange two vectors. Workers come here every so many polls and when they have nothing
//! else, and take a batch each time. Counters stand beside the locks, so that an empty look costs
//! two loads.
//!
//! The inbox's lock guards a `G` besides: what must be done at one stroke with a push.
//!
//! Locks     outbox before inbox. No user code runs under either.
//! Ordering  the counters are written under their locks and read without. Relaxed: a stale look is
//!           made good by `is_surely_empty`, which a worker asks before it sleeps (idle.rs).
//! Cost      a push: one lock. What overflows: one per half a ring.
//! Rejected  a lock-free list (Vyukov's): one exchange instead of a lock's two, but no batches.
//! Next: `../multi/bed.rs`.

use super::local::{HALF, LocalQueue};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::task::runnable::Runnable;
use std::collections::VecDeque;

/// Room for so many is kept when a box is empty; what a larger burst took is given back.
const KEPT: usize = 1024;

/// See the file head.
#[derive(Debug)]
pub(crate) struct InjectQueue<G> {
    inbox: Side<Inbox<G>>,
    outbox: Side<VecDeque<Runnable>>,
}

#[derive(Debug)]
#[repr(align(128))] // producers and workers each write their own side
struct Side<T> {
    inner: Mutex<T>,
    /// How many ever passed this side.
    passed: AtomicUsize,
}

#[derive(Debug)]
struct Inbox<G> {
    queue: VecDeque<Runnable>,
    closed: bool,
    guarded: G,
}

impl<T> Side<T> {
    fn new(inner: T) -> Self {
        Self {
            inner: Mutex::new(inner),
            passed: AtomicUsize::new(0),
        }
    }

    fn passed(&self) -> usize {
        // Relaxed: see the file head.
        self.passed.load(Ordering::Relaxed)
    }

    /// Under the lock.
    fn pass(&self, count: usize) {
        // Relaxed, and not one atomic addition: the lock's holder is the only writer.
        self.passed.store(self.passed() + count, Ordering::Relaxed);
    }
}

impl<G> InjectQueue<G> {
    pub(crate) fn new(guarded: G) -> Self {
        let inbox = Inbox {
            queue: VecDeque::new(),
            closed: false,
            guarded,
        };
        Self {
            inbox: Side::new(inbox),
            outbox: Side::new(VecDeque::new()),
        }
    }

    /// How many wait, a moment ago.
    pub(crate) fn len(&self) -> usize {
        // What went out first: it never passes what came in.
        let out = self.outbox.passed();
        self.inbox.passed().saturating_sub(out)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// False when there is something that was pushed before this call took the inbox's lock, unless
    /// another worker fetches it.
    pub(crate) fn is_surely_empty(&self) -> bool {
        let _inbox = lock(&self.inbox.inner);
        self.is_empty()
    }

    /// What the inbox's lock guards besides.
    pub(crate) fn with_guarded<R>(&self, f: impl FnOnce(&mut G) -> R) -> R {
        f(&mut lock(&self.inbox.inner).guarded)
    }

    /// Puts one at the back, with `before` done under the same lock; gives both back when the queue
    /// is closed.
    pub(crate) fn push<B: FnOnce(&mut G)>(
        &self,
        runnable: Runnable,
        before: B,
    ) -> Result<(), (Runnable, B)> {
        let mut inbox = lock(&self.inbox.inner);
        if inbox.closed {
            return Err((runnable, before));
        }
        before(&mut inbox.guarded);
        inbox.queue.push_back(runnable);
        self.inbox.pass(1);
        Ok(())
    }

    /// Puts several at the back, in order, under one lock; gives them back when it is closed.
    pub(crate) fn push_batch<I: Iterator<Item = Runnable>>(&self, runnables: I) -> Result<(), I> {
        let mut inbox = lock(&self.inbox.inner);
        if inbox.closed {
            return Err(runnables);
        }
        let before = inbox.queue.len();
        inbox.queue.extend(runnables);
        self.inbox.pass(inbox.queue.len() - before);
        Ok(())
    }

    /// The outbox, with something in it if there is anything at all.
    fn filled_outbox(&self) -> MutexGuard<'_, VecDeque<Runnable>> {
        let mut outbox = lock(&self.outbox.inner);
        if outbox.is_empty() {
            std::mem::swap(&mut *outbox, &mut lock(&self.inbox.inner).queue);
        }
        outbox
    }

    /// Takes one worker's share: the oldest to run now, others into its queue `to`, whose owner
    /// the caller is. At most one in `sharers` of all, so that the next worker finds some too, and
    /// at most half a ring, so that the worker's own tasks find room.
    pub(crate) fn pop_share(&self, to: &LocalQueue, sharers: usize) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        let mut outbox = self.filled_outbox();
        let share = outbox.len().div_ceil(sharers).min(HALF);
        let first = outbox.pop_front();
        let mut taken = usize::from(first.is_some());
        while taken < share
            && let Some(runnable) = outbox.pop_front()
        {
            if let Err(runnable) = to.push(runnable) {
                outbox.push_front(runnable);
                break;
            }
            taken += 1;
        }
        self.outbox.pass(taken);
        if outbox.is_empty() && outbox.capacity() > KEPT {
            *outbox = VecDeque::new();
        }
        first
    }

    /// Refuses from now on, and returns what waits.
    pub(crate) fn close(&self) -> VecDeque<Runnable> {
        let mut outbox = lock(&self.outbox.inner);
        let mut inbox = lock(&self.inbox.inner);
        inbox.closed = true;
        let mut waiting = std::mem::take(&mut *outbox);
        waiting.append(&mut inbox.queue);
        self.outbox.pass(waiting.len());
        waiting
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::body::{Plain, new_task};
    use crate::task::schedule::Nowhere;

    fn runnable() -> Runnable {
        new_task(Plain(async {}), Nowhere).0
    }

    /// Pushes `count`, and tells who they are.
    fn push(queue: &InjectQueue<usize>, count: usize) -> Vec<usize> {
        let one = |_| {
            let runnable = runnable();
            let id = runnable.id().0;
            let pushed = queue.push(runnable, |pushes| *pushes += 1);
            assert!(pushed.is_ok());
            id
        };
        (0..count).map(one).collect()
    }

    /// Takes shares, for one of two workers, until there are none.
    fn drain(queue: &InjectQueue<usize>) -> Vec<usize> {
        let own = LocalQueue::new();
        let mut order = Vec::new();
        while let Some(first) = queue.pop_share(&own, 2) {
            order.push(first.id().0);
            order.extend(std::iter::from_fn(|| own.pop()).map(|runnable| runnable.id().0));
        }
        order
    }

    #[test]
    fn first_in_first_out_through_both_boxes() {
        let queue = InjectQueue::new(0);
        let mut expected = push(&queue, 3);
        let own = LocalQueue::new();
        let first = queue.pop_share(&own, 3).expect("three wait");
        assert_eq!((first.id().0, own.len()), (expected[0], 0), "a third");
        expected.remove(0);
        expected.extend(push(&queue, 700));
        assert_eq!(queue.len(), 702);
        assert_eq!(drain(&queue), expected);
        assert!(queue.is_surely_empty());
        assert_eq!(queue.with_guarded(|pushes| *pushes), 703);
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let queue = InjectQueue::new(0);
        push(&queue, 10 * KEPT);
        drain(&queue);
        // Twice: the boxes change places.
        push(&queue, 1);
        drain(&queue);
        let room = lock(&queue.inbox.inner).queue.capacity() + lock(&queue.outbox.inner).capacity();
        assert!(room <= 2 * KEPT, "room for {room}");
    }

    #[test]
    fn a_closed_queue_gives_everything_back() {
        let queue = InjectQueue::new(0);
        let mut expected = push(&queue, 2);
        let own = LocalQueue::new();
        drop(queue.pop_share(&own, 2));
        expected.remove(0);
        expected.extend(push(&queue, 1));
        let closed: Vec<_> = queue
            .close()
            .iter()
            .map(|runnable| runnable.id().0)
            .collect();
        assert_eq!(closed, expected, "outbox before inbox");
        assert!(queue.push(runnable(), |_| ()).is_err());
        assert!(queue.push_batch([runnable()].into_iter()).is_err());
        assert!(queue.is_surely_empty());
    }
}
