//! `map` over a thread pool: input order, whatever the order of completion; and never further
//! ahead of its caller than the window.

mod gate;

use gate::{wait_until, within_a_minute};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tatkal_executor::{Executor, JoinError, ThreadPool};

#[test]
fn results_come_in_input_order_when_jobs_end_in_reverse() {
    within_a_minute(|| {
        // Job n waits until all those after it are over.
        static OVER: AtomicUsize = AtomicUsize::new(0);
        let pool = ThreadPool::new(4);
        let in_reverse = |n: usize| {
            while OVER.load(Ordering::Acquire) < 3 - n {
                thread::yield_now();
            }
            OVER.fetch_add(1, Ordering::Release);
            n
        };
        let results: Vec<_> = pool.map(in_reverse, 0..4).map(Result::unwrap).collect();
        assert_eq!(results, [0, 1, 2, 3]);
    });
}

#[test]
fn an_endless_input_is_taken_no_further_than_the_window() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let taken = Cell::new(0);
        let endless = (0_u64..).inspect(|_| taken.set(taken.get() + 1));
        let mut results = pool.map(|n: u64| n + 1, endless).window(5);
        assert_eq!(taken.get(), 0, "nothing before it is asked");
        for asked in 0..1_000 {
            assert_eq!(results.next().unwrap().unwrap(), asked + 1);
            assert_eq!(taken.get(), asked + 5);
        }
    });
}

#[test]
fn the_default_window_is_bounded_and_keeps_every_thread_busy() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let taken = Cell::new(0);
        let mut results = pool.map(|n: usize| n, (0..).inspect(|_| taken.set(taken.get() + 1)));
        results.next().unwrap().unwrap();
        assert_eq!(taken.get(), pool.default_window());
        assert!(pool.default_window() > pool.workers());
    });
}

#[test]
fn a_failed_item_leaves_the_others_alone() {
    let pool = ThreadPool::new(2);
    let results: Vec<_> = pool
        .map(|n: u32| if n == 1 { panic!("item {n}") } else { n }, 0..3)
        .collect();
    assert!(matches!(
        results[..],
        [Ok(0), Err(JoinError::Panicked(_)), Ok(2)]
    ));
}

#[test]
fn dropping_a_map_aborts_what_no_thread_has_started() {
    within_a_minute(|| {
        static GO: AtomicBool = AtomicBool::new(false);
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let pool = ThreadPool::new(1);
        let job = |n: usize| {
            RUNS.fetch_add(1, Ordering::Relaxed);
            while n == 1 && !GO.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        let mut results = pool.map(job, 0..10).window(10);
        results.next().unwrap().unwrap();
        wait_until(|| RUNS.load(Ordering::Relaxed) == 2);
        drop(results);
        GO.store(true, Ordering::Release);
        drop(pool);
        assert_eq!(
            RUNS.load(Ordering::Relaxed),
            2,
            "item 1 ran on, the rest never started"
        );
    });
}

#[test]
fn a_panic_of_the_input_passes_through_and_aborts_the_rest() {
    let pool = ThreadPool::new(1);
    let items = (0..5).map(|n: usize| if n == 3 { panic!("the input") } else { n });
    let mut results = pool.map(|n: usize| n, items).window(2);
    assert_eq!(results.next().unwrap().unwrap(), 0);
    assert_eq!(results.next().unwrap().unwrap(), 1);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| results.next()));
    assert!(panic.is_err());
}
