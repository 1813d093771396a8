//! The bench on which the models of a task run: a scheduler that is a list, a future that is a flag,
//! and counts of everything that must happen exactly once.

use super::super::body::{Plain, new_listed_task};
use super::super::cell::Task;
use super::super::join::JoinHandle;
use super::super::runnable::Runnable;
use super::super::schedule::{Schedule, Scheduled};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, UnsafeCell, lock};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a model counts; loom's atomics, so that the counts themselves are ordered.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) polls: AtomicUsize,
    pub(super) futures: AtomicUsize,
    pub(super) outputs: AtomicUsize,
    pub(super) cells: AtomicUsize,
}

impl Counts {
    pub(super) fn get(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A scheduler that keeps its runnables in a list. Lives in the cell, so its drop is the cell's.
struct Queue<const IN_PLACE: bool, const AT_HOME: bool> {
    runnables: Arc<Mutex<Vec<Runnable>>>,
    counts: Arc<Counts>,
}

impl<const IN_PLACE: bool, const AT_HOME: bool> Schedule for Queue<IN_PLACE, AT_HOME> {
    const CANCEL_IN_PLACE: bool = IN_PLACE;
    const AT_HOME: bool = AT_HOME;

    fn schedule(scheduled: Scheduled<Self>) {
        let runnables = scheduled.scheduler().runnables.clone();
        lock(&runnables).push(scheduled.into_runnable());
    }
}

impl<const IN_PLACE: bool, const AT_HOME: bool> Drop for Queue<IN_PLACE, AT_HOME> {
    fn drop(&mut self) {
        count(&self.counts.cells);
    }
}

/// Ready when the word behind it says so. The word is plain memory: loom complains unless
/// whoever writes it happens before the poll that is to read it.
pub(super) struct Body {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) waker: Mutex<Option<Waker>>,
    /// Set before the wake, in the places below that wake.
    pub(super) ready: AtomicBool,
}

impl Future for Body {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        count(&self.counts.polls);
        // Relaxed: the task's own word has to order it after the wake.
        if self.shared.ready.load(Ordering::Relaxed) {
            return Poll::Ready(Output {
                counts: self.counts.clone(),
                value: UnsafeCell::new(7),
            });
        }
        *lock(&self.shared.waker) = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        count(&self.counts.futures);
    }
}

pub(super) struct Output {
    counts: Arc<Counts>,
    value: UnsafeCell<u32>,
}

impl Output {
    pub(super) fn value(&self) -> u32 {
        // SAFETY: an output has one owner at a time; loom checks just that.
        self.value.with(|value| unsafe { *value })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        assert_eq!(self.value(), 7);
        count(&self.counts.outputs);
    }
}

/// One task, everything that can be done to it, and the sums at the end.
pub(super) struct Bench {
    pub(super) runnables: Arc<Mutex<Vec<Runnable>>>,
    pub(super) counts: Arc<Counts>,
    pub(super) shared: Arc<Shared>,
}

impl Bench {
    pub(super) fn new<const IN_PLACE: bool>(
        ready: bool,
    ) -> (Self, Runnable, JoinHandle<Output>, Task) {
        Self::on::<IN_PLACE, false>(ready)
    }

    /// On a scheduler of one thread, the model's main one.
    pub(super) fn new_at_home(ready: bool) -> (Self, Runnable, JoinHandle<Output>, Task) {
        Self::on::<false, true>(ready)
    }

    fn on<const IN_PLACE: bool, const AT_HOME: bool>(
        ready: bool,
    ) -> (Self, Runnable, JoinHandle<Output>, Task) {
        let bench = Self {
            runnables: Arc::default(),
            counts: Arc::default(),
            shared: Arc::default(),
        };
        bench.shared.ready.store(ready, Ordering::Relaxed);
        let body = Body {
            shared: bench.shared.clone(),
            counts: bench.counts.clone(),
        };
        let queue = Queue::<IN_PLACE, AT_HOME> {
            runnables: bench.runnables.clone(),
            counts: bench.counts.clone(),
        };
        let (runnable, handle, task) = new_listed_task(Plain(body), queue);
        (bench, runnable, handle, task)
    }

    /// Makes the body ready and hands out the waker of its last poll.
    pub(super) fn finish(&self) -> Waker {
        self.shared.ready.store(true, Ordering::Relaxed);
        self.waker()
    }

    pub(super) fn waker(&self) -> Waker {
        lock(&self.shared.waker).clone().expect("it was polled")
    }

    pub(super) fn next(&self) -> Option<Runnable> {
        lock(&self.runnables).pop()
    }

    /// Runs what is queued now.
    pub(super) fn run_queue(&self) {
        while let Some(runnable) = self.next() {
            runnable.run();
        }
    }

    /// The end: nobody is left, so everything is gone, once.
    pub(super) fn assert_gone(self, made_output: Option<bool>) {
        lock(&self.shared.waker).take();
        assert!(self.next().is_none());
        let counts = &self.counts;
        assert_eq!(Counts::get(&counts.futures), 1, "drops of the future");
        assert_eq!(Counts::get(&counts.cells), 1, "frees of the cell");
        let outputs = Counts::get(&counts.outputs);
        match made_output {
            Some(made) => assert_eq!(outputs, usize::from(made), "drops of the output"),
            None => assert!(outputs <= 1, "drops of the output"),
        }
    }
}
