//! The rows of the comparison: each a workload, a number of threads, and who runs it.
//!
//! A workload is one generic function over [`sides::Side`]; beside the runtimes stand the things
//! that are no runtime (a raw epoll loop, a futex, a box), each as the least that could do the
//! same. `benches/versus/` times the rows interleaved and compares; `benches/groups.rs` gives each
//! to criterion. Neither has a workload of its own.
//!
//! Reading order: `allocator.rs`, `place.rs`, `meet.rs`, `sides/`, then the rows in any order:
//! `tasks.rs`, `hand_over.rs`, `timers.rs`, `echo.rs`, `http.rs`, `wake.rs`, `pools.rs`, `heap.rs`.

pub mod allocator;
mod echo;
mod hand_over;
mod heap;
mod http;
mod meet;
mod place;
mod pools;
mod sides;
mod tasks;
mod timers;
mod wake;

use sides::Side;
use std::time::Duration;

/// One line of the table, before it is measured.
pub struct Row {
    pub workload: &'static str,
    /// How many threads the runtime (or the pool) has.
    pub threads: usize,
    /// What a reader of the numbers must know.
    pub note: &'static str,
    pub cost: Cost,
    /// Ours first.
    pub contenders: Vec<Contender>,
}

impl Row {
    /// As in the table.
    pub fn name(&self) -> String {
        format!("{} ({})", self.workload, self.threads)
    }
}

/// What is counted. Less is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Cost {
    /// Nanoseconds that pass.
    Time,
    /// Nanoseconds of CPU, of all threads.
    CpuTime,
    /// Nanoseconds after the deadline.
    Lateness,
    /// Bytes on the heap.
    Bytes,
}

/// Someone who can do the work of a row.
pub struct Contender {
    pub name: &'static str,
    /// Makes what it runs on: a runtime, a pool, threads. They go with the closure.
    pub start: Box<dyn Fn() -> Work>,
}

/// Does the work so many times, and says what that cost in all: nanoseconds, or bytes. What is not
/// the work (connecting, starting a task that only measures) it leaves out.
pub type Work = Box<dyn FnMut(u64) -> f64>;

impl Contender {
    fn new<W: FnMut(u64) -> Duration + 'static>(
        name: &'static str,
        start: impl Fn() -> W + 'static,
    ) -> Contender {
        Contender {
            name,
            start: Box::new(move || {
                let mut work = start();
                Box::new(move |times| work(times).as_nanos() as f64)
            }),
        }
    }

    /// A workload on a fresh runtime.
    fn side<S: Side>(
        threads: usize,
        work: impl Fn(&S, usize, u64) -> Duration + Copy + 'static,
    ) -> Contender {
        Contender::new(S::NAME, move || {
            let side = S::new(threads);
            move |times| work(&side, threads, times)
        })
    }

    /// A workload that needs nothing to be there before it.
    fn plain(name: &'static str, work: fn(u64) -> Duration) -> Contender {
        Contender::new(name, move || work)
    }
}

/// The workload on each runtime.
macro_rules! on_each_side {
    ($threads:expr, $work:ident) => {
        vec![
            $crate::rows::Contender::side($threads, $work::<$crate::rows::sides::Ours>),
            $crate::rows::Contender::side($threads, $work::<$crate::rows::sides::Tokio>),
            $crate::rows::Contender::side($threads, $work::<$crate::rows::sides::Smol>),
        ]
    };
}
use on_each_side;

/// To be called first in `main`: starts what a row needs from before the first thread, and returns
/// true when this program was started only to answer a question of another row.
pub fn begin() -> bool {
    tatkal::ForkServer::start().expect("this is the first line of main");
    heap::answer()
}

/// Every row, in the table's order.
pub fn all() -> Vec<Row> {
    [
        tasks::rows(),
        hand_over::rows(),
        timers::rows(),
        echo::rows(),
        http::rows(),
        wake::rows(),
        pools::rows(),
        heap::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
