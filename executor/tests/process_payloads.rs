//! Payloads of any size cross both ways, many at a time, and nothing of them is left.

mod support;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::thread;
use support::{Dice, fd_count, play_part, pool, until};
use tatkal_executor::{ForkServer, JoinError, SharedBytes, as_completed, block_on};

tests![
    parts: [queues_more_than_it_may_open],
    more_large_arguments_can_wait_than_files_may_be_open,
    large_payloads_fill_both_directions_at_once,
    sixty_four_mebibytes_cross_both_ways_at_once_at_one_worker,
    bytes_cross_whole_at_every_length,
    a_large_argument_survives_its_worker_and_is_run_by_another,
    results_that_nobody_wants_leave_nothing,
    no_descriptor_is_left_of_large_payloads,
    a_long_panic_and_a_long_reason_arrive_whole,
    long_results_are_decoded_where_nobody_else_waits,
    payloads_that_come_again_and_again_meet_no_page_faults,
    memory_that_was_used_for_payloads_goes_back_when_nothing_happens,
];

const MIB: usize = 1 << 20;

fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed | 1);
    let block: Vec<u8> = (0..997).map(|_| dice.below(256) as u8).collect();
    block.iter().copied().cycle().take(length).collect()
}

fn large_payloads_fill_both_directions_at_once() {
    // More than any socket or board holds, in both directions, on few workers, with nobody
    // taking results while the jobs are submitted.
    let pool = pool(2);
    let sizes = [
        3 * MIB,
        20_000,
        0,
        700_000,
        MIB + 1,
        16 * 1024,
        16 * 1024 + 1,
    ];
    let handles: Vec<_> = (0..60)
        .map(|n| pool.submit(reversed, pattern(sizes[n % sizes.len()], n as u64)))
        .collect();
    for (n, result) in as_completed(handles) {
        let expected = reversed(pattern(sizes[n % sizes.len()], n as u64));
        assert!(result.unwrap() == expected, "job {n}");
    }
}

/// While the worker hands over one result, the arguments of the next two are under way.
fn sixty_four_mebibytes_cross_both_ways_at_once_at_one_worker() {
    fn mark(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes
            .iter_mut()
            .step_by(4096)
            .for_each(|byte| *byte ^= 0xff);
        bytes
    }
    const LENGTH: usize = 64 * MIB;
    let pool = pool(1);
    let argument = |n: u8| vec![n; LENGTH];
    let handles = [1, 2, 3].map(|n| pool.submit(mark, argument(n)));
    for (n, handle) in (1..).zip(handles) {
        let result = handle.join().unwrap();
        assert!(result == mark(argument(n)), "job {n}");
    }
    let pid = pool.submit(|(): ()| process::id(), ()).join().unwrap();
    assert_eq!(pool.worker_pids(), [pid], "the same worker");
}

fn bytes_cross_whole_at_every_length() {
    let pool = pool(1);
    for length in [
        0,
        1,
        87,
        88,
        89,
        127,
        128,
        16_383,
        16_384,
        16_385,
        65_536,
        9 * MIB,
    ] {
        let bytes = pattern(length, length as u64);
        let result = pool.submit(reversed, bytes.clone()).join().unwrap();
        assert!(result == reversed(bytes), "{length}");
        // In a structure: serde's way.
        let map: BTreeMap<String, Vec<u16>> =
            [(length.to_string(), vec![7; length.min(100_000) / 2])].into();
        let same = |map: BTreeMap<String, Vec<u16>>| map;
        assert!(
            pool.submit(same, map.clone()).join().unwrap() == map,
            "{length}"
        );
    }
}

fn a_large_argument_survives_its_worker_and_is_run_by_another() {
    let pool = pool(1);
    for _ in 0..5 {
        let exit = pool.submit(
            |bytes: Vec<u8>| process::exit(bytes.len() as i32 & 1),
            vec![1; MIB],
        );
        let behind: Vec<_> = (0..3)
            .map(|n| pool.submit(reversed, pattern(MIB, n)))
            .collect();
        let exit: Result<(), _> = exit.join();
        assert!(matches!(exit, Err(JoinError::WorkerDied(exit)) if exit.code == Some(0)));
        for (n, handle) in (0..).zip(behind) {
            assert!(handle.join().unwrap() == reversed(pattern(MIB, n)));
        }
    }
}

fn results_that_nobody_wants_leave_nothing() {
    let pool = pool(2);
    pool.submit(reversed, vec![0; MIB]).join().unwrap();
    let before = fd_count(process::id());
    for n in 0..200 {
        let handle = pool.submit(reversed, pattern(100_000, n));
        if n % 3 == 0 {
            handle.abort(); // queued, running, or done
        }
        drop(handle);
    }
    pool.submit(reversed, vec![0; 10]).join().unwrap();
    until("the end of the rest", || pool.queued() == 0);
    // What is kept to be used again is little, whatever was done with it.
    until("few descriptors", || fd_count(process::id()) <= before + 8);
}

