//! Sequential: the job is over when `submit` returns, and `map` takes one item at a time.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tatkal_executor::{Executor, JoinError, Sequential, Shutdown};

#[test]
fn a_job_runs_in_submit_on_the_callers_thread() {
    let here = format!("{:?}", thread::current().id());
    let handle = Sequential::new().submit(|()| format!("{:?}", thread::current().id()), ());
    assert!(handle.is_finished());
    assert_eq!(handle.join().unwrap(), here);
}

#[test]
fn a_panic_reaches_its_handle_and_nothing_else() {
    let executor = Sequential::new();
    let handle = executor.submit(|()| -> u8 { panic!("job 1") }, ());
    assert_eq!(executor.submit(|n: u8| n, 2).join().unwrap(), 2);
    match handle.join() {
        Err(JoinError::Panicked(report)) => assert_eq!(report.message(), "job 1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn submit_after_shutdown_reports_closed_and_runs_nothing() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let executor = Sequential::new();
    executor.shutdown(Shutdown::finish());
    executor.shutdown(Shutdown::cancel());
    let handle = executor.submit(|()| RUNS.fetch_add(1, Ordering::Relaxed), ());
    assert!(matches!(handle.join(), Err(JoinError::Closed)));
    assert_eq!(RUNS.load(Ordering::Relaxed), 0);
}

#[test]
fn map_takes_an_item_only_when_its_result_is_asked_for() {
    let taken = Cell::new(0);
    let executor = Sequential::new();
    let mut squares = executor.map(
        |n: u64| n * n,
        (0..).inspect(|_| taken.set(taken.get() + 1)),
    );
    assert_eq!(taken.get(), 0);
    for n in 0..5 {
        assert_eq!(squares.next().unwrap().unwrap(), n * n);
        assert_eq!(taken.get(), n + 1);
    }
}

#[test]
fn map_ends_with_its_items_and_stays_ended() {
    let executor = Sequential::new();
    let mut results = executor.map(|n: u8| n, [1, 2]).window(10);
    assert_eq!(results.size_hint(), (2, Some(2)));
    assert_eq!(results.next().unwrap().unwrap(), 1);
    assert_eq!(results.size_hint(), (1, Some(1)));
    assert_eq!(results.next().unwrap().unwrap(), 2);
    assert!(results.next().is_none() && results.next().is_none());
}
