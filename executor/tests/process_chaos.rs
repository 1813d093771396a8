//! Chaos: jobs of all sizes while workers are killed, stopped, and end by themselves, at random.
//! Every handle resolves once, with the right answer or an error that is true; every effect is
//! counted exactly; nothing is left.
//!
//! The jobs and their fates follow from the seed, which is printed; when exactly the hunter strikes
//! does not. `TATKAL_CHAOS_SEED` repeats a seed, `TATKAL_CHAOS_JOBS` makes it longer or shorter.

mod support;

use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};
use support::{Dice, assert_nothing_is_left, children_of, footprint, memory_kib};
use tatkal_executor::{ForkServer, JoinError, JoinHandle, ProcessPool, WorkerExit};

const WORKERS: usize = 4;
const JOBS: u64 = 20_000;
/// So many jobs are in flight.
const WINDOW: usize = 64;
const LARGEST_BYTES: u64 = 3 << 20;
/// What the program may hold more at the end than when a quarter was done: what its allocator has
/// not given back. All payloads together are a gigabyte.
const MEMORY_SLACK_KIB: u64 = 48 << 10;

/// What the job of one number has done, in memory that all processes share.
#[derive(Default)]
struct Effects {
    starts: AtomicU32,
    ends: AtomicU32,
    /// The last process that began it.
    pid: AtomicU32,
}

/// Mapped before the fork server exists, so that every worker has it at the same place.
static EFFECTS: OnceLock<&'static [Effects]> = OnceLock::new();

fn effects(number: u64) -> &'static Effects {
    &EFFECTS.get().expect("mapped in main")[number as usize]
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Kind {
    /// Gives as many bytes as said.
    Answer(u64),
    Nap(u64),
    Panic,
    Exit(i32),
    Signal(i32),
    /// Runs until it is aborted or killed.
    Endless,
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    number: u64,
    kind: Kind,
    payload: String,
}

/// Text that tells whose it is.
fn text(number: u64, bytes: u64) -> String {
    let mut text = format!("{number}.").repeat(bytes as usize / 2 + 1);
    text.truncate(bytes as usize);
    text
}

fn run(task: Task) -> (u64, String) {
    let Task {
        number,
        kind,
        payload,
    } = task;
    let effects = effects(number);
    effects.pid.store(process::id(), Ordering::SeqCst);
    effects.starts.fetch_add(1, Ordering::SeqCst);
    assert!(
        payload == text(number, payload.len() as u64),
        "the argument of {number} is damaged"
    );
    let mut bytes = 0;
    match kind {
        Kind::Answer(wanted) => bytes = wanted,
        Kind::Nap(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        Kind::Panic => panic!("as {number} was told"),
        Kind::Exit(code) => process::exit(code),
        // SAFETY: what comes of it is what is wanted.
        Kind::Signal(signal) => _ = unsafe { libc::raise(signal) },
        Kind::Endless => thread::sleep(Duration::from_secs(600)),
    }
    effects.ends.fetch_add(1, Ordering::SeqCst);
    (number, text(number, bytes))
}

fn some_bytes(dice: &mut Dice) -> u64 {
    match dice.below(100) {
        0 => dice.below(LARGEST_BYTES),
        1..=25 => dice.below(40_000),
        26..=35 => 0,
        _ => dice.below(300),
    }
}

fn some_kind(dice: &mut Dice) -> Kind {
    match dice.below(1_000) {
        0..=14 => Kind::Nap(1 + dice.below(4)),
        15..=18 => Kind::Panic,
        19..=30 => Kind::Exit(dice.below(100) as i32),
        31..=36 => Kind::Signal(libc::SIGKILL),
        37..=39 => Kind::Signal(libc::SIGABRT),
        40 => Kind::Signal(libc::SIGSTOP),
        41..=43 => Kind::Endless,
        _ => Kind::Answer(some_bytes(dice)),
    }
}

/// Kills and stops workers, and remembers which.
struct Hunter<'pool> {
    pool: &'pool ProcessPool,
    hunted: &'pool Mutex<HashSet<u32>>,
    dice: Dice,
}

