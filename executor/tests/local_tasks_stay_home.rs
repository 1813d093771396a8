//! A task of `spawn_local` need not be `Send`: whoever spawns, wakes, aborts or forgets it, its
//! future is polled and dropped on the thread that owns the executor, and so is its output.

mod common;

use common::{Drops, WakerSlot, turns, waiting, wake_by_value};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::{self, ThreadId};
use tatkal_executor::{JoinError, LocalExecutor, spawn_local, yield_now};

#[test]
fn it_is_polled_at_home_whoever_wakes_it() {
    let executor = LocalExecutor::default();
    let polled = Rc::new(Mutex::new(Vec::<ThreadId>::new()));
    let task = executor.spawn_local({
        let polled = polled.clone();
        poll_fn(move |cx| {
            let mut polled = polled.lock().unwrap();
            polled.push(thread::current().id());
            if polled.len() == 50 {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        })
    });
    executor.block_on(task).unwrap();
    assert_eq!(*polled.lock().unwrap(), vec![thread::current().id(); 50]);
}

#[test]
fn it_is_dropped_at_home_whoever_aborts_it_and_whoever_holds_the_last_of_it() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let slot = WakerSlot::default();
    let task = executor.spawn_local({
        let (watched, slot) = (Rc::new(drops.watch()), slot.clone());
        async move {
            let _watched = watched;
            waiting(Arc::default(), slot, || false).await;
        }
    });
    executor.block_on(turns(1));
    let (abort, waker) = (task.abort_handle(), slot.lock().unwrap().take().unwrap());
    task.detach();
    thread::spawn(move || {
        abort.abort();
        waker.wake_by_ref();
        drop((abort, waker));
    })
    .join()
    .unwrap();
    assert_eq!(drops.count(), 0);
    executor.block_on(turns(2));
    assert_eq!(drops.threads(), [thread::current().id()]);
}

#[test]
fn it_is_dropped_at_home_when_its_last_waker_dies_elsewhere() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let slot = WakerSlot::default();
    executor
        .spawn_local({
            let (watched, slot) = (Rc::new(drops.watch()), slot.clone());
            async move {
                let _watched = watched;
                waiting(Arc::default(), slot, || false).await;
            }
        })
        .detach();
    executor.block_on(turns(1));
    thread::spawn(move || drop(slot)).join().unwrap();
    assert_eq!(drops.count(), 0, "the executor still knows it");
    drop(executor);
    assert_eq!(drops.threads(), [thread::current().id()]);
}

#[test]
fn an_output_that_nobody_wants_is_dropped_at_home() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let watched = drops.watch();
    executor
        .spawn_local(async move { Rc::new(watched) })
        .detach();
    executor.block_on(turns(1));
    assert_eq!(drops.threads(), [thread::current().id()]);
}

#[test]
fn wakes_that_race_the_end_of_the_executor_drop_nothing_abroad() {
    for _ in 0..300 {
        let drops = Drops::default();
        let executor = LocalExecutor::default();
        let slots: Vec<WakerSlot> = (0..4).map(|_| WakerSlot::default()).collect();
        for slot in &slots {
            let (watched, slot) = (Rc::new(drops.watch()), slot.clone());
            executor
                .spawn_local(async move {
                    let _watched = watched;
                    waiting(Arc::default(), slot, || false).await;
                })
                .detach();
        }
        executor.block_on(turns(1));
        let threads: Vec<_> = slots
            .iter()
            .map(|slot| {
                let waker = slot.lock().unwrap().take().unwrap();
                thread::spawn(move || {
                    waker.wake_by_ref();
                    wake_by_value(&waker);
                    waker.wake();
                })
            })
            .collect();
        drop(slots);
        drop(executor);
        assert_eq!(drops.threads(), [thread::current().id(); 4]);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(drops.count(), 4);
    }
}

#[test]
fn a_task_of_another_thread_runs_at_home_too() {
    let executor = LocalExecutor::default();
    let spawner = executor.handle();
    let home = thread::current().id();
    let polls = Arc::new(AtomicUsize::new(0));
    const THREADS: usize = 4;
    const TASKS: usize = 250;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (spawner, polls) = (spawner.clone(), polls.clone());
            thread::spawn(move || {
                for i in 0..TASKS {
                    let polls = polls.clone();
                    let task = spawner.spawn(async move {
                        yield_now().await;
                        polls.fetch_add(1, Ordering::Relaxed);
                        thread::current().id()
                    });
                    if i % 2 == 0 {
                        assert_eq!(task.join().unwrap(), home);
                    } else {
                        task.detach();
                    }
                }
            })
        })
        .collect();
    executor.block_on(async {
        // Not while they are idle only: some of this thread's own tasks are in the way.
        let own = spawn_local(async {
            loop {
                yield_now().await;
            }
        });
        while polls.load(Ordering::Relaxed) < THREADS * TASKS {
            yield_now().await;
        }
        own.abort();
        assert!(matches!(own.await, Err(JoinError::Cancelled)));
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(executor.live_tasks(), 0);
}

#[test]
fn a_spawned_task_counts_as_alive_at_once() {
    let executor = LocalExecutor::default();
    let spawner = executor.handle();
    executor.spawn_local(pending::<()>()).detach();
    thread::spawn(move || spawner.spawn(pending::<()>()).detach())
        .join()
        .unwrap();
    assert_eq!(executor.live_tasks(), 2);
}
