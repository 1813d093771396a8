//! When the executor goes, every live task goes with it: once, on the executor's thread, and every
//! handle hears `Cancelled`. Whatever the destructors and the other threads do meanwhile.

mod common;

use common::{Drops, WakerSlot, turns, waiting};
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Waker;
use tatkal_executor::{JoinError, JoinHandle, LocalExecutor, block_on, spawn_local, yield_now};

fn assert_cancelled<T: std::fmt::Debug>(handle: JoinHandle<T>) {
    assert!(handle.is_finished());
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
}

#[test]
fn tasks_in_every_state() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let slot = WakerSlot::default();
    let sleeps = executor.spawn_local({
        let (watched, slot) = (drops.watch(), slot.clone());
        async move {
            let _watched = watched;
            waiting(Arc::default(), slot, || false).await;
        }
    });
    let forgotten_by_its_wakers = executor.spawn_local({
        let watched = drops.watch();
        async move {
            let _watched = watched;
            pending::<()>().await;
        }
    });
    executor.block_on(turns(1));
    // Never polled: one in the queue, one handed over by another thread.
    let queued = executor.spawn_local({
        let watched = drops.watch();
        async move { drop(watched) }
    });
    let outside = executor.handle();
    let watched = drops.watch();
    let injected = std::thread::spawn(move || outside.spawn(async move { drop(watched) }))
        .join()
        .unwrap();
    drop(executor);
    assert_eq!(drops.threads(), [std::thread::current().id(); 4]);
    assert_cancelled(sleeps);
    assert_cancelled(forgotten_by_its_wakers);
    assert_cancelled(queued);
    assert_cancelled(injected);
    // The waker outlives all of it.
    slot.lock().unwrap().take().unwrap().wake();
}

#[test]
fn a_task_that_is_complete_keeps_its_output() {
    let executor = LocalExecutor::default();
    let task = executor.spawn_local(async { 7 });
    executor.block_on(turns(1));
    drop(executor);
    assert_eq!(task.join().unwrap(), 7);
}

#[test]
fn waiters_on_other_threads_are_told() {
    let executor = LocalExecutor::default();
    let outside = executor.handle();
    let registered = Arc::new(AtomicBool::new(false));
    let waiter = std::thread::spawn({
        let registered = registered.clone();
        move || {
            let mut task = outside.spawn(pending::<()>());
            block_on(poll_fn(move |cx| {
                let polled = std::pin::Pin::new(&mut task).poll(cx);
                registered.store(true, Ordering::Release);
                polled
            }))
        }
    });
    while !registered.load(Ordering::Acquire) {
        executor.block_on(turns(1));
    }
    drop(executor);
    assert!(matches!(waiter.join().unwrap(), Err(JoinError::Cancelled)));
}

/// Runs its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_destructor_that_spawns_gets_a_cancelled_handle() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let outside = executor.handle();
    let spawned = Arc::new(AtomicUsize::new(0));
    executor
        .spawn_local({
            let (drops, spawned) = (drops.clone(), spawned.clone());
            let on_drop = OnDrop(move || {
                let (here, there) = (drops.watch(), drops.watch());
                assert_cancelled(spawn_local(async move { drop(here) }));
                assert_cancelled(outside.spawn(async move { drop(there) }));
                spawned.fetch_add(2, Ordering::Relaxed);
            });
            async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            }
        })
        .detach();
    executor.block_on(turns(1));
    drop(executor);
    assert_eq!(spawned.load(Ordering::Relaxed), 2);
    assert_eq!(drops.count(), 2);
}

#[test]
fn destructors_that_wake_and_abort_each_other() {
    const TASKS: usize = 10;
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let slots: Vec<WakerSlot> = (0..TASKS).map(|_| WakerSlot::default()).collect();
    let aborts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|me| {
            let (watched, slot) = (drops.watch(), slots[me].clone());
            let others = slots.clone();
            let aborts: Arc<std::sync::Mutex<Vec<tatkal_executor::AbortHandle>>> = aborts.clone();
            let on_drop = OnDrop(move || {
                for slot in &others {
                    if let Some(waker) = &*slot.lock().unwrap() {
                        waker.wake_by_ref();
                    }
                }
                for abort in aborts.lock().unwrap().iter() {
                    abort.abort();
                }
            });
            executor.spawn_local(async move {
                let _watched = (watched, on_drop);
                waiting(Arc::default(), slot, || false).await;
            })
        })
        .collect();
    aborts
        .lock()
        .unwrap()
        .extend(tasks.iter().map(JoinHandle::abort_handle));
    executor.block_on(turns(1));
    drop(executor);
    assert_eq!(drops.count(), TASKS);
    tasks.into_iter().for_each(assert_cancelled);
}

#[test]
fn a_destructor_that_joins_a_sibling_is_refused() {
    let executor = LocalExecutor::default();
    let sibling = executor.spawn_local(pending::<()>());
    let mut sibling = Some(sibling);
    // The list of live tasks is dropped from its end, so this one goes first.
    let joins = executor.spawn_local({
        let on_drop = OnDrop(move || {
            let _ = sibling.take().unwrap().join();
        });
        async move {
            let _on_drop = on_drop;
            pending::<()>().await;
        }
    });
    executor.block_on(turns(1));
    drop(executor);
    match joins.join() {
        Err(JoinError::Panicked(report)) => assert!(report.message().contains(".await")),
        other => panic!("it would wait for ever, so it has to be refused: {other:?}"),
    }
    block_on(async {}); // and blocking is allowed again
}

