//! The frame of the tests that fork: the fork server first, then one test after the other on the
//! main thread, and an alarm clock that ends a run that hangs.

#![allow(dead_code)] // each test program uses its part

use libtest_mimic::{Arguments, Trial};
use std::fs;
use std::time::{Duration, Instant};
use tatkal_executor::{ForkServer, ProcessPool};

/// Far more than any of the programs takes, on any machine.
const ALARM_S: u32 = 300;

/// The `main` of a test program.
pub fn run(tests: &[(&'static str, fn())]) -> ! {
    ForkServer::start().expect("main has one thread");
    // SAFETY: SIGALRM ends this process, as it should. (Workers do not inherit the alarm.)
    unsafe { libc::alarm(ALARM_S) };
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trial = |&(name, test): &(&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit()
}

/// Lists tests by the names of their functions.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        fn main() {
            support::run(&[$((stringify!($test), $test as fn())),*])
        }
    };
}

/// A pool of so many workers.
pub fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the fork server runs")
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
