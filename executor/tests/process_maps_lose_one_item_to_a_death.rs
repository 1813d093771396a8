//! A worker that dies in the middle of many items costs the one that it was at, and no other: what it
//! had done counts, what it had not begun is run by others, and the error tells of the death.

mod support;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::{Dice, Tally, Trace, append, leave_trace, pool, until};
use tatkal_executor::{Crossing, Executor, JoinError, OnDeath, ProcessPool, WorkerExit};

tests![
    a_worker_s_death_costs_the_item_it_was_at_and_no_other,
    no_item_runs_twice_when_workers_die,
    whenever_a_worker_is_killed_it_costs_one_item_at_most,
    items_with_a_time_limit_have_it_each,
    items_on_retry_are_tried_again,
    an_item_that_ends_every_worker_is_quarantined_alone,
    a_death_tells_which_crossing_its_item_was_at,
    a_death_in_what_an_item_left_to_be_printed_is_of_no_crossing,
    a_pool_that_breaks_says_so_to_every_item,
    what_an_item_printed_is_out,
];

/// Enough for the parcels to have become large.
const MANY: u32 = 20_000;

fn die() -> ! {
    // SAFETY: ends this worker, at once.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
    unreachable!()
}

fn a_worker_s_death_costs_the_item_it_was_at_and_no_other() {
    let pool = pool(2);
    let some_die = |n: u32| match n % 3000 {
        2999 => die(),
        _ => n,
    };
    let mut deaths = 0;
    for (n, result) in (0..).zip(pool.map(some_die, 0..MANY)) {
        match result {
            Ok(result) => assert!(result == n && n % 3000 != 2999),
            Err(JoinError::WorkerDied(exit)) => {
                assert_eq!((n % 3000, exit.signal), (2999, Some(libc::SIGKILL)));
                deaths += 1;
            }
            Err(error) => panic!("item {n}: {error}"),
        }
    }
    assert_eq!(deaths, MANY / 3000);
    until("the last death is known", || {
        pool.metrics().left_workers == u64::from(deaths)
    });
    assert_eq!(pool.metrics().total().jobs, u64::from(MANY - deaths));
}

fn no_item_runs_twice_when_workers_die() {
    let tally = Tally::new("deaths");
    let pool = pool(2);
    let marked = |(n, path): (u32, PathBuf)| {
        append(&path, n);
        match n % 97 {
            90 => die(),
            _ => n,
        }
    };
    let items = 0..3000;
    let results = pool.map(marked, items.clone().map(|n| (n, tally.path())));
    let failed = results.filter(Result::is_err).count();
    assert_eq!(failed, items.clone().filter(|n| n % 97 == 90).count());
    let mut runs = tally.runs();
    runs.sort_unstable();
    assert!(runs.into_iter().eq(items), "every item once");
}

/// kill(2) from outside, at any moment: mostly in the middle of a parcel.
fn whenever_a_worker_is_killed_it_costs_one_item_at_most() {
    const ITEMS: u32 = 4_000;
    let pool = &pool(2);
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut dice, mut kills, mut done) = (Dice(0x5eed), 0, 0);
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(dice.below(12_000)));
                // Or on a busy machine none would live long enough, and that is told as well.
                let so_far = pool.metrics().total().jobs;
                if std::mem::replace(&mut done, so_far) == so_far {
                    continue;
                }
                let pids = pool.worker_pids();
                if let Some(pid) = pids.get(dice.below(2) as usize) {
                    // SAFETY: a worker of the pool's, or a pid that it has just given back.
                    kills += u32::from(unsafe { libc::kill(*pid as i32, libc::SIGKILL) } == 0);
                }
            }
            kills
        });
        let mut failed = 0;
        while failed < 3 {
            failed += killed_items(pool, ITEMS);
        }
        over.store(true, Ordering::Relaxed);
        let kills = killer.join().unwrap();
        assert!(failed <= kills, "{failed} items failed by {kills} kills");
    });
}

