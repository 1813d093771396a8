//! What a worker has done so far: counters that cost it one addition each.
//!
//! Each counter has one writer, the worker, so a load and a store make an addition: no locked
//! instruction, and no cache line that moves unless somebody reads. Whoever reads sees a number
//! that was right a moment ago.
//!
//! Next: `single.rs`.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::iter::Sum;

/// What one worker has done so far, and how much waits for it now.
///
/// The numbers are read while the worker goes on: each is right by itself, but they belong to
/// slightly different moments. Those of several workers add up: the type implements [`Sum`].
///
/// # Example
/// ```
/// use tatkal_executor::{MultiExecutor, WorkerMetrics};
/// let executor = MultiExecutor::new(2)?;
/// executor.handle().spawn(async {}).join().unwrap();
/// let all: WorkerMetrics = executor.worker_metrics().into_iter().sum();
/// println!("{} polls, {} sleeps", all.polls, all.parks);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Polls of tasks. With several workers one counts when it is over, so a task may be joined
    /// before its last poll counts.
    pub polls: u64,
    /// Times it went to sleep.
    pub parks: u64,
    /// With several workers: times it was woken to look for work. With one thread: tasks that other
    /// threads spawned or woke.
    pub wakes: u64,
    /// Times it looked for work in the other workers' queues.
    pub searches: u64,
    /// Times it found some there.
    pub steals: u64,
    /// Times its queue was full and half of it moved to the inject queue.
    pub overflows: u64,
    /// Tasks in its queue now.
    pub queue_depth: usize,
}

impl Sum for WorkerMetrics {
    fn sum<I: Iterator<Item = Self>>(workers: I) -> Self {
        workers.fold(Self::default(), |sum, worker| Self {
            polls: sum.polls + worker.polls,
            parks: sum.parks + worker.parks,
            wakes: sum.wakes + worker.wakes,
            searches: sum.searches + worker.searches,
            steals: sum.steals + worker.steals,
            overflows: sum.overflows + worker.overflows,
            queue_depth: sum.queue_depth + worker.queue_depth,
        })
    }
}

/// The counters behind [`WorkerMetrics`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) polls: Counter,
    pub(super) parks: Counter,
    pub(super) wakes: Counter,
    pub(super) searches: Counter,
    pub(super) steals: Counter,
    pub(super) overflows: Counter,
}

impl Counters {
    pub(super) fn read(&self, queue_depth: usize) -> WorkerMetrics {
        WorkerMetrics {
            polls: self.polls.get(),
            parks: self.parks.get(),
            wakes: self.wakes.get(),
            searches: self.searches.get(),
            steals: self.steals.get(),
            overflows: self.overflows.get(),
            queue_depth,
        }
    }
}

/// A number that one thread counts up and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// One more. Only the counter's own worker calls this.
    #[inline]
    pub(super) fn count(&self) {
        self.add(1);
    }

    /// Several more. Only the counter's own worker calls this.
    #[inline]
    pub(super) fn add(&self, more: u64) {
        // Relaxed, and not one atomic addition: there is one writer, and nothing is published.
        self.0
            .store(self.0.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// As many as there are now: for what goes down again. Only the counter's own worker calls this.
    #[inline]
    pub(super) fn set(&self, value: usize) {
        // Relaxed: a statistic.
        self.0.store(value as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        // Relaxed: a statistic.
        self.0.load(Ordering::Relaxed)
    }
}
