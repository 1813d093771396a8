//! The run queue of one thread: first in, first out, and no more memory than what waits in it.
//!
//! ```text
//!     pop                                                    push
//!      ^                                                      |
//!   front [..cde]   middle [fghij] [klmno] [pqrst]   back [uv.]
//!             whole blocks, freed as they are emptied
//! ```
//!
//! A ring that grows by doubling would keep room for the largest burst there ever was: ten thousand
//! tasks that were ready once and sleep ever since would still pay for it. Here a block goes as
//! soon as it is empty; `front` and `back` change places while one block is enough, so that few
//! tasks never allocate.
//!
//! Owns      the runnables. Not synchronised.
//! Cost      push and pop: a bounds check and a copy of a pointer; an allocation every BLOCK tasks
//!           of a backlog. Next: `metrics.rs`.

use crate::task::cell::Header;
use crate::task::runnable::Runnable;
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Runnables in a block. 2 KiB: the allocation disappears among so many tasks, and what two half
/// empty blocks keep is not worth freeing.
const BLOCK: usize = 256;

/// See the file head. Pointers, not runnables: a block is emptied by moving an index.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    front: Vec<NonNull<Header>>,
    /// How many of `front` are gone.
    taken: usize,
    /// Full, each of them.
    middle: VecDeque<Vec<NonNull<Header>>>,
    back: Vec<NonNull<Header>>,
}

// SAFETY: the pointers are runnables, which are Send.
unsafe impl Send for Fifo {}

impl Fifo {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.front.len() - self.taken + self.middle.len() * BLOCK + self.back.len()
    }

    #[inline]
    pub(super) fn push(&mut self, runnable: Runnable) {
        if self.back.len() == BLOCK {
            self.close_block();
        }
        self.back.push(runnable.into_raw());
    }

    #[cold]
    fn close_block(&mut self) {
        let next = Vec::with_capacity(BLOCK);
        self.middle
            .push_back(std::mem::replace(&mut self.back, next));
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Runnable> {
        if self.taken == self.front.len() {
            self.next_block();
        }
        let pointer = *self.front.get(self.taken)?;
        self.taken += 1;
        // SAFETY: `push` put a runnable's pointer there, and the index has passed it.
        Some(unsafe { Runnable::from_raw(pointer) })
    }

    /// `front` is used up.
    fn next_block(&mut self) {
        self.taken = 0;
        match self.middle.pop_front() {
            Some(block) => self.front = block,
            None => {
                self.front.clear();
                std::mem::swap(&mut self.front, &mut self.back);
            }
        }
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        while let Some(runnable) = self.pop() {
            drop(runnable);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::body::{Plain, new_task};
    use crate::task::schedule::Nowhere;

    fn push_new(fifo: &mut Fifo) -> NonNull<Header> {
        let (runnable, handle) = new_task(Plain(async {}), Nowhere);
        handle.detach();
        let pointer = runnable.as_raw();
        fifo.push(runnable);
        pointer
    }

    fn pop_one(fifo: &mut Fifo) -> NonNull<Header> {
        fifo.pop().unwrap().as_raw()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_across_blocks() {
        let mut fifo = Fifo::default();
        // A backlog that grows to several blocks and shrinks again, never quite empty, then empty.
        for backlog in [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let mut expected: VecDeque<_> = (0..backlog).map(|_| push_new(&mut fifo)).collect();
            for _ in 0..2 * BLOCK {
                expected.push_back(push_new(&mut fifo));
                assert_eq!(fifo.len(), backlog + 1);
                assert_eq!(pop_one(&mut fifo), expected.pop_front().unwrap());
                assert_eq!(fifo.len(), backlog);
            }
            for pointer in expected {
                assert_eq!(pop_one(&mut fifo), pointer);
            }
            assert_eq!(fifo.len(), 0);
            assert!(fifo.pop().is_none());
        }
    }

    #[test]
    fn a_burst_leaves_no_more_than_two_blocks() {
        let mut fifo = Fifo::default();
        for _ in 0..100 * BLOCK {
            push_new(&mut fifo);
        }
        while fifo.pop().is_some() {}
        assert!(fifo.front.capacity() + fifo.back.capacity() <= 2 * BLOCK);
        assert!(fifo.middle.is_empty());
    }

    #[test]
    fn what_is_left_is_cancelled_with_the_queue() {
        let mut fifo = Fifo::default();
        let (runnable, handle) = new_task(Plain(std::future::pending::<()>()), Nowhere);
        fifo.push(runnable);
        drop(fifo);
        assert!(handle.join().unwrap_err().is_cancelled());
    }
}
