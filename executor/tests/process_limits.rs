//! How a worker begins, how long it stays, and what it may use.

mod support;

use serde::de::Deserializer;
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process;
use std::sync::OnceLock;
use std::time::Duration;
use support::{Trace, is_dead, leave_trace, nap, own_pid, until};
use tatkal_executor::{JoinError, JoinHandle, Limit, ProcessPool, ProcessPoolBuilder, Shutdown};

tests![
    every_worker_is_set_up_before_its_first_job,
    an_initializer_that_panics_breaks_the_pool_and_starts_no_storm,
    an_initializer_that_ends_its_worker_breaks_the_pool,
    an_initializer_that_takes_for_ever_is_stopped_by_the_limit_of_the_pool,
    an_initializer_whose_argument_cannot_be_encoded_is_refused,
    a_pool_can_be_stopped_while_its_workers_are_set_up,
    setups_take_no_place_in_a_bounded_queue,
    a_worker_does_as_many_jobs_as_was_said_and_no_more,
    a_job_that_was_taken_back_is_not_counted,
    a_worker_that_has_grown_old_is_replaced,
    a_worker_without_jobs_to_do_is_refused,
    a_job_that_takes_too_much_memory_ends_and_the_error_names_the_limit,
    memory_is_counted_from_what_the_worker_had_when_it_began,
    a_job_that_takes_too_much_cpu_time_ends_and_the_error_names_the_limit,
    cpu_time_is_counted_job_by_job,
];

fn builder(workers: usize) -> ProcessPoolBuilder {
    ProcessPool::builder().workers(workers)
}

/// Why the pool is broken, by one of its handles.
fn broken<T: std::fmt::Debug>(handle: JoinHandle<T>) -> String {
    match handle.join() {
        Err(JoinError::Broken(reason)) => reason.into(),
        other => panic!("expected a broken pool, got {other:?}"),
    }
}

static LOADED: OnceLock<(String, u32)> = OnceLock::new();

fn every_worker_is_set_up_before_its_first_job() {
    let setups = Trace::new("setups");
    let load = |(path, text): (PathBuf, String)| {
        leave_trace(&path);
        LOADED.set((text, process::id())).expect("once per worker");
    };
    let pool = builder(3)
        .initializer(load, (setups.path(), "loaded".to_owned()))
        .build()
        .unwrap();
    let handles: Vec<_> = (0..300_u64)
        .map(|n| {
            let job = |n: u64| {
                let (text, pid) = LOADED.get().expect("set up");
                (format!("{text} {n}"), *pid == process::id())
            };
            pool.submit(job, n)
        })
        .collect();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), (format!("loaded {n}"), true));
    }
    // A worker that replaces another one is set up as well.
    let abort = |(): ()| -> () { process::abort() };
    assert!(pool.submit(abort, ()).join().is_err());
    let again = pool.submit(|(): ()| LOADED.get().is_some(), ());
    assert!(again.join().unwrap());
    drop(pool);
    assert!((1..=4).contains(&setups.count()), "{}", setups.count());
}

fn an_initializer_that_panics_breaks_the_pool_and_starts_no_storm() {
    let setups = Trace::new("setups");
    let fail = |path: PathBuf| {
        leave_trace(&path);
        panic!("no licence");
    };
    let pool = builder(3).initializer(fail, setups.path()).build().unwrap();
    let handles: Vec<_> = (0..20).map(|_| pool.submit(own_pid, ())).collect();
    for handle in handles {
        let reason = broken(handle);
        assert!(reason.contains("no licence"), "{reason}");
    }
    assert!(broken(pool.submit(own_pid, ())).contains("no licence"));
    drop(pool);
    assert!((1..=3).contains(&setups.count()), "{}", setups.count());
}

fn an_initializer_that_ends_its_worker_breaks_the_pool() {
    let pool = builder(2)
        .initializer(|code: i32| process::exit(code), 99)
        .build()
        .unwrap();
    assert!(broken(pool.submit(own_pid, ())).contains("code 99"));
}

