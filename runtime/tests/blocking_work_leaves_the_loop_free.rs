//! `spawn_blocking`: the loop runs on meanwhile, panics reach the handle, and a runtime that goes
//! waits for nobody.

mod common;

use common::on_both;
use std::sync::mpsc::channel;
use std::time::Duration;
use tatkal::{JoinError, Runtime, sleep, spawn_blocking, timeout};

#[test]
fn the_loop_runs_while_a_job_blocks() {
    on_both(|| async {
        let (go, wait) = channel();
        let job = spawn_blocking(move || wait.recv().unwrap());
        sleep(Duration::from_millis(1)).await; // the loop lives
        go.send(7).unwrap();
        assert_eq!(job.await.unwrap(), 7);
    });
}

#[test]
fn a_job_that_ends_while_the_loop_sleeps_wakes_it() {
    on_both(|| async {
        for n in 0..100 {
            assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
        }
    });
}

#[test]
fn a_panic_reaches_the_handle_and_nothing_else() {
    on_both(|| async {
        let error = spawn_blocking(|| panic!("no")).await.unwrap_err();
        assert!(matches!(error, JoinError::Panicked(report) if report.message() == "no"));
        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
    });
}

#[test]
fn a_runtime_goes_without_waiting_and_cancels_what_is_queued() {
    let runtime = Runtime::builder().blocking_threads(1).build().unwrap();
    let (go, wait) = channel::<()>();
    let running = runtime.spawn_blocking(move || wait.recv().is_err());
    let queued = runtime.spawn_blocking(|| ());
    let handle = runtime.handle();
    runtime.block_on(async {
        let mut running = running;
        assert!(
            timeout(Duration::from_millis(5), &mut running)
                .await
                .is_err()
        );
        running.detach();
    });
    drop(runtime); // returns although a job runs
    assert!(queued.join().unwrap_err().is_cancelled());
    assert!(matches!(
        handle.spawn_blocking(|| ()).join(),
        Err(JoinError::Closed)
    ));
    drop(go);
}
