//! The inject queue: ready tasks from outside the workers, and what overflows from theirs.
//!
//! A lock around a queue. Workers come here every so many polls and when they have nothing else,
//! and take a batch each time; what comes from outside pays one lock per task, what overflows one
//! per half a ring. The length stands beside the lock, so that an empty look costs a load.
//!
//! Ordering  `len` is written under the lock and read without it. Relaxed: a stale zero can only
//!           be read by a worker that does not park on it: before parking, the fences of idle.rs
//!           order this load after every push whose producer did not see the worker asleep.
//! Next: `../multi/idle.rs`.

use super::local::{HALF, LocalQueue};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use crate::task::runnable::Runnable;
use std::collections::VecDeque;

/// See the file head.
#[derive(Debug)]
#[repr(align(128))] // shared by all: apart from what workers write for themselves
pub(crate) struct InjectQueue {
    inner: Mutex<Inner>,
    len: AtomicUsize,
}

#[derive(Debug)]
struct Inner {
    queue: VecDeque<Runnable>,
    closed: bool,
}

impl InjectQueue {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            queue: VecDeque::new(),
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            len: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        // Relaxed: see the file head.
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts one at the back; gives it back when the queue is closed.
    pub(crate) fn push(&self, runnable: Runnable) -> Result<(), Runnable> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(runnable);
        }
        inner.queue.push_back(runnable);
        self.len.store(inner.queue.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Puts several at the back, in order, under one lock; gives them back when it is closed.
    pub(crate) fn push_batch<I: Iterator<Item = Runnable>>(&self, runnables: I) -> Result<(), I> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(runnables);
        }
        inner.queue.extend(runnables);
        self.len.store(inner.queue.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Takes one worker's share: the oldest to run now, others into its queue `to`, whose owner
    /// the caller is. At most one in `sharers` of all, so that the next worker finds some too, and
    /// at most half a ring, so that the worker's own tasks find room.
    pub(crate) fn pop_share(&self, to: &LocalQueue, sharers: usize) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        let mut inner = lock(&self.inner);
        let share = inner.queue.len().div_ceil(sharers).min(HALF);
        let first = inner.queue.pop_front();
        for _ in 1..share {
            let Some(runnable) = inner.queue.pop_front() else {
                break;
            };
            if let Err(runnable) = to.push(runnable) {
                inner.queue.push_front(runnable);
                break;
            }
        }
        self.len.store(inner.queue.len(), Ordering::Relaxed);
        first
    }

    /// Refuses from now on, and returns what waits.
    pub(crate) fn close(&self) -> VecDeque<Runnable> {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        self.len.store(0, Ordering::Relaxed);
        std::mem::take(&mut inner.queue)
    }
}
