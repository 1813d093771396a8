//! The trait that makes the modes exchangeable: the same program, another way of running it.
//!
//! ```text
//!   fn digest_all(executor: &impl Executor, seeds: Range<u64>) -> Vec<Digest> {
//!       executor.map(digest, seeds).map(Result::unwrap).collect()
//!   }
//!   digest_all(&Sequential::new(), 0..20)      digest_all(&ThreadPool::new(4), 0..20)      ...
//! ```
//!
//! # Why generic, and not `dyn Executor`
//! `submit` is generic over the function, the argument and the result: the process pool needs the
//! types to send the function as an address and the data as bytes, and the thread pool needs them
//! to make one allocation per job. A trait object could only take boxed closures, which cannot
//! cross to another process at all. A program that chooses its mode when it runs writes one
//! generic function and calls it from a `match`: three lines, nothing boxed.
//!
//! # Why a function without data
//! Code crosses to another process as an address and data as bytes; a closure's captures are
//! neither. So a job is a function and its argument. That is checked while compiling (in every
//! mode, or a program would compile for one and not for the next). [`ThreadPool::submit`] itself
//! takes any closure.
//!
//! # Map
//! ```text
//!   items ──next()──> submit ──> [ handle | handle | handle ] ──join──> results, in input order
//!                                  at most `window` in flight
//! ```
//! An item is taken only when there is room in the window, so an endless iterator is fine, and
//! memory is bounded by the window. A slow job at the front holds back those behind it once the
//! window is full: that is the price of input order.
//!
//! An executor to which handing over is dear (the process pool) brings [`Batches`] of its own, which
//! hand over many items at a time. The window, the order and each item's own fate stay the same.
//!
//! [`ThreadPool::submit`]: crate::ThreadPool::submit
//! Source    CPython's `concurrent.futures` (`Executor.map`; its `buffersize` is our window).
//! Next: `sequential.rs`.

use crate::error::JoinError;
use crate::task::join::JoinHandle;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

/// How many jobs per worker `map` keeps in flight unless told otherwise: one that runs, and a few
/// behind it so that no worker runs dry while the caller waits for the job at the front.
const WINDOW_PER_WORKER: usize = 4;

/// Data that can go to any mode's workers: sendable, and with a serde form for another process.
///
/// Implemented by itself for everything that qualifies.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go to another process",
    label = "a job's argument and its result travel as bytes, and this cannot",
    note = "what travels implements `Serialize` and `DeserializeOwned` (derive serde's two traits), is \
            `Send`, and borrows nothing",
    note = "references, locks, sockets and the like stay where they are: pass what the job needs \
            to make its own"
)]
pub trait Portable: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Portable for T {}

/// Runs functions on arguments: in the caller, in threads, or in processes.
///
/// # Example
/// ```
/// use tatkal_executor::{Executor, Sequential};
/// fn squares(executor: &impl Executor) -> Vec<u64> {
///     executor.map(|n: u64| n * n, 1..=4).map(|square| square.unwrap()).collect()
/// }
/// assert_eq!(squares(&Sequential::new()), [1, 4, 9, 16]);
/// ```
pub trait Executor {
    /// Starts `function(argument)` and returns its handle.
    ///
    /// The function may be a function item or a closure that captures nothing. One that captures
    /// does not compile:
    ///
    /// ```compile_fail
    /// use tatkal_executor::{Executor, Sequential};
    /// let factor = 3;
    /// let _ = Sequential::new().submit(move |n: i32| n * factor, 14);
    /// ```
    ///
    /// Waits only where a queue is bounded and full. After [`shutdown`](Self::shutdown) the
    /// handle reports [`JoinError::Closed`].
    ///
    /// # Cancellation
    /// Dropping the handle detaches the job; [`JoinHandle::abort`] cancels it while it is queued.
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable;

    /// How many jobs can run at the same time.
    fn workers(&self) -> usize;

