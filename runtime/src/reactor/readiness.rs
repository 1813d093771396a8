//! One source: what the OS last said of it, and who waits for it to say more.
//!
//! ```text
//!   a task                                         the thread in the reactor's turn
//!   ------                                         --------------------------------
//!   look(): ready?  --no--------------+            mark(): under the lock
//!     | yes: Seen(tick)               |              word: tick + 1, bits set
//!   the system call                   |              take the wakers concerned
//!     | WouldBlock                    |            outside the lock: call them
//!   clear(seen): only if no mark()    |
//!     | came since `look`             |
//!     v                               v
//!   wait(): under the lock: ready now? then try again. Otherwise store the waker; oneshot: arm.
//! ```
//!
//! Owns      one word (tick and readiness bits) and, under a lock, the waiting wakers.
//! Holds     I1 an event that arrives between a task's `look` and its `clear` is not cleared: it
//!              moved the tick. (Otherwise: the call says WouldBlock, bytes arrive, their event is
//!              wiped out, and an edge-triggered OS never speaks again.)
//!           I2 a waker is stored only while the word is not ready, decided under the lock that
//!              `mark` changes the word under: so no mark falls between the look and the store.
//!           I3 every live waiter is woken by the next mark that concerns it.
//! Cost      a read that finds bytes: one load. One that waits: a compare-exchange, an uncontended
//!           lock, one waker clone.
//!
//! | operation      | ordering | pairs with     | what breaks if weaker                             |
//! |----------------|----------|----------------|---------------------------------------------------|
//! | `look`: load   | Acquire  | `mark`         | the load must not sink below the system call, or  |
//! |                |          |                | its tick is too new and `clear` wipes an event out|
//! | `clear`: cmpxchg| AcqRel  | `mark`         | nothing: the value decides. Says what is meant    |
//! | `mark`: cmpxchg| Release  | `look`         | (as `look`)                                       |
//! | `wait`: load   | Relaxed  | (the lock)     | nothing: `mark` runs under the same lock          |
//!
//! Source    the idea of the tick: tokio's `scheduled_io.rs`. Next: `registry.rs`.

use super::interest::{Direction, Interest, Ready};
use super::poller::Arming;
use super::waiters::Waiters;
use super::wakes::Wakes;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock};
use std::io;
use std::task::Waker;

pub(crate) struct Readiness {
    /// `tick << Ready::BITS | ready`
    word: AtomicU64,
    waits: Mutex<Waits>,
}

struct Waits {
    tasks: Waiters,
    /// Oneshot: the directions that the OS was asked about and has not answered.
    armed: Interest,
}

/// The word as a task saw it before its system call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u64);

impl Seen {
    /// Will no event ever come?
    pub(crate) fn is_orphaned(self) -> bool {
        ready_of(self.0).intersects(Ready::ORPHANED)
    }
}

/// What came of asking to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The waker is stored; the task may return `Pending`.
    Stored,
    /// Something happened meanwhile: try the system call again.
    TryAgain,
}

// The word's transitions, pure.

const fn ready_of(word: u64) -> Ready {
    Ready::from_bits(word as u8)
}

const fn marked(word: u64, ready: Ready) -> u64 {
    // 59 bits of tick do not run over in the life of a machine.
    (word | ready.bits() as u64) + (1 << Ready::BITS)
}

/// `None`: an event arrived since `seen`, and the bit stays.
const fn cleared(word: u64, seen: Seen, direction: Direction) -> Option<u64> {
    if word >> Ready::BITS != seen.0 >> Ready::BITS {
        return None;
    }
    Some(word & !(Ready::passing(direction).bits() as u64))
}

impl Readiness {
    /// Ready in both directions until a system call says otherwise: the first try is free.
    pub(crate) fn new() -> Self {
        let ready = Ready::READABLE.and(Ready::WRITABLE);
        Self {
            word: AtomicU64::new(ready.bits() as u64),
            waits: Mutex::new(Waits {
                tasks: Waiters::default(),
                armed: Interest::NONE,
            }),
        }
    }

    /// Is a system call in this direction worth trying?
    #[inline]
    pub(crate) fn look(&self, direction: Direction) -> Option<Seen> {
        // Acquire: keeps the system call that follows below this load; pairs with `mark`.
        let word = self.word.load(Ordering::Acquire);
        ready_of(word)
            .intersects(Ready::concerning(direction))
            .then_some(Seen(word))
    }

