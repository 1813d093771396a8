//! What does a task cost? Spawn one and join it; spawn 10,000 and join them; yield.
//!
//! Both runtimes on one thread with their event loop, default settings, nothing else to do; the
//! futures are the same. `cargo bench --bench tasks`; each time is for the whole group of tasks.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const MANY: u64 = 10_000;
const YIELDERS: u64 = 100;
const YIELDS: u64 = 100;

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn spawn_one(c: &mut Criterion) {
    let mut group = c.benchmark_group("spawn one and join");
    group.throughput(Throughput::Elements(1));
    let ours = tatkal::Runtime::new().unwrap();
    group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
        // Inside one `block_on`, so that entering it is not what is measured.
        b.iter_custom(|times| {
            ours.block_on(async {
                let start = std::time::Instant::now();
                for i in 0..times {
                    black_box(tatkal::spawn(async move { i }).await.unwrap());
                }
                start.elapsed()
            })
        });
    });
    let theirs = tokio();
    group.bench_function(BenchmarkId::new("tokio", 1), |b| {
        b.iter_custom(|times| {
            theirs.block_on(async {
                let start = std::time::Instant::now();
                for i in 0..times {
                    black_box(tokio::spawn(async move { i }).await.unwrap());
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

fn spawn_many(c: &mut Criterion) {
    let mut group = c.benchmark_group("spawn 10,000 and join");
    group.throughput(Throughput::Elements(MANY));
    let ours = tatkal::Runtime::new().unwrap();
    group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
        b.iter_batched(
            || Vec::with_capacity(MANY as usize),
            |mut handles| {
                ours.block_on(async {
                    handles.extend((0..MANY).map(|i| tatkal::spawn(async move { i })));
                    for handle in handles {
                        black_box(handle.await.unwrap());
                    }
                });
            },
            BatchSize::LargeInput,
        );
    });
    let theirs = tokio();
    group.bench_function(BenchmarkId::new("tokio", 1), |b| {
        b.iter_batched(
            || Vec::with_capacity(MANY as usize),
            |mut handles| {
                theirs.block_on(async {
                    handles.extend((0..MANY).map(|i| tokio::spawn(async move { i })));
                    for handle in handles {
                        black_box(handle.await.unwrap());
                    }
                });
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn yields(c: &mut Criterion) {
    let mut group = c.benchmark_group("100 tasks yield 100 times");
    group.throughput(Throughput::Elements(YIELDERS * YIELDS));
    let ours = tatkal::Runtime::new().unwrap();
    group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
        b.iter(|| {
            ours.block_on(async {
                let tasks = (0..YIELDERS).map(|_| {
                    tatkal::spawn(async {
                        for _ in 0..YIELDS {
                            tatkal::yield_now().await;
                        }
                    })
                });
                for task in tasks.collect::<Vec<_>>() {
                    task.await.unwrap();
                }
            });
        });
    });
    let theirs = tokio();
    group.bench_function(BenchmarkId::new("tokio", 1), |b| {
        b.iter(|| {
            theirs.block_on(async {
                let tasks = (0..YIELDERS).map(|_| {
                    tokio::spawn(async {
                        for _ in 0..YIELDS {
                            tokio::task::yield_now().await;
                        }
                    })
                });
                for task in tasks.collect::<Vec<_>>() {
                    task.await.unwrap();
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, spawn_one, spawn_many, yields);
criterion_main!(benches);
