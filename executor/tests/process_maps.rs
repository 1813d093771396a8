//! `map` over processes hands over many items at a time, and nobody can tell: each item has its own
//! result, in its place, runs once, waits for no other one, and is taken no earlier than the window
//! allows.

mod support;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Dice, Trace, leave_trace, pool, until};
use tatkal_executor::{Crossing, Executor, JoinError, OnDeath, ProcessPool, Shutdown};

tests![
    items_are_counted_where_jobs_are,
    results_come_in_input_order_whatever_the_items_take,
    a_panic_fails_its_item_alone,
    an_item_that_cannot_cross_fails_alone,
    results_too_long_for_the_tray_arrive,
    arguments_of_every_length_arrive,
    a_worker_s_death_costs_the_item_it_was_at_and_no_other,
    no_item_runs_twice_when_workers_die,
    whenever_a_worker_is_killed_it_costs_one_item_at_most,
    an_endless_input_is_taken_no_further_than_the_window,
    a_panic_of_the_input_loses_no_item,
    long_items_do_not_share_jobs,
    what_is_behind_a_long_item_runs_elsewhere,
    what_is_before_a_long_item_is_given,
    items_with_a_time_limit_have_it_each,
    items_on_retry_are_tried_again,
    what_was_accepted_before_the_pool_closed_runs,
    what_had_not_begun_when_the_queue_was_cancelled_never_runs,
    what_had_not_begun_when_the_map_was_dropped_never_runs,
    a_pool_that_is_stopped_ends_the_map,
    what_an_item_printed_is_out,
];

/// Enough for the parcels to have become large.
const MANY: u32 = 20_000;

fn same(n: u32) -> u32 {
    n
}

/// Counts the runs of items: a file to which each appends a line.
struct Tally(PathBuf);

impl Tally {
    fn new(name: &str) -> Tally {
        let name = format!("tatkal-maps-{}-{name}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "").unwrap();
        Tally(path)
    }

    fn runs(&self) -> Vec<u32> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn append(path: &PathBuf, n: u32) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(format!("{n}\n").as_bytes()).unwrap();
}

fn work_for(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {}
}

fn die() -> ! {
    // SAFETY: ends this worker, at once.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
    unreachable!()
}

/// A worker that stays for 50 jobs does 50 items: each is then a job.
fn items_are_counted_where_jobs_are() {
    let pool = ProcessPool::builder().workers(1).max_jobs_per_worker(50);
    let pool = pool.build().unwrap();
    let pids = pool.map(|_: u32| process::id(), 0..200);
    let mut pids: Vec<_> = pids.map(Result::unwrap).collect();
    assert_eq!(pids[0], pids[49]);
    pids.dedup();
    assert_eq!(pids.len(), 4);
}

fn results_come_in_input_order_whatever_the_items_take() {
    let pool = pool(3);
    let napping = |n: u32| {
        if n % 1000 == 7 {
            thread::sleep(Duration::from_millis(3));
        }
        uneven(n)
    };
    let results = pool.map(napping, 0..MANY).map(Result::unwrap);
    assert!(results.eq(0..MANY));
}

fn a_panic_fails_its_item_alone() {
    let pool = pool(2);
    let odd_ones_panic = |n: u32| match n % 7 {
        3 => panic!("item {n}"),
        _ => n,
    };
    let mut results = pool.map(odd_ones_panic, 0..MANY / 4);
    for n in 0..MANY / 4 {
        match results.next().unwrap() {
            Ok(result) => assert!(result == n && n % 7 != 3),
            Err(JoinError::Panicked(report)) => {
                assert!(n % 7 == 3);
                assert_eq!(report.message(), format!("item {n}"));
                assert!(report.location().unwrap().contains("process_maps.rs"));
            }
            Err(error) => panic!("item {n}: {error}"),
        }
    }
    assert!(results.next().is_none());
}

/// Fails, or panics, where it is told to.
struct Moody(u32);

/// What is wrong with item n.
fn mood(n: u32) -> u32 {
    if n > 3000 { n % 1000 } else { u32::MAX }
}

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let in_worker = self.0 >= MANY;
        match mood(self.0 % MANY) {
            1 if !in_worker => Err(serde::ser::Error::custom("1")),
            2 if !in_worker => panic!("2"),
            5 if in_worker => {
                // Some bytes first: they must not be taken for the next item's.
                (7_u32, Refuses).serialize(serializer)
            }
            6 if in_worker => panic!("6"),
            _ => self.0.serialize(serializer),
        }
    }
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("5"))
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moody, D::Error> {
        let n = u32::deserialize(deserializer)?;
        let back_home = n >= MANY;
        match mood(n % MANY) {
            3 if !back_home => Err(serde::de::Error::custom("3")),
            4 if !back_home => panic!("4"),
            7 if back_home => Err(serde::de::Error::custom("7")),
            8 if back_home => panic!("8"),
            _ => Ok(Moody(n)),
        }
    }
}