    /// The system call said WouldBlock (or took everything there was).
    pub(crate) fn clear(&self, seen: Seen, direction: Direction) {
        // AcqRel: see the table. On failure nothing is cleared, and the loop in `fetch_update`
        // decides again when only the other direction's bit has changed.
        let _ = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                cleared(word, seen, direction)
            });
    }

    /// (3) Leaves a waker for the next event in `direction`.
    ///
    /// `arm` asks the OS for that event; it is called, under the lock, with a oneshot backend only.
    pub(crate) fn wait(
        &self,
        direction: Direction,
        waker: &Waker,
        arming: Arming,
        arm: impl FnOnce(Interest) -> io::Result<()>,
    ) -> io::Result<Waiting> {
        // Cloned before the lock, dropped after it: both may run user code.
        let mut waker = Some(waker.clone());
        let mut wakes = Wakes::default();
        let mut waits = lock(&self.waits);
        // Relaxed: `mark` changes the word under this lock (I2).
        let word = self.word.load(Ordering::Relaxed);
        if ready_of(word).intersects(Ready::concerning(direction)) {
            return Ok(Waiting::TryAgain);
        }
        if arming == Arming::Oneshot && !waits.armed.contains(direction) {
            let armed = waits.armed.with(direction);
            arm(armed)?;
            waits.armed = armed;
        }
        waits.tasks.store(direction, &mut waker, &mut wakes);
        drop(waits);
        Ok(Waiting::Stored)
    }

    /// (5) Notes what the OS said, and takes the wakers of those it concerns.
    pub(crate) fn mark(&self, ready: Ready, arming: Arming, wakes: &mut Wakes) {
        let mut waits = lock(&self.waits);
        // Release: pairs with `look`. Relaxed would do for the load: the value is all there is.
        let _ = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                Some(marked(word, ready))
            });
        // A oneshot event disarms both directions: whoever waits in the other one is woken too,
        // finds nothing, and arms again.
        let disarmed = arming == Arming::Oneshot;
        waits.armed = Interest::NONE;
        for direction in [Direction::Read, Direction::Write] {
            if disarmed || ready.intersects(Ready::concerning(direction)) {
                waits.tasks.take(direction, wakes);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    fn count(count: &Count) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    /// An edge-triggered source on which both directions have said WouldBlock.
    fn idle() -> Readiness {
        let source = Readiness::new();
        for direction in [Direction::Read, Direction::Write] {
            source.clear(source.look(direction).unwrap(), direction);
        }
        source
    }

    fn wait(source: &Readiness, direction: Direction, waker: &Waker) -> Waiting {
        source
            .wait(direction, waker, Arming::Edge, |_| unreachable!())
            .unwrap()
    }

    #[test]
    fn an_event_between_the_try_and_the_clear_is_kept() {
        let source = Readiness::new();
        let seen = source.look(Direction::Read).unwrap();
        // The system call says WouldBlock, then:
        source.mark(Ready::READABLE, Arming::Edge, &mut Wakes::default());
        source.clear(seen, Direction::Read);
        assert!(source.look(Direction::Read).is_some());
    }

    #[test]
    fn an_event_between_the_clear_and_the_registration_is_kept() {
        let source = idle();
        source.mark(Ready::READABLE, Arming::Edge, &mut Wakes::default());
        let (woken, waker) = counter();
        assert_eq!(wait(&source, Direction::Read, &waker), Waiting::TryAgain);
        assert_eq!(count(&woken), 0);
    }

    #[test]
    fn clearing_one_direction_leaves_the_other() {
        let source = Readiness::new();
        source.clear(source.look(Direction::Read).unwrap(), Direction::Read);
        assert!(source.look(Direction::Read).is_none());
        assert!(source.look(Direction::Write).is_some());
    }

    #[test]
    fn the_end_of_a_connection_is_never_cleared() {
        let source = idle();
        source.mark(
            Ready::READABLE.and(Ready::READ_CLOSED),
            Arming::Edge,
            &mut Wakes::default(),
        );
        source.clear(source.look(Direction::Read).unwrap(), Direction::Read);
        assert!(source.look(Direction::Read).is_some());
    }

    #[test]
    fn an_event_wakes_every_waiter_of_its_direction_and_no_other() {
        let source = idle();
        let (first, first_waker) = counter();
        let (second, second_waker) = counter();
        let (writer, writer_waker) = counter();
        wait(&source, Direction::Read, &first_waker);
        wait(&source, Direction::Read, &second_waker);
        wait(&source, Direction::Write, &writer_waker);
        let mut wakes = Wakes::default();
        source.mark(Ready::READABLE, Arming::Edge, &mut wakes);
        wakes.call();
        assert_eq!((count(&first), count(&second), count(&writer)), (1, 1, 0));
        source.mark(Ready::WRITABLE, Arming::Edge, &mut wakes);
        wakes.call();
        assert_eq!((count(&first), count(&second), count(&writer)), (1, 1, 1));
    }

    #[test]
    fn a_oneshot_source_is_armed_by_its_waiters_and_an_event_wakes_both_directions() {
        let source = idle();
        let (reader, reader_waker) = counter();
        let (writer, writer_waker) = counter();
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
            source.wait(direction, waker, Arming::Oneshot, arm).unwrap();
        }
        let read = Interest::from(Direction::Read);
        assert_eq!(armed, [read, read.with(Direction::Write)]);
        let mut wakes = Wakes::default();
        source.mark(Ready::READABLE, Arming::Oneshot, &mut wakes);
        wakes.call();
        assert_eq!((count(&reader), count(&writer)), (1, 1));
        // The writer finds nothing, and arms again for itself alone.
        let mut again = None;
        source
            .wait(
                Direction::Write,
                &writer_waker,
                Arming::Oneshot,
                |interest| {
                    again = Some(interest);
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(again, Some(Interest::from(Direction::Write)));
    }

    #[test]
    fn an_arming_that_fails_stores_no_waker() {
        let source = idle();
        let (woken, waker) = counter();
        let refused = source.wait(Direction::Read, &waker, Arming::Oneshot, |_| {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        });
        assert!(refused.is_err());
        source.mark(Ready::READABLE, Arming::Oneshot, &mut Wakes::default());
        assert_eq!(count(&woken), 0);
    }
}

#[cfg(all(test, loom))]
mod models;
