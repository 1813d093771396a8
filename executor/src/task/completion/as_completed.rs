//! as_completed: each result as soon as it is there.
//!
//! Two types, because one with both an iterator's and a stream's `next` would leave `.next()`
//! ambiguous: [`AsCompleted`] for threads, and [`AsCompletedStream`] for tasks. Next: `wait.rs`.

use super::queue::CompletionQueue;
use crate::block_on::block_on_with;
use crate::budget;
use crate::error::JoinError;
use crate::park::Vigil;
use crate::task::join::JoinHandle;
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::iter::FusedIterator;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Gives the results of many handles in the order in which they finish, each with the place of
/// its handle in the input.
///
/// The handles may come from different modes. Those that had finished before the call come in
/// input order. Each handle is released as its result is given, so memory shrinks on the way.
///
/// An iterator for threads; a task uses [`AsCompleted::into_stream`].
///
/// # Cancellation
/// Dropping it detaches what has not been given: the work runs on. See
/// [`AsCompleted::abort_all`].
///
/// # Panics
/// When one of the handles has given its result already.
///
/// # Cost
/// One allocation per handle, here. Then a constant amount per result, however many handles there
/// are.
///
/// # Example
/// ```
/// use tatkal_executor::{ThreadPool, as_completed};
/// let pool = ThreadPool::new(4);
/// let handles = ["yemen", "zambia", "vietnam"].map(|name| pool.submit(move || name.len()));
/// let mut results = [0; 3];
/// for (place, length) in as_completed(handles) {
///     results[place] = length.unwrap(); // in any order
/// }
/// assert_eq!(results, [5, 6, 7]);
/// ```
#[track_caller]
pub fn as_completed<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    let finished = CompletionQueue::new();
    let mut watched = Vec::new();
    for (place, mut handle) in handles.into_iter().enumerate() {
        assert!(
            !handle.has_given_result(),
            "the JoinHandle at place {place} has already given its result"
        );
        finished.watch(place, &mut handle);
        watched.push(Some(handle));
    }
    AsCompleted {
        first: 0,
        left: watched.len(),
        handles: watched,
        finished,
    }
}

/// The iterator of [`as_completed`].
///
/// `next` waits for the next result. On a thread that runs an executor it panics when it would
/// have to wait; use [`into_stream`](Self::into_stream) there.
#[must_use = "results that nobody asks for are detached"]
pub struct AsCompleted<T> {
    /// None: given.
    handles: Vec<Option<JoinHandle<T>>>,
    /// Those before it are given.
    first: usize,
    left: usize,
    finished: CompletionQueue,
}

/// A result, and the place of its handle in the input.
type Completed<T> = (usize, Result<T, JoinError>);

/// Nothing finished within the limit. Nothing is lost: ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet;

impl<T> AsCompleted<T> {
    /// As `next`, but waits for at most `limit`.
    ///
    /// # Errors
    /// [`NotYet`] when nothing finished within the limit.
    ///
    /// # Panics
    /// As `next`.
    #[track_caller]
    pub fn next_timeout(&mut self, limit: Duration) -> Result<Option<Completed<T>>, NotYet> {
        if let Poll::Ready(next) = self.poll_now() {
            return Ok(next);
        }
        // Past the end of the clock is no deadline.
        let deadline = Instant::now().checked_add(limit);
        let vigil = self.vigil();
        let next = pin!(poll_fn(|cx| self.poll_next(cx)));
        block_on_with(vigil, next, deadline).ok_or(NotYet)
    }

    /// Asks everything that has not been given to stop, as [`JoinHandle::abort`] does. The
    /// results still come: `Cancelled`, or what was finished first.
    pub fn abort_all(&self) {
        for handle in self.handles.iter().flatten() {
            handle.abort();
        }
    }

    /// The same as a stream, for tasks.
    pub fn into_stream(self) -> AsCompletedStream<T> {
        AsCompletedStream { results: self }
    }

    /// What a plain thread may wait on: what it would wait on for the first of those that are left.
    fn vigil(&mut self) -> Option<Box<dyn Vigil>> {
        while self.handles.get(self.first).is_some_and(Option::is_none) {
            self.first += 1;
        }
        self.handles.get(self.first)?.as_ref()?.vigil()
    }

    /// Without waiting.
    fn poll_now(&mut self) -> Poll<Option<Completed<T>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match self.finished.pop() {
            Some(place) => Poll::Ready(Some(self.give(place))),
            None => Poll::Pending,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Completed<T>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(budget::poll_proceed(cx));
        let place = ready!(self.finished.poll_pop(cx));
        budget::spend();
        Poll::Ready(Some(self.give(place)))
    }

    fn give(&mut self, place: usize) -> Completed<T> {
        let mut handle = self.handles[place]
            .take()
            .expect("a place comes out of the queue once");
        self.left -= 1;
        (place, handle.read_output())
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = Completed<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        match self.poll_now() {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let vigil = self.vigil();
                let next = pin!(poll_fn(|cx| self.poll_next(cx)));
                block_on_with(vigil, next, None)?
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for AsCompleted<T> {}
impl<T> FusedIterator for AsCompleted<T> {}

/// [`AsCompleted`] for tasks: a stream, and an `async fn next` that needs no extension trait.
///
/// # Example
/// ```
/// use tatkal_executor::{LocalExecutor, as_completed, spawn};
/// LocalExecutor::default().block_on(async {
///     let tasks = (0..3).map(|n| spawn(async move { n * n }));
///     let mut results = as_completed(tasks).into_stream();
///     let mut sum = 0;
///     while let Some((_, square)) = results.next().await {
///         sum += square.unwrap();
///     }
///     assert_eq!(sum, 5);
/// });
/// ```
#[must_use = "results that nobody asks for are detached"]
pub struct AsCompletedStream<T> {
    results: AsCompleted<T>,
}

impl<T> AsCompletedStream<T> {
    /// The next result; `None` when all were given.
    ///
    /// # Cancellation
    /// Safe: a `next` that is dropped while it waits has taken nothing.
    pub async fn next(&mut self) -> Option<(usize, Result<T, JoinError>)> {
        poll_fn(|cx| self.results.poll_next(cx)).await
    }

    /// As [`AsCompleted::abort_all`].
    pub fn abort_all(&self) {
        self.results.abort_all();
    }
}

impl<T> Stream for AsCompletedStream<T> {
    type Item = Completed<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.results.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.results.size_hint()
    }
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing finished within the limit")
    }
}

impl std::error::Error for NotYet {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for AsCompletedStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedStream")
            .field("left", &self.results.left)
            .finish_non_exhaustive()
    }
}
