//! A pool that shuts down, or is dropped, finishes what it has accepted, or cancels what waits; it
//! waits for its end, or does not; and every handle, submitter and waiter is told.

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::{Trace, begin, is_cancelled, leave_trace, nap, own_pid, pool, until};
use tatkal_executor::{JoinError, ProcessPool, Shutdown};

tests![
    dropping_the_pool_finishes_its_jobs,
    cancelling_shutdown_ends_the_queue_and_waits_for_the_rest,
    shutdown_without_waiting_returns_at_once_and_the_jobs_go_on,
    a_submitter_who_waits_for_room_is_told_of_the_end,
    every_waiter_sees_the_end,
    a_handle_outlives_its_pool,
];

fn dropping_the_pool_finishes_its_jobs() {
    let trace = Trace::new("trace");
    let pool = pool(2);
    let handles: Vec<_> = (0..50)
        .map(|_| pool.submit(|path: PathBuf| leave_trace(&path), trace.path()))
        .collect();
    let detached = pool.submit(|path: PathBuf| leave_trace(&path), trace.path());
    detached.detach();
    drop(pool);
    assert_eq!(trace.count(), 51);
    for handle in handles {
        assert!(handle.is_finished());
        handle.join().unwrap();
    }
}

fn cancelling_shutdown_ends_the_queue_and_waits_for_the_rest() {
    let (begun, trace) = (Trace::new("begun"), Trace::new("trace"));
    let pool = pool(1);
    let running = pool.submit(
        |path: PathBuf| {
            leave_trace(&path);
            nap(1)
        },
        begun.path(),
    );
    until("the first job", || begun.count() == 1);
    let waiting: Vec<_> = (0..10)
        .map(|_| pool.submit(|path: PathBuf| leave_trace(&path), trace.path()))
        .collect();
    pool.shutdown(Shutdown::cancel());
    assert!(running.is_finished());
    running.join().unwrap();
    assert!(waiting.into_iter().all(is_cancelled));
    assert_eq!((trace.count(), pool.worker_pids().len()), (0, 0));
}

fn shutdown_without_waiting_returns_at_once_and_the_jobs_go_on() {
    let (begun, go) = (Trace::new("begun"), Trace::new("go"));
    let pool = pool(1);
    let job = |(begun, go): (PathBuf, PathBuf)| {
        leave_trace(&begun);
        until("the word", || go.exists());
        "done".to_owned()
    };
    let handle = pool.submit(job, (begun.path(), go.path()));
    let queued = pool.submit(own_pid, ());
    until("the job", || begun.count() == 1);
    pool.shutdown(Shutdown::finish().without_waiting());
    assert!(!handle.is_finished());
    assert!(matches!(
        pool.submit(own_pid, ()).join(),
        Err(JoinError::Closed)
    ));
    drop(pool); // does not wait either
    assert!(!handle.is_finished());
    leave_trace(&go.path());
    assert_eq!(handle.join().unwrap(), "done");
    queued.join().unwrap();
}

fn a_submitter_who_waits_for_room_is_told_of_the_end() {
    let begun = Trace::new("begun");
    let pool = Arc::new(
        ProcessPool::builder()
            .workers(1)
            .capacity(1)
            .build()
            .unwrap(),
    );
    let running = pool.submit(begin, begun.path());
    until("the first job", || begun.count() == 1);
    let waiting = pool.submit(own_pid, ());
    let submitter = {
        let pool = pool.clone();
        std::thread::spawn(move || pool.submit(own_pid, ()).join())
    };
    let stranger = {
        let pool = pool.clone();
        std::thread::spawn(move || pool.shutdown(Shutdown::cancel()))
    };
    match submitter.join().unwrap() {
        // Too late for the pool; or just in time to be cancelled.
        Err(JoinError::Closed | JoinError::Cancelled) => {}
        other => panic!("{other:?}"),
    }
    assert!(is_cancelled(waiting));
    running.abort();
    assert!(is_cancelled(running));
    stranger.join().unwrap();
}

fn every_waiter_sees_the_end() {
    let pool = Arc::new(pool(2));
    let handle = pool.submit(|(): ()| std::thread::sleep(Duration::from_millis(100)), ());
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                pool.shutdown(Shutdown::finish());
                pool.worker_pids().len()
            })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 0);
    }
    handle.join().unwrap();
}

fn a_handle_outlives_its_pool() {
    let pool = pool(1);
    let handle = pool.submit(|n: u32| n + 1, 1);
    drop(pool);
    handle.abort();
    assert_eq!(handle.join().unwrap(), 2);
}
