//! `map` over processes hands over many items at a time, and nobody can tell: each item has its own
//! result, in its place, runs once, waits for no other one, and is taken no earlier than the window
//! allows. (What deaths do to it: `process_maps_lose_one_item_to_a_death.rs`.)

mod support;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{Duration, Instant};
use support::{Tally, Trace, append, leave_trace, pool, until};
use tatkal_executor::{Crossing, Executor, JoinError, ProcessPool, Shutdown};

tests![
    items_are_counted_where_jobs_are,
    results_come_in_input_order_whatever_the_items_take,
    a_panic_fails_its_item_alone,
    an_item_that_cannot_cross_fails_alone,
    a_result_whose_drop_panics_fails_alone,
    results_too_long_for_the_tray_arrive,
    arguments_of_every_length_arrive,
    an_endless_input_is_taken_no_further_than_the_window,
    a_panic_of_the_input_loses_no_item,
    items_that_come_slowly_are_not_held_back_for_one_another,
    long_items_do_not_share_jobs,
    what_is_behind_a_long_item_runs_elsewhere,
    what_is_before_a_long_item_is_given,
    what_was_accepted_before_the_pool_closed_runs,
    what_had_not_begun_when_the_queue_was_cancelled_never_runs,
    what_had_not_begun_when_the_map_was_dropped_never_runs,
    a_pool_that_is_stopped_ends_the_map,
];

/// Enough for the parcels to have become large.
const MANY: u32 = 20_000;

fn same(n: u32) -> u32 {
    n
}

fn work_for(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {}
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
                assert!(report.location().unwrap().contains(file!()));
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

/// Panics when it is dropped where it was made, which is after it was encoded.
struct Fragile(u32);

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.0 != 7_777 || thread::panicking(), "dropped");
    }
}

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0 + MANY).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fragile, D::Error> {
        u32::deserialize(deserializer).map(Fragile)
    }
}

fn a_result_whose_drop_panics_fails_alone() {
    let pool = pool(1);
    let mut results = pool.map(Fragile, 0..MANY).enumerate();
    let mut failed = results
        .by_ref()
        .filter_map(|(n, result)| Some((n, result.err()?)));
    let (n, error) = failed.next().unwrap();
    let JoinError::Codec { crossing, reason } = error else {
        panic!("item {n}: {error}");
    };
    assert_eq!((n, crossing), (7_777, Crossing::EncodeResult));
    assert!(reason.contains("dropped"), "{reason}");
    assert!(failed.next().is_none());
    assert_eq!(pool.metrics().left_workers, 0);
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

/// From some item on, the input waits for what follows from the items a few before.
fn items_that_come_slowly_are_not_held_back_for_one_another() {
    const FAST: u32 = 5_000;
    const BEFORE: u32 = 24;
    let tally = Tally::new("slowly");
    let pool = pool(2);
    let marks = |(n, path): (u32, PathBuf)| {
        if n >= FAST {
            append(&path, n);
        }
    };
    let items = (0..FAST + 100).map(|n| {
        if n >= FAST {
            thread::sleep(Duration::from_millis(1)); // slowly
        }
        if n >= FAST + BEFORE {
            until("an item before", || tally.runs().contains(&(n - BEFORE)));
        }
        (n, tally.path())
    });
    assert!(pool.map(marks, items).all(|result| result.is_ok()));
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

/// The parcels are large when one item begins to wait for those that are behind it.
fn what_is_behind_a_long_item_runs_elsewhere() {
    let tally = Tally::new("behind");
    let pool = pool(2);
    let waits = |(n, path): (u32, PathBuf)| {
        if n > 3_000 {
            append(&path, n);
        }
        if n == 3_000 {
            until("the next ones", || {
                let text = fs::read_to_string(&path).unwrap();
                (3_001..3_020).all(|n| text.lines().any(|line| line == n.to_string()))
            });
        }
        n
    };
    let results = pool.map(waits, (0..4_000).map(|n| (n, tally.path())));
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
