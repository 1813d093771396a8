//! A runtime with nothing to do does nothing: no periodic look at anything.
//! Alone in its file, so that its thread is the only one to count for.

mod common;

use common::BACKENDS;
use std::time::Duration;
use tatkal::net::TcpListener;
use tatkal::{Runtime, sleep, spawn_local};

/// How often this thread has gone to sleep so far.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_runtime_that_waits_for_one_timer_sleeps_once() {
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        runtime.block_on(async {
            // Things that could keep it busy: a socket that is waited on, and far timers.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            spawn_local(async move { listener.accept().await.map(drop) }).detach();
            for hours in 1..20 {
                spawn_local(sleep(Duration::from_secs(hours * 3600))).detach();
            }
            sleep(Duration::from_millis(1)).await;
            let before = sleeps();
            sleep(Duration::from_millis(300)).await;
            let slept = sleeps() - before;
            // Once for the timer; the machine may take the thread off for reasons of its own.
            assert!(slept <= 3, "{backend:?}: woken {slept} times in 300 ms");
        });
    }
}
