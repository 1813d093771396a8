//! The doubts of the thread that drives: reads it has put off, and when each must be made after all.
//!
//! ```text
//!   a task's read fills its buffer ──> in doubt (side.rs) ──> the task waits: listed here, `fresh`
//!
//!   turn: an event for the source      the doubt is over, a read was saved
//!         events for others only       fresh ──> old ──> ended by force
//!         no event at all              ended by force, fresh or old
//! ```
//!
//! Two turns, because an answer often needs two: one brings the question to a task of this thread,
//! the next the answer that it wrote.
//!
//! Holds     D1 the loop does not sleep while there is a doubt: it looks at the OS instead, and ends
//!              what the look does not.
//!           D2 only a read on the thread that drives is put off: on any other thread the loop may
//!              be asleep already, and so the read is made at once.
//!           D3 so a doubt is over after two turns at most, however busy the others are.
//! Rejected  asking the OS once more before each sleep by poll(2): the same system call, and nothing
//!           is learnt for free. A list for all threads with a lock: a sleeping loop would have to
//!           be unparked, which costs more than the read.
//! Source    libuv's level-triggered reads stop after a short one; this is for those that are full.
//! Next: `registry.rs`.

use super::poller::Token;
use super::side::Seen;

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
}

impl Doubts {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.old.is_empty()
    }

    /// Takes in those that came since the last turn, and leaves the list empty.
    pub(super) fn take_in(&mut self, list: &mut Vec<Doubt>) {
        if self.fresh.is_empty() {
            std::mem::swap(&mut self.fresh, list);
        } else {
            self.fresh.append(list);
        }
    }

    /// Those that are to end with this turn.
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
