//! What does a timer cost? 1,000 sleeps that fire, and a timeout that never does.
//!
//! The sleeps are due between 1 and 5 ms after the start, the same for both; most of that time
//! both wait, so the smaller number is who adds less to it. The timeout wraps a future that is
//! ready at once, and one that needs a second poll: created, awaited, dropped.
//! `cargo bench --bench timers`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::time::{Duration, Instant};

const SLEEPS: u64 = 1_000;
const FAR: Duration = Duration::from_secs(60);

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The i-th sleep: 1 to 5 ms, spread evenly and out of order.
fn due(i: u64) -> Duration {
    Duration::from_micros(1_000 + (i * 7_919) % 4_000)
}

fn sleeps(c: &mut Criterion) {
    let mut group = c.benchmark_group("1,000 sleeps of 1 to 5 ms");
    group.sample_size(30);
    let ours = tatkal::Runtime::new().unwrap();
    group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
        b.iter(|| {
            ours.block_on(async {
                let sleeps = (0..SLEEPS).map(|i| tatkal::spawn(tatkal::sleep(due(i))));
                for sleep in sleeps.collect::<Vec<_>>() {
                    sleep.await.unwrap();
                }
            });
        });
    });
    let theirs = tokio();
    group.bench_function(BenchmarkId::new("tokio", 1), |b| {
        b.iter(|| {
            theirs.block_on(async {
                let sleeps = (0..SLEEPS)
                    .map(|i| tokio::spawn(async move { tokio::time::sleep(due(i)).await }));
                for sleep in sleeps.collect::<Vec<_>>() {
                    sleep.await.unwrap();
                }
            });
        });
    });
    group.finish();
}

/// One group for a future that needs `polls` polls.
macro_rules! timeouts {
    ($c:expr, $name:literal, $future:expr, $their_future:expr) => {{
        let mut group = $c.benchmark_group($name);
        let ours = tatkal::Runtime::new().unwrap();
        group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
            b.iter_custom(|times| {
                ours.block_on(async {
                    let start = Instant::now();
                    for _ in 0..times {
                        tatkal::timeout(FAR, $future).await.unwrap();
                    }
                    start.elapsed()
                })
            });
        });
        let theirs = tokio();
        group.bench_function(BenchmarkId::new("tokio", 1), |b| {
            b.iter_custom(|times| {
                theirs.block_on(async {
                    let start = Instant::now();
                    for _ in 0..times {
                        tokio::time::timeout(FAR, $their_future).await.unwrap();
                    }
                    start.elapsed()
                })
            });
        });
        group.finish();
    }};
}

fn timeouts(c: &mut Criterion) {
    timeouts!(c, "timeout around a ready future", async {}, async {});
    timeouts!(
        c,
        "timeout around a future that yields once",
        tatkal::yield_now(),
        tokio::task::yield_now()
    );
}

criterion_group!(benches, sleeps, timeouts);
criterion_main!(benches);
