//! On which CPU? Where the kernel puts two threads that wake each other decides more than what
//! either of them does: left to it, most rows of two threads have two results, a good one and a
//! bad one, for each contender at random. So the workers of a two-thread runtime are pinned apart,
//! one to each CPU, on every side, and so are threads that only wake each other.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A hook for worker threads, called at the start of each: the next thread gets the next CPU.
pub fn apart() -> impl Fn() + Send + Sync + Clone + 'static {
    let next = Arc::new(AtomicUsize::new(0));
    move || pin(next.fetch_add(1, Ordering::Relaxed))
}

/// Keeps the calling thread, and those that it starts, on the n-th of its CPUs (modulo their
/// number).
pub fn pin(n: usize) {
    let cpus = allowed();
    let mut one = CpuSet::new();
    one.set(cpus[n % cpus.len()]);
    sched_setaffinity(None, &one).expect("a CPU of our own set");
}

/// The calling thread on the n-th CPU, until this is dropped.
pub struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub fn to(n: usize) -> Pinned {
        let before = sched_getaffinity(None).expect("our own affinity");
        pin(n);
        Pinned { before }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.before).expect("what it was before");
    }
}

/// The CPUs that the program was started on, by number.
fn allowed() -> &'static [usize] {
    // Once, by the first who asks: a thread that was pinned would see one CPU.
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let set = sched_getaffinity(None).expect("our own affinity");
        (0..CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect()
    })
}