fn an_item_that_cannot_cross_fails_alone() {
    let pool = pool(2);
    let results = pool.map(|Moody(n)| Moody(n + MANY), (0..MANY / 2).map(Moody));
    let mut count = 0;
    for (n, result) in (0..).zip(results) {
        count += 1;
        let expected = match mood(n) {
            1 | 2 => Crossing::EncodeArgument,
            3 | 4 => Crossing::DecodeArgument,
            5 | 6 => Crossing::EncodeResult,
            7 | 8 => Crossing::DecodeResult,
            _ => {
                assert_eq!(result.ok().map(|Moody(n)| n), Some(n + MANY));
                continue;
            }
        };
        match result {
            Err(JoinError::Codec { crossing, .. }) => assert_eq!(crossing, expected, "item {n}"),
            Err(error) => panic!("item {n}: {error}"),
            Ok(_) => panic!("item {n} crossed"),
        }
    }
    assert_eq!(count, MANY / 2);
}

fn length(n: u32) -> usize {
    match n % 500 {
        499 => 100_000,
        n if n % 100 == 7 => 16 * 1024 + n as usize,
        n if n % 10 == 3 => 5_000 + n as usize,
        n => n as usize % 60,
    }
}

fn results_too_long_for_the_tray_arrive() {
    let pool = pool(2);
    let texts = pool.map(|n: u32| "x".repeat(length(n)), 0..MANY / 4);
    assert!(
        texts
            .map(|text| text.unwrap().len())
            .eq((0..MANY / 4).map(length))
    );
    let bytes = pool.map(|n: u32| vec![n as u8; length(n)], 0..MANY / 4);
    let expected = (0..MANY / 4).map(|n| vec![n as u8; length(n)]);
    assert!(bytes.map(Result::unwrap).eq(expected));
}

