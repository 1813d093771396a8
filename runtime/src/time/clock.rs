//! What time is it? The machine's answer, or a test's.
//!
//! Every timer of a runtime reads this one clock, so a test that drives it drives all of them.
//! Next: `wheel.rs`.

use crate::reactor::Wakes;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The clock of one runtime. Inside, time is nanoseconds since the runtime's origin.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    origin: Instant,
    test: Option<TestClock>,
}

impl Clock {
    pub(crate) fn real() -> Clock {
        Clock {
            origin: Instant::now(),
            test: None,
        }
    }

    pub(crate) fn test(clock: TestClock) -> Clock {
        Clock {
            origin: clock.now(),
            test: Some(clock),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match &self.test {
            None => Instant::now(),
            Some(clock) => clock.now(),
        }
    }

    pub(crate) fn as_test(&self) -> Option<&TestClock> {
        self.test.as_ref()
    }

    /// Nanoseconds from the origin: 0 for what was before, and 584 years at the most.
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        // (`as_nanos` would do it in 128 bits.)
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(since.subsec_nanos().into())
    }

    /// The way back. `None`: past the end of what an `Instant` can say, so never.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(nanos))
    }
}

/// A clock that a test drives by hand.
///
/// Give it to [`Builder::clock`](crate::Builder::clock), keep a clone, and the sleeps, timeouts
/// and intervals of that runtime obey the clone. Two ways to drive it:
///
/// - [`TestClock::new`] stands still until [`advance`](TestClock::advance) is called: for a test
///   that steps through time and looks at each moment.
/// - [`TestClock::leaping`] jumps to the next deadline by itself whenever the runtime has nothing
///   else to do: for a test of code that sleeps for hours. A runtime that waits for another thread
///   or for a socket has nothing to do either, so time may leap past a reply that is on its way.
///
/// Only timers follow it. Sockets, threads and `std::time` live in the real world.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use tatkal::{Runtime, TestClock, sleep};
///
/// let clock = TestClock::leaping();
/// let start = clock.now();
/// let runtime = Runtime::builder().clock(clock.clone()).build()?;
/// runtime.block_on(async { sleep(Duration::from_secs(3600)).await }); // returns at once
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TestClock {
    inner: Arc<Inner>,
}

struct Inner {
    leaps: bool,
    /// Plain std, never loom's: no protocol hangs on it.
    state: Mutex<State>,
}

struct State {
    now: Instant,
    /// The loops to tell when time has moved.
    sleepers: Vec<Waker>,
}

impl TestClock {
    /// A clock that stands still until it is advanced.
    pub fn new() -> TestClock {
        TestClock::with(false)
    }

    /// A clock that jumps to the next deadline whenever its runtime is idle.
    pub fn leaping() -> TestClock {
        TestClock::with(true)
    }

    fn with(leaps: bool) -> TestClock {
        TestClock {
            inner: Arc::new(Inner {
                leaps,
                state: Mutex::new(State {
                    now: Instant::now(),
                    sleepers: Vec::new(),
                }),
            }),
        }
    }

    /// What time it is on this clock. It starts at the real time of its making.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Moves time on, and wakes the runtimes that sleep on this clock. The timers that are due
    /// fire when their runtime next looks, on its own thread.
    ///
    /// # Panics
    /// If that is more than an `Instant` can express.
    pub fn advance(&self, by: Duration) {
        let to = self.now() + by;
        self.move_to(to);
    }

    pub(crate) fn leaps(&self) -> bool {
        self.inner.leaps
    }

    /// Time never goes back: an earlier `to` changes nothing.
    pub(crate) fn move_to(&self, to: Instant) {
        let mut wakes = Wakes::default();
        let mut state = self.state();
        state.now = state.now.max(to);
        wakes.extend(state.sleepers.iter().cloned());
        drop(state);
        wakes.call();
    }

    /// Has `sleeper` told whenever time moves, until it is taken back.
    pub(crate) fn subscribe(&self, sleeper: Waker) {
        self.state().sleepers.push(sleeper);
    }

    pub(crate) fn unsubscribe(&self, sleeper: &Waker) {
        self.state()
            .sleepers
            .retain(|known| !known.will_wake(sleeper));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for TestClock {
    fn default() -> Self {
        TestClock::new()
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock")
            .field("now", &self.now())
            .field("leaps", &self.inner.leaps)
            .finish()
    }
}
