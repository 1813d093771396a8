//! What the tests of tasks share: counters of drops and wakes, and futures that tell.

#![allow(dead_code)] // each test file uses its part

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread::ThreadId;

/// Notes on which thread each of the values it watches was dropped.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<Mutex<Vec<ThreadId>>>);

/// A watched value.
#[derive(Debug)]
pub struct Watched {
    drops: Drops,
    panics: bool,
}

impl Drops {
    pub fn watch(&self) -> Watched {
        Watched {
            drops: self.clone(),
            panics: false,
        }
    }

    /// A value whose drop is noted and then panics.
    pub fn watch_and_panic(&self) -> Watched {
        Watched {
            drops: self.clone(),
            panics: true,
        }
    }

    pub fn count(&self) -> usize {
        self.threads().len()
    }

    pub fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap().clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.drops
            .0
            .lock()
            .unwrap()
            .push(std::thread::current().id());
        if self.panics {
            panic!("in drop");
        }
    }
}

/// Counts wakes, by value or by reference.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    /// A counter and its waker.
    pub fn waker() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), wakes.into())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where a future leaves its waker for the test.
pub type WakerSlot = Arc<Mutex<Option<Waker>>>;

/// Is ready when `done` says so; otherwise counts the poll, leaves its waker and waits.
pub async fn waiting(polls: Arc<AtomicUsize>, slot: WakerSlot, done: impl Fn() -> bool) {
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        if done() {
            return Poll::Ready(());
        }
        *slot.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// A clone of the waker is called and consumed.
#[allow(clippy::waker_clone_wake)] // by value is the point
pub fn wake_by_value(waker: &Waker) {
    waker.clone().wake();
}

/// Polls itself `turns` times more: enough for everything that is ready to run.
pub async fn turns(turns: usize) {
    for _ in 0..turns {
        tatkal_executor::yield_now().await;
    }
}

/// Runs `f`, which must panic, and gives the message.
pub fn message_of_panic<R>(f: impl FnOnce() -> R) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
        .err()
        .expect("it should have panicked");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}
