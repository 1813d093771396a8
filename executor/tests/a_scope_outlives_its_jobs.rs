//! `ThreadPool::scope`: jobs borrow, and every one of them is over before the scope returns,
//! whatever panics, leaks or nests.

mod common;
mod gate;

use common::{Drops, message_of_panic};
use gate::{Gate, wait_until, within_a_minute};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use tatkal_executor::{JoinError, LocalExecutor, Shutdown, ThreadPool};

#[test]
fn jobs_borrow_and_give_results() {
    let pool = ThreadPool::new(3);
    let text = String::from("yemen zambia vietnam");
    let lengths: Vec<_> = pool.scope(|scope| {
        let handles: Vec<_> = text
            .split(' ')
            .map(|name| scope.submit(|| name.len()))
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    assert_eq!(lengths, [5, 6, 7]);
    // Results may borrow, too.
    let longest = pool.scope(|scope| {
        let handle = scope.submit(|| text.split(' ').max_by_key(|name| name.len()).unwrap());
        handle.join().unwrap()
    });
    assert_eq!(longest, "vietnam");
}

#[test]
fn jobs_change_what_each_of_them_borrows_alone() {
    let pool = ThreadPool::new(2);
    let mut numbers: Vec<u32> = (0..1_000).collect();
    pool.scope(|scope| {
        for chunk in numbers.chunks_mut(100) {
            let _detached = scope.submit(|| chunk.iter_mut().for_each(|n| *n *= 2));
        }
    });
    assert!((0..1_000).all(|n| numbers[n as usize] == 2 * n));
}

#[test]
fn the_scope_waits_for_detached_and_for_leaked_handles() {
    static LEAKED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let over = AtomicUsize::new(0);
        let drops = Drops::default();
        pool.scope(|scope| {
            for leak in [true, false] {
                let output = drops.watch();
                let handle = scope.submit(|| {
                    thread::yield_now();
                    over.fetch_add(1, Ordering::Relaxed);
                    output
                });
                if leak {
                    // Where a leak checker can see it: this one is meant.
                    LEAKED.store(Box::into_raw(Box::new(handle)).cast(), Ordering::Relaxed);
                }
            }
        });
        assert_eq!(over.load(Ordering::Relaxed), 2);
        assert_eq!(
            drops.count(),
            1,
            "the output of the leaked handle is leaked with it"
        );
    });
}

#[test]
fn a_panic_of_the_body_waits_for_the_jobs() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let over = AtomicUsize::new(0);
        let message = message_of_panic(|| {
            pool.scope(|scope| {
                for _ in 0..5 {
                    let _ = scope.submit(|| over.fetch_add(1, Ordering::Relaxed));
                }
                panic!("the body");
            })
        });
        assert_eq!(
            (message.as_str(), over.load(Ordering::Relaxed)),
            ("the body", 5)
        );
    });
}

#[test]
fn a_jobs_panic_becomes_the_scopes_unless_its_handle_reports_it() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let over = AtomicUsize::new(0);
        for joined in [true, false] {
            let scope = || {
                pool.scope(|scope| {
                    let panicking = scope.submit(|| panic!("the job"));
                    let _other = scope.submit(|| over.fetch_add(1, Ordering::Relaxed));
                    if joined {
                        assert!(panicking.join().unwrap_err().is_panic());
                    }
                    "value"
                })
            };
            if joined {
                assert_eq!(scope(), "value");
            } else {
                assert_eq!(message_of_panic(scope), "a scoped job panicked");
            }
        }
        assert_eq!(over.load(Ordering::Relaxed), 2, "the others are unharmed");
        assert_eq!(pool.submit(|| 1).join().unwrap(), 1, "and so is the pool");
    });
}

/// Sums by halves, each half a job of a scope of its own.
fn sum(pool: &ThreadPool, numbers: &[u64]) -> u64 {
    if numbers.len() <= 8 {
        return numbers.iter().sum();
    }
    let (left, right) = numbers.split_at(numbers.len() / 2);
    pool.scope(|scope| {
        let left = scope.submit(|| sum(pool, left));
        let right = scope.submit(|| sum(pool, right));
        right.join().unwrap() + left.join().unwrap()
    })
}

