//! interval: a tick each period, and what to do about ticks that were missed.
//!
//! ```text
//!   period 10, and the task is busy from 5 to 38:
//!   due       0     10     20     30     40     50     60
//!   Burst     0                   38,38,38,40   50     60      all of them, late
//!   Delay     0                   38       48       58         from now on, shifted
//!   Skip      0                   38     40     50     60      the missed ones are lost
//! ```
//!
//! A tick is missed when the following one is due already. Next: `../blocking.rs`.

use super::sleep::{Sleep, after, sleep_until};
use crate::context;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Ticks at once, and then each `period`.
///
/// # Panics
/// If `period` is zero.
///
/// # Example
/// ```
/// use std::time::Duration;
/// tatkal::block_on(async {
///     let mut interval = tatkal::interval(Duration::from_millis(2));
///     let first = interval.tick().await; // at once
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(context::now(), period)
}

/// Ticks at `start`, and then each `period`.
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "an interval of no length would tick all the time"
    );
    Interval {
        sleep: sleep_until(start),
        period,
        missed_tick_behavior: MissedTickBehavior::default(),
    }
}

/// What an [`Interval`] does about ticks that were missed: when the next one is due already by
/// the time the task comes for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedTickBehavior {
    /// Deliver all of them, without a pause, until the schedule has been caught up with.
    #[default]
    Burst,
    /// Forget the schedule: the next tick is a period from now.
    Delay,
    /// Forget the missed ticks: the next one is the next that the schedule has.
    Skip,
}

impl MissedTickBehavior {
    /// The tick that follows one that was due at `due` and delivered at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let next = after(due, period);
        if next > now {
            return next;
        }
        match self {
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay => after(now, period),
            MissedTickBehavior::Skip => {
                // Remainders of more than 584 years of nanoseconds do not occur: a period that
                // long is not missed.
                let behind = (now - due).as_nanos() % period.as_nanos();
                let behind = Duration::from_nanos(u64::try_from(behind).unwrap_or(u64::MAX));
                after(now, period - behind)
            }
        }
    }
}

/// Ticks each period: [`interval`], [`interval_at`]. Also an endless [`Stream`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due (which may lie in the past: see
    /// [`MissedTickBehavior`]).
    ///
    /// # Cancellation
    /// Dropping the future loses no tick.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// [`tick`](Self::tick) for hand-written futures.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = self
            .missed_tick_behavior
            .next(due, context::now(), self.period);
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    /// The next tick comes a period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(after(context::now(), self.period));
    }

    /// How far apart the ticks are.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What happens to missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Chooses what happens to missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks_are_delivered_delayed_or_skipped() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let period = Duration::from_millis(10);
        use MissedTickBehavior::{Burst, Delay, Skip};
        for (behavior, due, now, next) in [
            (Burst, 10, 10, 20),
            (Delay, 10, 10, 20),
            (Skip, 10, 10, 20),
            // Late, but nothing was missed: the schedule stands.
            (Delay, 10, 19, 20),
            (Burst, 10, 38, 20),
            (Delay, 10, 38, 48),
            (Skip, 10, 38, 40),
            // Exactly on a later tick: that one is missed, too.
            (Skip, 10, 40, 50),
        ] {
            assert_eq!(
                behavior.next(at(due), at(now), period),
                at(next),
                "{behavior:?}, due at {due}, delivered at {now}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "no length")]
    fn a_period_of_zero_is_refused() {
        let _ = interval(Duration::ZERO);
    }
}
