//! What does it cost to hand a job to a thread? From a task (`spawn_blocking`), and from a thread
//! to a pool. And to a process?
//!
//! tokio may start 512 threads for blocking jobs unless it is told otherwise, and its docs leave it
//! at that; so it runs twice, as it comes and held to our number of threads. Where handles are
//! joined, both join all of them; where nobody has handles (rayon, a queue), no one does, and the
//! last job stops the clock. A process job crosses two sockets and serde; tokio has nothing like
//! it, so its row stands beside the same `spawn_blocking` and shows what isolation costs.

use super::meet::Countdown;
use super::{Contender, Cost, Row};
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const BLOCKING: u64 = 10_000;
const NO_OPS: u64 = 100_000;
const CROSSINGS: u64 = 1_000;

pub fn rows() -> Vec<Row> {
    let row = |workload, threads, note, contenders| Row {
        workload,
        threads,
        note,
        cost: Cost::Time,
        contenders,
    };
    vec![
        row(
            "10,000 spawn_blocking and join",
            WORKERS,
            "ours with 2 blocking threads",
            vec![
                blocking_ours("tatkal", Some(WORKERS)),
                blocking_tokio("tokio", None),
                blocking_tokio("tokio, 2 blocking threads", Some(WORKERS)),
            ],
        ),
        row(
            "10,000 spawn_blocking and join, defaults",
            1,
            "ours may start CPUs + 4 threads, tokio 512",
            vec![blocking_ours("tatkal", None), blocking_tokio("tokio", None)],
        ),
        row(
            "thread pool, 100,000 no-ops",
            WORKERS,
            "until the last has run",
            vec![pool_ours(), pool_tokio(), pool_rayon(), pool_crossbeam()],
        ),
        row(
            "thread pool, 100,000 no-ops, joined",
            WORKERS,
            "every result comes back; tokio's oneshot where there are no handles",
            vec![
                joined_ours(),
                joined_tokio(),
                joined_rayon(),
                joined_crossbeam(),
            ],
        ),
        row(
            "process pool, 1,000 jobs and join",
            WORKERS,
            "tokio's jobs cross no process",
            vec![processes(), blocking_threads()],
        ),
    ]
}

fn blocking_ours(name: &'static str, threads: Option<usize>) -> Contender {
    Contender::new(name, move || {
        let mut builder = tatkal::Runtime::builder();
        if let Some(threads) = threads {
            builder = builder.blocking_threads(threads);
        }
        let runtime = builder.build().unwrap();
        move |times| {
            runtime.block_on(async {
                let mut handles = Vec::with_capacity(BLOCKING as usize);
                let start = Instant::now();
                for _ in 0..times {
                    handles
                        .extend((0..BLOCKING).map(|i| tatkal::spawn_blocking(move || add_one(i))));
                    for handle in handles.drain(..) {
                        black_box(handle.await.unwrap());
                    }
                }
                start.elapsed()
            })
        }
    })
}

fn blocking_tokio(name: &'static str, threads: Option<usize>) -> Contender {
    use tokio::task::spawn_blocking;
    Contender::new(name, move || {
        let runtime = tokio(threads);
        move |times| {
            runtime.block_on(async {
                let mut handles = Vec::with_capacity(BLOCKING as usize);
                let start = Instant::now();
                for _ in 0..times {
                    handles.extend((0..BLOCKING).map(|i| spawn_blocking(move || add_one(i))));
                    for handle in handles.drain(..) {
                        black_box(handle.await.unwrap());
                    }
                }
                start.elapsed()
            })
        }
    })
}

fn tokio(blocking_threads: Option<usize>) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    if let Some(threads) = blocking_threads {
        builder.max_blocking_threads(threads);
    }
    builder.build().unwrap()
}

/// Submits jobs that count down, and waits for the last.
fn no_ops(times: u64, submit: impl Fn(Arc<Countdown>)) -> Duration {
    let once = |_| {
        let countdown = Arc::new(Countdown::start(NO_OPS as usize));
        for _ in 0..NO_OPS {
            submit(countdown.clone());
        }
        countdown.wait()
    };
    (0..times).map(once).sum()
}

fn pool_ours() -> Contender {
    Contender::new("tatkal", || {
        let pool = tatkal::ThreadPool::new(WORKERS);
        move |times| {
            no_ops(times, |countdown| {
                pool.submit(move || countdown.count_down()).detach();
            })
        }
    })
}

