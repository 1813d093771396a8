//! Looking on for a moment before going to sleep: for two sides that answer each other at once.
//!
//! ```text
//!   waiter, its job is at a worker      worker, its job is answered
//!        |                                   |
//!        +── alone? elsewhere? quick? ───────+──no──> arm the bell, look, sleep
//!                       | yes
//!                       v
//!            look on, for LIMIT at most ──── nothing came ──> the same
//! ```
//!
//! To wake a process on an idle CPU costs both sides more than a short job does (here, where CPUs
//! are virtual, 20 us each). When the other side is at work and will soon be done, that can be had
//! for less. Three things must hold, or looking on does harm:
//! - the job is alone in the pool. Where there are more, answers are taken in by the handful and
//!   jobs given out so, and whoever sleeps meanwhile leaves his CPU to the others;
//! - the other side ran last on another CPU: on ours, looking on is what keeps it from running;
//! - the other side has been quick of late: the worker's jobs were short, the next job came soon.
//!
//! Owns      of each side the place where it ran last, in shared memory. A hint: a wrong one costs a
//!           moment, or a wake-up.
//! Measured  a no-op job there and back, the two sides on two CPUs: 2.7 us, 50 without (two raw
//!           processes that sleep: 45). On one CPU 3.4 and 3.3; not pinned 3.5 and 3.4, for then the
//!           kernel puts both on one CPU. Without the first condition `map` on as many workers as
//!           CPUs took 2.4 us an item in place of 1.3.
//! Cost      idle, nothing: it is done once, for LIMIT, after a job that came soon after another.
//! Source    Karlin, Manasse, McGeoch, Owicki: Competitive Randomized Algorithms for Nonuniform
//!           Problems (SODA 1990): who looks on for as long as the sleep would cost pays at most twice.
//!           Next: `outlet.rs`.

use crate::pool::process::sys;
use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What it costs to go to sleep and be woken, and so how long it is worth looking on.
pub(in crate::pool::process) const LIMIT: Duration = Duration::from_micros(50);

/// A job that comes so soon after an answer would have been seen, had the worker looked on: what
/// came later than `LIMIT` is the waking of both sides.
const SOON: Duration = Duration::from_micros(100);

/// Between two looks: each takes the cache line from the side that is to write to it.
const PAUSES: u32 = 8;

/// Where a side ran last: the number of its CPU and one, or 0, when nobody is to look on for it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(in crate::pool::process) struct Place(AtomicU32);

impl Place {
    /// By the side itself: it is here.
    pub(in crate::pool::process) fn note(&self) {
        // Relaxed, everywhere: a hint.
        self.0.store(here(), Ordering::Relaxed);
    }

    /// By the side itself: nobody is to look on for it.
    pub(in crate::pool::process) fn leave(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// By the other side: is it on another CPU than this thread?
    pub(in crate::pool::process) fn is_elsewhere(&self) -> bool {
        let place = self.0.load(Ordering::Relaxed);
        place != 0 && place != here()
    }
}

fn here() -> u32 {
    sys::current_cpu().wrapping_add(1)
}

/// Looks on until it is over, for `LIMIT` at most.
pub(in crate::pool::process) fn look_on(mut is_over: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_over() && begin.elapsed() < LIMIT {
        (0..PAUSES).for_each(|_| spin_loop());
    }
}

/// By a worker: do its jobs come soon, one after the other?
#[derive(Debug)]
pub(in crate::pool::process) struct Habit {
    idle_since: Cell<Instant>,
    is_quick: Cell<bool>,
}

impl Habit {
    pub(in crate::pool::process) fn new() -> Habit {
        Habit {
            idle_since: Cell::new(Instant::now()),
            is_quick: Cell::new(false),
        }
    }

    /// A job begins.
    pub(in crate::pool::process) fn begin(&self, now: Instant) {
        let idle = now.saturating_duration_since(self.idle_since.get());
        self.is_quick.set(idle < SOON);
    }

    /// It ends.
    pub(in crate::pool::process) fn end(&self, now: Instant) {
        self.idle_since.set(now);
    }

    /// Is it worth looking on? Once: the next job decides anew.
    pub(in crate::pool::process) fn take(&self) -> bool {
        self.is_quick.take()
    }
}