fn an_initializer_that_takes_for_ever_is_stopped_by_the_limit_of_the_pool() {
    let setup = |(): ()| {
        nap(600);
    };
    let pool = builder(2)
        .timeout(Duration::from_millis(50))
        .initializer(setup, ())
        .build()
        .unwrap();
    assert!(broken(pool.submit(own_pid, ())).contains("time limit"));
}

struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not to be told"))
    }
}

impl<'de> Deserialize<'de> for Unspeakable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Unspeakable)
    }
}

fn an_initializer_whose_argument_cannot_be_encoded_is_refused() {
    let built = builder(1)
        .initializer(|_: Unspeakable| (), Unspeakable)
        .build();
    assert!(built.unwrap_err().to_string().contains("encoding"));
}

fn a_pool_can_be_stopped_while_its_workers_are_set_up() {
    let setups = Trace::new("setups");
    let setup = |path: PathBuf| {
        leave_trace(&path);
        nap(600);
    };
    let pool = builder(2)
        .initializer(setup, setups.path())
        .build()
        .unwrap();
    let handle = pool.submit(own_pid, ());
    until("a setup", || setups.count() == 1);
    let pids = pool.worker_pids();
    pool.terminate();
    assert!(handle.join().unwrap_err().is_cancelled());
    pool.shutdown(Shutdown::finish());
    assert_eq!(pids.len(), 1);
    assert!(pids.into_iter().all(is_dead));
}

fn setups_take_no_place_in_a_bounded_queue() {
    let go = Trace::new("go");
    let setup = |go: PathBuf| until("the word", || go.exists());
    let pool = builder(2)
        .capacity(0)
        .initializer(setup, go.path())
        .build()
        .unwrap();
    let first = pool.try_submit(own_pid, ()).unwrap();
    until("its worker", || pool.worker_pids().len() == 1);
    let second = pool.try_submit(own_pid, ()).unwrap();
    until("both workers", || pool.worker_pids().len() == 2);
    assert!(pool.try_submit(own_pid, ()).is_err());
    leave_trace(&go.path());
    first.join().unwrap();
    second.join().unwrap();
}

fn a_worker_does_as_many_jobs_as_was_said_and_no_more() {
    for most in [1, 3] {
        let pool = builder(2).max_jobs_per_worker(most).build().unwrap();
        // One after the other, and many at once.
        for _ in 0..2 * most {
            pool.submit(own_pid, ()).join().unwrap();
        }
        let handles: Vec<_> = (0..60).map(|_| pool.submit(own_pid, ())).collect();
        let mut jobs: HashMap<u32, u64> = HashMap::new();
        for handle in handles {
            *jobs.entry(handle.join().unwrap()).or_default() += 1;
        }
        assert!(jobs.values().all(|jobs| *jobs <= most), "{jobs:?}");
        // Of 60 jobs, 2 workers may have stopped short of their number.
        assert!(jobs.len() as u64 <= 60 / most + 2, "{jobs:?}");
        until("the end of those that are done", || {
            pool.worker_pids().len() <= 2
        });
    }
}

fn a_job_that_was_taken_back_is_not_counted() {
    let go = Trace::new("go");
    let pool = builder(1).max_jobs_per_worker(3).build().unwrap();
    let pid = pool.submit(own_pid, ()).join().unwrap();
    let busy = pool.submit(|go: PathBuf| until("the word", || go.exists()), go.path());
    for _ in 0..5 {
        let handle = pool.submit(own_pid, ());
        handle.abort();
        assert!(handle.join().unwrap_err().is_cancelled());
    }
    let third = pool.submit(own_pid, ());
    leave_trace(&go.path());
    busy.join().unwrap();
    assert_eq!(third.join().unwrap(), pid);
    assert_ne!(pool.submit(own_pid, ()).join().unwrap(), pid);
}

