//! One source: what the OS last said of it, and who waits for it to say more.
//!
//! ```text
//!   a task                                         the thread in the reactor's turn
//!   ------                                         --------------------------------
//!   look(): ready?  --no--------------+            mark(): under the lock
//!     | yes: Seen(number)             |              the directions concerned: number + 1
//!   the system call                   |              take their wakers
//!     | WouldBlock, or a short read   |            outside the lock: call them
//!   note(seen): used up to there      |
//!     v                               v
//!   wait(): under the lock: ready now? then try again. Otherwise store the waker; oneshot: arm.
//! ```
//!
//! Owns      both directions' numbers (`side.rs`) and, under a lock, the waiting wakers.
//! Holds     I1 an event that arrives between a task's `look` and its `note` is not used up: its
//!              number is another. (Otherwise: the call says WouldBlock, bytes arrive, their event is
//!              wiped out, and an edge-triggered OS never speaks again.)
//!           I2 a waker is stored only while nothing has been announced since its task's look, decided
//!              under the lock that `mark` announces under: so no mark falls between the look and the
//!              store, and what the look said still holds. (Others may store their notes meanwhile.
//!              An event that one of them used up halfway, and went away in doubt, is nobody's.)
//!           I3 every live waiter is woken by the next mark that concerns it.
//!           I4 a doubt ends by a mark, by a task that is told by the OS that nothing is left, or by
//!              `end_doubt`, which wakes the waiters. (A second reader may overwrite "in doubt" by
//!              "ready", and go away: so `end_doubt` wakes then as well.)
//! Cost      a read that finds bytes: two loads. One that waits: a store, an uncontended lock, one
//!           waker clone.
//! Source    tokio's `scheduled_io.rs`. Next: `doubts.rs`.

use super::interest::{Direction, Interest, Ready};
use super::poller::Arming;
use super::side::{self, End, Look, Moved, Seen, Side};
use super::waiters::Waiters;
use super::wakes::Wakes;
use crate::sync::{Mutex, lock};
use std::io;
use std::task::Waker;

pub(crate) struct Readiness {
    read: Side,
    write: Side,
    waits: Mutex<Waits>,
}

struct Waits {
    tasks: Waiters,
    /// Oneshot: the directions that the OS was asked about and has not answered.
    armed: Interest,
}

/// What came of asking to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The waker is stored; the task may return `Pending`.
    Stored,
    /// Something happened meanwhile: try the system call again.
    TryAgain,
}

