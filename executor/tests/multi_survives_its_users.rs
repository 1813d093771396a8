//! User code runs on the workers' threads in more places than polls: hooks, wakers that the driver
//! calls, destructors while the executor is dropped. Whatever it does there, every task is still
//! run or cancelled, once, and nothing waits for ever.

mod common;

use common::{Drops, turns};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;
use tatkal_executor::{
    Driver, JoinError, LocalExecutor, MultiBuilder, MultiExecutor, Parker, block_on, spawn,
    spawn_local, yield_now,
};

/// Runs its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Tasks still run on every path: from outside, from inside, after a sleep.
fn assert_alive(executor: &MultiExecutor) {
    for _ in 0..3 {
        let task = executor.handle().spawn(async {
            yield_now().await;
            spawn(async { 7 }).await.unwrap()
        });
        assert_eq!(task.join().unwrap(), 7);
    }
}

#[test]
fn a_destructor_that_joins_a_sibling_is_refused_while_the_executor_is_dropped() {
    let executor = MultiExecutor::new(2).unwrap();
    let polled = Arc::new(AtomicUsize::new(0));
    let sleeping = |on_drop: Option<OnDrop<Box<dyn FnMut() + Send>>>| {
        let polled = polled.clone();
        async move {
            let _on_drop = on_drop;
            polled.fetch_add(1, Ordering::SeqCst);
            pending::<()>().await;
        }
    };
    // Each waits for the one after it, so one of them comes first whatever the order of drops.
    let mut joins = Vec::new();
    let mut sibling = executor.handle().spawn(sleeping(None));
    for _ in 0..3 {
        let mut waited_for = Some(sibling);
        sibling = executor
            .handle()
            .spawn(sleeping(Some(OnDrop(Box::new(move || {
                let _ = waited_for.take().unwrap().join();
            })))));
        joins.push(sibling.abort_handle());
    }
    while polled.load(Ordering::SeqCst) < 4 {
        thread::yield_now();
    }
    drop(executor);
    assert!(joins.iter().all(|join| join.is_finished()));
    drop(sibling);
}

/// A driver that calls back while it parks, as an event loop calls wakers.
struct Calls {
    parker: Parker,
    wakers: Arc<Mutex<Vec<Waker>>>,
}

impl Driver for Calls {
    fn park(&mut self, limit: Option<Duration>) {
        // A look only when there is something to call: the contract of a driver.
        let now = self.wakers.lock().unwrap().is_empty();
        Driver::park(
            &mut self.parker,
            if now { limit } else { Some(Duration::ZERO) },
        );
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap());
        wakers.into_iter().for_each(Waker::wake);
    }

    fn unparker(&self) -> Waker {
        self.parker.unparker()
    }
}

struct Panics(AtomicBool);

impl std::task::Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
        panic!("a waker of the user's");
    }
}

