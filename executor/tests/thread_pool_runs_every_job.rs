//! The thread pool: jobs run once, in order, on threads that appear when they are needed; a job's
//! failure is its own.

mod gate;

use gate::{Gate, wait_until, within_a_minute};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tatkal_executor::{JoinError, JoinHandle, ThreadPool, available_cpus, block_on};

#[test]
fn a_panic_reaches_its_handle_and_nothing_else() {
    let pool = ThreadPool::new(1);
    let before = pool.submit(|| thread::current().id());
    let panicking = pool.submit(|| -> u8 { panic!("job {}", 2) });
    let after = pool.submit(|| thread::current().id());
    let home = before.join().unwrap();
    match panicking.join() {
        Err(JoinError::Panicked(report)) => assert_eq!(report.message(), "job 2"),
        other => panic!("{other:?}"),
    }
    assert_eq!(after.join().unwrap(), home, "the thread lives on");
    assert_eq!(pool.threads(), 1);
}

#[test]
fn ten_thousand_jobs_run_once_each() {
    within_a_minute(|| {
        let pool = ThreadPool::new(3);
        let runs: Arc<Vec<AtomicUsize>> =
            Arc::new((0..10_000).map(|_| Default::default()).collect());
        let handles: Vec<_> = (0..10_000)
            .map(|n| {
                let runs = runs.clone();
                pool.submit(move || {
                    runs[n].fetch_add(1, Ordering::Relaxed);
                    n
                })
            })
            .collect();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), n);
        }
        assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
    });
}

#[test]
fn jobs_start_in_the_order_of_their_submission() {
    let pool = ThreadPool::new(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..100 {
        let order = order.clone();
        pool.submit(move || order.lock().unwrap().push(n)).detach();
    }
    drop(pool);
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn as_many_jobs_run_at_once_as_there_are_threads() {
    within_a_minute(|| {
        let pool = ThreadPool::new(4);
        let barrier = Arc::new(Barrier::new(4));
        // A barrier lets nobody through before all four jobs are running. Twice: the second time
        // the threads are there already, asleep or looking.
        for _ in 0..2 {
            let jobs: Vec<_> = (0..4)
                .map(|_| {
                    let barrier = barrier.clone();
                    pool.submit(move || barrier.wait().is_leader())
                })
                .collect();
            let leaders = jobs.into_iter().map(|job| job.join().unwrap());
            assert_eq!(leaders.filter(|leader| *leader).count(), 1);
        }
    });
}

#[test]
fn threads_are_started_on_demand_and_named() {
    within_a_minute(|| {
        let pool = ThreadPool::new(3);
        assert_eq!(pool.threads(), 0);
        let name = || thread::current().name().unwrap().to_owned();
        for _ in 0..5 {
            assert_eq!(pool.submit(name).join().unwrap(), "tatkal-pool-0");
            // The handle is ready a moment before its thread is: wait for the thread.
            wait_until(|| pool.idle_threads() == 1);
        }
        assert_eq!(pool.threads(), 1, "a free thread is used first");
        let mut gate = Gate::new();
        let mut busy: Vec<_> = (0..3)
            .map(|_| {
                let pass = gate.pass();
                pool.submit(move || {
                    pass.wait();
                    name()
                })
            })
            .collect();
        assert_eq!(pool.threads(), 3);
        busy.push(pool.submit(name));
        assert_eq!(pool.threads(), 3, "the limit");
        gate.open();
        for job in busy {
            let name = job.join().unwrap();
            assert!(
                ["tatkal-pool-0", "tatkal-pool-1", "tatkal-pool-2"].contains(&&*name),
                "{name}"
            );
        }
    });
}

#[test]
fn a_pool_without_jobs_starts_no_thread() {
    let hooks = Arc::new(AtomicUsize::new(0));
    let count = hooks.clone();
    let pool = ThreadPool::builder()
        .on_thread_start(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    assert_eq!(pool.workers(), (available_cpus() + 4).min(32));
    drop(pool);
    assert_eq!(hooks.load(Ordering::Relaxed), 0);
}

#[test]
fn hooks_run_once_per_thread_and_may_panic() {
    let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (start, stop) = (started.clone(), stopped.clone());
    let pool = ThreadPool::builder()
        .threads(1)
        .stack_size(256 * 1024)
        .on_thread_start(move || {
            start.fetch_add(1, Ordering::Relaxed);
            panic!("in the hook");
        })
        .on_thread_stop(move || {
            stop.fetch_add(1, Ordering::Relaxed);
            panic!("in the hook");
        })
        .build();
    for n in 0..3 {
        assert_eq!(pool.submit(move || n).join().unwrap(), n);
    }
    assert_eq!(stopped.load(Ordering::Relaxed), 0);
    drop(pool);
    assert_eq!(
        (
            started.load(Ordering::Relaxed),
            stopped.load(Ordering::Relaxed)
        ),
        (1, 1)
    );
}

#[test]
fn a_job_submits_to_its_own_pool() {
    within_a_minute(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let inner = pool.clone();
        let outer = pool.submit(move || inner.submit(|| "inner"));
        // The one thread is free for the inner job once the outer one is over.
        assert_eq!(outer.join().unwrap().join().unwrap(), "inner");
    });
}

#[test]
fn a_handle_can_be_awaited_and_polled_with_a_limit() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let mut handle = pool.submit(move || {
            pass.wait();
            42
        });
        assert!(handle.join_timeout(Duration::from_millis(1)).is_none());
        assert!(!handle.is_finished());
        gate.open();
        assert_eq!(block_on(&mut handle).unwrap(), 42);
    });
}

#[test]
fn abort_cancels_a_queued_job_and_leaves_a_running_one_alone() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let (tell, started) = mpsc::channel();
        let pass = gate.pass();
        let running = pool.submit(move || {
            tell.send(()).unwrap();
            pass.wait();
            "ran"
        });
        started.recv().unwrap();
        let held = Arc::new(());
        let captured = held.clone();
        let queued = pool.submit(move || drop(captured));
        let last = pool.submit(|| "last");
        queued.abort();
        assert_eq!(
            Arc::strong_count(&held),
            1,
            "its closure is dropped at once"
        );
        assert!(matches!(queued.join(), Err(JoinError::Cancelled)));
        running.abort();
        gate.open();
        assert_eq!(running.join().unwrap(), "ran");
        assert_eq!(last.join().unwrap(), "last");
    });
}

#[test]
fn a_thread_that_cannot_be_started_is_reported() {
    // More stack than any address space has.
    let pool = ThreadPool::builder().threads(2).stack_size(1 << 60).build();
    let held = Arc::new(());
    for _ in 0..3 {
        let captured = held.clone();
        let handle = pool.submit(move || drop(captured));
        assert!(matches!(handle.join(), Err(JoinError::Start(_))));
    }
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!((pool.threads(), pool.queued()), (0, 0));
}

#[test]
fn pools_and_what_waits_for_their_jobs_may_change_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<ThreadPool>();
    crosses::<tatkal_executor::ThreadPoolBuilder>();
    crosses::<JoinHandle<u8>>();
    crosses::<tatkal_executor::AsCompleted<u8>>();
    crosses::<tatkal_executor::AsCompletedStream<u8>>();
    crosses::<tatkal_executor::Waited>();
}