impl Hunter<'_> {
    fn hunt(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_micros(self.dice.below(4_000)));
            let pids = self.pool.worker_pids();
            if pids.is_empty() {
                continue;
            }
            let pid = pids[self.dice.below(pids.len() as u64) as usize];
            self.strike(pid);
        }
    }

    fn strike(&mut self, pid: u32) {
        // SAFETY: two system calls without memory. The descriptor names this very process, even
        // when its number is given to another one later.
        let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let server = ForkServer::find().unwrap().pid();
        if process >= 0 && children_of(server).contains(&pid) {
            // Before the deed: the job's end may be told before we come to it afterwards.
            self.hunted.lock().unwrap().insert(pid);
            if self.dice.below(4) == 0 {
                signal(process, libc::SIGSTOP);
                thread::sleep(Duration::from_millis(self.dice.below(4)));
            }
            signal(process, libc::SIGKILL);
        }
        if process >= 0 {
            // SAFETY: ours, and used no more.
            unsafe { libc::close(process as i32) };
        }
    }
}

fn signal(process: i64, signal: i32) {
    // SAFETY: a signal to a worker of ours, or, when it is gone, to nobody.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, signal, 0, 0) };
}

/// What became of the jobs.
#[derive(Debug, Default)]
struct Ends {
    answered: u64,
    died: u64,
    cancelled: u64,
    panicked: u64,
    unstarted: u64,
}

/// A job whose end is awaited.
struct Pending {
    number: u64,
    kind: Kind,
    aborted: bool,
    handle: JoinHandle<(u64, String)>,
}

impl Pending {
    /// Waits for its end, which must be true.
    fn settle(mut self, hunted: &Mutex<HashSet<u32>>, ends: &mut Ends) {
        if matches!(self.kind, Kind::Endless | Kind::Signal(libc::SIGSTOP)) {
            self.handle.abort();
            self.aborted = true;
        }
        let Self { number, kind, .. } = self;
        let result = self.handle.join();
        let effects = effects(number);
        let starts = effects.starts.load(Ordering::SeqCst);
        let finished = effects.ends.load(Ordering::SeqCst);
        let pid = effects.pid.load(Ordering::SeqCst);
        let (count, is_true) = match &result {
            Ok((whose, answer)) => {
                let bytes = match kind {
                    Kind::Answer(bytes) => bytes,
                    _ => 0,
                };
                let right = *whose == number && *answer == text(number, bytes);
                (&mut ends.answered, right && (starts, finished) == (1, 1))
            }
            Err(JoinError::WorkerDied(exit)) => {
                let by_itself = died_by_itself(kind, exit) && starts == 1;
                let hunted = exit.signal == Some(libc::SIGKILL)
                    && hunted.lock().unwrap().contains(&exit.pid);
                let there = starts == 0 || starts == 1 && pid == exit.pid;
                (&mut ends.died, there && (by_itself || hunted))
            }
            Err(JoinError::Panicked(report)) => {
                let said = report.message() == format!("as {number} was told");
                let right = kind == Kind::Panic && said && (starts, finished) == (1, 0);
                (&mut ends.panicked, right)
            }
            Err(JoinError::Cancelled) => (&mut ends.cancelled, self.aborted && starts <= 1),
            // Several new workers in a row were hunted down before they could begin it.
            Err(JoinError::Start(error)) => {
                let hunted = error.to_string().contains("signal 9");
                (&mut ends.unstarted, hunted && starts == 0)
            }
            Err(_) => panic!("job {number}, {kind:?}: {result:?}"),
        };
        *count += 1;
        assert!(
            is_true,
            "job {number}, {kind:?}, aborted: {}: {result:?} after {starts} starts, {finished} \
             ends, the last in {pid}",
            self.aborted
        );
    }
}

fn died_by_itself(kind: Kind, exit: &WorkerExit) -> bool {
    match kind {
        Kind::Exit(code) => exit.code == Some(code),
        Kind::Signal(signal) => exit.signal == Some(signal),
        _ => false,
    }
}

