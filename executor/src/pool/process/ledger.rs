//! One shared page per worker that says which of its jobs have begun.
//!
//! The channel alone cannot tell. A job that was sent may lie unread in the socket when its worker
//! is killed: it never ran, and must not be the one that pays. And a job that was sent may have to
//! be taken back (it was aborted, or another worker has nothing to do) while the worker is about
//! to begin it: exactly one of the two may win.
//!
//! ```text
//!                offer(n)             claim(n), by the worker
//!   (slot free) ─────────> OFFERED n ─────────────────────────> CLAIMED n    it runs, or has run
//!                              |
//!                              | withdraw(n), by the pool
//!                              +──────────────────────────────> WITHDRAWN n  it will never run
//! ```
//!
//! Owns      `SLOTS` words in memory that the pool and one worker map; job n uses slot n % SLOTS,
//!           so at most SLOTS jobs of one worker may be unanswered at a time.
//! Holds     L1 of `claim(n)` and `withdraw(n)` at most one succeeds; L2 the words say so even
//!           after the worker is dead; L3 whatever a runaway worker writes here, the pool stays
//!           sound: a wrong word can only fail the wrong job.
//!
//! | operation               | ordering | pairs with            | what breaks if weaker          |
//! |-------------------------|----------|-----------------------|--------------------------------|
//! | offer: store            | Release  | Acquire in `claim`    | the claim of a frame just      |
//! |                         |          |                       | received could miss its offer  |
//! | claim: OFFERED->CLAIMED | Acquire  | Release in `offer`    | the same                       |
//! | withdraw                | Relaxed  | (decides by the word) | nothing: one word, one order   |
//! | was_claimed: load       | Relaxed  | (the worker is dead)  | its death was seen through a   |
//! |                         |          |                       | system call, which orders      |
//!
//! Cost      one compare-and-swap per job on each side; no system call.
//! Source    the claim word of a work-stealing slot. Next: `image.rs`.

use super::sys;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many jobs of one worker may be unanswered. A power of two, so that it divides the counter.
pub(super) const SLOTS: usize = 16;

const OFFERED: u64 = 1;
const CLAIMED: u64 = 2;
const WITHDRAWN: u64 = 3;

#[repr(C)]
struct Page {
    slots: [AtomicU64; SLOTS],
}

/// The page, mapped.
pub(super) struct Ledger {
    page: NonNull<Page>,
}

// SAFETY: the page is nothing but atomics, and the mapping belongs to the process, not a thread.
unsafe impl Send for Ledger {}
// SAFETY: as above; every method takes `&self` and is one atomic operation.
unsafe impl Sync for Ledger {}

impl Ledger {
    /// A new page, and the descriptor by which the worker maps it too.
    pub(super) fn create() -> io::Result<(Ledger, OwnedFd)> {
        let file = sys::sealed_memory(c"tatkal-ledger", size_of::<Page>())?;
        Ok((Ledger::open(&file)?, file))
    }

    /// Maps the page of [`create`](Self::create). The descriptor may be closed afterwards.
    pub(super) fn open(file: &OwnedFd) -> io::Result<Ledger> {
        // The mapping is page-aligned, large enough, and zeroed at birth, which is valid for
        // atomics; the seals keep it from shrinking.
        let page = sys::map_shared(file, size_of::<Page>())?.cast();
        Ok(Ledger { page })
    }

    /// By the pool, before it sends job `number`.
    pub(super) fn offer(&self, number: u64) {
        // Release: pairs with the Acquire in `claim`.
        self.slot(number)
            .store(word(number, OFFERED), Ordering::Release);
    }

    /// By the worker: may it run job `number`? False when the pool has taken it back.
    pub(super) fn claim(&self, number: u64) -> bool {
        // Acquire: pairs with the Release in `offer`.
        self.change(number, CLAIMED, Ordering::Acquire)
    }

    /// By the pool: takes job `number` back. False when it has begun.
    pub(super) fn withdraw(&self, number: u64) -> bool {
        // Relaxed: the outcome is all that matters, and one word has one order.
        self.change(number, WITHDRAWN, Ordering::Relaxed)
    }

    /// By the pool, once the worker is dead: had job `number` begun?
    pub(super) fn was_claimed(&self, number: u64) -> bool {
        // Relaxed: see the table.
        self.slot(number).load(Ordering::Relaxed) == word(number, CLAIMED)
    }

    fn change(&self, number: u64, to: u64, success: Ordering) -> bool {
        let (old, new) = (word(number, OFFERED), word(number, to));
        self.slot(number)
            .compare_exchange(old, new, success, Ordering::Relaxed)
            .is_ok()
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        // SAFETY: mapped until drop; the other processes that map it use atomics as well, or (L3)
        // are a worker gone astray, whose stores are then racing foreign writes to atomics.
        let page = unsafe { self.page.as_ref() };
        &page.slots[(number % SLOTS as u64) as usize]
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; no reference outlives `self`.
        unsafe { sys::unmap(self.page.cast(), size_of::<Page>()) };
    }
}

/// The number in the high bits, so that a word left over from job n - SLOTS never matches.
fn word(number: u64, state: u64) -> u64 {
    (number << 2) | state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_claimed_or_withdrawn_but_never_both() {
        let (pool, file) = Ledger::create().unwrap();
        let worker = Ledger::open(&file).unwrap();
        drop(file);
        for number in 1..=3 * SLOTS as u64 {
            assert!(!worker.claim(number), "not offered yet");
            pool.offer(number);
            if number % 2 == 0 {
                assert!(worker.claim(number));
                assert!(!pool.withdraw(number));
            } else {
                assert!(pool.withdraw(number));
                assert!(!worker.claim(number));
            }
            assert_eq!(pool.was_claimed(number), number % 2 == 0);
        }
    }

    #[test]
    fn one_of_two_racers_wins_every_job() {
        let (pool, file) = Ledger::create().unwrap();
        let worker = Ledger::open(&file).unwrap();
        for number in 1..=10_000 {
            pool.offer(number);
            let wins = std::thread::scope(|scope| {
                if number % 100 != 0 {
                    // A thread for each of them would be slow; the order alternates instead.
                    return match number % 2 {
                        0 => [worker.claim(number), pool.withdraw(number)],
                        _ => [pool.withdraw(number), worker.claim(number)],
                    };
                }
                let claim = scope.spawn(|| worker.claim(number));
                [pool.withdraw(number), claim.join().unwrap()]
            });
            assert!(wins[0] != wins[1], "job {number}: {wins:?}");
        }
    }
}
