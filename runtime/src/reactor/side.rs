//! One direction of a source: how often the OS has spoken, and up to where its word is used up.
//!
//! ```text
//!   said   how often the OS has spoken           only the turn writes it (`announce`)
//!   used   up to which of these a task has       only tasks write it (`note`)
//!          found that nothing is left
//!
//!   said != used  ready: try the system call        said == used  spent: wait for the OS
//!                                                                 or *in doubt*
//! ```
//!
//! Two numbers with a writer each, so that a task that found nothing stores what it saw, and an
//! event that came meanwhile has made `said` another number: it cannot be wiped out.
//!
//! # Doubt
//!
//! A read that fills its buffer says nothing about what is left, and an edge-triggered OS will not
//! say it again. The next read tells, but where messages have a length that both ends know, it
//! finds nothing: a system call in vain for each message, and an epoll loop written by hand for
//! that protocol would not make it. So after a full read the direction is *in doubt*: the task
//! waits as if nothing were left, and the thread that drives the loop sees to it (`doubts.rs`) that
//! the doubt ends: by an event (the read in vain is saved), by a guess that there is something by now
//! (if so, a look at the OS is saved) or by force (the task tries).
//!
//! Whether doubting pays is learnt by what it would have cost before: a source begins with
//! [`TRIES`], loses one for each try in vain, gets them all back when a try finds bytes or a doubt
//! had to be ended by force, and doubts when it has none left. Every [`DOUBTS`] doubts it tries
//! once, lest a stream that an event always saves from being found out pays a turn for each buffer.
//!
//! Holds     S1 "used up to n" is only ever stored by who looked when `said` was n and then was told
//!              by the OS that nothing is left, or is in doubt: so whatever comes later will be
//!              announced by a larger number, whoever's store is the last.
//!           S2 what a task stores besides is a guess about the future; a store that is lost among
//!              several readers costs a guess.
//! Cost      look: two loads of one cache line. note: a load and a store, nothing locked.
//!
//! | operation       | ordering | pairs with | what breaks if weaker                                |
//! |-----------------|----------|------------|------------------------------------------------------|
//! | look: load said | Acquire  | `announce` | the load must not sink below the system call, or its |
//! |                 |          |            | number is too new and `note` uses an event up (S1)   |
//! | look: load used | Relaxed  | (nothing)  | nothing: an old value was true when it was stored    |
//! | note: store used| Release  | (the call) | nothing but S1's reading: after the call's answer    |
//! | announce: store | Release  | `look`     | (as `look`)                                          |
//!
//! Source    the numbers: tokio's tick in `scheduled_io.rs`, and sequence locks; a doubt's counter:
//!           branch prediction. Next: `readiness.rs`.

use crate::sync::atomic::{AtomicU64, Ordering};

/// How many reads in vain a source makes before it doubts. A doubt that ends by force costs a look
/// at the OS and a poll, about two reads in vain; so this keeps the price of doubting where it never
/// pays (a client far away) near a tenth of a read per message.
const TRIES: u64 = 16;

/// How many doubts in a row there are before a try. A stream that is taken for messages pays a turn
/// for each, once; messages pay a read in vain for so many.
const DOUBTS: u64 = 63;

pub(super) struct Side {
    /// `count << SAID_BITS | flags`
    said: AtomicU64,
    /// `count << USED_BITS | notes`
    used: AtomicU64,
}

// The flags of `said`. 59 bits of count do not run over in the life of a machine, nor do 50.
const SAID_BITS: u32 = 5;
/// For ever: a connection that has ended never un-ends. Ready whatever is used up, because an
/// edge-triggered OS announces the end once, perhaps together with the last bytes.
pub(super) const CLOSED: u64 = 1;
/// Not from the OS: the reactor is gone, and no event will ever come.
pub(super) const ORPHANED: u64 = 1 << 1;
/// Not from the OS: a doubt was ended by force.
const FORCED: u64 = 1 << 2;
/// For ever: there was a byte out of band. A read ends at its mark, so a short one says nothing.
pub(super) const URGENT: u64 = 1 << 3;
/// Not from the OS: a doubt was ended by a guess.
const GUESSED: u64 = 1 << 4;

/// What a task saw before its system call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u64);

impl Seen {
    const fn count(self) -> u64 {
        self.0 >> SAID_BITS
    }

    const fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// Will no event ever come?
    pub(crate) const fn is_orphaned(self) -> bool {
        self.has(ORPHANED)
    }

    /// Was it a guess that made this read?
    pub(super) const fn is_guess(self) -> bool {
        self.has(GUESSED)
    }
}

/// How a doubt ends if not by an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The loop would sleep, or it has lasted too long: doubting did not pay.
    Force,
    /// By now there may well be something, and nothing is proved if there is not.
    Guess,
}

/// What the system call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// WouldBlock.
    Nothing,
    /// Less than there was room for: then there is no more for now (epoll(7), question 9).
    Part,
    /// As much as there was room for, or less for a reason of its own: nobody knows what is left.
    All,
}

