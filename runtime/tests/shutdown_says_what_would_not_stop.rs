//! `shutdown_timeout` drops every task once, waits for what cannot be stopped, and says what it
//! left; `shutdown_background` waits for nothing.

mod common;

use common::within_a_minute;
use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tatkal::{JoinError, Runtime, sleep, yield_now};

const SOON: Duration = Duration::from_millis(5);

/// Longer than anything here takes: what is in vain fails, and does not hang.
const LONG: Duration = Duration::from_secs(50);

fn one() -> Runtime {
    Runtime::new().unwrap()
}

fn many() -> Runtime {
    Runtime::builder().worker_threads(2).build().unwrap()
}

/// Blocks wherever it is called, until the sender goes; says when it has begun.
fn stuck() -> (Sender<()>, Receiver<()>, impl FnOnce() + Send) {
    let (go, gate) = channel::<()>();
    let (begin, begun) = channel();
    let body = move || {
        begin.send(()).unwrap();
        let _ = gate.recv();
    };
    (go, begun, body)
}

#[test]
fn what_can_be_stopped_is_and_once() {
    within_a_minute(|| {
        for runtime in [one(), many()] {
            let alive = Arc::new(());
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    let alive = alive.clone();
                    runtime.spawn(async move {
                        match n % 3 {
                            0 => pending().await,
                            1 => sleep(Duration::from_secs(3600)).await,
                            _ => loop {
                                yield_now().await;
                            },
                        }
                        drop(alive);
                    })
                })
                .collect();
            let job = runtime.spawn_blocking(|| 7);
            job.join().unwrap();
            runtime.shutdown_timeout(LONG).unwrap();
            assert_eq!(Arc::strong_count(&alive), 1);
            for task in tasks {
                assert!(task.join().unwrap_err().is_cancelled());
            }
        }
    });
}

#[test]
fn a_stuck_blocking_job_is_counted_and_a_queued_one_cancelled() {
    within_a_minute(|| {
        for builder in [Runtime::builder(), Runtime::builder().worker_threads(2)] {
            let runtime = builder.blocking_threads(1).build().unwrap();
            let (go, begun, body) = stuck();
            let running = runtime.spawn_blocking(body);
            begun.recv().unwrap();
            let queued = runtime.spawn_blocking(|| unreachable!("cancelled"));
            let handle = runtime.handle();
            let still = runtime.shutdown_timeout(SOON).unwrap_err();
            assert_eq!(still.jobs, 1, "{still}");
            // On a busy machine an idle worker, too, may need longer than that to end.
            if still.workers == 0 {
                assert_eq!(still.to_string(), "1 blocking job is still running");
            }
            assert!(queued.join().unwrap_err().is_cancelled());
            let late = handle.spawn_blocking(|| ()).join();
            assert!(matches!(late, Err(JoinError::Closed)));
            drop(go);
            running.join().unwrap(); // left to itself, it ends
        }
    });
}

#[test]
fn stuck_polls_and_jobs_are_counted_apart() {
    within_a_minute(|| {
        let runtime = many();
        let (go_poll, poll_begun, poll) = stuck();
        let (go_job, job_begun, job) = stuck();
        runtime.spawn(async move { poll() }).detach();
        runtime.spawn_blocking(job).detach();
        poll_begun.recv().unwrap();
        job_begun.recv().unwrap();
        let still = runtime.shutdown_timeout(SOON).unwrap_err();
        // As above.
        assert!((1..=2).contains(&still.workers), "{still}");
        assert_eq!(still.jobs, 1, "{still}");
        assert!(
            still
                .to_string()
                .ends_with("and 1 blocking job is still running")
        );
        drop((go_poll, go_job));
    });
}

#[test]
fn what_ends_in_time_is_waited_for() {
    within_a_minute(|| {
        for runtime in [one(), many()] {
            let (go, begun, body) = stuck();
            let running = runtime.spawn_blocking(body);
            begun.recv().unwrap();
            let opener = std::thread::spawn(move || drop(go));
            runtime.shutdown_timeout(LONG).unwrap();
            assert!(running.is_finished());
            opener.join().unwrap();
        }
    });
}

#[test]
fn in_the_background_nothing_is_waited_for() {
    within_a_minute(|| {
        for runtime in [one(), many()] {
            let (go, begun, body) = stuck();
            let (go_poll, poll_begun, poll) = stuck();
            let running = runtime.spawn_blocking(body);
            begun.recv().unwrap();
            let task = runtime.spawn(async move { poll() });
            let alive = Arc::new(());
            let kept = alive.clone();
            runtime
                .spawn(async move {
                    let _kept = kept;
                    pending::<()>().await;
                })
                .detach();
            if task_runs_by_itself(&runtime) {
                poll_begun.recv().unwrap();
            }
            runtime.shutdown_background(); // returns
            drop((go, go_poll));
            running.join().unwrap();
            let _done_or_cancelled = task.join();
            while Arc::strong_count(&alive) > 1 {
                std::thread::yield_now();
            }
        }
    });
}

fn task_runs_by_itself(runtime: &Runtime) -> bool {
    runtime.metrics().workers.len() == 2
}
