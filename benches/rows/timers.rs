//! What does a timer cost, and how late is it? Timeouts that never fire, sleeps that all do.
//!
//! A timeout is created, polled once and dropped: a server does that for each read. 32 of them go
//! into one poll of their task, which then yields: fewer than any runtime's budget for one poll, so
//! that none is refused, and a runtime that keeps timers back until its tasks have had their turn
//! has to show them.
//!
//! Below them stand the clock (one read of it, without which no deadline is known) and a binary
//! heap of deadlines with a thread that sleeps until the first: the least that fires timers.

use super::sides::{Inside, Side};
use super::{Contender, Cost, Row, on_each_side};
use rustix::time::{ClockId, clock_gettime};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{pending, poll_fn, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// A timeout that does not fire here.
const FAR: Duration = Duration::from_secs(60);

/// Timeouts in one poll.
const BATCH: u64 = 32;

const SLEEPS: u64 = 100_000;

pub fn rows() -> Vec<Row> {
    let row = |workload, threads, note, cost, contenders| Row {
        workload,
        threads,
        note,
        cost,
        contenders,
    };
    let mut dropped = on_each_side!(1, timeouts_dropped);
    dropped.push(Contender::plain("one clock read", read_clock));
    let mut sleeps = on_each_side!(1, sleeps);
    sleeps.push(Contender::plain("heap and clock", heap_and_clock));
    let mut lateness = on_each_side!(1, lateness);
    lateness.push(Contender::plain("thread::sleep", thread_lateness));
    vec![
        row("timeout created and dropped", 1, "", Cost::Time, dropped),
        row(
            "timeout created and dropped",
            2,
            "a task for each worker",
            Cost::Time,
            on_each_side!(2, timeouts_dropped),
        ),
        row(
            "timeout around a ready future",
            1,
            "",
            Cost::Time,
            on_each_side!(1, timeouts_ready),
        ),
        row(
            "100,000 sleeps of 1 to 50 ms",
            1,
            "CPU time; each in a task of its own",
            Cost::CpuTime,
            sleeps,
        ),
        row(
            "lateness of a sleep, mean",
            1,
            "sleeps of 1 to 5 ms, one after the other",
            Cost::Lateness,
            lateness,
        ),
    ]
}

fn timeouts_dropped<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let start = Instant::now();
        if threads == 1 {
            drop_timeouts(inside, times).await;
        } else {
            let share = times.div_ceil(threads as u64);
            let tasks = (0..threads).map(|_| inside.spawn(drop_timeouts(inside, share)));
            for task in tasks.collect::<Vec<_>>() {
                task.await;
            }
        }
        start.elapsed()
    })
}

async fn drop_timeouts<I: Inside>(inside: I, times: u64) {
    let mut left = times;
    while left > 0 {
        let batch = left.min(BATCH);
        poll_fn(|cx| {
            for _ in 0..batch {
                drop_timeout(inside, cx);
            }
            Poll::Ready(())
        })
        .await;
        inside.yield_now().await;
        left -= batch;
    }
}

fn drop_timeout<I: Inside>(inside: I, cx: &mut Context<'_>) {
    let timeout = pin!(inside.timeout(FAR, pending::<()>()));
    assert!(black_box(timeout).poll(cx).is_pending());
}

fn timeouts_ready<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let start = Instant::now();
        for i in 0..times {
            black_box(inside.timeout(FAR, ready(black_box(i))).await);
        }
        start.elapsed()
    })
}

fn read_clock(times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(Instant::now());
    }
    start.elapsed()
}

/// The i-th sleep: 1 to 50 ms, spread evenly and out of order.
fn due(i: u64) -> Duration {
    Duration::from_micros(1_000 + (i * 7_919) % 49_000)
}

fn sleeps<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    let mut tasks = Vec::with_capacity(SLEEPS as usize);
    side.run(threads, async move {
        let start = cpu_time();
        for _ in 0..times {
            tasks.extend((0..SLEEPS).map(|i| inside.spawn(sleep_for(inside, due(i)))));
            for task in tasks.drain(..) {
                task.await;
            }
        }
        cpu_time() - start
    })
}

async fn sleep_for<I: Inside>(inside: I, time: Duration) {
    inside.sleep(time).await;
}

fn heap_and_clock(times: u64) -> Duration {
    let mut heap = BinaryHeap::with_capacity(SLEEPS as usize);
    let start = cpu_time();
    for _ in 0..times {
        // Each asks for the time, as each of the tasks does.
        heap.extend((0..SLEEPS).map(|i| Reverse(Instant::now() + due(i))));
        while let Some(Reverse(next)) = heap.peek() {
            let now = Instant::now();
            if *next <= now {
                black_box(heap.pop());
            } else {
                // To the next millisecond, as a timer wheel would.
                thread::sleep((*next - now).max(Duration::from_millis(1)));
            }
        }
    }
    cpu_time() - start
}

/// Of the whole process: a runtime may have threads of its own.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The i-th sleep of the lateness row: 1 to 5 ms, and seldom a whole number of them.
fn odd(i: u64) -> Duration {
    Duration::from_micros(1_000 + (i * 1_237) % 4_000)
}

fn lateness<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let mut late = Duration::ZERO;
        for i in 0..times {
            let due = Instant::now() + odd(i);
            inside.sleep(odd(i)).await;
            late += due.elapsed();
        }
        late
    })
}

fn thread_lateness(times: u64) -> Duration {
    let sleep = |i| {
        let due = Instant::now() + odd(i);
        thread::sleep(odd(i));
        due.elapsed()
    };
    (0..times).map(sleep).sum()
}
