//! A bounded queue: `submit` waits for room, `try_submit` refuses and gives the closure back.

mod gate;

use gate::{Gate, wait_until, within_a_minute};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tatkal_executor::{LocalExecutor, Shutdown, ThreadPool, TrySubmitError};

#[test]
fn try_submit_refuses_beyond_the_capacity_and_gives_the_job_back() {
    within_a_minute(|| {
        for (threads, capacity) in [(1, 0), (1, 2), (2, 1)] {
            let pool = ThreadPool::builder()
                .threads(threads)
                .capacity(capacity)
                .build();
            let mut gate = Gate::new();
            let admitted: Vec<_> = (0..threads + capacity)
                .map(|_| {
                    let pass = gate.pass();
                    pool.try_submit(move || pass.wait()).unwrap()
                })
                .collect();
            let text = String::from("mine");
            let Err(TrySubmitError::Full(job)) = pool.try_submit(move || text) else {
                panic!("{threads} threads and a capacity of {capacity} took one too many");
            };
            assert_eq!(job(), "mine");
            gate.open();
            admitted
                .into_iter()
                .for_each(|handle| handle.join().unwrap());
            // Room again as soon as a thread has noticed that its job is over.
            wait_until(|| pool.idle_threads() == pool.threads());
            assert_eq!(pool.try_submit(|| 7).unwrap().join().unwrap(), 7);
        }
    });
}

#[test]
fn submit_waits_for_room() {
    within_a_minute(|| {
        let pool = ThreadPool::builder().threads(1).capacity(1).build();
        let mut gate = Gate::new();
        let passes: Vec<_> = (0..2).map(|_| gate.pass()).collect();
        for pass in passes {
            pool.submit(move || pass.wait()).detach();
        }
        let submitted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    pool.submit(|| ()).detach();
                    submitted.fetch_add(1, Ordering::Relaxed);
                });
            }
            // Nobody can have got in: the pool is full, and it stays full while the gate is shut.
            assert!(matches!(
                pool.try_submit(|| ()),
                Err(TrySubmitError::Full(_))
            ));
            assert_eq!(submitted.load(Ordering::Relaxed), 0);
            gate.open();
        });
        assert_eq!(submitted.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn the_bound_holds_under_many_submitters() {
    within_a_minute(|| {
        const THREADS: usize = 2;
        const CAPACITY: usize = 3;
        let pool = ThreadPool::builder()
            .threads(THREADS)
            .capacity(CAPACITY)
            .build();
        let most = AtomicUsize::new(0);
        let runs = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let runs = runs.clone();
                        pool.submit(move || runs.fetch_add(1, Ordering::Relaxed))
                            .detach();
                        most.fetch_max(pool.queued(), Ordering::Relaxed);
                    }
                });
            }
        });
        pool.shutdown(Shutdown::finish());
        assert_eq!(runs.load(Ordering::Relaxed), 2_000);
        assert!(most.load(Ordering::Relaxed) <= THREADS + CAPACITY);
    });
}

#[test]
fn a_job_of_the_pool_never_waits_for_room_in_it() {
    within_a_minute(|| {
        let pool = Arc::new(ThreadPool::builder().threads(1).capacity(0).build());
        let inside = pool.clone();
        let outer = pool.submit(move || {
            assert!(inside.try_submit(|| ()).is_err(), "there is no room");
            (inside.submit(|| 1), inside.submit(|| 2))
        });
        let (first, second) = outer.join().unwrap();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (1, 2));
    });
}

#[test]
fn a_closed_pool_gives_the_job_back_too() {
    let pool = ThreadPool::new(1);
    pool.shutdown(Shutdown::finish());
    match pool.try_submit(|| 5) {
        Err(TrySubmitError::Closed(job)) => assert_eq!(job(), 5),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_submit_that_might_wait_is_refused_on_a_thread_that_runs_an_executor() {
    let pool = ThreadPool::builder().threads(1).capacity(1).build();
    LocalExecutor::default().block_on(async {
        let refused = catch_unwind(AssertUnwindSafe(|| pool.submit(|| ()).detach()));
        assert!(refused.is_err());
        assert_eq!(pool.try_submit(|| 3).unwrap().await.unwrap(), 3);
    });
}
