//! What does a job in another process cost? Beside CPython's pools and two raw processes.
//!
//! - submit: 10,000 no-op jobs, 2 workers, submitted and then taken by `as_completed`
//! - one: a no-op job there and back, beside a round trip of two raw processes over shared memory
//!   and futexes: both sides on one CPU (where the bar is), one on each of two, and wherever the
//!   kernel puts them
//! - map: 100,000 no-op items, beside multiprocessing.Pool.map with its own chunks
//! - mebibyte: a MiB there and a MiB back
//! - 64 MiB back: the first one, later ones, and as `SharedBytes` that are looked at; beside copying
//!   as much into new memory twice. And how late a timer of 1 ms is at most, on the loop of a
//!   one-thread runtime that awaits (and keeps) such results
//! - worker: a first job, and with it a worker, from a program that has touched 256 MiB
//!
//! The sides take turns, `ROUNDS` times; the middle of the rounds counts. CPython's is a script
//! (`peers/process_pool.py`), skipped with a line that says so where there is no python3. Criterion
//! is of no use here: what is measured lives in processes that one side does not own.
//! `cargo bench --bench process_pool`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tatkal::{
    Executor, ForkServer, ProcessPool, SharedBytes, as_completed, block_on, sleep, spawn_local,
};

const ROUNDS: usize = 9;
const WORKERS: usize = 2;
const JOBS: u64 = 10_000;
const ITEMS: u64 = 100_000;
const TRIPS: u32 = 2_000;
const MIB: usize = 1 << 20;

fn noop(n: u64) -> u64 {
    n
}

fn same(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn zeros(length: usize) -> Vec<u8> {
    vec![0; length]
}

fn shared_zeros(length: usize) -> SharedBytes {
    SharedBytes::from(vec![0; length])
}

/// How many microseconds a timer is late at most while results of 64 MiB are awaited beside it.
fn lateness() -> f64 {
    const TICK: Duration = Duration::from_millis(1);
    let pool = ProcessPool::new(1).expect("the fork server runs");
    block_on(async {
        let stop = Rc::new(Cell::new(false));
        let told = stop.clone();
        let ticker = spawn_local(async move {
            let mut latest = Duration::ZERO;
            while !told.get() {
                let start = Instant::now();
                sleep(TICK).await;
                latest = latest.max(start.elapsed().saturating_sub(TICK));
            }
            latest
        });
        let mut kept = Vec::new();
        for _ in 0..4 {
            kept.push(pool.submit(zeros, 64 * MIB).await.expect("a result"));
        }
        stop.set(true);
        ticker.await.expect("the ticker").as_secs_f64() * 1e6
    })
}

/// Microseconds a piece.
type Times = BTreeMap<&'static str, Vec<f64>>;

fn note(times: &mut Times, name: &'static str, pieces: u64, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed().as_secs_f64() * 1e6 / pieces as f64;
    times.entry(name).or_default().push(took);
}

fn ours(times: &mut Times) {
    let pool = ProcessPool::new(WORKERS).expect("the fork server runs");
    let submit = || {
        let handles: Vec<_> = (0..JOBS).map(|n| pool.submit(noop, n)).collect();
        assert!(as_completed(handles).all(|(_, result)| result.is_ok()));
    };
    submit(); // warm
    note(times, "submit", JOBS, submit);
    note(times, "map", ITEMS, || {
        assert!(pool.map(noop, 0..ITEMS).all(|item| item.is_ok()));
    });
    let data = vec![1; MIB];
    let mebibyte = || {
        for _ in 0..20 {
            assert_eq!(pool.submit(same, data.clone()).join().unwrap().len(), MIB);
        }
    };
    mebibyte();
    note(times, "mebibyte", 20, mebibyte);
    let zeros_back = || {
        assert_eq!(pool.submit(zeros, 64 * MIB).join().unwrap().len(), 64 * MIB);
    };
    note(times, "64 MiB back, the first", 1, zeros_back);
    zeros_back();
    note(times, "64 MiB back", 2, || {
        (0..2).for_each(|_| zeros_back())
    });
    note(times, "64 MiB back, shared", 2, || {
        for _ in 0..2 {
            let bytes = pool.submit(shared_zeros, 64 * MIB).join().unwrap();
            assert!(bytes.is_shared() && bytes.iter().step_by(4096).all(|byte| *byte == 0));
        }
    });
    drop(pool);
    times
        .entry("64 MiB awaited, loop late")
        .or_default()
        .push(lateness());
    note(times, "64 MiB, two new copies", 1, || {
        let first = std::hint::black_box(vec![1_u8; 64 * MIB]);
        std::hint::black_box(first.clone());
    });
    let ballast = std::hint::black_box(vec![1_u8; 256 * MIB]);
    let pool = ProcessPool::new(1).expect("the fork server runs");
    note(times, "worker", 1, || {
        pool.submit(noop, 1).join().unwrap();
    });
    drop(ballast);
}

/// Where the two sides of a round trip run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Together,
    Apart,
    Anywhere,
}