/// Maps, and checks that each item ran as its result says. How many failed.
fn killed_items(pool: &ProcessPool, items: u32) -> u32 {
    let tally = Tally::new("kills");
    let marked = |(n, path): (u32, PathBuf)| append(&path, n);
    let results = pool.map(marked, (0..items).map(|n| (n, tally.path())));
    let results: Vec<_> = results.collect();
    let mut runs = vec![0; items as usize];
    for n in tally.runs() {
        runs[n as usize] += 1;
    }
    assert_eq!(results.len(), runs.len());
    let mut failed = 0;
    for (n, (result, runs)) in results.iter().zip(runs).enumerate() {
        match result {
            Ok(()) => assert_eq!(runs, 1, "item {n}"),
            Err(JoinError::WorkerDied(exit)) => {
                assert_eq!(exit.signal, Some(libc::SIGKILL));
                assert!(runs <= 1, "item {n} ran {runs} times");
                failed += 1;
            }
            Err(error) => panic!("item {n}: {error}"),
        }
    }
    failed
}

fn items_with_a_time_limit_have_it_each() {
    let pool = pool(2);
    let brief = pool.jobs().timeout(Duration::from_secs(1));
    let one_hangs = |n: u32| {
        if n == 700 {
            thread::sleep(Duration::from_secs(600));
        }
        n
    };
    for (n, result) in (0..).zip(brief.map(one_hangs, 0..1500)) {
        match result {
            Ok(result) => assert!(result == n && n != 700),
            Err(JoinError::TimedOut) => assert_eq!(n, 700),
            Err(error) => panic!("item {n}: {error}"),
        }
    }
}

fn items_on_retry_are_tried_again() {
    let tally = Tally::new("retries");
    let pool = pool(2);
    let tough = pool.jobs().on_death(OnDeath::Retry(1));
    let dies_once = |(n, path): (u32, PathBuf)| {
        if n == 300 && !fs::read_to_string(&path).unwrap().contains("300") {
            append(&path, n);
            die();
        }
        n
    };
    let results = tough.map(dies_once, (0..600).map(|n| (n, tally.path())));
    assert!(results.map(Result::unwrap).eq(0..600));
}

fn an_item_that_ends_every_worker_is_quarantined_alone() {
    let tally = Tally::new("quarantine");
    let pool = pool(2);
    let tough = pool.jobs().on_death(OnDeath::Retry(2));
    let one_dies = |(n, path): (u32, PathBuf)| {
        append(&path, n);
        if n == 300 {
            die();
        }
        n
    };
    let results = tough.map(one_dies, (0..600).map(|n| (n, tally.path())));
    for (n, result) in (0..).zip(results) {
        match result {
            Ok(result) => assert!(result == n && n != 300),
            Err(JoinError::Quarantined(deaths)) => {
                assert_eq!((n, deaths.len()), (300, 3));
                let is_kill = |exit: &WorkerExit| exit.signal == Some(libc::SIGKILL);
                assert!(deaths.iter().all(is_kill));
            }
            Err(error) => panic!("item {n}: {error}"),
        }
    }
    let mut runs = tally.runs();
    runs.sort_unstable();
    let more = [300, 300];
    let mut expected: Vec<_> = (0..600).chain(more).collect();
    expected.sort_unstable();
    assert_eq!(runs, expected);
}

/// Ends its worker where it is told to.
struct Deadly(u32);

/// Where item n does that.
fn end(n: u32) -> u32 {
    if n > 2_000 { n % 1_000 } else { u32::MAX }
}

impl Serialize for Deadly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 >= MANY && end(self.0 % MANY) == 3 {
            die();
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Deadly, D::Error> {
        let n = u32::deserialize(deserializer)?;
        if n < MANY && end(n) == 1 {
            die();
        }
        Ok(Deadly(n))
    }
}