#[test]
fn nested_scopes_end_on_any_number_of_threads() {
    within_a_minute(|| {
        let numbers: Vec<u64> = (0..1_024).collect();
        for threads in [1, 2, 3] {
            for capacity in [None, Some(0)] {
                let mut builder = ThreadPool::builder().threads(threads);
                if let Some(capacity) = capacity {
                    builder = builder.capacity(capacity);
                }
                assert_eq!(sum(&builder.build(), &numbers), 1_023 * 512);
            }
        }
    });
}

#[test]
fn a_nested_scope_runs_its_own_jobs_and_no_others() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let order = Mutex::new(Vec::new());
        let log = |entry: &'static str| order.lock().unwrap().push(entry);
        pool.scope(|outer| {
            let (queued, go) = mpsc::channel();
            let _first = outer.submit(|| {
                go.recv().unwrap(); // the second one is queued before the inner one
                pool.scope(|inner| drop(inner.submit(|| log("inner"))));
                log("first");
                drop(go);
            });
            let _second = outer.submit(|| log("second"));
            queued.send(()).unwrap();
        });
        assert_eq!(*order.lock().unwrap(), ["inner", "first", "second"]);
    });
}

#[test]
fn the_callers_thread_runs_no_jobs_unless_it_is_the_pools() {
    let pool = ThreadPool::new(1);
    let name = || thread::current().name().map(str::to_owned);
    let names = Mutex::new(Vec::new());
    pool.scope(|scope| {
        for _ in 0..10 {
            let _ = scope.submit(|| names.lock().unwrap().push(name().unwrap()));
        }
    });
    assert_eq!(*names.lock().unwrap(), ["tatkal-pool-0"; 10]);
}

#[test]
fn a_job_submits_to_its_scope() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let runs = AtomicUsize::new(0);
        let runs = &runs;
        pool.scope(|scope| {
            for _ in 0..10 {
                let _ = scope.submit(move || {
                    for _ in 0..10 {
                        let _ = scope.submit(|| runs.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        assert_eq!(runs.load(Ordering::Relaxed), 100);
    });
}

#[test]
fn a_shutdown_inside_a_scope_cancels_or_finishes_its_jobs() {
    within_a_minute(|| {
        for cancel_queued in [true, false] {
            let pool = ThreadPool::new(1);
            let mut gate = Gate::new();
            let (pass, runs) = (gate.pass(), AtomicUsize::new(0));
            pool.scope(|scope| {
                let running = scope.submit(|| pass.wait());
                wait_until(|| pool.queued() == 0);
                let queued = scope.submit(|| runs.fetch_add(1, Ordering::Relaxed));
                pool.shutdown(Shutdown {
                    wait: false,
                    cancel_queued,
                });
                let late = scope.submit(|| runs.fetch_add(1, Ordering::Relaxed));
                gate.open();
                running.join().unwrap();
                assert!(matches!(late.join(), Err(JoinError::Closed)));
                match queued.join() {
                    Ok(_) => assert!(!cancel_queued),
                    Err(JoinError::Cancelled) => assert!(cancel_queued),
                    Err(error) => panic!("{error:?}"),
                }
            });
            assert_eq!(runs.load(Ordering::Relaxed), usize::from(!cancel_queued));
        }
    });
}

#[test]
fn without_a_thread_every_job_of_a_scope_says_so() {
    let pool = ThreadPool::builder().stack_size(1 << 60).build();
    let borrowed = String::from("borrowed");
    pool.scope(|scope| {
        for _ in 0..3 {
            let handle = scope.submit(|| borrowed.len());
            assert!(matches!(handle.join(), Err(JoinError::Start(_))));
        }
    });
}

#[test]
fn a_scope_is_refused_on_a_thread_that_runs_an_executor() {
    let pool = ThreadPool::new(1);
    LocalExecutor::default().block_on(async {
        let message = message_of_panic(|| pool.scope(|_| ()));
        assert!(
            message.contains("this thread runs an executor"),
            "{message}"
        );
    });
}
