//! The doubts of the thread that drives: reads it has put off, and when each must be made after all.
//!
//! ```text
//!   a task's read fills its buffer ──> in doubt (side.rs) ──> the task waits: listed here, `fresh`
//!
//!   look at the OS: an event for the source      the doubt is over, a read was saved
//!                   events for others only       fresh ──> old ──> ended by force
//!                   no event at all              ended by force, fresh or old
//!   no look: guess                               old ──> ended, fresh ──> old
//! ```
//!
//! Two turns, because an answer often needs two: one brings the question to a task of this thread,
//! the next the answer that it wrote.
//!
//! # Guesses
//!
//! Where both ends are tasks of one thread, an old doubt's socket nearly always holds the next
//! message already, and a look at the OS would only say so. So the loop may guess: the old ones try,
//! and nobody looks. Whether guesses are right it sees from the doubts that come back: a read that a
//! guess made and that filled its buffer is in doubt again. One wrong guess of a round, and it looks
//! first again, and makes a single guess once in a while to learn whether that has changed: after one
//! look, then two, four, up to [`MOST_LOOKS`].
//!
//! Holds     D1 the loop does not sleep while there is a doubt: it looks at the OS instead, and ends
//!              what the look does not.
//!           D2 only a read on the thread that drives is put off: on any other thread the loop may
//!              be asleep already, and so the read is made at once.
//!           D3 a doubt is over after two turns, three with a guess that was for another; so however
//!              busy the others are it is made.
//!           D4 no more than [`GUESSES_PER_LOOK`] reads go between two looks: other descriptors wait
//!              no longer for guesses than they do for tasks.
//! Rejected  asking the OS once more before each sleep by poll(2): the same system call, and nothing
//!           is learnt for free. A list for all threads with a lock: a sleeping loop would have to
//!           be unparked, which costs more than the read.
//! Source    libuv's level-triggered reads stop after a short one; this is for those that are full.
//!           Guesses: the kernel's busy polling of sockets. Next: `registry.rs`.

use super::poller::Token;
use super::side::Seen;

/// About as many as tasks are polled between two looks.
const GUESSES_PER_LOOK: usize = 32;

/// A guess that is wrong costs a read in vain, about as much as a look: where guesses are always
/// wrong that is a read in vain per so many looks.
const MOST_LOOKS: u32 = 32;

/// A read of this source that was put off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doubt {
    pub(super) token: Token,
    /// The last event that it knew of.
    pub(super) seen: Seen,
}

/// See the file head.
#[derive(Default)]
pub(super) struct Doubts {
    fresh: Vec<Doubt>,
    old: Vec<Doubt>,
    /// Those that the last turn guessed about, a buffer.
    guesses: Vec<Doubt>,
    /// How many of them it made, and is waiting to hear of.
    made: usize,
    /// Were the last guesses right?
    lucky: bool,
    guesses_since_look: usize,
    /// How many looks there are to be before the next guess.
    looks_left: u32,
    /// And how many after that, if it is wrong.
    pause: u32,
}