/// A name, whose trips, and where.
type Part = (&'static str, fn(Place), Place);

const PARTS: [Part; 6] = [
    ("one", one, Place::Together),
    ("raw", raw, Place::Together),
    ("one, two CPUs", one, Place::Apart),
    ("raw, two CPUs", raw, Place::Apart),
    ("one, not pinned", one, Place::Anywhere),
    ("raw, not pinned", raw, Place::Anywhere),
];

/// In a program of its own: jobs there and back, one by one.
fn one(place: Place) {
    place.pin(0);
    ForkServer::start().expect("one thread");
    let pool = ProcessPool::new(1).expect("the fork server runs");
    if place == Place::Apart {
        let moved = pool.submit(|(): ()| Place::Apart.pin(1), ());
        moved.join().expect("a worker");
    }
    let trips = || (0..TRIPS).for_each(|n| assert!(pool.submit(noop, n.into()).join().is_ok()));
    trips();
    let mut times = Times::new();
    note(&mut times, "one", TRIPS.into(), trips);
    println!("{}", times["one"][0]);
}

/// The round trip of two raw processes.
fn raw(place: Place) {
    place.pin(0);
    // SAFETY: a new mapping, zeroed, that both processes use by atomics only; the child leaves
    // with the program that made it.
    unsafe {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        let [there, back] = [0, 128].map(|at| &*page.cast::<u8>().add(at).cast::<AtomicU32>());
        let wait = |word: &AtomicU32| {
            while word.swap(0, Ordering::Acquire) == 0 {
                libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 0, 0_usize);
            }
        };
        let tell = |word: &AtomicU32| {
            word.store(1, Ordering::Release);
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1);
        };
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if place == Place::Apart {
                place.pin(1);
            }
            loop {
                wait(there);
                tell(back);
            }
        }
        let trip = || {
            tell(there);
            wait(back);
        };
        (0..TRIPS).for_each(|_| trip());
        let mut times = Times::new();
        note(&mut times, "raw", TRIPS.into(), || {
            (0..TRIPS).for_each(|_| trip())
        });
        println!("{}", times["raw"][0]);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}

/// The CPUs that are ours, as a part of the program begins. (A worker has a copy.)
static CPUS: OnceLock<Vec<usize>> = OnceLock::new();

impl Place {
    /// Puts this process, and all that it starts from here on, on one CPU (the first or the second
    /// that we have), unless it may be anywhere.
    fn pin(self, which: usize) {
        // SAFETY: the set is plain data, and lives for the calls.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            let size = size_of_val(&set);
            let cpus = CPUS.get_or_init(|| {
                libc::sched_getaffinity(0, size, &mut set);
                let all = 0..libc::CPU_SETSIZE as usize;
                all.filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
            });
            if self != Place::Anywhere {
                libc::CPU_ZERO(&mut set);
                // Where there is one CPU, that is it.
                libc::CPU_SET(cpus[which % cpus.len()], &mut set);
                libc::sched_setaffinity(0, size, &set);
            }
        }
    }
}

fn part(name: &'static str, times: &mut Times) {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .env(PART, name)
        .output()
        .expect("a part");
    let text = String::from_utf8_lossy(&output.stdout);
    let took = text.trim().parse().expect("a part prints its time");
    times.entry(name).or_default().push(took);
}

/// False: there is no python3.
fn cpython(times: &mut Times) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/process_pool.py");
    let Ok(output) = Command::new("python3").arg(script).output() else {
        return false;
    };
    let names = [
        ("submit", "CPython submit"),
        ("one", "CPython one"),
        ("mebibyte", "CPython mebibyte"),
        ("map", "CPython map"),
    ];
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, took) = line.split_once(' ').expect("a name and a number");
        let name = names.iter().find(|(theirs, _)| *theirs == name);
        let took = took.parse().expect("microseconds");
        times
            .entry(name.expect("a known name").1)
            .or_default()
            .push(took);
    }
    output.status.success()
}

const PART: &str = "TATKAL_BENCH_PART";

fn main() {
    if let Ok(part) = std::env::var(PART) {
        let is_it = |(name, ..): &&Part| *name == part;
        let (_, trips, place) = PARTS.iter().find(is_it).expect("a known part");
        return trips(*place);
    }
    ForkServer::start().expect("one thread");
    let mut times = Times::new();
    let mut has_python = true;
    for _ in 0..ROUNDS {
        ours(&mut times);
        PARTS.iter().for_each(|(name, ..)| part(name, &mut times));
        std::thread::sleep(Duration::from_millis(10)); // the last workers leave
        has_python = has_python && cpython(&mut times);
    }
    let middle: BTreeMap<_, _> = times
        .into_iter()
        .map(|(name, mut all)| {
            all.sort_by(f64::total_cmp);
            (name, all[all.len() / 2])
        })
        .collect();
    println!("microseconds a piece, the middle of {ROUNDS} rounds");
    for (name, took) in &middle {
        println!("  {name:26} {took:12.2}");
    }
    let bar = |what: &str, value: f64, limit: f64| {
        let met = if value <= limit { "met" } else { "NOT MET" };
        println!("  {what:58} {value:9.3} (at most {limit}) {met}");
    };
    println!("bars");
    bar(
        "one job there and back, in raw round trips",
        middle["one"] / middle["raw"],
        1.3,
    );
    bar("1 MiB there and back, ms", middle["mebibyte"] / 1e3, 0.5);
    bar(
        "64 MiB back, in copies of it into new memory, twice",
        middle["64 MiB back"] / middle["64 MiB, two new copies"],
        1.0,
    );
    bar(
        "a worker of a program with 256 MiB, ms",
        middle["worker"] / 1e3,
        1.0,
    );
    if has_python {
        let ratio = |name, theirs| middle[name] / middle[theirs];
        bar(
            "submit, in CPython's",
            ratio("submit", "CPython submit"),
            0.01,
        );
        bar(
            "map, in multiprocessing.Pool's",
            ratio("map", "CPython map"),
            1.0,
        );
    } else {
        println!("  python3 is missing, or failed: CPython's side is skipped");
    }
}
