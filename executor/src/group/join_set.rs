//! JoinSet: handles that come and go, results in the order of completion, and nothing left over.
//!
//! ```text
//!   insert ──> place n: handle ── completes ──> queue [n, ..] ──> join_next: result, place n vacant
//! ```
//!
//! Owns      the handles, by place. A place is used again when its result was taken.
//! Holds     S1 a place is in the queue at most once: its handle's waker is called once, and the
//!              place is vacant only after it came out. `detach_all` leaves the old queue behind,
//!              since what it lets go may still complete into it.
//! Cost      one allocation per handle (its notice, see `completion/queue.rs`); then a constant
//!           amount per result, however many handles there are.
//! Source    the interface is that of tokio's `JoinSet`. Next: `failure.rs`.

use crate::budget;
use crate::error::JoinError;
use crate::scheduler::{spawn, spawn_local};
use crate::task::completion::queue::CompletionQueue;
use crate::task::join::{AbortHandle, JoinHandle};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, ready};

/// A set of tasks and jobs, of any mode, whose results are taken as they come.
///
/// What is still in it when it is dropped is aborted. For a fixed number of handles of which each
/// result matters, [`as_completed`](crate::as_completed) is shorter; when one failure should stop
/// the others, see [`TaskGroup`](crate::TaskGroup).
///
/// | in tokio | here |
/// |---|---|
/// | `set.spawn(future)`, `spawn_local` | the same |
/// | `set.spawn_on(future, &handle)` | `set.insert(handle.spawn(future))` |
/// | `set.spawn_blocking(job)` | `set.insert(spawn_blocking(job))`, or of a pool: `set.insert(pool.submit(job))` |
///
/// # Cancellation
/// Dropping the set aborts all that is in it, and waits for nothing: a task ends at its next
/// await, a running thread job when it is done. [`shutdown`](Self::shutdown) waits.
///
/// # Example
/// ```
/// use tatkal_executor::{JoinSet, LocalExecutor, ThreadPool};
/// let pool = ThreadPool::new(1);
/// let sum = LocalExecutor::default().block_on(async {
///     let mut set = JoinSet::new();
///     for n in 0..10 {
///         set.spawn(async move { n });
///     }
///     set.insert(pool.submit(|| 55));
///     let mut sum = 0;
///     while let Some(result) = set.join_next().await {
///         sum += result.unwrap(); // in any order
///     }
///     sum
/// });
/// assert_eq!(sum, 100);
/// ```
#[must_use = "a set that is dropped aborts what is in it"]
pub struct JoinSet<T> {
    /// By place. None: vacant.
    handles: Vec<Option<JoinHandle<T>>>,
    vacant: Vec<usize>,
    finished: CompletionQueue,
}

impl<T> JoinSet<T> {
    /// A set of nothing.
    pub fn new() -> Self {
        Self {
            handles: Vec::new(),
            vacant: Vec::new(),
            finished: CompletionQueue::new(),
        }
    }

    /// How many are in it, finished or not: results that [`join_next`](Self::join_next) will give.
    pub fn len(&self) -> usize {
        self.handles.len() - self.vacant.len()
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Spawns a future as [`spawn`](crate::spawn) does, and takes in its handle.
    ///
    /// # Panics
    /// Outside of an executor.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.insert(spawn(future))
    }

    /// Spawns a future as [`spawn_local`](crate::spawn_local) does, and takes in its handle.
    ///
    /// # Panics
    /// Outside of a one-thread executor.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        self.insert(spawn_local(future))
    }

    /// Takes in a handle, of whichever mode. Its result is given by
    /// [`join_next`](Self::join_next); what is returned here can stop it before.
    ///
    /// # Panics
    /// When the handle has given its result already.
    #[track_caller]
    pub fn insert(&mut self, mut handle: JoinHandle<T>) -> AbortHandle {
        assert!(
            !handle.has_given_result(),
            "the JoinHandle has already given its result"
        );
        let abort = handle.abort_handle();
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.handles.push(None);
            self.handles.len() - 1
        });
        self.finished.watch(place, &mut handle);
        self.handles[place] = Some(handle);
        abort
    }

    /// The result of the next one that finishes; `None` when the set is empty.
    ///
    /// Those that have finished come in the order in which they did.
    ///
    /// # Errors
    /// Each result is that of its handle: see [`JoinError`].
    ///
    /// # Cancellation
    /// Safe: a `join_next` that is dropped while it waits has taken nothing.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), for hand-written futures: the waker of the last poll is
    /// called when there is something to take.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        ready!(budget::poll_proceed(cx));
        let place = ready!(self.finished.poll_pop(cx));
        budget::spend();
        Poll::Ready(Some(self.take(place)))
    }

    /// The result of one that has finished, without waiting; `None` when none has.
    ///
    /// # Errors
    /// Each result is that of its handle: see [`JoinError`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let place = self.finished.pop()?;
        Some(self.take(place))
    }

    fn take(&mut self, place: usize) -> Result<T, JoinError> {
        let mut handle = self.handles[place]
            .take()
            .expect("S1: a place comes out of the queue once");
        self.vacant.push(place);
        handle.read_output()
    }

    /// Waits for all, and gives their values in the order in which they finished.
    ///
    /// # Panics
    /// With the panic of the first that panicked, or when one has no value for another reason; the
    /// rest is aborted then.
    ///
    /// # Cancellation
    /// Dropping it aborts what has not finished.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(value) => values.push(value),
                Err(JoinError::Panicked(report)) => report.resume(),
                Err(error) => panic!("a member of the set has no value: {error}"),
            }
        }
        values
    }

    /// Asks all of them to stop, as [`JoinHandle::abort`] does. Their results still come:
    /// `Cancelled`, or what was finished first.
    pub fn abort_all(&mut self) {
        for handle in self.handles.iter().flatten() {
            handle.abort();
        }
    }

    /// Asks all of them to stop, and waits until they have.
    ///
    /// # Cancellation
    /// Dropped while it waits, the set still holds those that have not stopped.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Lets all of them run on without the set, which is empty then.
    pub fn detach_all(&mut self) {
        // S1. And all of it before the drops, which may be those of results, and panic.
        self.finished = CompletionQueue::new();
        self.vacant.clear();
        drop(mem::take(&mut self.handles));
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Extend<JoinHandle<T>> for JoinSet<T> {
    fn extend<I: IntoIterator<Item = JoinHandle<T>>>(&mut self, handles: I) {
        for handle in handles {
            self.insert(handle);
        }
    }
}

impl<T> FromIterator<JoinHandle<T>> for JoinSet<T> {
    fn from_iter<I: IntoIterator<Item = JoinHandle<T>>>(handles: I) -> Self {
        let mut set = Self::new();
        set.extend(handles);
        set
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