fn pool_tokio() -> Contender {
    Contender::new("tokio", || {
        let runtime = tokio(Some(WORKERS));
        move |times| {
            no_ops(times, |countdown| {
                drop(runtime.spawn_blocking(move || countdown.count_down()));
            })
        }
    })
}

fn pool_rayon() -> Contender {
    Contender::new("rayon", || {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .build()
            .unwrap();
        move |times| {
            no_ops(times, |countdown| {
                pool.spawn(move || {
                    countdown.count_down();
                });
            })
        }
    })
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that take boxed closures out of crossbeam's unbounded channel: its list of blocks of
/// `crossbeam-queue`, with a way to sleep. The least that is a pool.
fn crossbeam_pool() -> crossbeam_channel::Sender<Job> {
    let (sender, receiver) = crossbeam_channel::unbounded::<Job>();
    for _ in 0..WORKERS {
        let receiver = receiver.clone();
        // They end with the sender.
        thread::spawn(move || receiver.into_iter().for_each(|job| job()));
    }
    sender
}

fn pool_crossbeam() -> Contender {
    Contender::new("crossbeam channel", || {
        let sender = crossbeam_pool();
        move |times| {
            no_ops(times, |countdown| {
                let job = Box::new(move || {
                    countdown.count_down();
                });
                sender.send(job).unwrap();
            })
        }
    })
}

/// Submits jobs that return a number, and then takes every number.
fn joined<H>(times: u64, submit: impl Fn(u64) -> H, join: impl Fn(H) -> u64) -> Duration {
    let mut handles = Vec::with_capacity(NO_OPS as usize);
    let start = Instant::now();
    for _ in 0..times {
        handles.extend((0..NO_OPS).map(&submit));
        for handle in handles.drain(..) {
            black_box(join(handle));
        }
    }
    start.elapsed()
}

fn joined_ours() -> Contender {
    Contender::new("tatkal", || {
        let pool = tatkal::ThreadPool::new(WORKERS);
        move |times| {
            let submit = |i| pool.submit(move || add_one(i));
            joined(times, submit, |handle| handle.join().unwrap())
        }
    })
}

/// tokio has no join for threads, so a task does it.
fn joined_tokio() -> Contender {
    Contender::new("tokio", || {
        let runtime = tokio(Some(WORKERS));
        move |times| {
            runtime.block_on(async {
                let mut handles = Vec::with_capacity(NO_OPS as usize);
                let start = Instant::now();
                for _ in 0..times {
                    let job = |i| tokio::task::spawn_blocking(move || add_one(i));
                    handles.extend((0..NO_OPS).map(job));
                    for handle in handles.drain(..) {
                        black_box(handle.await.unwrap());
                    }
                }
                start.elapsed()
            })
        }
    })
}

fn joined_rayon() -> Contender {
    Contender::new("rayon", || {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .build()
            .unwrap();
        move |times| {
            let submit = |i| {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                pool.spawn(move || sender.send(add_one(i)).unwrap());
                receiver
            };
            joined(times, submit, |receiver| receiver.blocking_recv().unwrap())
        }
    })
}

fn joined_crossbeam() -> Contender {
    Contender::new("crossbeam channel", || {
        let sender = crossbeam_pool();
        move |times| {
            let submit = |i| {
                let (reply, receiver) = tokio::sync::oneshot::channel();
                let job = Box::new(move || reply.send(add_one(i)).unwrap());
                sender.send(job).unwrap();
                receiver
            };
            joined(times, submit, |receiver| receiver.blocking_recv().unwrap())
        }
    })
}

fn add_one(i: u64) -> u64 {
    black_box(i) + 1
}

fn processes() -> Contender {
    Contender::new("tatkal", || {
        let pool = tatkal::ProcessPool::new(WORKERS).expect("main started the fork server");
        move |times| {
            let start = Instant::now();
            for _ in 0..times {
                let handles: Vec<_> = (0..CROSSINGS).map(|i| pool.submit(add_one, i)).collect();
                for handle in handles {
                    black_box(handle.join().unwrap());
                }
            }
            start.elapsed()
        }
    })
}

fn blocking_threads() -> Contender {
    Contender::new("tokio", || {
        let runtime = tokio(Some(WORKERS));
        move |times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let job = |i| tokio::task::spawn_blocking(move || add_one(i));
                    let handles: Vec<_> = (0..CROSSINGS).map(job).collect();
                    for handle in handles {
                        black_box(handle.await.unwrap());
                    }
                }
                start.elapsed()
            })
        }
    })
}
