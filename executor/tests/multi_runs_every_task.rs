//! The work-stealing executor runs every task exactly once, wherever it was spawned, and loses
//! none when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tatkal_executor::{JoinError, MultiBuilder, MultiExecutor, Parker, spawn, yield_now};

/// Counts itself when dropped.
struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn tasks_spawned_from_outside_give_their_outputs() {
    let executor = MultiExecutor::new(2).unwrap();
    let handle = executor.handle();
    let tasks: Vec<_> = (0..10_000)
        .map(|i| handle.spawn(async move { i }))
        .collect();
    let sum: u64 = tasks.into_iter().map(|task| task.join().unwrap()).sum();
    assert_eq!(sum, 10_000 * 9_999 / 2);
}

#[test]
fn more_tasks_than_a_ring_holds_are_spawned_from_a_worker() {
    let executor = MultiExecutor::new(2).unwrap();
    let sum = executor.block_on(async {
        spawn(async {
            let tasks: Vec<_> = (0..10_000u64).map(|i| spawn(async move { i })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        })
        .await
        .unwrap()
    });
    assert_eq!(sum, 10_000 * 9_999 / 2);
    // A task leaves the list right after its handle was told.
    while executor.live_tasks() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_chain_of_spawns_reaches_its_end() {
    fn link(left: u32, done: mpsc::Sender<()>) {
        if left == 0 {
            return done.send(()).unwrap();
        }
        spawn(async move { link(left - 1, done) }).detach();
    }
    let executor = MultiExecutor::new(2).unwrap();
    let (done, ended) = mpsc::channel();
    executor
        .handle()
        .spawn(async move { link(10_000, done) })
        .detach();
    ended.recv().unwrap();
}

#[test]
fn yielding_tasks_are_polled_once_per_yield() {
    let executor = MultiExecutor::new(2).unwrap();
    let before: u64 = executor
        .worker_metrics()
        .iter()
        .map(|worker| worker.polls)
        .sum();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            executor.handle().spawn(async {
                for _ in 0..100 {
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().unwrap();
    }
    // The counter of the last poll may lag behind the handle; dropping joins the workers.
    let handle = executor.handle();
    handle.block_on(async {});
    let polls = || {
        executor
            .worker_metrics()
            .iter()
            .map(|worker| worker.polls)
            .sum::<u64>()
    };
    while polls() - before < 100 * 101 {
        std::thread::yield_now();
    }
    assert_eq!(polls() - before, 100 * 101);
}

#[test]
fn dropping_the_executor_drops_every_task_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let executor = MultiExecutor::new(2).unwrap();
    let tasks: Vec<_> = (0..1_000)
        .map(|i| {
            let counts = CountsDrops(drops.clone());
            executor.handle().spawn(async move {
                let _counts = counts;
                match i % 3 {
                    0 => {}
                    1 => std::future::pending().await,
                    _ => loop {
                        yield_now().await;
                    },
                }
            })
        })
        .collect();
    let handle = executor.handle();
    drop(executor);
    assert_eq!(drops.load(Ordering::Relaxed), 1_000);
    for (i, task) in tasks.into_iter().enumerate() {
        match task.join() {
            Ok(()) => assert_eq!(i % 3, 0),
            Err(JoinError::Cancelled) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(handle.spawn(async {}).join().unwrap_err().is_cancelled());
}

#[test]
fn a_poll_that_blocks_does_not_keep_what_it_woke() {
    let executor = MultiExecutor::new(2).unwrap();
    let (release, blocked) = mpsc::channel::<()>();
    let blocker = executor.handle().spawn(async move {
        // Into the next slot of this very worker, which then blocks until that task has run.
        spawn(async move { release.send(()).unwrap() }).detach();
        blocked.recv().unwrap();
    });
    blocker.join().unwrap();
}

#[test]
fn a_worker_that_would_not_stop_is_reported() {
    let executor = MultiExecutor::new(2).unwrap();
    let (started, has_started) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    executor
        .handle()
        .spawn(async move {
            started.send(()).unwrap();
            let _ = blocked.recv();
        })
        .detach();
    has_started.recv().unwrap();
    let still = executor
        .shutdown_timeout(Duration::from_millis(20))
        .unwrap_err();
    // The stuck one; on a busy machine the other one may need longer than that, too.
    assert!((1..=2).contains(&still.workers), "{still:?}");
    drop(release);
}

#[test]
fn an_executor_dropped_inside_its_own_task_ends() {
    let executor = Arc::new(std::sync::Mutex::new(Some(MultiExecutor::new(2).unwrap())));
    let handle = executor.lock().unwrap().as_ref().unwrap().handle();
    let inside = executor.clone();
    let (done, ended) = mpsc::channel();
    handle
        .spawn(async move {
            drop(inside.lock().unwrap().take());
            done.send(()).unwrap();
        })
        .detach();
    ended.recv().unwrap();
}

#[test]
fn hooks_run_on_every_named_worker() {
    let starts = Arc::new(AtomicUsize::new(0));
    let stops = Arc::new(AtomicUsize::new(0));
    let (started, stopped) = (starts.clone(), stops.clone());
    let executor = MultiBuilder::new(3)
        .thread_name("hooked")
        .on_thread_start(move || {
            assert!(
                std::thread::current()
                    .name()
                    .unwrap()
                    .starts_with("hooked-")
            );
            started.fetch_add(1, Ordering::Relaxed);
        })
        .on_thread_stop(move || {
            stopped.fetch_add(1, Ordering::Relaxed);
        })
        .build(Parker::new())
        .unwrap();
    drop(executor);
    assert_eq!(
        (
            starts.load(Ordering::Relaxed),
            stops.load(Ordering::Relaxed)
        ),
        (3, 3)
    );
}
