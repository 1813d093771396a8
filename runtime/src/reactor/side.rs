//! One direction of a source: is a system call worth trying, as far as anybody knows?
//!
//! Two counters say so, each with one kind of writer:
//!
//! ```text
//!   said   how often the OS has announced something                   the turn writes it: `announce`
//!   used   how many of these are used up: a task made its system      tasks write it: `note`
//!          call after them, and nothing was left
//!
//!   said != used   ready      there may be something: try
//!   said == used   spent      nothing is left: wait for the next announcement
//!                  in doubt   nobody knows: see below
//! ```
//!
//! A task looks (`said` is 5), makes its system call, learns that nothing is left, and stores 5 in
//! `used`. If the OS announced something in between, `said` is 6 by now, and the direction is ready
//! still: a plain store, and yet it cannot wipe out an event.
//!
//! # Doubt
//!
//! A read that fills its buffer does not tell whether more is left, and an edge-triggered OS does not
//! announce the rest again. So the task must read once more before it may wait. But where both ends
//! know how long a message is, that second read finds nothing: a system call in vain per message.
//!
//! So it is put off. The direction is *in doubt*, and the task waits as if nothing were left. As a
//! rule the next message comes, is announced, and ends the doubt: a read was saved. Or the thread that
//! drives the loop ends it (`doubts.rs`): it adds one to `said` although the OS was silent, and the
//! task makes its read. By *force*, where the loop would sleep otherwise; or by a *guess* that the
//! message is there by now, which saves a look at the OS.
//!
//! ```text
//!   full read ──> try: read again at once          while tries are left
//!             └─> doubt: wait ──> an event         a read was saved
//!                             ├─> a guess: read    if it was right, so was a look
//!                             └─> force: read      nothing was saved, and a turn was lost
//! ```
//!
//! Which of the two is better, each source learns. It begins with [`TRIES`] tries. A try that finds
//! nothing costs it one; a try that finds bytes, and a doubt that ended by force, give it all of them
//! back. After [`DOUBTS`] doubts in a row it tries once: in a long stream each buffer's doubt is ended
//! by an event, and nothing else would show that reading on is better.
//!
//! Holds     S1 who stores n in `used` has looked when `said` was n, and after that either nothing was
//!              left, or it says "in doubt". So once "spent" has stood beside n, whatever comes is
//!              announced by a larger number, whoever stores what after that.
//!           S2 of several readers the last store stays, and the others' are lost: with them a guess
//!              about the future, or a doubt (I4 in `readiness.rs` has those).
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
