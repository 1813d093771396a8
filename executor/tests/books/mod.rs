//! The books that a torture test keeps of its tasks: polls and their causes, drops, and what the
//! handles said.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use tatkal_executor::JoinError;

/// What is known of one task.
#[derive(Default)]
pub struct Record {
    /// In the order of their making.
    pub number: usize,
    polls: AtomicUsize,
    /// Reasons for a poll: the spawn, yields, wakes.
    pub causes: AtomicUsize,
    in_poll: AtomicBool,
    /// Its last poll returned, or panicked.
    finished: AtomicBool,
    pub drops: AtomicUsize,
    pub abort_asked: AtomicBool,
    /// What its handle said, if anybody asked: finished?
    told: Lock<Option<bool>>,
}

/// A lock whose order ThreadSanitizer can see: std's is not instrumented, the additions here are.
#[derive(Default)]
pub struct Lock<T> {
    turns: AtomicUsize,
    inner: std::sync::Mutex<T>,
}

impl<T> Lock<T> {
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut guard = self.inner.lock().unwrap();
        self.turns.fetch_add(1, Ordering::Acquire);
        let result = f(&mut guard);
        self.turns.fetch_add(1, Ordering::Release);
        result
    }
}

/// Adds itself to its task's drops.
pub struct Carried(pub Arc<Record>);

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that keeps the record of `inner`.
pub async fn recorded(inner: impl Future<Output = ()>, carried: Carried) {
    let mut inner = std::pin::pin!(inner);
    let record = carried.0.clone();
    poll_fn(|cx| record.poll(|| inner.as_mut().poll(cx))).await;
}

impl Record {
    pub fn new(number: usize) -> Record {
        Record {
            number,
            causes: AtomicUsize::new(1), // the spawn
            ..Record::default()
        }
    }

    pub fn poll(&self, poll: impl FnOnce() -> Poll<()>) -> Poll<()> {
        struct Leave<'a>(&'a Record);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.finished.store(true, Ordering::SeqCst);
                }
                self.0.in_poll.store(false, Ordering::SeqCst);
            }
        }
        assert!(!self.in_poll.swap(true, Ordering::SeqCst), "two polls");
        let _leave = Leave(self);
        assert_eq!(self.drops.load(Ordering::SeqCst), 0, "polled after drop");
        self.polls.fetch_add(1, Ordering::SeqCst);
        let polled = poll();
        if polled.is_ready() {
            self.finished.store(true, Ordering::SeqCst);
        }
        polled
    }

    pub fn wake(&self, waker: Waker, by_value: bool) {
        self.causes.fetch_add(1, Ordering::SeqCst);
        if by_value {
            waker.wake();
        } else {
            waker.wake_by_ref();
        }
    }

    pub fn tell(&self, result: Result<(), JoinError>) {
        let finished = match result {
            Ok(()) | Err(JoinError::Panicked(_)) => true,
            Err(JoinError::Cancelled) => false,
            Err(other) => panic!("{other:?}"),
        };
        self.told.with(|told| *told = Some(finished));
    }

    pub fn check(&self, cut: bool) {
        let finished = self.finished.load(Ordering::SeqCst);
        let polls = self.polls.load(Ordering::SeqCst);
        assert_eq!(self.drops.load(Ordering::SeqCst), 1, "drops");
        assert!(polls <= self.causes.load(Ordering::SeqCst), "polls");
        assert!(
            finished || cut || self.abort_asked.load(Ordering::SeqCst),
            "cancelled by nobody"
        );
        if let Some(told) = self.told.with(|told| *told) {
            assert_eq!(told, finished, "what the handle said");
        }
    }
}
