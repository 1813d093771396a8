//! Who ran a piece of work, and when: the stamp on every item of a report.
//!
//! The clock is CLOCK_MONOTONIC, which every process of one machine reads alike, so a worker's
//! stamps and the parent's can be set side by side (std's `Instant` is the same clock, but cannot
//! leave its process). The thread id is the kernel's, the one that `top -H` and `strace` show.
//! Source: clock_gettime(2), gettid(2). Next: `printer.rs`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A point in time that means the same in every process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// The present moment. One read of the clock, no system call on the usual machine.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The monotonic clock starts at boot: neither part is negative.
        Self(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// The clock's reading: nanoseconds since it was started, at boot or so.
    pub fn nanoseconds(self) -> u64 {
        self.0
    }

    /// How long it was from `earlier` to this moment; zero when it was not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The process and the thread that ran something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Process id.
    pub pid: u32,
    /// The kernel's thread id; the same number as `pid` on a process's first thread.
    pub tid: u32,
}

impl Place {
    /// Where the caller runs.
    pub fn here() -> Self {
        Self {
            pid: std::process::id(),
            tid: rustix::thread::gettid().as_raw_nonzero().get() as u32,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process:{}, thread:{}", self.pid, self.tid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_run_forward_and_never_below_zero() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second >= first);
        assert_eq!(first.since(second), Duration::ZERO);
    }

    #[test]
    fn threads_of_one_process_differ_in_their_thread_id_only() {
        let here = Place::here();
        let there = std::thread::spawn(Place::here).join().unwrap();
        assert_eq!(here.pid, there.pid);
        assert_ne!(here.tid, there.tid);
    }
}
