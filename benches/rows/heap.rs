//! What does a task weigh? Bytes on the heap for each of 10,000 tasks that wait, with a future of
//! 64 bytes: what was asked of the allocator, all that the runtime keeps for them included (its
//! list of live tasks, its queues), the 10,000 handles not. On two threads one of them spawns, and
//! both poll.
//!
//! A program that counts its bytes is not one that is timed, so this starts the program anew with
//! the allocator that counts, and asks it for the number.

use super::allocator::{VARIABLE, live_bytes};
use super::sides::{Inside, Ours, Side, Smol, Tokio};
use super::{Contender, Cost, Row};
use std::env;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

const TASKS: usize = 10_000;

/// Tells a program that was started to count the contender's name and its number of threads.
const QUESTION: &str = "BENCH_COUNT_HEAP_OF";

pub fn rows() -> Vec<Row> {
    let names = [Ours::NAME, Tokio::NAME, Smol::NAME];
    let row = |threads| Row {
        workload: "heap per idle task, future of 64 bytes",
        threads,
        note: "as asked of the allocator",
        cost: Cost::Bytes,
        contenders: names.map(|name| contender(name, threads)).into(),
    };
    vec![row(1), row(2)]
}

/// Answers and returns true when this program was started to count.
pub fn answer() -> bool {
    let Ok(question) = env::var(QUESTION) else {
        return false;
    };
    let (name, threads) = question.split_once(' ').expect("a name and a number");
    let threads = threads.parse().expect("a number of threads");
    let bytes = match name {
        Ours::NAME => weigh::<Ours>(threads),
        Tokio::NAME => weigh::<Tokio>(threads),
        Smol::NAME => weigh::<Smol>(threads),
        other => panic!("nobody is called {other}"),
    };
    println!("{bytes}");
    true
}

fn contender(name: &'static str, threads: usize) -> Contender {
    Contender {
        name,
        // It is the same each time, so it is asked once.
        start: Box::new(move || {
            let bytes = ask(name, threads);
            Box::new(move |times| bytes * times as f64)
        }),
    }
}

fn ask(name: &str, threads: usize) -> f64 {
    let program = env::current_exe().expect("the program has a path");
    let output = Command::new(program)
        .env(VARIABLE, "counting")
        .env(QUESTION, format!("{name} {threads}"))
        .output()
        .expect("the program starts");
    let answer = String::from_utf8(output.stdout).expect("a number is text");
    answer.trim().parse().expect("the answer is a number")
}

/// How many tasks have been polled.
static POLLED: AtomicUsize = AtomicUsize::new(0);

/// Waits for ever. 64 bytes.
struct Idle {
    _state: [u64; 8],
}

impl Future for Idle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        POLLED.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    }
}

fn weigh<S: Side>(threads: usize) -> u64 {
    let side = S::new(threads);
    let inside = side.inside();
    side.run(threads, async move {
        let mut handles = Vec::with_capacity(TASKS);
        // What a first task brings into being is not the tasks'.
        inside.spawn(async {}).await;
        let before = live_bytes();
        handles.extend((0..TASKS).map(|i| {
            inside.spawn(Idle {
                _state: [i as u64; 8],
            })
        }));
        while POLLED.load(Ordering::Relaxed) < TASKS {
            inside.yield_now().await;
        }
        let bytes = live_bytes() - before;
        handles.into_iter().for_each(std::mem::forget); // smol's would cancel one by one
        (bytes as u64).div_ceil(TASKS as u64) // the list of live tasks grows in steps
    })
}
