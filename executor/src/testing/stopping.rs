//! Checks: abort and shutdown do what they say, and lose nothing. Next: `handles.rs`.

use super::bed::{Bed, leave_mark};
use super::{Verdict, ensure};
use crate::error::JoinError;
use crate::pool::{Executor, Shutdown};
use crate::task::join::JoinHandle;
use std::thread;

/// Jobs that wait behind those that run.
const QUEUED: u64 = 20;
const SUBMITTERS: u64 = 3;

/// A job that no worker may start.
fn ensure_cancelled<E: Executor, T>(bed: &Bed<E>, handle: JoinHandle<T>) -> Verdict {
    match bed.result(handle)? {
        Err(JoinError::Cancelled) => Ok(()),
        Err(error) => Err(format!("a cancelled job reports: {error}")),
        Ok(_) => Err("a cancelled job has a result".to_owned()),
    }
}

pub(super) fn an_aborted_queued_job_never_runs<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let (gate, tally) = (bed.gate(), bed.tally());
    let held = bed.occupy(&executor, &gate)?;
    let queued = (0..QUEUED).map(|n| executor.submit(leave_mark, (tally.path(), n)));
    let (doomed, spared): (Vec<_>, Vec<_>) =
        (0..).zip(queued).partition(|(n, _): &(u64, _)| n % 2 == 0);
    for (n, job) in &doomed {
        match n % 4 {
            0 => job.abort(),
            _ => job.abort_handle().abort(),
        }
        job.abort(); // twice is once
    }
    // While the gate is shut: nobody has to start a job in order to cancel it.
    doomed
        .into_iter()
        .try_for_each(|(_, job)| ensure_cancelled(bed, job))?;
    gate.open();
    held.into_iter().try_for_each(|job| bed.value(job))?;
    for (n, job) in spared {
        let result = bed.value(job)?;
        ensure!(result == n, "job {n} gave the result of job {result}");
    }
    executor.shutdown(Shutdown::finish());
    tally.expect(QUEUED as usize / 2, "jobs that were not aborted")
}

pub(super) fn abort_comes_too_late<E: Executor>(bed: &Bed<E>) -> Verdict {
    let executor = bed.executor();
    let mut job = executor.submit(|n: u64| n + 1, 41);
    let abort = job.abort_handle();
    let result = job.join_timeout(bed.limit).ok_or("a job was not over")?;
    abort.abort();
    job.abort();
    ensure!(matches!(result, Ok(42)), "a finished job gave {result:?}");

    let job = executor.submit(|n: u64| n + 1, 1);
    while !job.is_finished() {
        thread::yield_now();
    }
    job.abort();
    let result = bed.value(job)?;
    ensure!(
        result == 2,
        "a finished job gave {result} once it was aborted"
    );
    Ok(())
}

pub(super) fn submit_after_shutdown<E: Executor>(bed: &Bed<E>) -> Verdict {
    let (executor, tally) = (bed.executor(), bed.tally());
    let before = executor.submit(leave_mark, (tally.path(), 0));
    executor.shutdown(Shutdown::finish());
    executor.shutdown(Shutdown::cancel()); // again is as good
    bed.value(before)?;
    let after = executor.submit(leave_mark, (tally.path(), 1));
    match bed.result(after)? {
        Err(JoinError::Closed) => {}
        other => return Err(format!("after shutdown a job reports {other:?}")),
    }
    let results: Vec<_> = executor.map(|n: u64| n, 0..3).collect();
    let closed = |result: &Result<_, _>| matches!(result, Err(JoinError::Closed));
    ensure!(
        results.len() == 3 && results.iter().all(closed),
        "after shutdown a map of three gives {results:?}"
    );
    tally.expect(1, "jobs before and after shutdown")
}

pub(super) fn shutdown_finishes<E: Executor>(bed: &Bed<E>) -> Verdict {
    let (executor, tally) = (bed.executor(), bed.tally());
    let slow = |(tally, n)| {
        thread::sleep(std::time::Duration::from_millis(2));
        leave_mark((tally, n))
    };
    let jobs = (0..QUEUED).map(|n| executor.submit(slow, (tally.path(), n)));
    let jobs: Vec<_> = jobs.collect();
    executor.shutdown(Shutdown::finish());
    tally.expect(QUEUED as usize, "jobs before the shutdown returned")?;
    let late = jobs.iter().filter(|job| !job.is_finished()).count();
    ensure!(late == 0, "{late} handles were not finished by then");
    jobs.into_iter()
        .try_for_each(|job| bed.value(job).map(drop))
}

pub(super) fn shutdown_cancels<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let (gate, tally) = (bed.gate(), bed.tally());
    let held = bed.occupy(&executor, &gate)?;
    let queued = (0..QUEUED).map(|n| executor.submit(leave_mark, (tally.path(), n)));
    let queued: Vec<_> = queued.collect();
    executor.shutdown(Shutdown::cancel().without_waiting());
    // While the gate is shut.
    queued
        .into_iter()
        .try_for_each(|job| ensure_cancelled(bed, job))?;
    gate.open();
    held.into_iter()
        .try_for_each(|job| bed.value(job))
        .map_err(|error| format!("among the running jobs: {error}"))?;
    executor.shutdown(Shutdown::finish());
    tally.expect(0, "cancelled jobs")
}

pub(super) fn shutdown_does_not_wait<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let (gate, tally) = (bed.gate(), bed.tally());
    let held = bed.occupy(&executor, &gate)?;
    let queued = (0..QUEUED).map(|n| executor.submit(leave_mark, (tally.path(), n)));
    let queued: Vec<_> = queued.collect();
    // If it waited, it would do so until the jobs at the gate gave up, and failed.
    executor.shutdown(Shutdown::finish().without_waiting());
    let over = held.iter().filter(|job| job.is_finished()).count();
    ensure!(over == 0, "{over} jobs were over that could not be");
    gate.open();
    held.into_iter().try_for_each(|job| bed.value(job))?;
    queued
        .into_iter()
        .try_for_each(|job| bed.value(job).map(drop))?;
    executor.shutdown(Shutdown::finish());
    tally.expect(QUEUED as usize, "queued jobs")
}

pub(super) fn shutdown_meets_submitters<E: Executor + Sync>(bed: &Bed<E>) -> Verdict {
    for how in [Shutdown::finish(), Shutdown::cancel()] {
        let (executor, tally) = (bed.executor(), bed.tally());
        let submitter = || {
            let mut ran = 0;
            for n in 0..QUEUED {
                let job = executor.submit(leave_mark, (tally.path(), n));
                match bed.result(job)? {
                    Ok(_) => ran += 1,
                    Err(JoinError::Closed | JoinError::Cancelled) => {}
                    Err(error) => return Err(format!("a refused job reports: {error}")),
                }
            }
            Ok(ran)
        };
        let ran = thread::scope(|scope| {
            let submitters: Vec<_> = (0..SUBMITTERS).map(|_| scope.spawn(submitter)).collect();
            while tally.count() < 2 && !submitters.iter().all(|one| one.is_finished()) {
                thread::yield_now();
            }
            executor.shutdown(how);
            submitters.into_iter().try_fold(0, |sum, one| {
                let ran = one.join();
                Ok::<_, String>(sum + ran.unwrap_or(Err("a submitter panicked".to_owned()))?)
            })
        })?;
        tally.expect(ran, "jobs that gave results")?;
    }
    Ok(())
}