fn no_descriptor_is_left_of_large_payloads() {
    fn open(_: ()) -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }
    let pool = pool(1);
    let rounds = |rounds: u64| {
        for n in 0..rounds {
            pool.submit(reversed, pattern(200_000, n)).join().unwrap();
        }
    };
    rounds(10);
    let ours = fd_count(process::id());
    let theirs = pool.submit(open, ()).join().unwrap();
    rounds(300);
    assert!(fd_count(process::id()) <= ours + 4);
    assert!(pool.submit(open, ()).join().unwrap() <= theirs + 4);
}

fn a_long_panic_and_a_long_reason_arrive_whole() {
    fn panics(length: usize) {
        std::panic::panic_any("p".repeat(length));
    }
    let pool = pool(1);
    for length in [10, 16_384, 100_000] {
        match pool.submit(panics, length).join() {
            Err(JoinError::Panicked(report)) => assert_eq!(report.message().len(), length),
            other => panic!("{other:?}"),
        }
    }
}

fn queues_more_than_it_may_open() {
    ForkServer::start().unwrap();
    let few = libc::rlimit {
        rlim_cur: 250,
        rlim_max: 250,
    };
    // SAFETY: the call reads the limit, which lives through it.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
    let pool = pool(2);
    // Some are text: serde's way.
    let bytes: Vec<_> = (0..600)
        .map(|n| pool.submit(reversed, pattern(17_000 + n, n as u64)))
        .collect();
    let texts: Vec<_> = (0..600)
        .map(|n| pool.submit(|text: String| text + "!", "x".repeat(17_000 + n)))
        .collect();
    for (n, handle) in bytes.into_iter().enumerate() {
        let expected = reversed(pattern(17_000 + n, n as u64));
        assert!(handle.join().unwrap() == expected, "job {n}");
    }
    for (n, handle) in texts.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), "x".repeat(17_000 + n) + "!");
    }
}

fn more_large_arguments_can_wait_than_files_may_be_open() {
    play_part("queues_more_than_it_may_open");
}

/// Notes which thread decodes it.
struct Noted<T> {
    value: T,
    thread: String,
}

impl<T: Serialize> Serialize for Noted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Noted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = T::deserialize(deserializer)?;
        let thread = thread::current().name().unwrap_or_default().to_owned();
        Ok(Noted { value, thread })
    }
}

fn long_results_are_decoded_where_nobody_else_waits() {
    fn noted<T>(value: T) -> Noted<T> {
        let thread = String::new();
        Noted { value, thread }
    }
    let pool = pool(1);
    let is_porter = |thread: &str| thread.starts_with("tatkal-porter");
    for length in [8, 64].map(|mib| mib * MIB) {
        let text = pool.submit(|length| noted("x".repeat(length)), length);
        let text = block_on(text).unwrap();
        assert!(is_porter(&text.thread) && text.value.len() == length);
        // Of these there is nothing to decode.
        let bytes = pool.submit(|length| noted(SharedBytes::filled(length, |_| {})), length);
        let bytes = block_on(bytes).unwrap();
        assert!(!is_porter(&bytes.thread) && bytes.value.len() == length);
    }
}

/// Page faults of this process so far.
fn faults(_: ()) -> i64 {
    // SAFETY: plain data, which the call fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_minflt
    }
}

/// The files of payloads that are mapped here: their inodes.
fn mapped(_: ()) -> Vec<u64> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.contains("tatkal-payload"));
    let mut inodes: Vec<u64> = lines
        .map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap())
        .collect();
    inodes.sort_unstable();
    inodes
}

fn payloads_that_come_again_and_again_meet_no_page_faults() {
    const JOBS: i64 = 50;
    let pool = pool(1);
    let data = pattern(MIB, 1);
    let round = || {
        for _ in 0..JOBS {
            assert!(pool.submit(reversed, data.clone()).join().is_ok());
        }
    };
    let files = || (mapped(()), pool.submit(mapped, ()).join().unwrap());
    round();
    let same = files();
    assert!(same.0.len() >= 2 && same.0 == same.1, "{same:?}");
    let before = (faults(()), pool.submit(faults, ()).join().unwrap());
    round();
    let after = (faults(()), pool.submit(faults, ()).join().unwrap());
    // A MiB has 256 pages; were the memory new, each job would meet them several times.
    assert!(after.0 - before.0 < 20 * JOBS, "{before:?} {after:?}");
    assert!(after.1 - before.1 < 20 * JOBS, "{before:?} {after:?}");
    assert_eq!(files(), same, "the same files, mapped at both ends");
}

/// Shared memory that is mapped here and present, in KiB.
fn shared_kib(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssShmem:"));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

fn memory_that_was_used_for_payloads_goes_back_when_nothing_happens() {
    let pool = pool(1);
    let ours = shared_kib(process::id());
    for n in 0..10 {
        pool.submit(reversed, pattern(8 * MIB, n)).join().unwrap();
    }
    let worker = pool.worker_pids()[0];
    // An argument and a result: mapped at both ends.
    assert!(shared_kib(worker) > 15 * 1024, "{}", shared_kib(worker));
    assert!(shared_kib(process::id()) > ours + 15 * 1024);
    until("its return", || {
        shared_kib(worker) < 1024 && shared_kib(process::id()) < ours + 1024
    });
    assert!(pool.submit(reversed, pattern(8 * MIB, 3)).join().is_ok());
}
