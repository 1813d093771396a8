//! Checks: jobs run, once each, side by side, and their results come back. Next: `maps.rs`.

use super::bed::{Bed, leave_mark, wait_at};
use super::{Verdict, ensure};
use crate::pool::{Executor, Sequential, Shutdown, ThreadPool};
use std::thread;

/// Enough to keep every worker of a small pool busy for many turns.
const JOBS: u64 = 300;
const SUBMITTERS: u64 = 4;
/// More than any pipe or socket buffer holds.
const LARGE_BYTES: usize = 6 << 20;

pub(super) fn each_job_runs_once<E: Executor>(bed: &Bed<E>) -> Verdict {
    let (executor, tally) = (bed.executor(), bed.tally());
    let jobs = (0..JOBS).map(|n| executor.submit(leave_mark, (tally.path(), n)));
    let jobs: Vec<_> = jobs.collect();
    for (n, job) in (0..JOBS).zip(jobs) {
        let result = bed.value(job)?;
        ensure!(result == n, "job {n} gave the result of job {result}");
    }
    executor.shutdown(Shutdown::finish());
    tally.expect(JOBS as usize, "jobs that gave their results")
}

pub(super) fn jobs_come_from_any_thread<E: Executor + Sync>(bed: &Bed<E>) -> Verdict {
    let (executor, tally) = (bed.executor(), bed.tally());
    let submitter = |first: u64| {
        let mine = first..first + JOBS / SUBMITTERS;
        let submit = |n| executor.submit(leave_mark, (tally.path(), n));
        let jobs: Vec<_> = mine.clone().map(submit).collect();
        for (n, job) in mine.zip(jobs) {
            let result = bed.value(job)?;
            ensure!(result == n, "job {n} gave the result of job {result}");
        }
        Ok(())
    };
    thread::scope(|scope| {
        let submitters = (0..SUBMITTERS).map(|n| scope.spawn(move || submitter(n * JOBS)));
        let submitters: Vec<_> = submitters.collect();
        submitters
            .into_iter()
            .try_for_each(|one| one.join().unwrap_or(Err("a submitter panicked".to_owned())))
    })?;
    executor.shutdown(Shutdown::finish());
    tally.expect((JOBS / SUBMITTERS * SUBMITTERS) as usize, "jobs")
}

pub(super) fn nothing_is_a_value_too<E: Executor>(bed: &Bed<E>) -> Verdict {
    let executor = bed.executor();
    bed.value(executor.submit(|()| (), ()))?;
    let empty = bed.value(executor.submit(|bytes: Vec<u8>| bytes, Vec::new()))?;
    ensure!(empty.is_empty(), "{} bytes came out of none", empty.len());
    let none = bed.value(executor.submit(|maybe: Option<String>| maybe, None))?;
    ensure!(none.is_none(), "{none:?} came out of None");
    Ok(())
}

pub(super) fn large_values_cross<E: Executor>(bed: &Bed<E>) -> Verdict {
    fn turn(text: String) -> String {
        let mut bytes = text.into_bytes();
        bytes.rotate_left(1);
        String::from_utf8(bytes).expect("it is ASCII")
    }
    /// Text that tells where it is, and whose. (Text, because bytes go through serde one by one.)
    fn pattern(n: usize) -> String {
        let blocks = (0..LARGE_BYTES / 1000).map(|i| format!("{n}, {i:>990}. "));
        blocks.collect()
    }
    let executor = bed.executor();
    // More than there are workers: results come while arguments still go.
    let jobs = (0..executor.workers() * 2).map(|n| executor.submit(turn, pattern(n)));
    let jobs: Vec<_> = jobs.collect();
    for (n, job) in jobs.into_iter().enumerate() {
        let result = bed.value(job)?;
        ensure!(
            result == turn(pattern(n)),
            "value {n} came back changed, with {} bytes of {}",
            result.len(),
            pattern(n).len()
        );
    }
    Ok(())
}

pub(super) fn all_workers_work<E: Executor>(bed: &Bed<E>) -> Verdict {
    ensure!(bed.executor().workers() > 0, "there are no workers");
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let gate = bed.gate();
    let held = bed.occupy(&executor, &gate)?;
    gate.open();
    held.into_iter().try_for_each(|job| bed.value(job))
}

pub(super) fn a_slow_job_delays_nobody<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside().filter(|executor| executor.workers() > 1) else {
        return Ok(());
    };
    let gate = bed.gate();
    let slow = executor.submit(wait_at, gate.ticket());
    let quick = (0..JOBS).map(|n| executor.submit(|n: u64| n, n));
    let quick: Vec<_> = quick.collect();
    for job in quick {
        bed.value(job)
            .map_err(|error| format!("behind a job that waits: {error}"))?;
    }
    gate.open();
    bed.value(slow)
}

pub(super) fn a_job_may_use_executors<E: Executor>(bed: &Bed<E>) -> Verdict {
    fn sum(upto: u64) -> u64 {
        let pool = ThreadPool::new(1);
        let caller = Sequential::new();
        let squares = caller.map(|n: u64| n * n, 1..=upto);
        let halves = squares.map(|square| pool.submit(move || square.unwrap() / 2));
        halves.map(|half| half.join().unwrap()).sum()
    }
    let result = bed.value(bed.executor().submit(sum, 4))?;
    ensure!(result == 14, "0 + 2 + 4 + 8 gave {result}");
    Ok(())
}
