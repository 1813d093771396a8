//! The event loop as the executor sees it: sockets and timers behind one `park`.
//!
//! ```text
//!   park(limit)
//!     a  publish the fresh timers of this thread, and take in the reads it has put off
//!     b  publish those of the workers; until when may we sleep? the earliest of the next timer
//!        and the limit
//!     c  the reactor's turn: wait, mark the sources of the events, collect wakers
//!     d  fire timers that are due, some of them, and collect wakers
//!     e  call the wakers, with no lock held
//! ```
//!
//! Holds     no wake-up without a cause: no timer and no event means no return (a bell that rings
//!           late, or a cancelled timer, may cause one return each).
//! Cost      a turn without timers: one system call, and two atomics if it may sleep; with events,
//!           an uncontended lock, and another and a waker for each. (With workers a lock more.)
//! Next: `time/sleep.rs`.

use crate::context::{self, Shared};
use crate::reactor::{Backend, Limit, Reactor, Wakes};
use crate::time::{Clock, Due, TestClock, Timers};
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};
use tatkal_executor::{Driver, ThreadPool};

pub(crate) struct EventLoop {
    reactor: Reactor,
    shared: Arc<Shared>,
    /// Buffers, empty between turns.
    wakes: Wakes,
    /// What was due in an earlier turn and has not had its turn yet.
    due: Due,
}

impl EventLoop {
    pub(crate) fn new(backend: Backend, clock: Clock, pool: ThreadPool) -> io::Result<EventLoop> {
        let reactor = Reactor::new(backend)?;
        if let Some(test) = clock.as_test() {
            test.subscribe(reactor.unparker());
        }
        let shared = Shared {
            registry: reactor.registry().clone(),
            timers: Timers::new(clock, reactor.unparker()),
            pool,
            spawner: OnceLock::new(),
        };
        Ok(EventLoop {
            reactor,
            shared: Arc::new(shared),
            wakes: Wakes::default(),
            due: Due::default(),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Steps b and c: (4) and (5) of a wake-up.
    fn wait(&mut self, limit: Option<Duration>) {
        let timers = &self.shared.timers;
        let look = limit == Some(Duration::ZERO) || !self.due.is_empty();
        if look || self.reactor.is_in_doubt() {
            timers.publish_shelves();
            // In doubt it does not sleep, whatever the limit.
            let limit = if look { Limit::Look } else { Limit::Forever };
            self.reactor.turn(limit, &mut self.wakes);
            return;
        }
        let next = timers.fall_asleep();
        // A limit past the end of the clock is none.
        let limit = limit.and_then(|limit| Instant::now().checked_add(limit));
        if let Some(test) = timers.clock().as_test() {
            return self.wait_on_a_test_clock(&test.clone(), next, limit);
        }
        let next = next.and_then(|next| timers.clock().instant(next));
        let limit = match (next, limit) {
            (Some(next), Some(limit)) => Limit::Until(next.min(limit)),
            (Some(until), None) | (None, Some(until)) => Limit::Until(until),
            (None, None) => Limit::Forever,
        };
        self.reactor.turn(limit, &mut self.wakes);
    }

    /// No timer ends a sleep here: time stands still, until `TestClock::advance` ends it, or it
    /// leaps because nothing else happens.
    fn wait_on_a_test_clock(
        &mut self,
        test: &TestClock,
        next: Option<u64>,
        limit: Option<Instant>,
    ) {
        let next = next.and_then(|next| self.shared.timers.clock().instant(next));
        let due = next.is_some_and(|next| next <= test.now());
        if due || test.leaps() {
            let happened = self.reactor.turn(Limit::Look, &mut self.wakes);
            if due || happened {
                return;
            }
            if let Some(next) = next {
                return test.move_to(next);
            }
        }
        let limit = limit.map_or(Limit::Forever, Limit::Until);
        self.reactor.turn(limit, &mut self.wakes);
    }
}

impl Driver for EventLoop {
    fn park(&mut self, limit: Option<Duration>) {
        // This thread's; those of workers, which may be stuck, are taken along by `wait`.
        context::prepare_to_park(|doubts| self.reactor.take_in(doubts));
        self.wait(limit);
        self.shared.timers.fire(&mut self.due, &mut self.wakes);
        self.wakes.call();
    }

    fn unparker(&self) -> Waker {
        self.reactor.unparker()
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if let Some(test) = self.shared.timers.clock().as_test() {
            test.unsubscribe(&self.reactor.unparker());
        }
        // What waits on us would wait for ever: it is woken, and told. (The reactor does the same
        // for sockets as it is dropped.) Dropping the list calls them.
        let mut wakes = Wakes::default();
        self.shared.timers.close(&mut self.due, &mut wakes);
    }
}
