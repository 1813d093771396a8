//! The tasks that wait for one source, by direction.
//!
//! ```text
//!   read   first: Some(waker)   others: [ ]        what there nearly always is: one task, or none
//!   write  first: None          others: [ ]
//! ```
//!
//! A list without removal. A waiter that went away (its future was dropped) leaves a stale waker
//! until the next event or until [`MANY`] pile up, when all are woken and the live ones come back:
//! spurious wake-ups are always allowed, and no future needs a drop hook.
//!
//! Holds     wakers go in cloned and come out uncalled: under the lock that is around this, nothing
//!           here runs user code but `will_wake`, which compares two pointers.
//! Cost      a waiter that is alone: a move. The first in its own field saves the list's
//!           allocation for each source, and its walk for each event.
//! Rejected  one slot per direction whose last writer wins (the first of two readers sleeps for
//!           ever); waking the one that is replaced (two readers wake each other in turns, for
//!           ever).
//! Next: `side.rs`.

use super::interest::Direction;
use super::wakes::Wakes;
use std::task::Waker;

/// Waiters of one direction beyond which all are woken. More than any sensible number of tasks
/// reading one socket, small enough that searching the list costs nothing.
const MANY: usize = 32;

/// What came of storing a waker.
pub(super) enum Stored {
    Alone,
    AmongOthers,
    Needless(#[expect(dead_code, reason = "only to be dropped")] Waker),
    Crowded(#[expect(dead_code, reason = "only to be dropped, which calls them")] Wakes),
}

#[derive(Default)]
pub(super) struct Waiters {
    read: Line,
    write: Line,
}

/// The waiters of one direction. `others` only if there is a `first`.
#[derive(Default)]
struct Line {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Waiters {
    /// Takes `waker` in, unless it is there already. What the caller gets is for outside the lock:
    /// the waker that was not needed, to be dropped, or those that the newcomer is one too many for,
    /// to be called.
    #[inline]
    pub(super) fn store(&mut self, direction: Direction, waker: Waker) -> Stored {
        let line = self.line(direction);
        if line.first.is_none() {
            line.first = Some(waker);
            return Stored::Alone;
        }
        line.join(waker)
    }

    /// An event: everybody in `direction` is to be woken.
    pub(super) fn take(&mut self, direction: Direction, wakes: &mut Wakes) {
        self.line(direction).take(wakes);
    }

    fn line(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

impl Line {
    fn contains(&self, waker: &Waker) -> bool {
        let mut known = self.first.iter().chain(&self.others);
        known.any(|known| known.will_wake(waker))
    }

    /// There is somebody already.
    #[cold]
    fn join(&mut self, waker: Waker) -> Stored {
        if self.contains(&waker) {
            return Stored::Needless(waker);
        }
        if self.others.len() + 1 < MANY {
            self.others.push(waker);
            return Stored::AmongOthers;
        }
        let mut wakes = Wakes::default();
        self.take(&mut wakes);
        self.first = Some(waker);
        Stored::Crowded(wakes)
    }

    #[inline]
    fn take(&mut self, wakes: &mut Wakes) {
        if let Some(first) = self.first.take() {
            wakes.push(first);
            if !self.others.is_empty() {
                wakes.extend(self.others.drain(..));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::count::Count;

    fn store(waiters: &mut Waiters, direction: Direction, waker: &Waker) {
        drop(waiters.store(direction, waker.clone()));
    }

    fn counts<const N: usize>(counts: [&Count; N]) -> [usize; N] {
        counts.map(Count::get)
    }

    #[test]
    fn an_event_wakes_every_waiter_of_its_direction_and_no_other() {
        let mut waiters = Waiters::default();
        let ((first, a), (second, b), (writer, c)) = (Count::new(), Count::new(), Count::new());
        store(&mut waiters, Direction::Read, &a);
        store(&mut waiters, Direction::Read, &b);
        store(&mut waiters, Direction::Write, &c);
        waiters.take(Direction::Read, &mut Wakes::default());
        assert_eq!(counts([&first, &second, &writer]), [1, 1, 0]);
        waiters.take(Direction::Write, &mut Wakes::default());
        waiters.take(Direction::Read, &mut Wakes::default());
        assert_eq!(counts([&first, &second, &writer]), [1, 1, 1]);
    }

    #[test]
    fn a_waiter_that_asks_twice_is_woken_once_first_or_not() {
        let mut waiters = Waiters::default();
        let ((first, a), (second, b)) = (Count::new(), Count::new());
        for waker in [&a, &b, &b, &a] {
            store(&mut waiters, Direction::Read, waker);
        }
        waiters.take(Direction::Read, &mut Wakes::default());
        assert_eq!(counts([&first, &second]), [1, 1]);
    }

    #[test]
    fn stale_waiters_do_not_pile_up_and_live_ones_are_not_forgotten() {
        let mut waiters = Waiters::default();
        let woken: Vec<_> = (0..=MANY)
            .map(|_| {
                let (count, waker) = Count::new();
                store(&mut waiters, Direction::Read, &waker);
                count
            })
            .collect();
        // The one too many sent all before it back to try again, and waits itself.
        assert!(woken[..MANY].iter().all(|count| counts([count]) == [1]));
        assert_eq!(counts([&woken[MANY]]), [0]);
        waiters.take(Direction::Read, &mut Wakes::default());
        assert_eq!(counts([&woken[MANY]]), [1]);
    }
}
