//! The frame of the tests that fork: the fork server first, then one test after the other on the
//! main thread, and an alarm clock that ends a run that hangs.

#![allow(dead_code)] // each test program uses its part

use libtest_mimic::{Arguments, Trial};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tatkal_executor::{ForkServer, JoinError, JoinHandle, ProcessPool};

/// Far more than any of the programs takes, on any machine.
const ALARM_S: u32 = 300;

/// The `main` of a test program.
pub fn run(tests: &[(&'static str, fn())]) -> ! {
    let trial = |&(name, test): &(&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    run_trials(tests.iter().map(trial).collect())
}

/// As [`run`], for tests that are made and not written.
pub fn run_trials(trials: Vec<Trial>) -> ! {
    // Finding the names for a backtrace takes a fresh worker longer than all else that these tests do.
    // SAFETY: there is one thread.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    ForkServer::start().expect("main has one thread");
    // SAFETY: SIGALRM ends this process, as it should. (Workers do not inherit the alarm.)
    unsafe { libc::alarm(ALARM_S) };
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit()
}

/// Lists tests, and the parts they need, by the names of their functions.
#[macro_export]
macro_rules! tests {
    (parts: [$($part:ident),* $(,)?], $($test:ident),* $(,)?) => {
        fn main() {
            support::run_with_parts(
                &[$((stringify!($part), $part as fn())),*],
                &[$((stringify!($test), $test as fn())),*],
            )
        }
    };
    ($($test:ident),* $(,)?) => {
        tests![parts: [], $($test),*];
    };
}

/// A pool of so many workers.
pub fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the fork server runs")
}

/// A job that says who ran it.
pub fn own_pid(_: ()) -> u32 {
    std::process::id()
}

/// A job that says that it has begun, and then takes for ever.
pub fn begin(path: PathBuf) {
    leave_trace(&path);
    nap(600);
}

pub fn is_cancelled<T: std::fmt::Debug>(handle: JoinHandle<T>) -> bool {
    matches!(handle.join(), Err(JoinError::Cancelled))
}

/// Waits until something becomes true that nobody announces.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn kill(pid: u32, signal: i32) {
    // SAFETY: a signal to a process that the test started.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0, "kill {pid}");
}

/// The state letter of a process as the kernel tells it, or None when there is no such process.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, so what counts comes after its last parenthesis.
    stat.rsplit(')').next()?.trim().chars().next()
}

/// Is it gone, but for a zombie that its parent has still to collect?
pub fn is_dead(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

/// A job that sleeps, and whose worker can be seen to be in it. Returns the worker's pid.
pub fn nap(seconds: u64) -> u32 {
    // SAFETY: two names that end in a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"napping".as_ptr()) };
    std::thread::sleep(Duration::from_secs(seconds));
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"rested".as_ptr()) };
    std::process::id()
}

/// Is this worker in a [`nap`]?
pub fn naps(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "napping")
}

/// The processes whose parent is `pid`, zombies included.
pub fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let mut words = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        if words.nth(1) == Some(&pid.to_string()) {
            children.push(child);
        }
    }
    children
}

/// How many descriptors a process has open.
pub fn fd_count(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// What must be the same before and after.
#[derive(Debug, PartialEq)]
pub struct Footprint {
    threads: usize,
    fds: usize,
    server_fds: usize,
    workers: Vec<u32>,
    zombies: Vec<u32>,
}

/// What there is of the program and the fork server now.
pub fn footprint() -> Footprint {
    let server = ForkServer::find().unwrap().pid();
    let family = [children_of(std::process::id()), children_of(server)].concat();
    Footprint {
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
        fds: fd_count(std::process::id()),
        server_fds: fd_count(server),
        workers: children_of(server),
        zombies: family
            .into_iter()
            .filter(|pid| state(*pid) == Some('Z'))
            .collect(),
    }
}

/// The server closes a pool's line a moment after the pool has.
pub fn assert_nothing_is_left(before: &Footprint) {
    let start = Instant::now();
    while footprint() != *before {
        let now = footprint();
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{before:?} became {now:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Memory of a process that is its own, in KiB.
pub fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

/// The variable that makes a test program play a part instead of running its tests.
const PART: &str = "TATKAL_TEST_PART";

/// A part of a test that has to happen in a program of its own: started with [`start_part`], it
/// runs instead of the tests.
pub type Part = (&'static str, fn());

/// As [`run`], for a test program with parts. A part starts its fork server by itself.
pub fn run_with_parts(parts: &[Part], tests: &[(&'static str, fn())]) -> ! {
    if let Ok(wanted) = std::env::var(PART) {
        // SAFETY: SIGALRM ends this process, as it should.
        unsafe { libc::alarm(ALARM_S) };
        let (_, part) = parts
            .iter()
            .find(|(name, _)| *name == wanted)
            .expect("a known part");
        part();
        std::process::exit(0);
    }
    run(tests)
}

/// This program again, playing a part. Its stdout is ours to read, its stderr is shared.
pub fn start_part(name: &str) -> Child {
    part(name).spawn().unwrap()
}

/// The command that starts it.
pub fn part(name: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command
        .env(PART, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.process_group(0);
    // SAFETY: signal(2) is async-signal-safe, and the closure does nothing else.
    unsafe {
        command.pre_exec(|| {
            // Whoever started us may ignore Ctrl-C, as a shell does for what it starts in the
            // background; that would be inherited, and a part that is to end of it would not.
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        })
    };
    command
}

/// Plays a part to its end and returns what it printed. It must succeed.
pub fn play_part(name: &str) -> String {
    let output = start_part(name).wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Reads the process ids that a part prints on its first line.
pub fn pids_told_by(part: &mut Child) -> Vec<u32> {
    let mut line = String::new();
    BufReader::new(part.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Numbers that look random and are the same for the same seed (Marsaglia's xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A file of which a job can leave a trace, and a test can wait for one.
pub struct Trace(PathBuf);

impl Trace {
    pub fn new(name: &str) -> Trace {
        let own = std::process::id();
        let path = std::env::temp_dir().join(format!("tatkal-{name}-{own}"));
        let _ = fs::remove_file(&path);
        Trace(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub fn count(&self) -> u64 {
        fs::metadata(&self.0).map_or(0, |file| file.st_size())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// One more byte.
pub fn leave_trace(path: &Path) {
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(b".").unwrap();
}

/// Counts the runs of items: a file to which each appends a line.
pub struct Tally(PathBuf);

impl Tally {
    pub fn new(name: &str) -> Tally {
        let name = format!("tatkal-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "").unwrap();
        Tally(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub fn runs(&self) -> Vec<u32> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub fn append(path: &Path, n: u32) {
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(format!("{n}\n").as_bytes()).unwrap();
}
