//! A process pool says what its workers have done, and where the time of its jobs went.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{kill, pool, until};
use tatkal_executor::{Executor, JoinError, ProcessPool, ProcessPoolMetrics, Shutdown};

tests![
    every_job_is_counted_before_its_handle_tells,
    bytes_are_counted_both_ways,
    what_dead_workers_did_is_kept,
    a_job_that_took_its_worker_along_is_not_one_that_was_answered,
    the_kernels_books_are_read,
    phases_are_there_when_asked_for,
    the_time_of_a_function_is_run_and_nothing_else,
    waiting_behind_a_job_is_queue,
    codecs_are_charged_where_they_run,
    jobs_that_fail_in_the_worker_are_measured_too,
];

fn measured(workers: usize) -> ProcessPool {
    let builder = ProcessPool::builder().workers(workers).measure(true);
    builder.build().expect("the fork server runs")
}

fn double(n: u64) -> u64 {
    n * 2
}

fn jobs_of(metrics: &ProcessPoolMetrics) -> u64 {
    let living: u64 = metrics.workers.iter().map(|worker| worker.work.jobs).sum();
    living + metrics.left.jobs
}

fn every_job_is_counted_before_its_handle_tells() {
    for pool in [pool(3), measured(3)] {
        for n in 1..=50 {
            assert_eq!(pool.submit(double, n).join().unwrap(), n * 2);
            let metrics = pool.metrics();
            assert_eq!(jobs_of(&metrics), n);
            assert_eq!(metrics.total().jobs, n);
            assert!(metrics.phases.is_none_or(|phases| phases.jobs == n));
        }
        for (n, item) in (1..).zip(pool.map(double, 0..1_000)) {
            assert!(item.is_ok());
            assert!(jobs_of(&pool.metrics()) >= 50 + n);
        }
        let metrics = pool.metrics();
        // Every item is a job, however many travelled together.
        assert_eq!(metrics.total().jobs, 1_050);
        assert!(metrics.phases.is_none_or(|phases| phases.jobs == 1_050));
        assert_eq!((metrics.left_workers, metrics.left.jobs), (0, 0));
        // One may be on its way.
        until("both know the same workers", || {
            let pids: Vec<_> = pool
                .metrics()
                .workers
                .iter()
                .map(|worker| worker.pid)
                .collect();
            pids == pool.worker_pids()
        });
    }
}

fn bytes_are_counted_both_ways() {
    let pool = pool(1);
    let grow = |data: Vec<u8>| data.repeat(3);
    let mut there = 0;
    for length in [10, 100, 10_000, 1_000_000] {
        pool.submit(grow, vec![7; length]).join().unwrap();
        there += length as u64;
    }
    let total = pool.metrics().total();
    // Beside the bytes themselves there is a length of at most 10 bytes.
    let around = |bytes: u64| bytes..=bytes + 4 * 10;
    assert!(around(there).contains(&total.bytes_in), "{total:?}");
    assert!(around(3 * there).contains(&total.bytes_out), "{total:?}");
}

fn what_dead_workers_did_is_kept() {
    let pool = ProcessPool::builder()
        .workers(2)
        .max_jobs_per_worker(5)
        .measure(true)
        .build()
        .unwrap();
    let spin = |rounds: u64| (0..rounds).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n));
    for _ in 0..20 {
        pool.submit(spin, 1_000_000).join().unwrap();
    }
    pool.shutdown(Shutdown::finish());
    let metrics = pool.metrics();
    assert!(metrics.workers.is_empty(), "{metrics:?}");
    assert!(metrics.left_workers >= 4, "{metrics:?}");
    assert_eq!(metrics.left.jobs, 20);
    assert!(metrics.left.cpu_time > Duration::ZERO, "{metrics:?}");
    assert!(metrics.left.bytes_in >= 20 && metrics.left.bytes_out >= 20);
    assert_eq!(metrics.phases.unwrap().jobs, 20);
}

fn a_job_that_took_its_worker_along_is_not_one_that_was_answered() {
    let pool = measured(1);
    pool.submit(double, 1).join().unwrap();
    let fallen = pool.submit(|_: ()| -> u64 { std::process::abort() }, ());
    assert!(matches!(fallen.join(), Err(JoinError::WorkerDied(_))));
    pool.submit(double, 2).join().unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.left_workers, metrics.left.jobs), (1, 1));
    assert_eq!(metrics.total().jobs, 2);
    assert_eq!(metrics.phases.unwrap().jobs, 2);
    // An idle one that is killed leaves its count behind as well.
    kill(pool.worker_pids()[0], libc::SIGKILL);
    until("its death is known", || pool.metrics().left_workers == 2);
    assert_eq!(pool.metrics().left.jobs, 2);
}