    /// Takes no more work. What happens to the queued jobs, and whether this call waits for the
    /// end, is in `how`. Running jobs run on. May be called more than once and from any thread.
    fn shutdown(&self, how: Shutdown);

    /// How many jobs [`map`](Self::map) keeps in flight unless told otherwise.
    fn default_window(&self) -> usize {
        self.workers().saturating_mul(WINDOW_PER_WORKER)
    }

    /// A way of its own to hand over the items of a [`map`](Self::map).
    #[doc(hidden)]
    fn batches<'executor, F, A, R>(
        &'executor self,
        function: F,
    ) -> Option<Box<dyn Batches<A, R> + 'executor>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        let _ = function;
        None
    }

    /// Applies `function` to every item. The results come in the order of the items.
    ///
    /// Lazy: nothing happens until the first `next`, and then it runs ahead of the caller by no
    /// more than its window ([`Map::window`]), so endless and huge inputs are fine.
    ///
    /// A process pool hands over short items many at a time, as many as have been seen to take some
    /// 100 us; each still has a result of its own. Should one then take long, those that were handed
    /// over with it are taken back after some milliseconds, for other workers. So items may wait for
    /// one another as far as there are workers, but that is dear; see
    /// [`docs::process_pool`](crate::docs::process_pool).
    ///
    /// The items are asked for on the caller's thread, inside `next`. An input that waits there for the
    /// result of an item it gave before can wait for ever: that item may not have been handed over yet.
    ///
    /// # Cancellation
    /// Dropping the iterator aborts what is in flight.
    fn map<F, I, R>(&self, function: F, items: I) -> Map<'_, Self, F, I::IntoIter, R>
    where
        Self: Sized,
        F: Fn(I::Item) -> R + Copy + Send + 'static,
        I: IntoIterator,
        I::Item: Portable,
        R: Portable,
    {
        Map {
            batches: self.batches(function),
            executor: self,
            function,
            items: Some(items.into_iter()),
            in_flight: VecDeque::new(),
            window: self.default_window().max(1),
        }
    }
}

/// How a pool goes: what becomes of the queued jobs, and whether the caller waits.
///
/// # Example
/// ```
/// use tatkal_executor::Shutdown;
/// assert_eq!(Shutdown::default(), Shutdown::finish());
/// assert!(Shutdown::finish().wait);
/// assert!(Shutdown::cancel().cancel_queued);
/// assert!(!Shutdown::cancel().without_waiting().wait);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shutdown {
    /// Wait until the running jobs (and the queued ones, unless they are cancelled) are done and
    /// the workers are gone.
    pub wait: bool,
    /// Cancel the jobs that no worker has started; their handles report [`JoinError::Cancelled`].
    pub cancel_queued: bool,
}

impl Shutdown {
    /// Queued jobs still run, and the caller waits for them: what dropping a pool does, and the
    /// end of a `with` block in CPython.
    pub const fn finish() -> Self {
        Self {
            wait: true,
            cancel_queued: false,
        }
    }

    /// Queued jobs are cancelled; the caller waits for those that run.
    pub const fn cancel() -> Self {
        Self {
            wait: true,
            cancel_queued: true,
        }
    }

    /// The same, but the caller does not wait.
    pub const fn without_waiting(self) -> Self {
        Self {
            wait: false,
            ..self
        }
    }
}

impl Default for Shutdown {
    /// [`Shutdown::finish`].
    fn default() -> Self {
        Self::finish()
    }
}

/// The results of [`Executor::map`], in input order.
///
/// `next` waits for the job at the front. On a thread that runs an executor it panics when it
/// would have to wait, as [`JoinHandle::join`] does; so do panics of the item iterator pass
/// through `next`. A job that fails is one `Err` item; the others are unharmed.
#[must_use = "a map is lazy: it does nothing until it is iterated"]
pub struct Map<'executor, E, F, I: Iterator, R> {
    /// In the place of `in_flight`, which then is empty.
    batches: Option<Box<dyn Batches<I::Item, R> + 'executor>>,
    executor: &'executor E,
    function: F,
    /// None once it has ended.
    items: Option<I>,
    in_flight: VecDeque<JoinHandle<R>>,
    window: usize,
}

