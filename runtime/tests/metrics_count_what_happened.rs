//! `Runtime::metrics` and `Handle::metrics`: what was done is counted exactly, what there is to do
//! is there while it lasts.

mod common;

use common::pair;
use std::future::pending;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tatkal::{Handle, Runtime, RuntimeMetrics, sleep, spawn, yield_now};

fn many(workers: usize) -> Runtime {
    Runtime::builder().worker_threads(workers).build().unwrap()
}

/// Waits until the numbers, which come from other threads, are as they should be.
fn until(handle: &Handle, right: impl Fn(&RuntimeMetrics) -> bool) -> RuntimeMetrics {
    loop {
        let metrics = handle.metrics();
        if right(&metrics) {
            return metrics;
        }
        thread::yield_now();
    }
}

#[test]
fn polls_are_counted_one_by_one() {
    for runtime in [Runtime::new().unwrap(), many(2)] {
        let workers = runtime.metrics().workers.len();
        let before = runtime.metrics().total().polls;
        assert_eq!(before, 0);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    spawn(async {
                        for _ in 0..9 {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        let after = until(&runtime.handle(), |metrics| metrics.total().polls >= 1000);
        assert_eq!(after.total().polls, 1000, "{workers} workers");
        assert_eq!(after.workers.len(), workers);
        assert_eq!(runtime.metrics().live_tasks, 0);
    }
}

#[test]
fn live_tasks_are_those_that_were_spawned_and_not_complete() {
    for runtime in [Runtime::new().unwrap(), many(2)] {
        let handle = runtime.handle();
        let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(pending::<()>())).collect();
        assert_eq!(runtime.metrics().live_tasks, 10);
        runtime.block_on(sleep(Duration::from_millis(1)));
        assert_eq!(handle.metrics().live_tasks, 10);
        for task in &tasks[..4] {
            task.abort();
        }
        runtime.block_on(async {
            for task in tasks.into_iter().take(4) {
                task.await.unwrap_err();
            }
        });
        until(&handle, |metrics| metrics.live_tasks == 6);
        drop(runtime);
        assert_eq!(handle.metrics().live_tasks, 0, "asked after the end");
    }
}

#[test]
fn a_one_thread_runtime_is_seen_from_another_thread() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let watcher = thread::spawn(move || {
        // In the inject queue, or let in: either way it is seen.
        let task = handle.spawn(pending::<()>());
        let metrics = until(&handle, |m| m.live_tasks == 1 && m.workers[0].parks > 0);
        assert_eq!((metrics.workers.len(), metrics.inject_depth), (1, 0));
        assert_eq!(metrics.total().polls, 1);
        assert_eq!(metrics.total().wakes, 1);
        task.abort();
        until(&handle, |metrics| metrics.live_tasks == 0);
    });
    runtime.block_on(async {
        let join = tatkal::spawn_blocking(move || watcher.join());
        join.await.unwrap().unwrap();
    });
}

#[test]
fn tasks_that_wait_for_a_busy_worker_show_in_a_queue() {
    let runtime = many(1);
    let (go, gate) = channel::<()>();
    let (begin, begun) = channel();
    runtime
        .spawn(async move {
            // In the worker's own queue, but for the one that would be next.
            let own: Vec<_> = (0..5).map(|_| spawn(async {})).collect();
            begin.send(own).unwrap();
            let _ = gate.recv();
        })
        .detach();
    let own = begun.recv().unwrap();
    let from_outside: Vec<_> = (0..3).map(|_| runtime.spawn(async {})).collect();
    let metrics = runtime.metrics();
    assert_eq!((metrics.inject_depth, metrics.live_tasks), (3, 9));
    assert!(
        (4..=5).contains(&metrics.workers[0].queue_depth),
        "{metrics:?}"
    );
    drop(go);
    for task in own.into_iter().chain(from_outside) {
        task.join().unwrap();
    }
    let metrics = until(&runtime.handle(), |metrics| metrics.live_tasks == 0);
    assert_eq!((metrics.inject_depth, metrics.total().queue_depth), (0, 0));
}

#[test]
fn an_idle_worker_is_parked_once_and_counts_no_more() {
    let runtime = many(1);
    let handle = runtime.handle();
    runtime.spawn(async {}).join().unwrap();
    let idle = until(&handle, |metrics| metrics.total().parks > 0);
    thread::sleep(Duration::from_millis(20));
    let later = handle.metrics();
    assert!(later.total().parks <= idle.total().parks + 1, "{later:?}");
    runtime.spawn(async {}).join().unwrap();
    let woken = until(&handle, |m| m.total().parks > later.total().parks);
    assert!(woken.total().wakes > 0, "{woken:?}");
}

#[test]
fn blocking_threads_and_jobs_are_counted() {
    let runtime = Runtime::builder().blocking_threads(1).build().unwrap();
    let now = || {
        let m = runtime.metrics();
        (
            m.blocking_threads,
            m.idle_blocking_threads,
            m.blocking_queue_depth,
        )
    };
    assert_eq!(now(), (0, 0, 0), "none before the first job");
    let (go, gate) = channel::<()>();
    let (begin, begun) = channel();
    let running = runtime.spawn_blocking(move || {
        begin.send(()).unwrap();
        let _ = gate.recv();
    });
    begun.recv().unwrap();
    let queued = runtime.spawn_blocking(|| ());
    assert_eq!(now(), (1, 0, 1));
    drop(go);
    running.join().unwrap();
    queued.join().unwrap();
    while now() != (1, 1, 0) {
        thread::yield_now();
    }
}

#[test]
fn sources_and_timers_are_those_of_the_event_loop() {
    for runtime in [Runtime::new().unwrap(), many(1)] {
        let handle = runtime.handle();
        let before = handle.metrics().io_sources;
        let sockets = runtime.block_on(pair());
        assert_eq!(handle.metrics().io_sources, before + 2);
        drop(sockets);
        assert_eq!(handle.metrics().io_sources, before);
        for _ in 0..3 {
            let hour = Duration::from_secs(3600);
            runtime.spawn(sleep(hour)).detach();
        }
        // They are told to the event loop when a thread goes to sleep.
        runtime.block_on(sleep(Duration::from_millis(1)));
        until(&handle, |metrics| metrics.timers == 3);
    }
}
