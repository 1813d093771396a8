//! One job's place in shared memory: who may touch it, and how it goes to and fro.
//!
//! ```text
//!             offer(n)             claim(n), by the worker      answer(n), by the worker
//!   (free) ────────────> OFFERED n ──────────────────> CLAIMED n ─────────────> ANSWERED n ──> (free)
//!      pool writes the      |       worker reads the argument,      pool copies the result out
//!      argument, then this  |       and writes the result
//!                           | withdraw(n), by the pool
//!                           +──────────────────────> WITHDRAWN n ──> (free): it will never run
//! ```
//!
//! A job that was offered may lie here untouched when its worker is killed: it never ran, and must
//! not be the one that pays. And it may have to be taken back (it was aborted, or another worker
//! has nothing to do) while the worker is about to begin it: exactly one of the two may win. One
//! word decides both, and also who owns the bytes of the slot.
//!
//! Owns      a word: the job's number, and its state in the two lowest bits.
//! Holds     L1 of `claim(n)` and `withdraw(n)` at most one succeeds; L2 the word says so even
//!           after the worker is dead; L3 whatever a runaway worker writes here, the pool stays
//!           sound: it copies, and checks what it has copied. A wrong word can only fail the jobs
//!           of that worker. L4 the bytes belong to the pool while the slot is free and once it is
//!           ANSWERED, to the worker from CLAIMED on, and to nobody in between.
//!
//! | operation               | ordering | pairs with             | what breaks if weaker           |
//! |-------------------------|----------|------------------------|---------------------------------|
//! | offer: store            | Release  | Acquire in `claim`     | the worker could read the slot's|
//! |                         |          |                        | former argument                 |
//! | claim: OFFERED->CLAIMED | Acquire  | Release in `offer`     | the same                        |
//! | withdraw                | Acquire  | (decides by the word)  | the next argument could be      |
//! |                         |          |                        | written before it is decided    |
//! | answer: store           | Release  | Acquire in `look`      | the pool could copy half a      |
//! |                         |          |                        | result                          |
//! | look: load              | Acquire  | Release in `answer`,   | the same                        |
//! |                         |          | `offer`                |                                 |
//!
//! Cost      one compare-and-swap per job, and two stores; no system call.
//! Source    the claim word of a work-stealing slot, and the sequence numbers of Vyukov's bounded
//!           queue. Next: `tray.rs`.

use crate::sync::atomic::{AtomicU64, Ordering};

/// What the word says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum State {
    Offered = 0,
    Claimed = 1,
    Withdrawn = 2,
    Answered = 3,
}

/// See the file head.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SlotWord {
    word: AtomicU64,
}

/// The number in the high bits, so that a word left over from an earlier job never matches.
fn word(number: u64, state: State) -> u64 {
    (number << 2) | state as u64
}

#[cfg_attr(loom, allow(dead_code))]
impl SlotWord {
    #[cfg(loom)]
    fn new() -> SlotWord {
        SlotWord {
            word: AtomicU64::new(0),
        }
    }

    /// By the pool, when the argument is written.
    pub(crate) fn offer(&self, number: u64) {
        // Release: pairs with the Acquire in `claim`.
        self.word
            .store(word(number, State::Offered), Ordering::Release);
    }

    /// By the worker: may it run job `number`?
    pub(crate) fn claim(&self, number: u64) -> bool {
        // Acquire: pairs with the Release in `offer`.
        self.change(number, State::Claimed)
    }

    /// By the pool: takes job `number` back. False when it has begun.
    pub(crate) fn withdraw(&self, number: u64) -> bool {
        // Acquire: what the pool writes into the slot next comes after this.
        self.change(number, State::Withdrawn)
    }

    /// By the worker, when the result is written.
    pub(crate) fn answer(&self, number: u64) {
        // Release: pairs with the Acquire in `look`.
        self.word
            .store(word(number, State::Answered), Ordering::Release);
    }

    /// The number and the state that the slot is in.
    pub(crate) fn look(&self) -> (u64, State) {
        // Acquire: pairs with the Release in `answer` and `offer`.
        let word = self.word.load(Ordering::Acquire);
        let state = match word & 3 {
            0 => State::Offered,
            1 => State::Claimed,
            2 => State::Withdrawn,
            _ => State::Answered,
        };
        (word >> 2, state)
    }

    fn change(&self, number: u64, to: State) -> bool {
        let (old, new) = (word(number, State::Offered), word(number, to));
        // Relaxed on failure: nothing is read on the strength of it.
        self.word
            .compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::UnsafeCell;
    use std::sync::Arc;

    struct Shared {
        word: SlotWord,
        bytes: UnsafeCell<u64>,
    }

    // SAFETY: L4: the word says whose the bytes are; loom checks it.
    unsafe impl Sync for Shared {}

    /// The pool offers job 1, tries to take it back, and offers job 2 in the same slot as soon as
    /// the first is over; the worker runs what it can claim.
    #[test]
    fn loom_a_job_runs_or_is_taken_back_and_its_bytes_have_one_owner() {
        loom::model(|| {
            let shared = Arc::new(Shared {
                word: SlotWord::new(),
                bytes: UnsafeCell::new(0),
            });
            let worker_s = shared.clone();
            let worker = loom::thread::spawn(move || {
                let mut ran = Vec::new();
                for number in 1..=2 {
                    loop {
                        let (there, state) = worker_s.word.look();
                        if there > number || (there == number && state == State::Withdrawn) {
                            break;
                        }
                        if there == number && worker_s.word.claim(number) {
                            // SAFETY: L4: claimed.
                            let argument = worker_s.bytes.with(|bytes| unsafe { *bytes });
                            assert_eq!(argument, number * 10);
                            // SAFETY: as above.
                            worker_s
                                .bytes
                                .with_mut(|bytes| unsafe { *bytes = number * 100 });
                            worker_s.word.answer(number);
                            ran.push(number);
                            break;
                        }
                        loom::thread::yield_now();
                    }
                }
                ran
            });
            let mut answered = Vec::new();
            for number in 1..=2 {
                // SAFETY: L4: free, or over.
                shared
                    .bytes
                    .with_mut(|bytes| unsafe { *bytes = number * 10 });
                shared.word.offer(number);
                if number == 1 && shared.word.withdraw(number) {
                    continue;
                }
                while shared.word.look() != (number, State::Answered) {
                    loom::thread::yield_now();
                }
                // SAFETY: L4: answered.
                assert_eq!(shared.bytes.with(|bytes| unsafe { *bytes }), number * 100);
                answered.push(number);
            }
            assert_eq!(worker.join().unwrap(), answered);
        });
    }
}
