//! What does handing a job to a pool cost? 1,000 jobs that add one, submitted and then joined.
//!
//! Ours on two threads and on two processes, tokio's `spawn_blocking` on two threads (by default
//! it may start 512, which is another question). A process job also crosses two pipes and serde:
//! tokio has nothing like it, so its row stands beside the same peer and shows what isolation
//! costs. `cargo bench --bench pools`.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use tatkal::{ForkServer, ProcessPool, ThreadPool};

const JOBS: u64 = 1_000;
const WORKERS: usize = 2;

fn add_one(x: u64) -> u64 {
    black_box(x) + 1
}

fn pools(c: &mut Criterion) {
    let mut group = c.benchmark_group("submit 1,000 jobs and join");
    group.throughput(Throughput::Elements(JOBS));
    let threads = ThreadPool::new(WORKERS);
    group.bench_function(BenchmarkId::new("tatkal threads", WORKERS), |b| {
        b.iter(|| {
            let handles: Vec<_> = (0..JOBS)
                .map(|i| threads.submit(move || add_one(i)))
                .collect();
            for handle in handles {
                black_box(handle.join().unwrap());
            }
        });
    });
    let tokio = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(WORKERS)
        .build()
        .unwrap();
    group.bench_function(BenchmarkId::new("tokio spawn_blocking", WORKERS), |b| {
        b.iter(|| {
            tokio.block_on(async {
                let handles: Vec<_> = (0..JOBS)
                    .map(|i| tokio::task::spawn_blocking(move || add_one(i)))
                    .collect();
                for handle in handles {
                    black_box(handle.await.unwrap());
                }
            });
        });
    });
    let processes = ProcessPool::new(WORKERS).expect("the fork server was started first");
    group.bench_function(BenchmarkId::new("tatkal processes", WORKERS), |b| {
        b.iter(|| {
            let handles: Vec<_> = (0..JOBS).map(|i| processes.submit(add_one, i)).collect();
            for handle in handles {
                black_box(handle.join().unwrap());
            }
        });
    });
    group.finish();
}

fn main() {
    // Before the first thread, of which criterion and the pools make several.
    ForkServer::start().expect("this is the first line of main");
    let mut criterion = Criterion::default().configure_from_args();
    pools(&mut criterion);
    criterion.final_summary();
}
