//! Loom explores the one-thread executor against one other thread: the inject queue, its flag, the
//! main future's flag, and the park. A lost wake-up shows as a deadlock, which loom reports; two
//! threads inside `Local` at once show as overlapping accesses to its cell.
//!
//! The owner is the model's main thread. Two preemptions in each: the loop is long, and what it
//! has to get right is one look before one park.

use super::*;
use crate::block_on::block_on;
use crate::error::JoinError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Wake, Waker};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(f);
}

/// What another thread gives a future, and how it is told.
#[derive(Default)]
struct Gift {
    waker: Mutex<Option<Waker>>,
    given: AtomicBool,
}

impl Gift {
    /// Ready once it was given. Relaxed: the wake has to order it.
    async fn wait(self: Arc<Self>) {
        poll_fn(|cx| {
            if self.given.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *lock(&self.waker) = Some(cx.waker().clone());
            // As every such future must: after the waker is in place, look again.
            if self.given.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    fn give(&self) {
        self.given.store(true, Ordering::Relaxed);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[test]
fn the_main_future_is_woken_from_outside() {
    model(|| {
        let executor = LocalExecutor::default();
        let gift = Arc::new(Gift::default());
        let giver = gift.clone();
        let thread = thread::spawn(move || giver.give());
        executor.block_on(gift.wait());
        thread.join().unwrap();
    });
}

#[test]
fn a_task_is_woken_from_outside() {
    model(|| {
        let executor = LocalExecutor::default();
        let gift = Arc::new(Gift::default());
        let task = executor.spawn_local(gift.clone().wait());
        let thread = thread::spawn(move || gift.give());
        executor.block_on(task).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_task_is_spawned_from_outside_and_joined_there() {
    model(|| {
        let executor = LocalExecutor::default();
        let spawner = executor.handle();
        let gift = Arc::new(Gift::default());
        let giver = gift.clone();
        let thread = thread::spawn(move || {
            let task = spawner.spawn(async { 7 });
            assert_eq!(task.join().unwrap(), 7);
            giver.give();
        });
        executor.block_on(gift.wait());
        thread.join().unwrap();
    });
}

/// Its first poll starts a thread that writes and wakes; its second has to see the write.
async fn told_by_a_thread() {
    let told = Arc::new(AtomicBool::new(false));
    let mut thread = None;
    poll_fn(|cx| {
        if thread.is_none() {
            let (teller, waker) = (told.clone(), cx.waker().clone());
            thread = Some(thread::spawn(move || {
                teller.store(true, Ordering::Relaxed);
                waker.wake();
            }));
            return Poll::Pending;
        }
        assert!(
            told.load(Ordering::Relaxed),
            "polled for a wake it cannot see"
        );
        Poll::Ready(())
    })
    .await;
    thread.take().unwrap().join().unwrap();
}

#[test]
fn what_was_done_before_a_wake_is_seen_after_it() {
    model(|| LocalExecutor::default().block_on(told_by_a_thread()));
    model(|| {
        let executor = LocalExecutor::default();
        let task = executor.spawn_local(told_by_a_thread());
        executor.block_on(task).unwrap();
    });
}

#[test]
fn two_tasks_are_spawned_from_outside_in_a_row() {
    model(|| {
        let executor = LocalExecutor::default();
        let spawner = executor.handle();
        let gift = Arc::new(Gift::default());
        let giver = gift.clone();
        let thread = thread::spawn(move || {
            spawner.spawn(async {}).detach();
            spawner.spawn(async move { giver.give() }).detach();
        });
        executor.block_on(gift.wait());
        thread.join().unwrap();
    });
}

#[test]
fn a_task_is_aborted_from_outside() {
    model(|| {
        let executor = LocalExecutor::default();
        let task = executor.spawn_local(pending::<()>());
        let abort = task.abort_handle();
        let thread = thread::spawn(move || abort.abort());
        assert!(matches!(executor.block_on(task), Err(JoinError::Cancelled)));
        thread.join().unwrap();
    });
}

/// A driver whose unparker tells, by its count, whether what tasks and threads know of the executor
/// is still there.
struct Watched(Parker, Arc<Unparker>);

struct Unparker(Waker);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

impl Driver for Watched {
    fn park(&mut self, limit: Option<Duration>) {
        Driver::park(&mut self.0, limit);
    }

    fn unparker(&self) -> Waker {
        self.1.clone().into()
    }
}

fn watched() -> (LocalExecutor, Arc<Unparker>) {
    let parker = Parker::new();
    let unparker = Arc::new(Unparker(parker.unparker()));
    let executor = LocalExecutor::new(Watched(parker, unparker.clone()));
    (executor, unparker)
}

fn assert_gone(unparker: &Arc<Unparker>) {
    assert_eq!(Arc::strong_count(unparker), 1, "nobody frees the executor");
}

#[test]
fn the_end_of_the_executor_meets_a_wake() {
    model(|| {
        let (executor, unparker) = watched();
        let gift = Arc::new(Gift::default());
        let task = executor.spawn_local(gift.clone().wait());
        executor.block_on(super::super::yield_now());
        let thread = thread::spawn(move || gift.give());
        drop(executor);
        assert!(task.is_finished(), "dropped here, whoever wakes it");
        thread.join().unwrap();
        drop(task);
        assert_gone(&unparker);
    });
}

#[test]
fn the_end_of_the_executor_meets_a_wake_of_its_main_future() {
    model(|| {
        let (executor, unparker) = watched();
        // A waker that outlives its `block_on`, cloned there and dropped elsewhere.
        let waker = executor.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let thread = thread::spawn(move || waker.wake());
        drop(executor);
        thread.join().unwrap();
        assert_gone(&unparker);
    });
}

#[test]
fn the_end_of_the_executor_meets_that_of_a_handle_and_a_task() {
    model(|| {
        let (executor, unparker) = watched();
        let task = executor.spawn_local(async {});
        executor.block_on(super::super::yield_now());
        let spawner = executor.handle();
        let thread = thread::spawn(move || {
            drop(spawner.clone());
            drop((task, spawner)); // the last of the task: it is freed here
        });
        drop(executor);
        thread.join().unwrap();
        assert_gone(&unparker);
    });
}

#[test]
fn the_end_of_the_executor_meets_a_spawn() {
    model(|| {
        let (executor, unparker) = watched();
        let spawner = executor.handle();
        let drops = Arc::new(AtomicUsize::new(0));
        let counts = CountsDrop(drops.clone());
        let thread = thread::spawn(move || {
            let task = spawner.spawn(async move { drop(counts) });
            assert!(matches!(block_on(task), Err(JoinError::Cancelled)));
        });
        drop(executor);
        thread.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_gone(&unparker);
    });
}

struct CountsDrop(Arc<AtomicUsize>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
