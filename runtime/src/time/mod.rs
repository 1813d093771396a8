//! Time: sleeping, time limits, and things that happen at intervals.
//!
//! ```text
//!   sleep.rs, timeout.rs, interval.rs      what a task awaits
//!        |  first poll that finds it too early
//!        v
//!   fresh.rs: timers of this thread alone      most timeouts are dropped from here
//!        |  when the thread goes to sleep
//!        v
//!   timers.rs  ---> wheel.rs                   one lock per sleep, not per timer
//!        ^
//!        |  clock.rs: real, or driven by a test
//!   driver.rs: what is due is fired, and its waker called outside the lock
//! ```
//!
//! # Guarantees
//! - **Never early.** A sleep ends at its deadline or after it, on the clock it was started on.
//! - **On time.** A lone timer is waited for to the nanosecond the operating system can do. Where
//!   timers crowd, those of one tick (about 66 microseconds) fire together at its end, so that a
//!   hundred thousand of them do not cost a hundred thousand wake-ups.
//! - **In order.** Timers that are found due together are woken in the order of their deadlines.
//! - **For free when idle.** No timer, no wake-up.
//!
//! # Tests that drive time
//! A runtime built with a [`TestClock`] does not look at the machine's clock: see there.

mod clock;
mod entry;
mod fresh;
mod interval;
mod pending;
mod sleep;
mod timeout;
mod timers;
mod wheel;

pub use clock::TestClock;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

pub(crate) use clock::Clock;
pub(crate) use entry::Entry;
pub(crate) use fresh::{Fresh, Shelf};
pub(crate) use timers::{Closed, Due, Timers};
