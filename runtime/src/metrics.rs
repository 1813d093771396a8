//! What a runtime has done, and what it has to do, in numbers.
//!
//! The counters are the executor's (`scheduler/metrics.rs` there): one addition each, by the one
//! thread that counts. The rest is asked for when somebody reads. Next: `handle.rs`.

use crate::context::{Shared, Spawner};
use tatkal_executor::WorkerMetrics;

/// What a runtime has done so far, and how much it has to do now: see
/// [`Handle::metrics`](crate::Handle::metrics).
///
/// The numbers are read one after the other while the runtime goes on. Each is right by itself,
/// and none goes backwards that counts what was done; but two of them may belong to slightly
/// different moments: more may seem to be complete than was spawned.
///
/// # Cost
/// Counting costs a worker one addition to memory of its own per event. Reading takes a few short
/// locks, some of them the runtime's: once a second is free, once a task is not.
///
/// # Example
/// ```
/// let runtime = tatkal::Runtime::builder().worker_threads(2).build()?;
/// runtime.spawn(async {}).join().unwrap();
/// let metrics = runtime.metrics();
/// assert_eq!(metrics.workers.len(), 2);
/// println!("{} polls so far", metrics.total().polls); // one counts when it is over
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RuntimeMetrics {
    /// What each worker has done; on a one-thread runtime that is one, the thread in `block_on`.
    pub workers: Vec<WorkerMetrics>,
    /// Tasks that were spawned and are not complete.
    ///
    /// On a one-thread runtime, this and the depth of its queue are from the last time when its
    /// thread looked for events (a few dozen polls ago at most), or went to sleep.
    pub live_tasks: usize,
    /// Tasks in the queue that all workers take from: what other threads spawned and woke, and
    /// what was too much for a worker's own queue.
    pub inject_depth: usize,
    /// Threads for blocking work: [`spawn_blocking`](crate::spawn_blocking) and name lookups.
    pub blocking_threads: usize,
    /// Those of them that have nothing to do.
    pub idle_blocking_threads: usize,
    /// Blocking jobs that wait for a thread.
    pub blocking_queue_depth: usize,
    /// Descriptors that the event loop watches: sockets, and those of `Async`.
    pub io_sources: usize,
    /// Timers that the event loop knows: sleeps and intervals that a task waits for. One that was
    /// dropped may count for a while; one that was first polled just now, not yet.
    pub timers: usize,
}

impl RuntimeMetrics {
    /// What all workers have done together.
    pub fn total(&self) -> WorkerMetrics {
        self.workers.iter().copied().sum()
    }

    pub(crate) fn read(shared: &Shared, spawner: &Spawner) -> RuntimeMetrics {
        let (workers, live_tasks, inject_depth) = match spawner {
            Spawner::One(one) => (vec![one.metrics()], one.live_tasks(), one.inject_depth()),
            Spawner::Many(many) => (
                many.worker_metrics(),
                many.live_tasks(),
                many.inject_depth(),
            ),
        };
        RuntimeMetrics {
            workers,
            live_tasks,
            inject_depth,
            blocking_threads: shared.pool.threads(),
            idle_blocking_threads: shared.pool.idle_threads(),
            blocking_queue_depth: shared.pool.queued(),
            io_sources: shared.registry.len(),
            timers: shared.timers.len(),
        }
    }
}
