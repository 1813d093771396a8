//! The bars: what a row should reach, against whom.
//!
//! A ratio is the peer's cost divided by ours. "Within 5 % of the raw loop" is a ratio of at least
//! 1/1.05. A bar on our own cost alone is an upper bound, and no ratio.
//!
//! The bars are for the system's allocator; those of the spawn rows, which owe part of their ratio
//! to how tokio's tasks lie in glibc's heap, have a second value for mimalloc.

/// What is to be reached.
pub struct Bar {
    pub workload: &'static str,
    pub threads: usize,
    pub sense: Sense,
    pub system: f64,
    pub mimalloc: Option<f64>,
}

pub enum Sense {
    /// The cost of this peer divided by ours is at least so much.
    RatioAtLeast(&'static str),
    /// Our cost is at most so much, in nanoseconds or bytes.
    CostAtMost,
}

use Sense::{CostAtMost, RatioAtLeast};

const TOKIO: Sense = RatioAtLeast("tokio");

const fn bar(
    workload: &'static str,
    threads: usize,
    sense: Sense,
    system: f64,
    mimalloc: Option<f64>,
) -> Bar {
    Bar {
        workload,
        threads,
        sense,
        system,
        mimalloc,
    }
}

#[rustfmt::skip] // one line, one bar
pub const BARS: &[Bar] = &[
    bar("spawn one and join", 1, TOKIO, 6.0, Some(2.0)),
    bar("spawn 10,000 and join", 1, TOKIO, 4.0, Some(2.0)),
    bar("spawn 10,000 and join, from a worker", 2, TOKIO, 3.0, Some(2.0)),
    bar("spawn 10,000 from outside", 2, TOKIO, 3.0, Some(2.0)),
    bar("100 tasks yield 100 times", 1, TOKIO, 1.6, None),
    bar("100 tasks yield 100 times", 2, TOKIO, 1.3, None),
    bar("ping-pong: 1,000 pairs, once", 2, TOKIO, 1.2, None),
    bar("ping-pong: 100 pairs, 100 times", 2, TOKIO, 1.2, None),
    bar("chained spawn", 2, TOKIO, 2.5, Some(2.0)),
    bar("timeout created and dropped", 1, TOKIO, 4.0, None),
    bar("timeout created and dropped", 2, TOKIO, 4.0, None),
    bar("timeout around a ready future", 1, TOKIO, 12.0, None),
    bar("100,000 sleeps of 1 to 50 ms", 1, TOKIO, 1.5, None),
    bar("lateness of a sleep, mean", 1, CostAtMost, 60_000.0, None),
    bar("TCP echo, 1 x 1 byte", 1, TOKIO, 1.0, None),
    bar("TCP echo, 1 x 1 byte", 1, RatioAtLeast("raw epoll loop"), 1.0 / 1.05, None),
    bar("TCP echo, 1 byte, client apart", 1, TOKIO, 1.0, None),
    bar("TCP echo, 1 byte, client apart", 1, RatioAtLeast("raw epoll loop"), 1.0 / 1.05, None),
    bar("TCP echo, 64 x 1 KiB", 1, TOKIO, 1.05, None),
    bar("TCP echo, 64 x 1 KiB", 2, TOKIO, 1.0, None),
    bar("cross-thread wake, round trip", 1, TOKIO, 1.0, None),
    bar("cross-thread wake, round trip", 1, RatioAtLeast("bare futex"), 1.0 / 1.1, None),
    bar("10,000 spawn_blocking and join", 2, TOKIO, 6.0, None),
    bar("thread pool, 100,000 no-ops", 2, TOKIO, 4.0, None),
    bar("thread pool, 100,000 no-ops", 2, RatioAtLeast("rayon"), 1.0, None),
    bar("thread pool, 100,000 no-ops", 2, RatioAtLeast("crossbeam channel"), 1.0, None),
    bar("thread pool, 100,000 no-ops, joined", 2, TOKIO, 4.0, None),
    bar("thread pool, 100,000 no-ops, joined", 2, RatioAtLeast("rayon"), 1.0, None),
    bar("thread pool, 100,000 no-ops, joined", 2, RatioAtLeast("crossbeam channel"), 1.0, None),
    bar("heap per idle task, future of 64 bytes", 1, CostAtMost, 128.0, None),
    bar("heap per idle task, future of 64 bytes", 2, CostAtMost, 128.0, None),
];

/// What the geometric mean over the ratios to tokio should be.
pub const MEAN: f64 = 3.0;

/// The bar of a row against a peer.
pub fn against(workload: &str, threads: usize, peer: &str) -> Option<&'static Bar> {
    of(workload, threads).find(|bar| matches!(bar.sense, RatioAtLeast(name) if name == peer))
}

/// The bar of a row on our own cost.
pub fn absolute(workload: &str, threads: usize) -> Option<&'static Bar> {
    of(workload, threads).find(|bar| matches!(bar.sense, CostAtMost))
}

fn of(workload: &str, threads: usize) -> impl Iterator<Item = &'static Bar> {
    BARS.iter()
        .filter(move |bar| bar.workload == workload && bar.threads == threads)
}

impl Bar {
    /// Its value under an allocator.
    pub fn value(&self, allocator: &str) -> Option<f64> {
        match allocator {
            "system" => Some(self.system),
            _ => self.mimalloc,
        }
    }
}
