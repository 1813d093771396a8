//! wait: until all handles have finished, or the first, or the first without a value. Which is
//! all it says: the handles stay with the caller, and so do their results.
//!
//! Next: `../../scheduler/`.

use super::queue::CompletionQueue;
use crate::block_on::block_on_with;
use crate::park::Vigil;
use crate::task::join::JoinHandle;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// What [`wait`] waits for. With no handle at all none of them waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// Every handle has finished.
    All,
    /// At least one has.
    First,
    /// At least one has finished without a value (a [`JoinError`]), or all have finished.
    ///
    /// [`JoinError`]: crate::JoinError
    FirstError,
}

/// Which handles have finished and which have not, by their places, in input order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Waited {
    /// Finished: joining them gives the result at once.
    pub done: Vec<usize>,
    /// Not finished.
    pub pending: Vec<usize>,
}

/// Waits until some of the handles have finished, and says which. No result is taken and no
/// handle is lost.
///
/// A task awaits it; a thread calls [`Wait::join`] or [`Wait::join_timeout`].
///
/// # Cancellation
/// Safe: dropping it leaves the handles as they are.
///
/// # Cost
/// One allocation per handle that has not finished, at the first poll, and a constant amount per
/// handle that finishes. Asking again and again for the first of many repeats the former: that is
/// what [`as_completed`](crate::as_completed) is for.
///
/// # Example
/// ```
/// use tatkal_executor::{ThreadPool, Until, wait};
/// let pool = ThreadPool::new(2);
/// let (go, gate) = std::sync::mpsc::channel::<()>();
/// let mut handles = vec![
///     pool.submit(move || drop(gate.recv())),
///     pool.submit(|| println!("quick")),
/// ];
/// let waited = wait(&mut handles, Until::First).join();
/// assert_eq!((waited.done, waited.pending), (vec![1], vec![0]));
/// drop(go);
/// assert_eq!(wait(&mut handles, Until::All).join().done, [0, 1]);
/// ```
pub fn wait<T>(handles: &mut [JoinHandle<T>], until: Until) -> Wait<'_, T> {
    Wait {
        unfinished: handles.len(),
        satisfied: handles.is_empty(),
        handles,
        until,
        finished: None,
    }
}

/// The future of [`wait`].
#[must_use = "a future does nothing unless it is awaited or joined"]
pub struct Wait<'handles, T> {
    handles: &'handles mut [JoinHandle<T>],
    until: Until,
    /// None before the first poll.
    finished: Option<CompletionQueue>,
    unfinished: usize,
    satisfied: bool,
}

impl<T> Wait<'_, T> {
    /// Waits on a plain thread.
    ///
    /// # Panics
    /// On a thread that runs an executor, unless there is nothing to wait for.
    #[track_caller]
    pub fn join(mut self) -> Waited {
        match self.poll_now() {
            Poll::Ready(waited) => waited,
            Poll::Pending => {
                let vigil = self.vigil();
                match block_on_with(vigil, Pin::new(&mut self), None) {
                    Some(waited) => waited,
                    None => unreachable!("without a deadline it ends when it is ready"),
                }
            }
        }
    }

    /// Waits on a plain thread for at most `limit`. What has finished by then is in
    /// [`Waited::done`], whether it is enough or not.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    #[track_caller]
    pub fn join_timeout(mut self, limit: Duration) -> Waited {
        if let Poll::Ready(waited) = self.poll_now() {
            return waited;
        }
        // Past the end of the clock is no deadline.
        let deadline = Instant::now().checked_add(limit);
        let vigil = self.vigil();
        let waited = block_on_with(vigil, Pin::new(&mut self), deadline);
        waited.unwrap_or_else(|| self.report())
    }

    /// What a plain thread may wait on: what it would wait on for the first that has not finished.
    fn vigil(&self) -> Option<Box<dyn Vigil>> {
        let mut handles = self.handles.iter();
        handles.find(|handle| !handle.is_finished())?.vigil()
    }

    fn poll_now(&mut self) -> Poll<Waited> {
        Pin::new(self).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A handle has finished.
    fn note(&mut self, place: usize) {
        self.unfinished -= 1;
        self.satisfied |= match self.until {
            Until::All => false,
            Until::First => true,
            Until::FirstError => self.handles[place].is_error(),
        };
        self.satisfied |= self.unfinished == 0;
    }

    fn report(&self) -> Waited {
        let (done, pending) =
            (0..self.handles.len()).partition(|place| self.handles[*place].is_finished());
        Waited { done, pending }
    }
}

impl<T> Future for Wait<'_, T> {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        let this = &mut *self;
        if this.finished.is_none() {
            let finished = this.finished.insert(CompletionQueue::new());
            for (place, handle) in this.handles.iter_mut().enumerate() {
                finished.watch(place, handle);
            }
        }
        while !this.satisfied {
            let finished = this.finished.as_mut().expect("made above");
            let place = ready!(finished.poll_pop(cx));
            this.note(place);
        }
        Poll::Ready(this.report())
    }
}

impl<T> fmt::Debug for Wait<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("until", &self.until)
            .field("handles", &self.handles.len())
            .finish_non_exhaustive()
    }
}
