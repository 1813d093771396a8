//! A runtime with nothing to do does nothing: no periodic look at anything, on one thread or on
//! several, before work and after it. Alone in its file: it counts for the whole process.

mod common;

use common::{BACKENDS, poll_once};
use std::time::Duration;
use tatkal::net::TcpListener;
use tatkal::{Runtime, sleep, spawn, timeout, yield_now};

const A_WHILE: Duration = Duration::from_millis(300);

/// How often the threads of this process have gone to sleep so far.
fn sleeps() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let sleeps = threads.map(|thread| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    sleeps.sum()
}

/// Things that could keep it busy: a socket that is waited on, and far timers.
async fn things_to_wait_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    spawn(async move { listener.accept().await.map(drop) }).detach();
    for hours in 1..20 {
        spawn(sleep(Duration::from_secs(hours * 3600))).detach();
    }
}

/// Work of every kind, and timers that were waited on and are gone again, each with a deadline of
/// its own in the time to come.
async fn a_burst() {
    let tasks: Vec<_> = (0..500_u64)
        .map(|n| {
            spawn(async move {
                let mut dropped = sleep(Duration::from_micros(20_000 + 500 * n));
                assert!(poll_once(&mut dropped).is_pending());
                let limit = timeout(Duration::from_micros(10_000 + 500 * n), async {
                    yield_now().await;
                    sleep(Duration::from_millis(1)).await; // it is published meanwhile
                });
                drop(limit.await); // over in time or not: the machine may be busy
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn a_runtime_that_waits_for_one_timer_sleeps_once_per_thread() {
    for backend in BACKENDS {
        for workers in [0, 2] {
            let builder = Runtime::builder().backend(backend);
            let runtime = match workers {
                0 => builder.build(),
                workers => builder.worker_threads(workers).build(),
            };
            runtime.unwrap().block_on(async {
                things_to_wait_for().await;
                for burst in [false, true] {
                    if burst {
                        a_burst().await;
                    }
                    sleep(Duration::from_millis(100)).await; // the watch over the workers ends
                    let before = sleeps();
                    sleep(A_WHILE).await;
                    let slept = sleeps() - before;
                    // Once per thread for the timer, and a last time for what was cancelled; the
                    // machine may take a thread off for reasons of its own.
                    assert!(
                        slept <= 4 + 4 * workers as u64,
                        "{backend:?}, {workers} workers, burst {burst}: {slept} sleeps"
                    );
                }
            });
        }
    }
}