/// What hands over the items of a [`Map`] many at a time. Dropped, it aborts what is in flight.
#[doc(hidden)]
pub trait Batches<A, R>: Send {
    /// The next result; `None` when the items have ended and so have the results. At most `window`
    /// items are taken whose results were not given.
    fn next(
        &mut self,
        items: &mut dyn Iterator<Item = A>,
        window: usize,
    ) -> Option<Result<R, JoinError>>;

    /// How many items were taken whose results were not given.
    fn in_flight(&self) -> usize;
}

impl<E, F, I: Iterator, R> Map<'_, E, F, I, R> {
    /// At most `jobs` are in flight: submitted, and their results not yet asked for.
    ///
    /// The default is [`Executor::default_window`]. 1 is one after the other.
    ///
    /// # Panics
    /// When `jobs` is 0.
    pub fn window(mut self, jobs: usize) -> Self {
        assert!(jobs > 0, "a map with a window of 0 would never start a job");
        self.window = jobs;
        self
    }

    /// How many items were taken whose results were not asked for.
    fn waiting(&self) -> usize {
        let batched = self
            .batches
            .as_ref()
            .map_or(0, |batches| batches.in_flight());
        self.in_flight.len() + batched
    }
}

impl<E, F, I, R> Map<'_, E, F, I, R>
where
    E: Executor,
    F: Fn(I::Item) -> R + Copy + Send + 'static,
    I: Iterator,
    I::Item: Portable,
    R: Portable,
{
    /// Submits items until the window is full or the items have ended.
    fn fill(&mut self) {
        while self.in_flight.len() < self.window {
            let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
                self.items = None;
                return;
            };
            let handle = self.executor.submit(self.function, item);
            self.in_flight.push_back(handle);
        }
    }
}

impl<E, F, I, R> Iterator for Map<'_, E, F, I, R>
where
    E: Executor,
    F: Fn(I::Item) -> R + Copy + Send + 'static,
    I: Iterator,
    I::Item: Portable,
    R: Portable,
{
    type Item = Result<R, JoinError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batches) = &mut self.batches {
            let mut items = Fuse(&mut self.items);
            return batches.next(&mut items, self.window);
        }
        self.fill();
        self.in_flight.pop_front().map(JoinHandle::join)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.waiting();
        let (least, most) = self
            .items
            .as_ref()
            .map_or((0, Some(0)), Iterator::size_hint);
        (
            least.saturating_add(waiting),
            most.and_then(|most| most.checked_add(waiting)),
        )
    }
}

impl<E, F, I: Iterator, R> FusedIterator for Map<'_, E, F, I, R> where Self: Iterator {}

/// The items, which are asked no more once they have ended.
struct Fuse<'items, I>(&'items mut Option<I>);

impl<I: Iterator> Iterator for Fuse<'_, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.0.as_mut()?.next();
        if item.is_none() {
            *self.0 = None;
        }
        item
    }
}

impl<E, F, I: Iterator, R> Drop for Map<'_, E, F, I, R> {
    fn drop(&mut self) {
        // The last first: a worker that becomes free meanwhile then finds nothing left to start.
        while let Some(handle) = self.in_flight.pop_back() {
            handle.abort();
        }
    }
}

impl<E, F, I: Iterator, R> fmt::Debug for Map<'_, E, F, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("in_flight", &self.waiting())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Refuses, while compiling, a function that carries data. Every [`Executor::submit`] calls it.
pub(crate) const fn refuse_captures<F>() {
    const {
        assert!(
            size_of::<F>() == 0,
            "the function of a job may not capture anything (nor be a `fn` pointer): another \
             process could not see it; pass the data as the job's argument"
        )
    }
}