/// Is a system call worth trying?
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Ready(Seen),
    /// Nobody knows. `listed`: the thread that drives knows of it.
    InDoubt {
        seen: Seen,
        listed: bool,
    },
    Spent(Seen),
}

/// `used`, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    count: u64,
    in_doubt: bool,
    listed: bool,
    /// The last read filled its buffer, and the next one tries whether there is more.
    trying: bool,
    tries_left: u64,
    /// In a row.
    doubts: u64,
}

const USED_BITS: u32 = 14;
const IN_DOUBT: u64 = 1;
const LISTED: u64 = 1 << 1;
const TRYING: u64 = 1 << 2;
const TRIES_AT: u32 = 3;
const DOUBTS_AT: u32 = 8;
const _: () = assert!(TRIES < 1 << (DOUBTS_AT - TRIES_AT) && DOUBTS < 1 << (USED_BITS - DOUBTS_AT));

impl Used {
    const fn unpack(word: u64) -> Used {
        Used {
            count: word >> USED_BITS,
            in_doubt: word & IN_DOUBT != 0,
            listed: word & LISTED != 0,
            trying: word & TRYING != 0,
            tries_left: (word >> TRIES_AT) & ((1 << (DOUBTS_AT - TRIES_AT)) - 1),
            doubts: (word >> DOUBTS_AT) & ((1 << (USED_BITS - DOUBTS_AT)) - 1),
        }
    }

    const fn pack(self) -> u64 {
        (self.count << USED_BITS)
            | (self.doubts << DOUBTS_AT)
            | (self.tries_left << TRIES_AT)
            | (self.trying as u64 * TRYING)
            | (self.listed as u64 * LISTED)
            | (self.in_doubt as u64 * IN_DOUBT)
    }

    /// Pure: what to store after a system call.
    const fn after(mut self, seen: Seen, moved: Moved) -> Used {
        let moved = match moved {
            Moved::Part if seen.has(URGENT) => Moved::All,
            moved => moved,
        };
        let forced = seen.has(FORCED);
        match moved {
            Moved::Nothing if forced => self.tries_left = TRIES,
            Moved::Nothing if self.trying => self.tries_left = self.tries_left.saturating_sub(1),
            Moved::Part | Moved::All if forced || self.trying => self.tries_left = TRIES,
            _ => {}
        }
        self.in_doubt = false;
        self.listed = false;
        self.trying = false;
        self.count = seen.count();
        if let Moved::All = moved {
            if self.tries_left == 0 && self.doubts < DOUBTS {
                self.doubts += 1;
                self.in_doubt = true;
            } else {
                self.doubts = 0;
                self.trying = true;
                self.count -= 1; // not used up: ready
            }
        }
        self
    }
}

impl Side {
    /// Ready until a system call says otherwise: the first try is free.
    pub(super) fn new() -> Side {
        Side::with_tries(TRIES)
    }

    pub(super) fn with_tries(tries_left: u64) -> Side {
        Side {
            said: AtomicU64::new(1 << SAID_BITS),
            used: AtomicU64::new(tries_left << TRIES_AT),
        }
    }

    /// One doubt more, and then a try.
    #[cfg(all(test, loom))]
    pub(super) fn before_a_try() -> Side {
        let side = Side::with_tries(0);
        side.used
            .store((DOUBTS - 1) << DOUBTS_AT, Ordering::Relaxed);
        side
    }

    #[inline]
    pub(super) fn look(&self) -> Look {
        // Acquire: keeps the system call that follows below this load; pairs with `announce`.
        let seen = Seen(self.said.load(Ordering::Acquire));
        // Relaxed: see the table.
        let used = self.used.load(Ordering::Relaxed);
        if used >> USED_BITS != seen.count() || seen.has(CLOSED | ORPHANED) {
            Look::Ready(seen)
        } else if used & IN_DOUBT != 0 {
            let listed = used & LISTED != 0;
            Look::InDoubt { seen, listed }
        } else {
            Look::Spent(seen)
        }
    }

    /// After a system call.
    #[inline]
    pub(super) fn note(&self, seen: Seen, moved: Moved) {
        let used = Used::unpack(self.used.load(Ordering::Relaxed));
        // Release: see the table.
        self.used
            .store(used.after(seen, moved).pack(), Ordering::Release);
    }

    /// The thread that drives knows of the doubt.
    pub(super) fn list(&self) {
        let used = self.used.load(Ordering::Relaxed);
        self.used.store(used | LISTED, Ordering::Relaxed); // S2
    }

    /// (5) The OS has spoken. One thread at a time: the caller holds a lock.
    /// `flags` are true from now on.
    pub(super) fn announce(&self, flags: u64) {
        let said = self.said.load(Ordering::Relaxed) & !(FORCED | GUESSED);
        // Release: pairs with `look`.
        self.said
            .store((said | flags) + (1 << SAID_BITS), Ordering::Release);
    }

