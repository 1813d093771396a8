//! Between two polls any number of wakes is one wake; and one wake is enough. Counted in polls.

mod common;

use common::{Drops, WakerSlot, Wakes, turns, waiting, wake_by_value};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tatkal_executor::{JoinHandle, LocalExecutor};

/// A task that waits until it is told to end, its polls, and its waker.
struct Sleeper {
    handle: JoinHandle<()>,
    polls: Arc<AtomicUsize>,
    slot: WakerSlot,
    done: Arc<AtomicBool>,
}

impl Sleeper {
    /// Spawned and polled once.
    fn new(executor: &LocalExecutor) -> Self {
        let sleeper = Self::queued(executor);
        executor.block_on(turns(1));
        assert_eq!(sleeper.polls(), 1);
        sleeper
    }

    fn queued(executor: &LocalExecutor) -> Self {
        let (polls, slot, done) = <(Arc<AtomicUsize>, WakerSlot, Arc<AtomicBool>)>::default();
        let is_done = done.clone();
        let handle = executor.spawn_local(waiting(polls.clone(), slot.clone(), move || {
            is_done.load(Ordering::Acquire)
        }));
        Self {
            handle,
            polls,
            slot,
            done,
        }
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    fn waker(&self) -> Waker {
        self.slot.lock().unwrap().clone().unwrap()
    }

    fn end(&self) {
        self.done.store(true, Ordering::Release);
        self.waker().wake();
    }
}

#[test]
fn by_value_and_by_reference() {
    let executor = LocalExecutor::default();
    let sleeper = Sleeper::new(&executor);
    sleeper.waker().wake();
    executor.block_on(turns(3));
    assert_eq!(sleeper.polls(), 2);
    sleeper.waker().wake_by_ref();
    executor.block_on(turns(3));
    assert_eq!(sleeper.polls(), 3);
    executor.block_on(turns(10));
    assert_eq!(sleeper.polls(), 3, "no wake, no poll");
}

#[test]
fn a_thousand_wakes_while_queued_are_one_poll() {
    let executor = LocalExecutor::default();
    let sleeper = Sleeper::new(&executor);
    let waker = sleeper.waker();
    for i in 0..1_000 {
        if i % 2 == 0 {
            waker.wake_by_ref();
        } else {
            wake_by_value(&waker);
        }
    }
    executor.block_on(turns(10));
    assert_eq!(sleeper.polls(), 2);
}

#[test]
fn a_thousand_wakes_from_other_threads_while_queued_are_one_poll() {
    let executor = LocalExecutor::default();
    let sleeper = Sleeper::new(&executor);
    let waker = sleeper.waker();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| waker.wake_by_ref()));
        }
    });
    executor.block_on(turns(10));
    assert_eq!(sleeper.polls(), 2);
}

#[test]
fn a_wake_during_the_poll_is_one_more_poll() {
    for wakes in [1, 2, 1_000] {
        for by_clone in [false, true] {
            let executor = LocalExecutor::default();
            let mut polls = 0;
            let task = executor.spawn_local(poll_fn(move |cx| {
                polls += 1;
                if polls == 3 {
                    return Poll::Ready(polls);
                }
                for _ in 0..wakes {
                    if by_clone {
                        wake_by_value(cx.waker());
                    } else {
                        cx.waker().wake_by_ref();
                    }
                }
                Poll::Pending
            }));
            assert_eq!(executor.block_on(task).unwrap(), 3);
        }
    }
}

#[test]
fn a_wake_during_the_last_poll_does_nothing() {
    let executor = LocalExecutor::default();
    let slot = WakerSlot::default();
    let polls = Arc::new(AtomicUsize::new(0));
    let task = executor.spawn_local({
        let (slot, polls) = (slot.clone(), polls.clone());
        poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            *slot.lock().unwrap() = Some(cx.waker().clone());
            polls.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(())
        })
    });
    executor.block_on(task).unwrap();
    executor.block_on(turns(3));
    assert_eq!(polls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_wake_after_completion_does_nothing() {
    let executor = LocalExecutor::default();
    let sleeper = Sleeper::new(&executor);
    let waker = sleeper.waker();
    sleeper.end();
    executor.block_on(turns(3));
    assert_eq!((sleeper.polls(), sleeper.handle.is_finished()), (2, true));
    waker.wake_by_ref();
    wake_by_value(&waker);
    executor.block_on(turns(3));
    assert_eq!(sleeper.polls(), 2);
    executor.block_on(sleeper.handle).unwrap();
    // Now the waker is all that is left of the task; and then of the executor too.
    waker.wake_by_ref();
    drop(executor);
    waker.wake();
}

#[test]
fn a_wake_from_the_destructor_of_the_future_does_nothing() {
    struct WakesInDrop(WakerSlot, Drops);
    impl Drop for WakesInDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().take().unwrap().wake();
            drop(self.1.watch());
        }
    }
    for ready in [false, true] {
        let executor = LocalExecutor::default();
        let slot = WakerSlot::default();
        let (drops, polls) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
        let task = executor.spawn_local({
            let (guard, polls) = (WakesInDrop(slot.clone(), drops.clone()), polls.clone());
            poll_fn(move |cx| {
                let _here = &guard;
                polls.fetch_add(1, Ordering::SeqCst);
                *slot.lock().unwrap() = Some(cx.waker().clone());
                if ready {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        });
        executor.block_on(turns(1));
        task.abort();
        executor.block_on(turns(2));
        assert_eq!(task.join().is_ok(), ready);
        assert_eq!(drops.count(), 1);
        assert_eq!(polls.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_waker_may_be_called_by_another_thread_while_the_task_is_polled() {
    // The poll waits until the wake has happened: it is during the poll for certain.
    let executor = LocalExecutor::default();
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let (woken, was_woken) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for waker in receiver {
            waker.wake();
            woken.send(()).unwrap();
        }
    });
    let mut polls = 0;
    let task = executor.spawn_local(poll_fn(move |cx| {
        polls += 1;
        if polls == 100 {
            return Poll::Ready(polls);
        }
        sender.send(cx.waker().clone()).unwrap();
        was_woken.recv().unwrap();
        Poll::Pending
    }));
    assert_eq!(executor.block_on(task).unwrap(), 100);
    thread.join().unwrap();
}

#[test]
fn wakers_of_one_task_are_equal_and_of_two_are_not() {
    let executor = LocalExecutor::default();
    let (one, two) = (Sleeper::new(&executor), Sleeper::new(&executor));
    let first = one.waker();
    one.waker().wake();
    executor.block_on(turns(1));
    assert!(one.waker().will_wake(&first), "same task, another poll");
    assert!(!two.waker().will_wake(&first));
}

#[test]
fn a_join_waker_is_called_once_and_only_the_last_one() {
    let executor = LocalExecutor::default();
    let mut sleeper = Sleeper::new(&executor);
    let (first_wakes, first) = Wakes::waker();
    let (last_wakes, last) = Wakes::waker();
    let mut poll = |waker| Pin::new(&mut sleeper.handle).poll(&mut Context::from_waker(waker));
    assert!(poll(&first).is_pending());
    assert!(poll(&last).is_pending());
    assert!(poll(&last).is_pending(), "polled again with the same waker");
    assert_eq!(
        Arc::strong_count(&first_wakes),
        2,
        "the replaced waker is dropped"
    );
    sleeper.end();
    executor.block_on(turns(3));
    assert_eq!((first_wakes.count(), last_wakes.count()), (0, 1));
    assert!(sleeper.handle.is_finished());
    drop(sleeper);
    drop(last);
    assert_eq!(Arc::strong_count(&last_wakes), 1, "and goes with the task");
}