fn a_worker_that_has_grown_old_is_replaced() {
    let pool = builder(1)
        .max_worker_age(Duration::from_millis(100))
        .build()
        .unwrap();
    let slow = |(): ()| {
        std::thread::sleep(Duration::from_millis(200));
        process::id()
    };
    // A job that runs is not disturbed, even by the age of its worker.
    let pid = pool.submit(slow, ()).join().unwrap();
    until("its end", || is_dead(pid));
    let idle = pool.submit(own_pid, ()).join().unwrap();
    assert_ne!(idle, pid);
    until("the end of the idle one", || is_dead(idle));
    assert!(pool.worker_pids().is_empty());
}

fn a_worker_without_jobs_to_do_is_refused() {
    let refused = builder(1).max_jobs_per_worker(0).build().unwrap_err();
    assert!(refused.to_string().contains("stay for no job"), "{refused}");
}

const MIB: u64 = 1 << 20;

/// Fills so much memory.
fn fill(bytes: u64) -> u64 {
    let memory = vec![1_u8; bytes as usize];
    memory.iter().map(|byte| u64::from(*byte)).sum()
}

fn a_job_that_takes_too_much_memory_ends_and_the_error_names_the_limit() {
    let pool = builder(1).memory_limit(64 * MIB).build().unwrap();
    for _ in 0..2 {
        assert_eq!(pool.submit(fill, 16 * MIB).join().unwrap(), 16 * MIB);
        let error = pool.submit(fill, 128 * MIB).join().unwrap_err();
        let text = error.to_string();
        let JoinError::WorkerDied(exit) = error else {
            panic!("{error}");
        };
        assert_eq!(
            (exit.signal, exit.limit),
            (Some(libc::SIGABRT), Some(Limit::Memory)),
            "{text}"
        );
        assert!(text.contains("memory limit"), "{text}");
    }
    // An abort of another kind is not blamed on memory, and a job may ask before it takes.
    let abort = |(): ()| -> () { process::abort() };
    match pool.submit(abort, ()).join() {
        Err(JoinError::WorkerDied(exit)) => assert_eq!(exit.limit, None),
        other => panic!("{other:?}"),
    }
    let ask = |bytes: u64| Vec::<u8>::new().try_reserve(bytes as usize).is_ok();
    assert!(pool.submit(ask, 16 * MIB).join().unwrap());
    assert!(!pool.submit(ask, 128 * MIB).join().unwrap());
}

fn memory_is_counted_from_what_the_worker_had_when_it_began() {
    let size = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
        pages * 4096
    };
    // Less than the worker has anyway.
    let limit = size() / 2;
    let pool = builder(1).memory_limit(limit).build().unwrap();
    pool.submit(own_pid, ()).join().unwrap();
}

/// Computes, and uses so much CPU time for it.
fn spin(milliseconds: u64) -> u64 {
    let used = || {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the time lives on the stack for the whole call.
        let answer = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        assert_eq!(answer, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let begin = used();
    while used() - begin < Duration::from_millis(milliseconds) {
        std::hint::spin_loop();
    }
    milliseconds
}

fn a_job_that_takes_too_much_cpu_time_ends_and_the_error_names_the_limit() {
    let limit = Duration::from_millis(1); // rounded up to a second
    let pool = builder(1).cpu_limit(limit).build().unwrap();
    let error = pool.submit(spin, 600_000).join().unwrap_err();
    let text = error.to_string();
    let JoinError::WorkerDied(exit) = error else {
        panic!("{error}");
    };
    assert_eq!(
        (exit.signal, exit.limit),
        (Some(libc::SIGXCPU), Some(Limit::CpuTime))
    );
    assert!(text.contains("CPU time"), "{text}");
    assert!(pool.submit(own_pid, ()).join().is_ok());
}

fn cpu_time_is_counted_job_by_job() {
    let pool = builder(1)
        .cpu_limit(Duration::from_secs(1))
        .build()
        .unwrap();
    let pids: Vec<_> = (0..4)
        .map(|_| {
            assert_eq!(pool.submit(spin, 600).join().unwrap(), 600);
            pool.submit(own_pid, ()).join().unwrap()
        })
        .collect();
    assert_eq!(pids, [pids[0]; 4]);
}
