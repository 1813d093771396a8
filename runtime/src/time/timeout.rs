//! timeout: a future, but not for longer than that.
//!
//! The future is polled first, and a future that is ready costs a timeout nothing: no clock is
//! read, no timer exists. That is also why the time of [`timeout`] counts from the first poll and
//! not from the call: until the future has been found pending nobody has asked what time it is.
//!
//! A future that is always busy is interrupted by its task's budget, and says that it is pending.
//! Its timer may be late then: the event loop, which fires it, gets its turn after many polls. So
//! where the budget is spent the timeout looks at the clock itself, and is as exact as one budget
//! is long.
//! Next: `interval.rs`.

use super::sleep::{Sleep, sleep_until};
use pin_project_lite::pin_project;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tatkal_executor::budget;

/// Waits for `future`, but no longer than `limit`.
///
/// The time counts from the first poll in which the future is not ready. The future is always
/// polled first: if it is ready when the time is up, it wins.
///
/// # Errors
/// [`Elapsed`] when the time was up first. The future is still there: it is dropped with the
/// timeout.
///
/// # Panics
/// When polled outside of a runtime and the future is not ready.
///
/// # Cancellation
/// Dropping it drops the future and stops the timer. A [`JoinHandle`](crate::JoinHandle) that is
/// dropped detaches its work, which goes on: give it by reference, and
/// [`abort`](crate::JoinHandle::abort) it when the time is up. For jobs in processes there is
/// [`Jobs::timeout`](crate::Jobs::timeout), which does that.
///
/// # Example
/// ```
/// use std::time::Duration;
/// tatkal::block_on(async {
///     let never = std::future::pending::<()>();
///     assert!(tatkal::timeout(Duration::from_millis(1), never).await.is_err());
///     let now = async { 7 };
///     assert_eq!(tatkal::timeout(Duration::from_millis(1), now).await, Ok(7));
/// });
/// ```
pub fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        limit: Limit::Unstarted(limit),
    }
}

/// Waits for `future`, but not past `deadline`. As [`timeout`] otherwise.
///
/// # Errors
/// As for [`timeout`].
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        limit: Limit::Started(sleep_until(deadline)),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limit: Limit,
    }
}

#[derive(Debug)]
enum Limit {
    Unstarted(Duration),
    Started(Sleep),
}

impl<F> Timeout<F> {
    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside, for changing it.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Takes the future out, and stops the timer.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.limit.poll(cx).map(|()| Err(Elapsed(())))
    }
}

impl Limit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Limit::Started(sleep) if budget::is_spent() && sleep.is_elapsed() => Poll::Ready(()),
            Limit::Started(sleep) => sleep.poll_free(cx),
            Limit::Unstarted(limit) if limit.is_zero() => Poll::Ready(()),
            Limit::Unstarted(limit) => {
                *self = Limit::Started(Sleep::pending(*limit, cx));
                Poll::Pending
            }
        }
    }
}

/// The time was up before the future was ready.
///
/// Converts into an [`io::Error`] of kind `TimedOut`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up before the operation was done")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