fn arguments_of_every_length_arrive() {
    let pool = pool(2);
    let bytes = (0..MANY / 4).map(|n| vec![n as u8; length(n)]);
    let lengths = pool.map(|bytes: Vec<u8>| bytes.len(), bytes);
    assert!(lengths.map(Result::unwrap).eq((0..MANY / 4).map(length)));
    let texts = (0..MANY / 4).map(|n| "y".repeat(length(n)));
    let lengths = pool.map(|text: String| text.len(), texts);
    assert!(lengths.map(Result::unwrap).eq((0..MANY / 4).map(length)));
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
    let results = pool.map(marked, items.clone().map(|n| (n, tally.0.clone())));
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
    let results = pool.map(marked, (0..items).map(|n| (n, tally.0.clone())));
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

fn an_endless_input_is_taken_no_further_than_the_window() {
    let pool = pool(2);
    for window in [Some(1), Some(5), Some(100), None] {
        let taken = Cell::new(0);
        let endless = (0_u32..).inspect(|_| taken.set(taken.get() + 1));
        let mut results = pool.map(same, endless);
        let mut ahead = pool.default_window();
        if let Some(window) = window {
            results = results.window(window);
            ahead = window;
        }
        assert_eq!(taken.get(), 0, "nothing before it is asked");
        for asked in 0..MANY {
            assert_eq!(results.next().unwrap().unwrap(), asked);
            assert!(taken.get() as usize <= asked as usize + ahead);
        }
    }
}

fn a_panic_of_the_input_loses_no_item() {
    let pool = pool(1);
    let bad = [3, 500, 5_000, 5_001];
    let mut next = 0;
    let items = std::iter::from_fn(move || {
        next += 1;
        if bad.contains(&(next - 1)) {
            panic!("the input");
        }
        (next <= MANY).then_some(next - 1)
    });
    let mut results = pool.map(same, items);
    let (mut panics, mut given) = (0, Vec::new());
    loop {
        match catch_unwind(AssertUnwindSafe(|| results.next())) {
            Ok(Some(result)) => given.push(result.unwrap()),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    assert_eq!(panics, bad.len());
    assert!(given.into_iter().eq((0..MANY).filter(|n| !bad.contains(n))));
}

/// Item 0 waits until item 1 has begun, and the other way round.
fn long_items_do_not_share_jobs() {
    let traces = [Trace::new("first"), Trace::new("second")];
    let pool = pool(2);
    let paired = |(n, paths): (usize, [PathBuf; 2])| {
        leave_trace(&paths[n]);
        until("the other one", || paths[1 - n].exists());
    };
    let items = (0..2).map(|n| (n, [traces[0].path(), traces[1].path()]));
    assert!(pool.map(paired, items).all(|result| result.is_ok()));
}

/// The parcels are large when one item begins to wait for the next ones, which are behind it.
fn what_is_behind_a_long_item_runs_elsewhere() {
    const NEXT: usize = 20;
    let tally = Tally::new("behind");
    let pool = pool(2);
    let waits = |(n, path): (u32, PathBuf)| {
        if n > 3_000 {
            append(&path, n);
        }
        if n == 3_000 {
            until("the next ones", || {
                fs::read_to_string(&path).unwrap().lines().count() >= NEXT
            });
        }
        n
    };
    let results = pool.map(waits, (0..4_000).map(|n| (n, tally.0.clone())));
    assert!(results.map(Result::unwrap).eq(0..4_000));
    let mut runs = tally.runs();
    runs.sort_unstable();
    assert!(runs.into_iter().eq(3_001..4_000), "every item once");
}

/// A worker is at an item that waits for what follows from the results before it.
fn what_is_before_a_long_item_is_given() {
    let gate = Gate::new();
    let pool = pool(1);
    let mut results = pool.map(at_the_gate, pass(&gate));
    let before = results.by_ref().take(AT_THE_GATE as usize);
    assert_eq!(before.filter(Result::is_ok).count(), AT_THE_GATE as usize);
    leave_trace(&gate.open.path());
    assert_eq!(results.filter(Result::is_ok).count(), AT_THE_GATE as usize);
    assert_eq!(pool.metrics().total().jobs, 2 * u64::from(AT_THE_GATE));
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
    let results = tough.map(dies_once, (0..600).map(|n| (n, tally.0.clone())));
    assert!(results.map(Result::unwrap).eq(0..600));
}

fn uneven(n: u32) -> u32 {
    if n % 40 == 7 {
        work_for(Duration::from_micros(300));
    }
    n
}

/// Some are so long that the tray has no room: their parcel ends there, and what is behind them goes
/// back.
fn bulk(n: u32) -> Vec<u8> {
    vec![0; if n % 10 == 7 { 8_000 } else { 0 }]
}

fn what_was_accepted_before_the_pool_closed_runs() {
    for without_waiting in [false, true] {
        let pool = pool(2);
        let mut results = pool.map(|n| (n, bulk(n)), 0..MANY);
        for n in 0..MANY / 4 {
            assert_eq!(results.next().unwrap().unwrap().0, n);
        }
        let how = Shutdown::finish();
        pool.shutdown(if without_waiting {
            how.without_waiting()
        } else {
            how
        });
        let (mut done, mut closed) = (0, 0);
        for result in results {
            match result {
                Ok((n, _)) if closed == 0 && n == MANY / 4 + done => done += 1,
                Err(JoinError::Closed) => closed += 1,
                other => panic!("after {done} and {closed}: {other:?}"),
            }
        }
        assert!(done > 0 && closed > 0);
        assert_eq!(done + closed, MANY * 3 / 4);
    }
}

/// An item that waits in the middle of a parcel, and traces of what began after it.
struct Gate {
    begun: Trace,
    open: Trace,
    behind: Trace,
}

/// The item that waits; there are many short ones before it.
const AT_THE_GATE: u32 = 3_000;

fn pass(gate: &Gate) -> impl Iterator<Item = (u32, [PathBuf; 3])> {
    let paths = [&gate.begun, &gate.open, &gate.behind].map(Trace::path);
    (0..2 * AT_THE_GATE).map(move |n| (n, paths.clone()))
}

fn at_the_gate((n, [begun, open, behind]): (u32, [PathBuf; 3])) {
    uneven(n);
    if n == AT_THE_GATE {
        leave_trace(&begun);
        until("the gate", || open.exists());
    }
    if n != AT_THE_GATE && open.exists() {
        leave_trace(&behind);
    }
}

impl Gate {
    fn new() -> Gate {
        let [begun, open, behind] = ["begun", "open", "behind"].map(Trace::new);
        Gate {
            begun,
            open,
            behind,
        }
    }
}

fn what_had_not_begun_when_the_queue_was_cancelled_never_runs() {
    let gate = Gate::new();
    let pool = &pool(1);
    let results: Vec<_> = thread::scope(|scope| {
        let map = scope.spawn(|| pool.map(at_the_gate, pass(&gate)).collect());
        until("the gate is reached", || gate.begun.count() == 1);
        pool.shutdown(Shutdown::cancel().without_waiting());
        leave_trace(&gate.open.path());
        map.join().unwrap()
    });
    assert_eq!(results.len(), 2 * AT_THE_GATE as usize);
    assert!(results[AT_THE_GATE as usize].is_ok());
    assert!(results.last().unwrap().is_err());
    for result in results {
        assert!(matches!(
            result,
            Ok(()) | Err(JoinError::Cancelled | JoinError::Closed)
        ));
    }
    assert_eq!(gate.behind.count(), 0);
}

fn what_had_not_begun_when_the_map_was_dropped_never_runs() {
    let gate = Gate::new();
    let pool = pool(1);
    let mut map = pool.map(at_the_gate, pass(&gate));
    let passed = map.by_ref().take(AT_THE_GATE as usize);
    assert!(passed.map(Result::unwrap).count() > 0);
    until("the gate is reached", || gate.begun.count() == 1);
    drop(map);
    leave_trace(&gate.open.path());
    // What is behind it would run before this.
    pool.submit(same, 1).join().unwrap();
    pool.shutdown(Shutdown::finish());
    assert_eq!(gate.behind.count(), 0);
}

fn a_pool_that_is_stopped_ends_the_map() {
    for end in [ProcessPool::terminate, ProcessPool::kill] {
        let gate = Gate::new();
        let pool = &pool(2);
        let results: Vec<_> = thread::scope(|scope| {
            let map = scope.spawn(|| pool.map(at_the_gate, pass(&gate)).collect());
            until("the gate is reached", || gate.begun.count() == 1);
            end(pool);
            map.join().unwrap()
        });
        assert_eq!(results.len(), 2 * AT_THE_GATE as usize);
        let failed = |result: &Result<(), JoinError>| {
            matches!(result, Err(JoinError::Cancelled | JoinError::Closed))
        };
        assert!(results[..100].iter().all(Result::is_ok));
        assert!(failed(&results[AT_THE_GATE as usize]));
        let fine = |result: &Result<(), JoinError>| result.is_ok() || failed(result);
        assert!(results.iter().all(fine));
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
    let results = pool.map(prints, (0..2000).map(|n| (n, tally.0.clone())));
    assert_eq!(results.filter(Result::is_ok).count(), 1999);
    let text = fs::read_to_string(&tally.0).unwrap();
    assert!(text.ends_with("1997;1998;"), "{}", &text[text.len() - 30..]);
}