impl Doubts {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.old.is_empty()
    }

    /// Takes in those that came since the last turn, and leaves the list empty.
    pub(super) fn take_in(&mut self, list: &mut Vec<Doubt>) {
        if self.made > 0 {
            let right = list.iter().filter(|doubt| doubt.seen.is_guess()).count();
            self.lucky = right >= self.made;
            self.pause = match self.lucky {
                true => 0,
                false => (2 * self.pause).clamp(1, MOST_LOOKS),
            };
            self.looks_left = self.pause;
            self.made = 0;
        }
        if self.fresh.is_empty() {
            std::mem::swap(&mut self.fresh, list);
        } else {
            self.fresh.append(list);
        }
    }

    /// May the next turn guess instead of looking?
    pub(super) fn may_guess(&self) -> bool {
        let guesses = if self.lucky { self.old.len() } else { 1 };
        !self.old.is_empty()
            && self.guesses_since_look + guesses <= GUESSES_PER_LOOK
            && self.looks_left == 0
    }

    /// The old ones (one of them, to learn) are to try; the others are a turn older.
    pub(super) fn guess(&mut self) -> &[Doubt] {
        self.guesses.clear();
        if self.lucky {
            std::mem::swap(&mut self.guesses, &mut self.old);
            std::mem::swap(&mut self.old, &mut self.fresh);
        } else {
            self.guesses.extend(self.old.pop());
        }
        &self.guesses
    }

    /// So many of them were still in doubt.
    pub(super) fn note_guesses(&mut self, made: usize) {
        self.made = made;
        self.guesses_since_look += made;
    }

    /// The OS is looked at.
    pub(super) fn note_look(&mut self) {
        self.guesses_since_look = 0;
        self.looks_left = self.looks_left.saturating_sub(1);
    }

    /// Those that are to end with this look.
    pub(super) fn ending(&self, anything_happened: bool) -> impl Iterator<Item = &Doubt> {
        let fresh = if anything_happened {
            &[][..]
        } else {
            &self.fresh
        };
        self.old.iter().chain(fresh)
    }

    /// They have ended, and the others are a turn older.
    pub(super) fn age(&mut self, anything_happened: bool) {
        self.old.clear();
        if anything_happened {
            std::mem::swap(&mut self.old, &mut self.fresh);
        } else {
            self.fresh.clear();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::side::{End, Look, Moved, Side};
    use super::*;

    fn doubt(token: usize, side: &Side) -> Doubt {
        let (Look::Ready(seen) | Look::InDoubt { seen, .. }) = side.look() else {
            panic!("spent");
        };
        let token = Token(token);
        Doubt { token, seen }
    }

    /// Old doubts of so many sources.
    fn old(doubts: &mut Doubts, sources: usize) {
        let side = Side::new();
        doubts.take_in(&mut (0..sources).map(|token| doubt(token, &side)).collect());
        doubts.age(true);
    }

    /// The outcome of a guess about so many.
    fn guess(doubts: &mut Doubts, right: bool) -> usize {
        assert!(doubts.may_guess());
        let made = doubts.guess().len();
        doubts.note_guesses(made);
        let side = Side::with_tries(0);
        side.end_doubt(End::Guess);
        let again = doubt(0, &side);
        side.note(again.seen, Moved::All);
        doubts.take_in(&mut vec![again; if right { made } else { made - 1 }]);
        made
    }

    #[test]
    fn a_doubt_ends_with_the_second_look_and_with_one_that_finds_nothing() {
        let side = Side::new();
        for anything_happened in [true, false] {
            let mut doubts = Doubts::default();
            doubts.take_in(&mut vec![doubt(7, &side)]);
            let at_once = doubts.ending(anything_happened).count();
            assert_eq!(at_once == 1, !anything_happened);
            doubts.age(anything_happened);
            assert_eq!(doubts.is_empty(), !anything_happened);
            assert_eq!(doubts.ending(true).count() == 1, anything_happened);
        }
    }

    #[test]
    fn guesses_that_are_right_go_on_and_wrong_ones_become_rare() {
        let mut doubts = Doubts::default();
        old(&mut doubts, 3);
        assert_eq!(guess(&mut doubts, true), 1);
        old(&mut doubts, 2); // and two of the first three
        assert!(guess(&mut doubts, true) > 1);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            old(&mut doubts, 1);
            guess(&mut doubts, false);
            old(&mut doubts, 1);
            let looks = (0..).take_while(|_| {
                let must_look = !doubts.may_guess();
                doubts.note_look();
                must_look
            });
            pauses.push(looks.count() as u32);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn the_os_is_looked_at_however_lucky_the_guesses() {
        let mut doubts = Doubts::default();
        let mut guesses = 0;
        for _ in 0..2 * GUESSES_PER_LOOK {
            old(&mut doubts, 1);
            if doubts.may_guess() {
                guesses += guess(&mut doubts, true);
            }
        }
        assert!(guesses <= GUESSES_PER_LOOK);
        doubts.note_look();
        assert!(doubts.may_guess());
    }
}