#[test]
fn a_waker_that_panics_in_the_driver_costs_no_worker() {
    for workers in [1, 2] {
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let driver = Calls {
            parker: Parker::new(),
            wakers: wakers.clone(),
        };
        let executor = MultiBuilder::new(workers).build(driver).unwrap();
        for _ in 0..4 {
            let panics = Arc::new(Panics(AtomicBool::new(false)));
            wakers.lock().unwrap().push(panics.clone().into());
            // The driver is looked at between tasks, or slept in after them.
            while !panics.0.load(Ordering::SeqCst) {
                assert_alive(&executor);
            }
        }
        assert_alive(&executor);
        executor.shutdown_timeout(Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn hooks_that_panic_cost_no_worker() {
    let executor = MultiBuilder::new(2)
        .on_thread_start(|| panic!("on start"))
        .on_thread_park(|| panic!("on park"))
        .on_thread_stop(|| panic!("on stop"))
        .build(Parker::new())
        .unwrap();
    assert_alive(&executor);
    executor.shutdown_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn spawn_goes_to_the_innermost_executor() {
    let home = thread::current().id();
    let multi = MultiExecutor::new(1).unwrap();
    let local = LocalExecutor::default();
    let guest = multi.handle().enter();
    let worker = spawn(async { thread::current().id() }).join().unwrap();
    assert_ne!(worker, home);
    local.block_on(async {
        assert_eq!(spawn(async { thread::current().id() }).await.unwrap(), home);
        let task = spawn_local(async { thread::current().id() });
        assert_eq!(task.await.unwrap(), home);
    });
    let other = MultiExecutor::new(1).unwrap();
    other.block_on(async {
        let task = spawn(async { thread::current().id() }).await.unwrap();
        assert!(task != home && task != worker);
        // In there, another executor's `block_on` would keep this future waiting.
        let nested = catch_unwind(AssertUnwindSafe(|| local.block_on(async {})));
        assert!(nested.is_err());
    });
    let task = spawn(async { thread::current().id() });
    assert_eq!(task.join().unwrap(), worker);
    drop(guest);
    assert!(catch_unwind(|| spawn(async {})).is_err());
    // A one-thread executor's end inside a worker: what its tasks spawn as they go is its own.
    let task = multi.handle().spawn(async {
        let local = LocalExecutor::default();
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = cancelled.clone();
        let on_drop = OnDrop(move || {
            let late = spawn(async {});
            seen.store(late.is_finished(), Ordering::SeqCst);
        });
        local
            .spawn_local(async move {
                let _on_drop = on_drop;
            })
            .detach();
        drop(local);
        cancelled.load(Ordering::SeqCst)
    });
    assert!(
        task.join().unwrap(),
        "it went to the executor that was going"
    );
}

#[test]
fn an_executor_dropped_by_its_own_task_cancels_the_others_once() {
    for workers in [1, 2, 4] {
        let drops = Drops::default();
        let executor = MultiExecutor::new(workers).unwrap();
        let handle = executor.handle();
        let others: Vec<_> = (0..20)
            .map(|i| {
                let watched = drops.watch();
                handle.spawn(async move {
                    let _watched = watched;
                    if i % 2 == 0 {
                        turns(3).await;
                    } else {
                        pending::<()>().await;
                    }
                })
            })
            .collect();
        let last = handle.spawn(async move {
            yield_now().await;
            drop(executor);
            7
        });
        assert_eq!(
            last.join().unwrap(),
            7,
            "the poll that dropped it goes on to its end"
        );
        for other in others {
            match block_on(other) {
                Ok(()) | Err(JoinError::Cancelled) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(drops.count(), 20);
        assert!(matches!(
            handle.spawn(async {}).join(),
            Err(JoinError::Cancelled)
        ));
    }
}

#[test]
fn a_shutdown_that_a_poll_holds_up_says_so_and_ends_with_it() {
    let executor = MultiExecutor::new(2).unwrap();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let (sender, started) = std::sync::mpsc::channel();
    let drops = Drops::default();
    let watched = drops.watch();
    let task = executor.handle().spawn(async move {
        let _watched = watched;
        sender.send(()).unwrap();
        blocked.recv().unwrap();
        yield_now().await;
    });
    started.recv().unwrap();
    let still = executor
        .shutdown_timeout(Duration::from_millis(20))
        .unwrap_err();
    // The stuck one; on a busy machine the other one may need longer than that, too.
    assert!((1..=2).contains(&still.workers), "{still:?}");
    assert_eq!(drops.count(), 0);
    release.send(()).unwrap();
    assert!(matches!(task.join(), Err(JoinError::Cancelled)));
    assert_eq!(drops.count(), 1);
}

/// What the poll waits for stands behind it, on the same worker: dropped, or left to a limit, the
/// executor cancels it all the same.
#[test]
fn what_waits_behind_a_poll_is_cancelled_before_the_poll_returns() {
    for limit in [None, Some(Duration::ZERO), Some(Duration::from_secs(60))] {
        let executor = MultiExecutor::new(1).unwrap();
        let (left, all_left) = std::sync::mpsc::channel::<()>();
        let (sender, started) = std::sync::mpsc::channel();
        let drops = Drops::default();
        let watched = [drops.watch(), drops.watch(), drops.watch()];
        let task = executor.handle().spawn(async move {
            for watched in watched {
                // One of them goes into the next slot, the others into the queue.
                let left = left.clone();
                spawn(async move { drop((watched, left)) }).detach();
            }
            drop(left);
            sender.send(()).unwrap();
            all_left.recv().unwrap_err();
            pending::<()>().await;
        });
        started.recv().unwrap();
        // On a thread of its own: it must not last for ever.
        let (done, ended) = std::sync::mpsc::channel();
        thread::spawn(move || {
            // With the limit of zero the worker may be said to run still.
            let _ = limit.map(|limit| executor.shutdown_timeout(limit));
            done.send(()).unwrap();
        });
        let ended = ended.recv_timeout(Duration::from_secs(50));
        ended.expect("the executor waits for the poll, and that for the executor");
        assert!(matches!(task.join(), Err(JoinError::Cancelled)));
        assert_eq!(drops.count(), 3);
    }
}

#[test]
fn what_a_hook_wakes_or_spawns_runs_though_the_worker_was_going_to_sleep() {
    for spawns in [false, true] {
        let waiting = Arc::new(Mutex::new(None::<Waker>));
        let (done, ended) = std::sync::mpsc::channel();
        let executor = MultiBuilder::new(1)
            .on_thread_park({
                let waiting = waiting.clone();
                move || {
                    let waker = waiting.lock().unwrap().take();
                    match waker {
                        Some(waker) if spawns => spawn(async move { waker.wake() }).detach(),
                        Some(waker) => waker.wake(),
                        None => {}
                    }
                }
            })
            .build(Parker::new())
            .unwrap();
        let mut polls = 0;
        let task = executor.handle().spawn(std::future::poll_fn(move |cx| {
            polls += 1;
            if polls > 1 {
                return std::task::Poll::Ready(());
            }
            *waiting.lock().unwrap() = Some(cx.waker().clone());
            std::task::Poll::Pending
        }));
        // On a thread of its own: if the task is lost, waiting for it must not last for ever.
        thread::spawn(move || done.send(task.join()));
        let ended = ended.recv_timeout(Duration::from_secs(60));
        ended.expect("the task was left behind").unwrap();
    }
}

/// A driver whose unparker does its work, and panics.
struct Grumpy(Parker);

struct GrumpyUnparker(Waker);

impl std::task::Wake for GrumpyUnparker {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        panic!("unparked");
    }
}

impl Driver for Grumpy {
    fn park(&mut self, limit: Option<Duration>) {
        Driver::park(&mut self.0, limit);
    }

    fn unparker(&self) -> Waker {
        Arc::new(GrumpyUnparker(self.0.unparker())).into()
    }
}

#[test]
fn an_unparker_that_panics_keeps_no_task_from_its_end() {
    let executor = MultiBuilder::new(1).build(Grumpy(Parker::new())).unwrap();
    let (give, waker) = std::sync::mpsc::channel();
    let task = executor.handle().spawn(std::future::poll_fn(move |cx| {
        give.send(cx.waker().clone()).unwrap();
        std::task::Poll::<()>::Pending
    }));
    let waker: Waker = waker.recv().unwrap();
    // It sleeps in the driver, or is on its way there: then nothing panics, and nothing is shown.
    while executor.worker_metrics()[0].parks < 2 {
        executor.handle().spawn(async {}).detach();
        thread::yield_now();
    }
    drop(executor);
    waker.wake(); // nothing is left of the executor
    assert!(matches!(task.join(), Err(JoinError::Cancelled)));
}

/// Whoever wakes may hold a lock that the task's destructor takes (event lists do). So while an executor
/// with many tasks is dropped, a wake drops no future.
#[test]
fn a_wake_during_the_drop_leaves_the_future_to_the_executor() {
    let executor = MultiExecutor::new(1).unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel();
    let is_done = Mutex::new(is_done);
    // Dropped first, and in no hurry.
    let first = OnDrop(move || {
        begun.send(()).unwrap();
        is_done.lock().unwrap().recv().unwrap();
    });
    drop(executor.handle().spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let dropped_on = Arc::new(Mutex::new(None));
    let second = OnDrop({
        let dropped_on = dropped_on.clone();
        move || *dropped_on.lock().unwrap() = Some(thread::current().id())
    });
    let leaves = waker.clone();
    drop(executor.handle().spawn(async move {
        let _second = second;
        std::future::poll_fn(|cx| {
            *leaves.lock().unwrap() = Some(cx.waker().clone());
            std::task::Poll::<()>::Pending
        })
        .await;
    }));
    assert_alive(&executor); // the one worker has polled both, and they sleep
    let wakes = thread::spawn(move || {
        has_begun.recv().unwrap();
        let waker = waker.lock().unwrap().take().unwrap();
        waker.wake();
        done.send(()).unwrap();
    });
    let waking = wakes.thread().id();
    drop(executor);
    wakes.join().unwrap();
    let dropped_on = dropped_on.lock().unwrap().expect("dropped");
    assert_ne!(dropped_on, waking);
}
