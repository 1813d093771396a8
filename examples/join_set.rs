//! Many tasks, one owner: `JoinSet` takes results as they come, `TaskGroup` stops all when one
//! fails.
//!
//! ```text
//! cargo run --example join_set
//! ```
//!
//! It prints the numbers of five tasks in the order in which they end, the sum of what three modes
//! computed, and then a failure, and that nothing of the group was left.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tatkal::{JoinSet, Runtime, TaskGroup, ThreadPool, sleep, spawn_blocking};

fn main() -> io::Result<()> {
    let runtime = Runtime::builder().worker_threads(2).build()?;
    runtime.block_on(async {
        in_the_order_of_their_end().await;
        one_handle_for_every_mode().await;
        one_failure_stops_all().await;
    });
    Ok(())
}

async fn in_the_order_of_their_end() {
    let mut set = JoinSet::new();
    for n in [5, 1, 4, 2, 3] {
        set.spawn(async move {
            sleep(n * Duration::from_millis(20)).await;
            n
        });
    }
    while let Some(result) = set.join_next().await {
        print!("{} ", result.expect("it did not panic"));
    }
    println!("came home");
}

async fn one_handle_for_every_mode() {
    let pool = ThreadPool::new(1);
    let mut set = JoinSet::new();
    set.spawn(async { 1 });
    set.insert(spawn_blocking(|| 20));
    set.insert(pool.submit(|| 300));
    println!("sum: {}", set.join_all().await.iter().sum::<u32>());
}

/// Counts those that are there.
struct Present(Arc<AtomicUsize>);

impl Present {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn one_failure_stops_all() {
    let present = Arc::new(AtomicUsize::new(0));
    let failed = TaskGroup::scope(async |group| {
        for n in 0..100 {
            let here = Present::of(&present);
            group.spawn(async move {
                let _here = here;
                sleep(Duration::from_millis(n)).await;
                match n {
                    42 => Err(format!("number {n} would not")),
                    _ => Ok(()),
                }
            });
        }
        println!("{} members", group.len());
        Ok(())
    });
    println!("{}", failed.await.unwrap_err());
    println!("{} of them left", present.load(Ordering::Relaxed));
}
