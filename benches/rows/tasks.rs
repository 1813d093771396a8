//! What does a task cost? Spawn one and join it; spawn many, from where and into what; yield.
//!
//! The futures do nothing, so that all of the time is the runtime's. Below all of them stands the
//! plain box: what a future on the heap costs when nobody schedules it.

use super::meet::Countdown;
use super::sides::{Inside, Side};
use super::{Contender, Cost, Row, on_each_side};
use std::hint::{black_box, spin_loop};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const MANY: u64 = 10_000;
const YIELDERS: u64 = 100;
const YIELDS: u64 = 100;

/// How long a task of the busy row computes before it yields; tokio's own bench has the same.
const STALL: Duration = Duration::from_micros(10);

pub fn rows() -> Vec<Row> {
    let row = |workload, threads, note, contenders| Row {
        workload,
        threads,
        note,
        cost: Cost::Time,
        contenders,
    };
    let mut one = on_each_side!(1, spawn_one);
    one.push(Contender::plain("a boxed future", box_one));
    let mut many = on_each_side!(1, spawn_many);
    many.push(Contender::plain("boxed futures", box_many));
    vec![
        row("spawn one and join", 1, "", one),
        row("spawn one and join", 2, "", on_each_side!(2, spawn_one)),
        row("spawn 10,000 and join", 1, "", many),
        row(
            "spawn 10,000 and join, from a worker",
            2,
            "",
            on_each_side!(2, spawn_many),
        ),
        row(
            "spawn 10,000 from outside",
            2,
            "until the last has run",
            on_each_side!(2, spawn_from_outside),
        ),
        row(
            "spawn 10,000 from outside, busy",
            2,
            "4 tasks that compute 10 us, then yield",
            on_each_side!(2, spawn_while_busy),
        ),
        row("100 tasks yield 100 times", 1, "", on_each_side!(1, yields)),
        row("100 tasks yield 100 times", 2, "", on_each_side!(2, yields)),
    ]
}

fn spawn_one<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let start = Instant::now();
        for i in 0..times {
            black_box(inside.spawn(async move { black_box(i) }).await);
        }
        start.elapsed()
    })
}

fn spawn_many<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let mut handles = Vec::with_capacity(MANY as usize);
        let start = Instant::now();
        for _ in 0..times {
            handles.extend((0..MANY).map(|i| inside.spawn(async move { black_box(i) })));
            for handle in handles.drain(..) {
                black_box(handle.await);
            }
        }
        start.elapsed()
    })
}

fn spawn_from_outside<S: Side>(side: &S, _threads: usize, times: u64) -> Duration {
    let once = |_| {
        let countdown = Arc::new(Countdown::start(MANY as usize));
        for _ in 0..MANY {
            let countdown = countdown.clone();
            side.spawn_from_outside(async move {
                countdown.count_down();
            });
        }
        countdown.wait()
    };
    (0..times).map(once).sum()
}

/// As from outside, but the workers are never idle: twice as many tasks as there are workers
/// compute and yield for ever. So the time is theirs for the most part, and what is compared is
/// how soon a busy runtime comes to the new tasks.
fn spawn_while_busy<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let once = |_| {
        let busy = Arc::new(AtomicBool::new(true));
        let started = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 * threads {
            let (busy, started, inside) = (busy.clone(), started.clone(), side.inside());
            side.spawn_from_outside(async move {
                started.fetch_add(1, Ordering::Relaxed);
                while busy.load(Ordering::Relaxed) {
                    compute();
                    inside.yield_now().await;
                }
            });
        }
        while started.load(Ordering::Relaxed) < 2 * threads {
            thread::yield_now();
        }
        let countdown = Arc::new(Countdown::start(MANY as usize));
        for _ in 0..MANY {
            let (countdown, busy) = (countdown.clone(), busy.clone());
            side.spawn_from_outside(async move {
                if countdown.count_down() {
                    busy.store(false, Ordering::Relaxed);
                }
            });
        }
        countdown.wait()
    };
    (0..times).map(once).sum()
}

fn compute() {
    let start = Instant::now();
    while start.elapsed() < STALL {
        spin_loop();
    }
    // There are more threads than CPUs. At real-time priority, where no thread is ever put aside
    // for another, the one that spawns would not run again once it has waited for a lock.
    thread::yield_now();
}

fn yields<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let mut tasks = Vec::with_capacity(YIELDERS as usize);
        let start = Instant::now();
        for _ in 0..times {
            tasks.extend((0..YIELDERS).map(|_| {
                inside.spawn(async move {
                    for _ in 0..YIELDS {
                        inside.yield_now().await;
                    }
                })
            }));
            for task in tasks.drain(..) {
                task.await;
            }
        }
        start.elapsed()
    })
}

type Boxed = Pin<Box<dyn Future<Output = u64> + Send>>;

fn boxed(i: u64) -> Boxed {
    black_box(Box::pin(async move { black_box(i) }))
}

fn poll(mut future: Boxed) {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(i) => black_box(i),
        Poll::Pending => unreachable!("it waits for nothing"),
    };
}

fn box_one(times: u64) -> Duration {
    let start = Instant::now();
    for i in 0..times {
        poll(boxed(i));
    }
    start.elapsed()
}

fn box_many(times: u64) -> Duration {
    let mut futures = Vec::with_capacity(MANY as usize);
    let start = Instant::now();
    for _ in 0..times {
        futures.extend((0..MANY).map(boxed));
        futures.drain(..).for_each(poll);
    }
    start.elapsed()
}