#[test]
fn inside_a_task_of_another_executor() {
    let drops = Drops::default();
    let outer = LocalExecutor::default();
    let result = outer.block_on(async {
        let slot = WakerSlot::default();
        let polls = Arc::new(AtomicUsize::new(0));
        let woken = Arc::new(AtomicBool::new(false));
        let waiter = spawn_local({
            let woken = woken.clone();
            waiting(polls.clone(), slot.clone(), move || {
                woken.load(Ordering::Relaxed)
            })
        });
        turns(1).await;
        let inner = LocalExecutor::default();
        inner
            .spawn_local({
                let watched = drops.watch();
                let wake_outer = OnDrop(move || {
                    woken.store(true, Ordering::Relaxed);
                    slot.lock().unwrap().take().unwrap().wake();
                });
                async move {
                    let _watched = (watched, wake_outer);
                }
            })
            .detach();
        drop(inner);
        assert_eq!(drops.count(), 1);
        // Still inside the outer one.
        assert_eq!(spawn_local(async { 7 }).await.unwrap(), 7);
        waiter.await.unwrap();
        polls.load(Ordering::Relaxed)
    });
    assert_eq!(result, 2);
}

#[test]
fn while_other_threads_spawn_wake_and_abort() {
    const THREADS: usize = 3;
    for _ in 0..200 {
        let futures = Drops::default();
        let executor = LocalExecutor::default();
        let start = Arc::new(Barrier::new(THREADS + 1));
        let slots: Vec<WakerSlot> = (0..THREADS).map(|_| WakerSlot::default()).collect();
        let sleepers: Vec<_> = slots
            .iter()
            .map(|slot| {
                let (watched, slot) = (futures.watch(), slot.clone());
                executor.spawn_local(async move {
                    let _watched = watched;
                    waiting(Arc::default(), slot, || false).await;
                })
            })
            .collect();
        executor.block_on(turns(1));
        let threads: Vec<_> = (0..THREADS)
            .map(|me| {
                let start = start.clone();
                let outside = executor.handle();
                let waker: Waker = slots[me].lock().unwrap().clone().unwrap();
                let abort = sleepers[(me + 1) % THREADS].abort_handle();
                let watched: Vec<_> = (0..20).map(|_| futures.watch()).collect();
                std::thread::spawn(move || {
                    start.wait();
                    for (i, watched) in watched.into_iter().enumerate() {
                        waker.wake_by_ref();
                        let task = outside.spawn(async move {
                            let _watched = watched;
                            yield_now().await;
                        });
                        if i % 3 == 0 {
                            task.abort();
                        }
                        if i == 10 {
                            abort.abort();
                        }
                    }
                })
            })
            .collect();
        start.wait();
        executor.block_on(turns(3));
        drop(executor);
        // Every sleeper is gone, on this thread. A late spawn may still be on its way to its end.
        for sleeper in sleepers {
            assert_cancelled(sleeper);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(futures.count(), THREADS * (1 + 20));
    }
}

#[test]
fn spawning_onto_an_executor_that_is_gone_drops_the_future_here() {
    let drops = Drops::default();
    let outside = LocalExecutor::default().handle();
    let watched = drops.watch();
    let task = std::thread::spawn(move || outside.spawn(async move { drop(watched) }))
        .join()
        .unwrap();
    assert_eq!(drops.count(), 1);
    assert_ne!(drops.threads()[0], std::thread::current().id());
    assert_cancelled(task);
}

#[test]
fn an_executor_in_a_thread_local_goes_with_its_thread() {
    thread_local! {
        static EXECUTOR: LocalExecutor = LocalExecutor::default();
    }
    let drops = Drops::default();
    let thread = std::thread::spawn({
        let drops = drops.clone();
        move || {
            EXECUTOR.with(|executor| {
                let watched = drops.watch();
                let spawns_as_it_goes = OnDrop(|| assert_cancelled(spawn_local(async {})));
                let task = executor.spawn_local(async move {
                    let _watched = (watched, spawns_as_it_goes);
                    pending::<()>().await;
                });
                executor.block_on(turns(1));
                task
            })
        }
    });
    let task = thread.join().unwrap();
    assert_eq!(drops.count(), 1);
    assert_cancelled(task);
}

#[test]
fn a_driver_goes_last_and_may_still_be_woken() {
    struct Noisy(tatkal_executor::Parker, Arc<AtomicBool>);
    impl tatkal_executor::Driver for Noisy {
        fn park(&mut self, limit: Option<std::time::Duration>) {
            tatkal_executor::Driver::park(&mut self.0, limit);
        }
        fn unparker(&self) -> Waker {
            self.0.unparker()
        }
    }
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let executor = LocalExecutor::new(Noisy(tatkal_executor::Parker::new(), gone.clone()));
    let outside = executor.handle();
    let seen = Arc::new(AtomicBool::new(true));
    executor
        .spawn_local({
            let (gone, seen) = (gone.clone(), seen.clone());
            let on_drop =
                OnDrop(move || seen.store(gone.load(Ordering::Relaxed), Ordering::Relaxed));
            async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            }
        })
        .detach();
    drop(executor);
    assert!(gone.load(Ordering::Relaxed));
    assert!(
        !seen.load(Ordering::Relaxed),
        "tasks may use what the driver owns"
    );
    assert_cancelled(outside.spawn(async {}));
}