impl Readiness {
    /// Ready in both directions until a system call says otherwise: the first try is free.
    pub(crate) fn new() -> Self {
        Self {
            read: Side::new(),
            write: Side::new(),
            waits: Mutex::new(Waits {
                tasks: Waiters::default(),
                armed: Interest::NONE,
            }),
        }
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Is a system call in this direction worth trying?
    #[inline]
    pub(super) fn look(&self, direction: Direction) -> Look {
        self.side(direction).look()
    }

    /// What came of it.
    #[inline]
    pub(super) fn note(&self, seen: Seen, direction: Direction, moved: Moved) {
        self.side(direction).note(seen, moved);
    }

    /// The thread that drives has the doubt on its list.
    pub(super) fn list(&self, direction: Direction) {
        self.side(direction).list();
    }

    /// (3) Leaves a waker for the next event in `direction`.
    ///
    /// `seen` is what the caller looked at: used up, or in a doubt that it has seen to will end. `arm`
    /// asks the OS for that event; it is called, under the lock, with a oneshot backend only.
    pub(crate) fn wait(
        &self,
        seen: Seen,
        direction: Direction,
        waker: &Waker,
        arming: Arming,
        arm: impl FnOnce(Interest) -> io::Result<()>,
    ) -> io::Result<Waiting> {
        // Cloned before the lock, dropped after it: both may run user code.
        let waker = waker.clone();
        let mut waits = lock(&self.waits);
        // `mark` announces under this lock (I2).
        if !self.side(direction).is_still(seen) {
            return Ok(Waiting::TryAgain);
        }
        if arming == Arming::Oneshot && !waits.armed.contains(direction) {
            let armed = waits.armed.with(direction);
            arm(armed)?;
            waits.armed = armed;
        }
        let stored = waits.tasks.store(direction, waker);
        drop(waits);
        drop(stored);
        Ok(Waiting::Stored)
    }

    /// (5) Notes what the OS said, and takes the wakers of those it concerns.
    pub(crate) fn mark(&self, ready: Ready, arming: Arming, wakes: &mut Wakes) {
        let mut waits = lock(&self.waits);
        // A oneshot event disarms both directions: whoever waits in the other one is woken too,
        // finds nothing, and arms again.
        let disarmed = arming == Arming::Oneshot;
        waits.armed = Interest::NONE;
        for direction in [Direction::Read, Direction::Write] {
            let concerned = ready.intersects(Ready::concerning(direction));
            if concerned {
                let flag = |said, flag| if ready.intersects(said) { flag } else { 0 };
                let closed = flag(Ready::closing(direction), side::CLOSED);
                let orphaned = flag(Ready::ORPHANED, side::ORPHANED);
                let urgent = flag(Ready::URGENT, side::URGENT);
                self.side(direction).announce(closed | orphaned | urgent);
            }
            if concerned || disarmed {
                waits.tasks.take(direction, wakes);
            }
        }
    }

    /// Has no event come since the read was put off? For the thread that marks.
    pub(super) fn is_still_in_doubt(&self, seen: Seen) -> bool {
        self.read.is_still(seen)
    }

    /// Takes the wakers of those whose read was put off: they shall try. (I4)
    pub(super) fn end_doubt(&self, end: End, wakes: &mut Wakes) {
        let mut waits = lock(&self.waits);
        match self.read.look() {
            Look::Spent(_) => return,
            Look::InDoubt { .. } => self.read.end_doubt(end),
            Look::Ready(_) => {}
        }
        waits.tasks.take(Direction::Read, wakes);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::count::Count;

    /// An edge-triggered source on which both directions have said WouldBlock.
    fn idle() -> Readiness {
        let source = Readiness::new();
        for direction in [Direction::Read, Direction::Write] {
            find_nothing(&source, direction);
        }
        source
    }

    fn is_ready(source: &Readiness, direction: Direction) -> bool {
        matches!(source.look(direction), Look::Ready(_))
    }

    fn seen(source: &Readiness, direction: Direction) -> Seen {
        match source.look(direction) {
            Look::Ready(seen) | Look::InDoubt { seen, .. } | Look::Spent(seen) => seen,
        }
    }

    fn find_nothing(source: &Readiness, direction: Direction) {
        source.note(seen(source, direction), direction, Moved::Nothing);
    }

    /// A source whose read is in doubt.
    fn in_doubt() -> Readiness {
        let source = Readiness {
            read: Side::with_tries(0),
            ..Readiness::new()
        };
        source.note(seen(&source, Direction::Read), Direction::Read, Moved::All);
        assert!(matches!(source.look(Direction::Read), Look::InDoubt { .. }));
        source
    }

    fn wait(source: &Readiness, direction: Direction, waker: &Waker) -> Waiting {
        source
            .wait(
                seen(source, direction),
                direction,
                waker,
                Arming::Edge,
                |_| unreachable!(),
            )
            .unwrap()
    }

    fn wait_oneshot(
        source: &Readiness,
        direction: Direction,
        waker: &Waker,
        arm: impl FnOnce(Interest) -> io::Result<()>,
    ) -> io::Result<Waiting> {
        let seen = seen(source, direction);
        source.wait(seen, direction, waker, Arming::Oneshot, arm)
    }

    #[test]
    fn an_event_between_the_try_and_the_clear_is_kept() {
        let source = Readiness::new();
        let seen = seen(&source, Direction::Read);
        // The system call says WouldBlock, then:
        source.mark(Ready::READABLE, Arming::Edge, &mut Wakes::default());
        source.note(seen, Direction::Read, Moved::Nothing);
        assert!(is_ready(&source, Direction::Read));
    }

    #[test]
    fn an_event_between_the_clear_and_the_registration_is_kept() {
        let source = idle();
        let looked = seen(&source, Direction::Read);
        source.mark(Ready::READABLE, Arming::Edge, &mut Wakes::default());
        let (woken, waker) = Count::new();
        let waiting = source.wait(looked, Direction::Read, &waker, Arming::Edge, |_| Ok(()));
        assert_eq!(waiting.unwrap(), Waiting::TryAgain);
        assert_eq!(woken.get(), 0);
    }

    #[test]
    fn clearing_one_direction_leaves_the_other() {
        let source = Readiness::new();
        find_nothing(&source, Direction::Read);
        assert!(!is_ready(&source, Direction::Read));
        assert!(is_ready(&source, Direction::Write));
    }

    #[test]
    fn the_end_of_a_connection_is_never_cleared() {
        let source = idle();
        source.mark(
            Ready::READABLE.and(Ready::READ_CLOSED),
            Arming::Edge,
            &mut Wakes::default(),
        );
        find_nothing(&source, Direction::Read);
        assert!(is_ready(&source, Direction::Read));
    }

    #[test]
    fn an_event_wakes_every_waiter_of_its_direction_and_no_other() {
        let source = idle();
        let (first, first_waker) = Count::new();
        let (second, second_waker) = Count::new();
        let (writer, writer_waker) = Count::new();
        wait(&source, Direction::Read, &first_waker);
        wait(&source, Direction::Read, &second_waker);
        wait(&source, Direction::Write, &writer_waker);
        let mut wakes = Wakes::default();
        source.mark(Ready::READABLE, Arming::Edge, &mut wakes);
        wakes.call();
        assert_eq!((first.get(), second.get(), writer.get()), (1, 1, 0));
        source.mark(Ready::WRITABLE, Arming::Edge, &mut wakes);
        wakes.call();
        assert_eq!((first.get(), second.get(), writer.get()), (1, 1, 1));
    }

    #[test]
    fn a_doubt_ends_by_force_and_wakes_who_waits() {
        let source = in_doubt();
        let (woken, waker) = Count::new();
        assert_eq!(wait(&source, Direction::Read, &waker), Waiting::Stored);
        assert!(source.is_still_in_doubt(seen(&source, Direction::Read)));
        let mut wakes = Wakes::default();
        source.end_doubt(End::Force, &mut wakes);
        wakes.call();
        assert_eq!(woken.get(), 1);
        assert!(is_ready(&source, Direction::Read));
    }

    #[test]
    fn a_doubt_ends_by_an_event_or_by_what_another_reader_found() {
        let source = in_doubt();
        let doubted = seen(&source, Direction::Read);
        source.mark(Ready::READABLE, Arming::Edge, &mut Wakes::default());
        assert!(!source.is_still_in_doubt(doubted));
        let source = in_doubt();
        let (woken, waker) = Count::new();
        wait(&source, Direction::Read, &waker);
        find_nothing(&source, Direction::Read);
        source.end_doubt(End::Force, &mut Wakes::default());
        assert_eq!(woken.get(), 0); // its next event wakes it
        assert!(!is_ready(&source, Direction::Read));
    }

    #[test]
    fn a_oneshot_source_is_armed_by_its_waiters_and_an_event_wakes_both_directions() {
        let source = idle();
        let (reader, reader_waker) = Count::new();
        let (writer, writer_waker) = Count::new();
        let mut armed = Vec::new();
        for (direction, waker) in [
            (Direction::Read, &reader_waker),
            (Direction::Read, &reader_waker), // armed already
            (Direction::Write, &writer_waker),
        ] {
            let arm = |interest| {
                armed.push(interest);
                Ok(())
            };
            wait_oneshot(&source, direction, waker, arm).unwrap();
        }
        let read = Interest::from(Direction::Read);
        assert_eq!(armed, [read, read.with(Direction::Write)]);
        let mut wakes = Wakes::default();
        source.mark(Ready::READABLE, Arming::Oneshot, &mut wakes);
        wakes.call();
        assert_eq!((reader.get(), writer.get()), (1, 1));
        // The writer finds nothing, and arms again for itself alone.
        let mut again = None;
        wait_oneshot(&source, Direction::Write, &writer_waker, |interest| {
            again = Some(interest);
            Ok(())
        })
        .unwrap();
        assert_eq!(again, Some(Interest::from(Direction::Write)));
    }

    #[test]
    fn an_arming_that_fails_stores_no_waker() {
        let source = idle();
        let (woken, waker) = Count::new();
        let refused = wait_oneshot(&source, Direction::Read, &waker, |_| {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        });
        assert!(refused.is_err());
        source.mark(Ready::READABLE, Arming::Oneshot, &mut Wakes::default());
        assert_eq!(woken.get(), 0);
    }
}

#[cfg(all(test, loom))]
mod models;
