//! Checks: everything that can be done with handles works with this executor's.
//! Next: back to `mod.rs`, the suite.

use super::bed::{Bed, leave_mark, wait_at};
use super::{Verdict, ensure};
use crate::block_on::block_on;
use crate::error::JoinError;
use crate::pool::{Executor, Shutdown};
use crate::task::completion::as_completed::as_completed;
use crate::task::completion::wait::{Until, wait};
use std::time::Duration;

const JOBS: u64 = 40;

pub(super) fn a_dropped_handle_detaches<E: Executor>(bed: &Bed<E>) -> Verdict {
    let (executor, tally) = (bed.executor(), bed.tally());
    for n in 0..JOBS {
        let job = executor.submit(leave_mark, (tally.path(), n));
        match n % 2 {
            0 => drop(job),
            _ => job.detach(),
        }
    }
    executor.shutdown(Shutdown::finish());
    tally.expect(JOBS as usize, "jobs whose handles were dropped")
}

pub(super) fn a_handle_waits_as_long_as_told<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let gate = bed.gate();
    let mut job = executor.submit(wait_at, gate.ticket());
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        let early = job.join_timeout(limit);
        ensure!(early.is_none(), "a job that waits gave {early:?}");
        ensure!(!job.is_finished(), "a job that waits calls itself finished");
    }
    gate.open();
    bed.value(job)
}

pub(super) fn a_handle_is_a_future<E: Executor>(bed: &Bed<E>) -> Verdict {
    let executor = bed.executor();
    let jobs: Vec<_> = (0..JOBS)
        .map(|n| executor.submit(|n: u64| 3 * n, n))
        .collect();
    let sum = block_on(async {
        let mut sum = 0;
        for job in jobs {
            sum += job.await?;
        }
        Ok::<_, JoinError>(sum)
    });
    let sum = sum.map_err(|error| format!("a job that cannot fail failed: {error}"))?;
    ensure!(
        sum == 3 * JOBS * (JOBS - 1) / 2,
        "awaited results sum to {sum}"
    );
    Ok(())
}

pub(super) fn as_completed_gives_each_once<E: Executor>(bed: &Bed<E>) -> Verdict {
    let Some(executor) = bed.beside().filter(|executor| executor.workers() > 1) else {
        return in_any_order(bed, &bed.executor());
    };
    in_any_order(bed, &executor)?;
    // The first waits until the second was given.
    let gate = bed.gate();
    let jobs = [
        executor.submit(wait_at, gate.ticket()),
        executor.submit(|_| (), gate.ticket()),
    ];
    let mut places = Vec::new();
    let mut results = as_completed(jobs);
    while let Ok(Some((place, result))) = results.next_timeout(bed.limit) {
        result.map_err(|error| format!("a job that cannot fail failed: {error}"))?;
        places.push(place);
        gate.open();
    }
    ensure!(places == [1, 0], "results came from places {places:?}");
    Ok(())
}

fn in_any_order<E: Executor>(bed: &Bed<E>, executor: &E) -> Verdict {
    let jobs: Vec<_> = (0..JOBS).map(|n| executor.submit(|n: u64| n, n)).collect();
    let mut given = vec![false; JOBS as usize];
    let mut results = as_completed(jobs);
    while let Some((place, result)) = results
        .next_timeout(bed.limit)
        .map_err(|_| "as_completed waits in vain")?
    {
        let n = result.map_err(|error| format!("a job that cannot fail failed: {error}"))?;
        ensure!(n == place as u64, "place {place} gave the result of {n}");
        ensure!(!given[place], "place {place} came twice");
        given[place] = true;
    }
    ensure!(
        given.iter().all(|&given| given),
        "some results did not come"
    );
    Ok(())
}

pub(super) fn wait_says_what_is_done<E: Executor>(bed: &Bed<E>) -> Verdict {
    fn fails(n: u64) -> u64 {
        assert!(n != 2, "two");
        n
    }
    let executor = bed.executor();
    let mut jobs: Vec<_> = (0..4).map(|n| executor.submit(fails, n)).collect();
    let failed = wait(&mut jobs, Until::FirstError).join_timeout(bed.limit);
    let all = wait(&mut jobs, Until::All).join_timeout(bed.limit);
    ensure!(
        failed.done.contains(&2),
        "the first error is not in {failed:?}"
    );
    ensure!(
        all.done.len() == 4 && all.pending.is_empty(),
        "all: {all:?}"
    );
    let Some(executor) = bed.beside().filter(|executor| executor.workers() > 1) else {
        return Ok(());
    };
    let gate = bed.gate();
    let mut jobs = [
        executor.submit(wait_at, gate.ticket()),
        executor.submit(|_| (), gate.ticket()),
    ];
    let first = wait(&mut jobs, Until::First).join_timeout(bed.limit);
    ensure!(first.done == [1], "first: {first:?}");
    Ok(())
}