    /// A doubt ends without the OS. One thread at a time, as `announce`.
    pub(super) fn end_doubt(&self, end: End) {
        let said = self.said.load(Ordering::Relaxed) & !(FORCED | GUESSED);
        let flag = match end {
            End::Force => FORCED,
            End::Guess => GUESSED,
        };
        // Release: pairs with `look`.
        self.said
            .store((said | flag) + (1 << SAID_BITS), Ordering::Release);
    }

    /// Has nothing been announced since `seen`? Exact for whoever announces.
    pub(super) fn is_still(&self, seen: Seen) -> bool {
        Seen(self.said.load(Ordering::Relaxed)).count() == seen.count()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn seen(side: &Side) -> Seen {
        match side.look() {
            Look::Ready(seen) | Look::InDoubt { seen, .. } => seen,
            Look::Spent(_) => panic!("spent"),
        }
    }

    fn note(side: &Side, moved: Moved) {
        side.note(seen(side), moved);
    }

    fn is_ready(side: &Side) -> bool {
        matches!(side.look(), Look::Ready(_))
    }

    fn is_in_doubt(side: &Side) -> bool {
        matches!(side.look(), Look::InDoubt { .. })
    }

    /// A message that fills its buffer comes `n` times. How many reads were in vain?
    fn messages(side: &Side, n: u64) -> u64 {
        let mut in_vain = 0;
        for _ in 0..n {
            side.announce(0);
            note(side, Moved::All);
            if is_ready(side) {
                in_vain += 1;
                note(side, Moved::Nothing);
            }
        }
        in_vain
    }

    #[test]
    fn a_word_is_unpacked_as_it_was_packed() {
        let all = [0, 1, 7].into_iter().flat_map(|count| {
            (0..1 << USED_BITS).map(move |notes: u64| (count << USED_BITS) | notes)
        });
        all.for_each(|word| assert_eq!(Used::unpack(word).pack(), word));
    }

    #[test]
    fn an_event_between_the_look_and_the_note_is_kept() {
        for moved in [Moved::Nothing, Moved::Part, Moved::All] {
            let side = Side::with_tries(0);
            let seen = seen(&side);
            side.announce(0);
            side.note(seen, moved);
            assert!(is_ready(&side));
        }
    }

    #[test]
    fn what_has_ended_stays_ready() {
        for ended in [CLOSED, ORPHANED] {
            for moved in [Moved::Nothing, Moved::Part, Moved::All] {
                let side = Side::with_tries(0);
                side.announce(ended);
                note(&side, moved);
                assert!(is_ready(&side));
                side.announce(0);
                note(&side, moved);
                assert!(is_ready(&side));
            }
        }
    }

    #[test]
    fn messages_of_known_length_soon_cost_no_read_in_vain() {
        let side = Side::new();
        assert_eq!(messages(&side, TRIES), TRIES);
        // And then one in so many.
        assert_eq!(messages(&side, 10 * (DOUBTS + 1)), 10);
    }

    #[test]
    fn a_stream_is_read_on() {
        let side = Side::new();
        messages(&side, TRIES);
        // More than a buffer each time, and an event in time for each doubt.
        let mut doubts = 0;
        for _ in 0..1000 {
            side.announce(0);
            note(&side, Moved::All);
            doubts += u64::from(is_in_doubt(&side));
        }
        assert!(doubts <= DOUBTS, "{doubts}");
    }

    #[test]
    fn a_doubt_that_ended_by_force_is_the_last_for_a_while() {
        for moved in [Moved::Nothing, Moved::Part, Moved::All] {
            let side = Side::new();
            messages(&side, TRIES);
            side.announce(0);
            note(&side, Moved::All);
            assert!(is_in_doubt(&side));
            side.end_doubt(End::Force);
            assert!(is_ready(&side));
            note(&side, moved);
            assert_eq!(messages(&side, TRIES), TRIES);
            assert_eq!(messages(&side, DOUBTS), 0);
        }
    }

    #[test]
    fn a_guess_proves_nothing() {
        for moved in [Moved::Nothing, Moved::Part, Moved::All] {
            let side = Side::with_tries(0);
            note(&side, Moved::All);
            side.end_doubt(End::Guess);
            assert!(is_ready(&side) && seen(&side).is_guess());
            note(&side, moved);
            assert_eq!(is_in_doubt(&side), moved == Moved::All);
            assert!(!is_ready(&side));
            assert_eq!(messages(&side, DOUBTS - 2), 0);
        }
    }

    #[test]
    fn short_reads_leave_no_doubt_unless_something_may_have_ended_them() {
        let side = Side::with_tries(0);
        for _ in 0..100 {
            side.announce(0);
            note(&side, Moved::Part);
            assert!(matches!(side.look(), Look::Spent(_)));
        }
        side.announce(URGENT);
        note(&side, Moved::Part);
        assert!(is_in_doubt(&side));
    }
}
