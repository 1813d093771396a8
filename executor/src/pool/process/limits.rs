//! What a worker may use of the machine: memory and CPU time.
//!
//! ```text
//!   builder ── Limits ──> pool ── Request::Limit ──> server ── at the fork ──> worker
//!                                                                 once: memory, `begin`
//!                                                                 per job: CPU time, `before_job`
//! ```
//!
//! The kernel keeps watch (setrlimit(2)); nothing here runs while a job does.
//!
//! Memory is counted from what the worker has when it begins, so that the number means the jobs and
//! not how large the program was that was forked. It is address space: an allocator reserves more
//! than it uses. Beyond the limit an allocation fails, which ends most code (Rust aborts); a
//! `try_reserve` survives it.
//!
//! CPU time is counted from the start of each job, or a worker that had done much work would fall
//! in the middle of an innocent job. The kernel counts in whole seconds, so a job may get up to one
//! more than was said. Then SIGXCPU ends the worker.
//!
//! Source    setrlimit(2), clock_getcpuclockid(3), proc(5). Next: `entry.rs`.

use super::sys;
use std::time::Duration;

/// What a worker may use. `u64::MAX`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) memory_bytes: u64,
    pub(super) cpu_s: u64,
}

impl Limits {
    pub(super) const NONE: Limits = Limits {
        memory_bytes: u64::MAX,
        cpu_s: u64::MAX,
    };

    pub(super) fn has_memory(&self) -> bool {
        self.memory_bytes != u64::MAX
    }

    /// By a worker, once it has what it needs for itself.
    pub(super) fn begin(&self) {
        if self.has_memory()
            && let Ok(size) = sys::address_space()
        {
            sys::lower_limit(libc::RLIMIT_AS, size.saturating_add(self.memory_bytes));
        }
    }

    /// By a worker, before each job.
    pub(super) fn before_job(&self) {
        if self.cpu_s != u64::MAX {
            let end = sys::cpu_time() + Duration::from_secs(self.cpu_s);
            sys::set_soft_limit(libc::RLIMIT_CPU, end.as_secs() + 1);
        }
    }
}
