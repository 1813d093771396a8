//! The metrics of a worker are exact once it has come to rest, in every kind of executor.

use std::sync::{Arc, Barrier};

use std::thread;
use tatkal_executor::{LocalExecutor, MultiExecutor, WorkerMetrics, spawn, spawn_local, yield_now};

fn total(executor: &MultiExecutor) -> WorkerMetrics {
    executor.worker_metrics().into_iter().sum()
}

/// Spins until what may lag behind the handle has been counted.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn polls_are_counted_one_by_one() {
    let executor = MultiExecutor::new(2).unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|yields| {
            executor.handle().spawn(async move {
                for _ in 0..yields {
                    yield_now().await;
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
    let polls = (1..=10).sum();
    until(|| total(&executor).polls >= polls);
    assert_eq!(total(&executor).polls, polls);
    until(|| executor.live_tasks() == 0);
    assert_eq!(
        (total(&executor).queue_depth, executor.inject_depth()),
        (0, 0)
    );
}

#[test]
fn a_worker_that_is_woken_counts_it_and_so_does_one_that_falls_asleep() {
    let executor = MultiExecutor::new(1).unwrap();
    const WAKES: u64 = 20;
    for slept in 1..=WAKES {
        until(|| total(&executor).parks >= slept);
        executor.handle().spawn(async {}).join().unwrap();
    }
    until(|| total(&executor).parks > WAKES);
    let total = total(&executor);
    // A wake on its way to sleep costs one sleep more, which ends at once.
    assert!((1..=WAKES).contains(&total.wakes), "{total:?}");
    assert!(
        (WAKES + 1..=2 * WAKES + 1).contains(&total.parks),
        "{total:?}"
    );
    assert_eq!((total.steals, total.overflows), (0, 0));
}

#[test]
fn a_theft_is_counted_by_the_thief() {
    let executor = MultiExecutor::new(2).unwrap();
    // Each of the two blocks its worker until the other runs: one of them was stolen.
    let both = Arc::new(Barrier::new(2));
    let outer = executor.handle().spawn(async move {
        let meet = || {
            let both = both.clone();
            spawn(async move { both.wait().is_leader() })
        };
        let (one, other) = (meet(), meet());
        one.await.unwrap() != other.await.unwrap()
    });
    assert!(outer.join().unwrap());
    let total = total(&executor);
    assert!(total.steals >= 1, "{total:?}");
    assert!(total.searches >= total.steals, "{total:?}");
}

#[test]
fn what_does_not_fit_the_ring_is_counted() {
    let executor = MultiExecutor::new(1).unwrap();
    let spawner = executor.handle().spawn(async {
        for _ in 0..1_000 {
            spawn(async {}).detach();
        }
    });
    spawner.join().unwrap();
    assert!(total(&executor).overflows >= 1);
}

#[test]
fn one_thread_counts_too() {
    let executor = LocalExecutor::default();
    let handle = executor.handle();
    assert_eq!(executor.metrics(), WorkerMetrics::default());
    let outside = thread::spawn(move || handle.spawn(async {}).detach());
    outside.join().unwrap();
    assert_eq!(executor.inject_depth(), 1);
    executor.spawn_local(async {}).detach();
    assert_eq!(executor.metrics().queue_depth, 1);
    executor.block_on(async {
        // Behind the one that was there, and the one from outside.
        spawn_local(yield_now()).await.unwrap();
        yield_now().await;
    });
    let metrics = executor.metrics();
    assert_eq!((metrics.polls, metrics.wakes), (4, 1));
    assert_eq!((metrics.queue_depth, executor.inject_depth()), (0, 0));
    assert_eq!((metrics.steals, metrics.overflows), (0, 0));
}
