//! Checks: map, in order, lazy, and cancelled when it is dropped. Next: `failures.rs`.

use super::bed::{Bed, GateTicket, leave_mark, wait_at};
use super::{Verdict, ensure};
use crate::pool::{Executor, Shutdown};
use std::cell::Cell;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

const ITEMS: u64 = 60;
/// Queued jobs behind those that run.
const QUEUED: usize = 6;

pub(super) fn map_keeps_the_order<E: Executor>(bed: &Bed<E>) -> Verdict {
    /// Later items tend to be over before earlier ones.
    fn uneven(n: u64) -> u64 {
        thread::sleep(Duration::from_millis(5 - n % 6));
        n * n
    }
    let executor = bed.executor();
    let mut given = 0;
    for (n, result) in (0..).zip(executor.map(uneven, 0..ITEMS)) {
        let square = result.map_err(|error| format!("item {n} failed: {error}"))?;
        ensure!(square == n * n, "place {n} holds {square}");
        given += 1;
    }
    ensure!(given == ITEMS, "{given} results of {ITEMS} items");
    Ok(())
}

pub(super) fn map_is_lazy<E: Executor>(bed: &Bed<E>) -> Verdict {
    let executor = bed.executor();
    for window in [Some(1), Some(3), None] {
        let taken = Cell::new(0);
        let endless = (0_u64..).inspect(|_| taken.set(taken.get() + 1));
        let mut doubled = executor.map(|n: u64| 2 * n, endless);
        if let Some(jobs) = window {
            doubled = doubled.window(jobs);
        }
        ensure!(taken.get() == 0, "a map took items before the first `next`");
        let ahead = window.unwrap_or(executor.default_window().max(1)) as u64;
        for n in 0..ITEMS {
            let double = doubled.next().ok_or("an endless map ended")?;
            let double = double.map_err(|error| format!("item {n} failed: {error}"))?;
            ensure!(double == 2 * n, "place {n} holds {double}");
            let taken = taken.get();
            ensure!(
                taken <= n + ahead,
                "{taken} items taken for {} results with a window of {ahead}",
                n + 1
            );
        }
    }
    Ok(())
}

pub(super) fn a_dropped_map_cancels<E: Executor>(bed: &Bed<E>) -> Verdict {
    /// The first item is quick; the others wait, and then leave a mark.
    fn job((n, ticket, tally): (u64, GateTicket, PathBuf)) {
        if n > 0 {
            wait_at(ticket);
            leave_mark((tally, n));
        }
    }
    let Some(executor) = bed.beside() else {
        return Ok(());
    };
    let (gate, tally) = (bed.gate(), bed.tally());
    let items = (0..).map(|n| (n, gate.ticket(), tally.path()));
    let workers = executor.workers();
    let mut map = executor.map(job, items).window(workers + QUEUED);
    let first = map.next().ok_or("an endless map ended")?;
    first.map_err(|error| format!("the first item failed: {error}"))?;
    drop(map);
    gate.open();
    executor.shutdown(Shutdown::finish());
    let ran = tally.count();
    ensure!(
        ran <= workers,
        "{ran} items ran after the map was dropped; {workers} may have been running"
    );
    Ok(())
}