/// The program's, and the fork server's.
fn memories_kib() -> [u64; 2] {
    [process::id(), ForkServer::find().unwrap().pid()].map(memory_kib)
}

fn every_handle_tells_the_truth() {
    let seed = match std::env::var("TATKAL_CHAOS_SEED") {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1,
    };
    println!("TATKAL_CHAOS_SEED={seed}");
    let mut dice = Dice(seed);
    let before = footprint();
    let builder = ProcessPool::builder().workers(WORKERS);
    let pool = builder.grace(Duration::from_millis(2)).build().unwrap();
    let hunted = Mutex::new(HashSet::new());
    let over = AtomicBool::new(false);
    let mut ends = Ends::default();
    let (mut detached, mut warm) = (0, None);
    thread::scope(|scope| {
        let hunter = Hunter {
            pool: &pool,
            hunted: &hunted,
            dice: Dice(seed.rotate_left(32) | 1),
        };
        scope.spawn(|| hunter.hunt(&over));
        // Ends the hunt also when an assertion fails.
        let _end = Defer(|| over.store(true, Ordering::Relaxed));
        let mut pending: VecDeque<Pending> = VecDeque::new();
        for number in 0..jobs() {
            let kind = some_kind(&mut dice);
            let payload = text(number, some_bytes(&mut dice));
            let task = Task {
                number,
                kind,
                payload,
            };
            let handle = pool.submit(run, task);
            if matches!(kind, Kind::Answer(_)) && dice.below(100) == 0 {
                detached += 1;
                handle.detach();
            } else {
                pending.push_back(Pending {
                    number,
                    kind,
                    aborted: false,
                    handle,
                });
            }
            if !pending.is_empty() && dice.below(40) == 0 {
                let place = dice.below(pending.len() as u64) as usize;
                pending[place].handle.abort();
                pending[place].aborted = true;
            }
            if pending.len() > WINDOW {
                let oldest = pending.pop_front().unwrap();
                oldest.settle(&hunted, &mut ends);
            }
            if number == jobs() / 4 {
                warm = Some(memories_kib());
            }
        }
        pending
            .into_iter()
            .for_each(|job| job.settle(&hunted, &mut ends));
    });
    drop(pool); // The detached jobs end, too.

    let strikes = hunted.into_inner().unwrap().len();
    println!("{ends:?}, {detached} detached, {strikes} workers hunted");
    let Ends {
        answered,
        died,
        cancelled,
        panicked,
        unstarted,
    } = ends;
    assert_eq!(
        answered + died + cancelled + panicked + unstarted + detached,
        jobs()
    );
    assert!(
        (0..jobs()).all(|number| effects(number).starts.load(Ordering::SeqCst) <= 1),
        "a job ran twice"
    );
    let faults = jobs() / 1_000;
    assert!(
        died > faults && cancelled > faults && panicked > faults / 2,
        "there was no chaos"
    );
    assert_nothing_is_left(&before);
    let (warm, end) = (warm.unwrap(), memories_kib());
    println!("KiB of program and server: {warm:?}, then {end:?}");
    assert!(end[0] <= warm[0] + MEMORY_SLACK_KIB, "the program grew");
    assert!(end[1] <= warm[1] + 4_096, "the fork server grew");
}

/// Does something when it goes.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn jobs() -> u64 {
    std::env::var("TATKAL_CHAOS_JOBS").map_or(JOBS, |jobs| jobs.parse().expect("a number of jobs"))
}

fn main() {
    let records = jobs() as usize;
    // SAFETY: a new mapping of zeros, which are valid `Effects`; it is never unmapped, and shared
    // with every process that is forked later. All access is atomic.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            records * size_of::<Effects>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(map, libc::MAP_FAILED);
    // SAFETY: as above.
    let records = unsafe { std::slice::from_raw_parts(map.cast::<Effects>(), records) };
    EFFECTS.set(records).ok().expect("set once");
    support::run(&[(
        "every_handle_tells_the_truth",
        every_handle_tells_the_truth as fn(),
    )])
}
