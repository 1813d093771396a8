//! sleep: a future that is ready at a moment.
//!
//! Owns      its timer, from the first poll that finds it too early until it fires or is dropped.
//! Cost      made and never polled: a clock read. Ready at its first poll: two. Waited for: an
//!           allocation, no lock of its own. See `timers.rs`. Next: `timeout.rs`.

use super::clock::Clock;
use super::entry::{Answer, Entry};
use crate::context::{self, Timer};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tatkal_executor::budget;

/// How far away a deadline is that lies past the end of what an `Instant` can say: thirty years.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// `now + duration`, or so far away that nobody will see it.
pub(super) fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or_else(|| now + FAR)
}

/// Waits until `duration` has passed. It counts from this call, not from the first poll: on the
/// clock of the runtime that the thread is on, or the machine's outside of one.
///
/// A sleep that has been polled on one runtime and is polled on another moves there.
///
/// Never early; see [`tatkal::time`](crate::time) for how late. `Duration::ZERO` is ready at the
/// first poll; a duration past the end of the clock sleeps for thirty years.
///
/// # Panics
/// When polled outside of a runtime, or on one that was shut down.
///
/// # Cancellation
/// Dropping it stops the timer.
///
/// # Example
/// ```
/// use std::time::{Duration, Instant};
/// tatkal::block_on(async {
///     let start = Instant::now();
///     tatkal::sleep(Duration::from_millis(5)).await;
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(after(context::now(), duration))
}

/// Waits until `deadline`; ready at the first poll if that has passed. As [`sleep`] otherwise.
///
/// # Example
/// ```
/// use std::time::{Duration, Instant};
/// tatkal::block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     tatkal::sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        timer: None,
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// Ready for ever once its deadline has passed, until it is [`reset`](Sleep::reset).
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    /// `Some` while it waits.
    timer: Option<Timer>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Has the deadline passed, on the clock of the current runtime?
    pub fn is_elapsed(&self) -> bool {
        self.deadline <= context::now()
    }

    /// Moves the deadline. A task that waits on this sleep goes on waiting, for the new one.
    ///
    /// # Panics
    /// If a task waits on it and this is called on a runtime that was shut down.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        let Some(timer) = self.timer.take() else {
            return;
        };
        // Whoever waited must hear of the new deadline without polling again.
        if let Some(waker) = context::stop_timer(timer, Entry::cancel_or_hurry) {
            if context::try_shared().is_some() {
                self.start(waker);
            } else {
                waker.wake(); // No timer can be started here: let it poll, on its own runtime.
            }
        }
    }

    /// As `poll`, off the task's budget: for a timeout, whose future may have used it up.
    pub(super) fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &self.timer {
            match timer.entry.poll(cx.waker()) {
                Answer::TooEarly if !timer.is_elsewhere() => return Poll::Pending,
                Answer::Fired => {
                    self.timer = None;
                    return Poll::Ready(());
                }
                // Its runtime is another one, which perhaps nobody drives, or is gone: it moves.
                Answer::TooEarly | Answer::Abandoned => self.stop(),
            }
        }
        if self.is_elapsed() {
            return Poll::Ready(());
        }
        self.start(cx.waker().clone());
        Poll::Pending
    }

    /// A sleep of that length, from now on, and its first poll in one: the clock is read once.
    pub(super) fn pending(length: Duration, cx: &mut Context<'_>) -> Sleep {
        let at = |clock: &Clock| after(clock.now(), length);
        let (deadline, timer) = context::start_timer(at, cx.waker().clone());
        Sleep {
            deadline,
            timer: Some(timer),
        }
    }

    fn start(&mut self, waker: Waker) {
        let (_, timer) = context::start_timer(|_| self.deadline, waker);
        self.timer = Some(timer);
    }

    /// Ends the waiting.
    fn stop(&mut self) {
        if let Some(timer) = self.timer.take() {
            drop(context::stop_timer(timer, Entry::cancel));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_some() {
            return self.poll_free(cx); // It waits, and will be ready once.
        }
        // It may be late before it starts, and one of many: an interval that catches up.
        ready!(budget::poll_proceed(cx));
        ready!(self.poll_free(cx));
        budget::spend();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