/// Bytes that a worker keeps.
fn hoard(length: usize) -> usize {
    std::mem::forget(std::hint::black_box(vec![1_u8; length]));
    length
}

fn the_kernels_books_are_read() {
    const MORE: usize = 32 << 20;
    let pool = pool(1);
    pool.submit(hoard, 0).join().unwrap();
    let before = pool.metrics().workers[0];
    assert!(before.rss_bytes > 0, "{before:?}");
    pool.submit(hoard, MORE).join().unwrap();
    let after = pool.metrics().workers[0];
    assert_eq!(after.pid, before.pid);
    // (The kernel's count lags by some pages.)
    assert!(after.rss_bytes > before.rss_bytes + MORE as u64 / 2);
    let busy = |_: ()| {
        let mut sum = 0_u64;
        (0..20_000_000_u64).for_each(|n| sum = std::hint::black_box(sum ^ n));
    };
    pool.submit(busy, ()).join().unwrap();
    let later = pool.metrics().workers[0];
    assert!(later.work.cpu_time > after.work.cpu_time, "{later:?}");
}

fn phases_are_there_when_asked_for() {
    let pool = pool(1);
    pool.submit(double, 1).join().unwrap();
    assert_eq!(pool.metrics().phases, None);
    let pool = measured(1);
    assert_eq!(pool.metrics().phases.unwrap().total(), Duration::ZERO);
    pool.submit(double, 1).join().unwrap();
    assert!(pool.metrics().phases.unwrap().total() > Duration::ZERO);
}

/// Sleeps at least so long.
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

fn the_time_of_a_function_is_run_and_nothing_else() {
    const LONG: Duration = Duration::from_millis(50);
    let pool = measured(1);
    let start = Instant::now();
    pool.submit(sleep, LONG).join().unwrap();
    let whole = start.elapsed();
    let phases = pool.metrics().phases.unwrap();
    assert!(phases.run >= LONG, "{phases:?}");
    // Whatever the rest of the job took, none of the sleep is in it.
    let others = phases.total() - phases.run;
    assert!(others <= whole - LONG, "{phases:?} in {whole:?}");
}

/// Waits until a file is there.
fn wait_for(path: PathBuf) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn waiting_behind_a_job_is_queue() {
    const BEHIND: u32 = 10;
    let name = format!("tatkal-metrics-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let pool = measured(1);
    pool.submit(double, 1).join().unwrap();
    let before = pool.metrics().phases.unwrap();
    let first = pool.submit(wait_for, path.clone());
    let behind: Vec<_> = (0..BEHIND).map(|n| pool.submit(double, n.into())).collect();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let held = start.elapsed();
    fs::write(&path, "").unwrap();
    first.join().unwrap();
    fs::remove_file(&path).unwrap();
    for handle in behind {
        handle.join().unwrap();
    }
    let phases = pool.metrics().phases.unwrap();
    // Each of them was there all the time that the first one was held.
    assert!(phases.queue - before.queue >= held * BEHIND, "{phases:?}");
}

/// A value whose codecs take their time.
#[derive(Clone, Copy)]
struct Slow;

const CODEC: Duration = Duration::from_millis(20);

impl serde::Serialize for Slow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        std::thread::sleep(CODEC);
        serializer.serialize_u8(1)
    }
}

impl<'de> serde::Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Slow, D::Error> {
        std::thread::sleep(CODEC);
        <u8 as serde::Deserialize>::deserialize(deserializer).map(|_| Slow)
    }
}

fn codecs_are_charged_where_they_run() {
    let pool = measured(1);
    let start = Instant::now();
    pool.submit(|slow: Slow| slow, Slow).join().unwrap();
    let whole = start.elapsed();
    let phases = pool.metrics().phases.unwrap();
    assert!(phases.encode >= 2 * CODEC, "{phases:?}");
    assert!(phases.decode >= 2 * CODEC, "{phases:?}");
    let others = phases.total() - phases.encode - phases.decode;
    assert!(others <= whole - 4 * CODEC, "{phases:?} in {whole:?}");
}

fn jobs_that_fail_in_the_worker_are_measured_too() {
    let pool = measured(1);
    let angry = |time: Duration| -> u64 {
        std::thread::sleep(time);
        panic!("no")
    };
    let time = Duration::from_millis(20);
    assert!(matches!(
        pool.submit(angry, time).join(),
        Err(JoinError::Panicked(_))
    ));
    let metrics = pool.metrics();
    let phases = metrics.phases.unwrap();
    assert_eq!((metrics.total().jobs, phases.jobs), (1, 1));
    assert!(phases.run >= time, "{phases:?}");
}