fn a_death_tells_which_crossing_its_item_was_at() {
    let pool = pool(2);
    let dies_within = |Deadly(n)| {
        if end(n) == 2 {
            die();
        }
        Deadly(n + MANY)
    };
    let results = pool.map(dies_within, (0..MANY / 2).map(Deadly));
    let mut deaths = [0; 4];
    for (n, result) in (0..).zip(results) {
        let crossing = match end(n) {
            1 => Some(Crossing::DecodeArgument),
            2 => None,
            3 => Some(Crossing::EncodeResult),
            _ => {
                assert_eq!(result.ok().map(|Deadly(n)| n), Some(n + MANY));
                continue;
            }
        };
        match result {
            Err(JoinError::WorkerDied(exit)) => assert_eq!(exit.crossing, crossing, "item {n}"),
            Err(error) => panic!("item {n}: {error}"),
            Ok(_) => panic!("item {n} came back"),
        }
        deaths[end(n) as usize] += 1;
    }
    assert_eq!(deaths, [0, 8, 8, 8]);
}

/// Its result is encoded by then. The file must not grow: the signal comes when it is written to.
fn a_death_in_what_an_item_left_to_be_printed_is_of_no_crossing() {
    let tally = Tally::new("unprinted");
    let pool = pool(1);
    let prints = |(n, path): (u32, PathBuf)| {
        if n == 1999 {
            let file = OpenOptions::new().append(true).open(&path).unwrap();
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: both descriptors are open, and this worker's own; and a limit of its own.
            unsafe {
                libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 1);
                libc::setrlimit(libc::RLIMIT_FSIZE, &none);
            }
            print!("too long");
        }
        n
    };
    let results = pool.map(prints, (0..2100).map(|n| (n, tally.path())));
    for (n, result) in (0..).zip(results) {
        match result {
            Ok(result) => assert!(result == n && n != 1999),
            Err(JoinError::WorkerDied(exit)) => {
                let end = (n, exit.signal, exit.crossing);
                assert_eq!(end, (1999, Some(libc::SIGXFSZ), None));
            }
            Err(error) => panic!("item {n}: {error}"),
        }
    }
}

fn a_pool_that_breaks_says_so_to_every_item() {
    const LAST: usize = 1_000;
    let reached = Trace::new("reached");
    let pool = &pool(2);
    let stays_at_the_last = |(n, path): (usize, PathBuf)| {
        if n == LAST {
            leave_trace(&path);
            thread::sleep(Duration::from_secs(600));
        }
        n
    };
    let results: Vec<_> = thread::scope(|scope| {
        let items = (0..5 * LAST).map(|n| (n, reached.path()));
        let map = scope.spawn(move || pool.map(stays_at_the_last, items).collect());
        until("that item", || reached.count() == 1);
        let fatal = pool.jobs().on_death(OnDeath::BreakPool);
        let fell = fatal.submit(|(): ()| -> () { die() }, ()).join();
        assert!(matches!(fell, Err(JoinError::WorkerDied(_))));
        map.join().unwrap()
    });
    assert_eq!(results.len(), 5 * LAST);
    let is_broken = |result: &Result<_, _>| matches!(result, Err(JoinError::Broken(_)));
    assert!(is_broken(&results[LAST]) && is_broken(&results[5 * LAST - 1]));
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(result) => assert_eq!(result, n),
            Err(JoinError::Broken(_)) => assert!(n >= LAST, "item {n}"),
            Err(error) => panic!("item {n}: {error}"),
        }
    }
}

/// What it wrote without a newline is not in a buffer of a worker that is dead.
fn what_an_item_printed_is_out() {
    let tally = Tally::new("printed");
    let pool = pool(1);
    let prints = |(n, path): (u32, PathBuf)| {
        if n == 0 {
            let file = OpenOptions::new().append(true).open(&path).unwrap();
            // SAFETY: both descriptors are open, and this worker's own.
            unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 1) };
        }
        if n == 1999 {
            die();
        }
        print!("{n};");
    };
    let results = pool.map(prints, (0..2000).map(|n| (n, tally.path())));
    assert_eq!(results.filter(Result::is_ok).count(), 1999);
    let text = fs::read_to_string(tally.path()).unwrap();
    assert!(text.ends_with("1997;1998;"), "{}", &text[text.len() - 30..]);
}
