//! A doorbell between two processes: whoever publishes work rings only when the other side sleeps.
//!
//! ```text
//!   sleeper                                publisher
//!   s1 arm: word = who                     p1 publish the work
//!   s2 fence (SeqCst)                      p2 fence (SeqCst)
//!   s3 look for work; found: disarm        p3 word != NOBODY? take it (swap) and wake `who`
//!   s4 sleep
//! ```
//!
//! The two fences are in one total order. If p2 comes before s2, s3 sees what p1 published and the
//! sleeper stays awake. If s2 comes before p2, p3 sees what s1 wrote and rings. So work and sleep
//! never miss each other; at worst a bell is rung for a sleeper who has seen the work already.
//!
//! Owns      one word in shared memory. `who` says what to do to wake the sleeper: it is not the
//!           same eventfd for a worker, the manager and a thread that joins.
//! Holds     B1 no lost ring (above); B2 one ring per arming, however much is published: the taker
//!           of the word rings, the others find NOBODY. B3 the word may hold anything when the other
//!           process has gone mad: a wrong word is a ring too many or too few for that worker.
//! Cost      nobody sleeps: a fence and a load, no system call.
//! Source    Dekker's entry protocol; `scheduler/multi/idle.rs` has the same proof for threads.
//!           Next: `watch.rs`.

use crate::sync::atomic::{AtomicU32, Ordering, fence};

/// Nobody has to be woken. Not 0: the commonest thing that a program writes where it should not are
/// zeros, and they would be a ring too few. (Anything else is a `who` that does not exist.)
pub(crate) const NOBODY: u32 = 0x6e6f_6f6e;

/// See the file head.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Bell {
    word: AtomicU32,
}

#[cfg_attr(loom, allow(dead_code))]
impl Bell {
    #[cfg(loom)]
    fn new() -> Bell {
        Bell {
            word: AtomicU32::new(NOBODY),
        }
    }

    /// s1, s2: `who` is about to sleep. The caller looks for work after this, and then sleeps.
    pub(crate) fn arm(&self, who: u32) {
        // Relaxed: the fence orders it before the look.
        self.word.store(who, Ordering::Relaxed);
        // SeqCst: the file head's proof.
        fence(Ordering::SeqCst);
    }

    /// As `arm`, unless somebody is to be rung for already: he is told, and looks.
    pub(crate) fn arm_if_nobody(&self, who: u32) {
        // Relaxed, both: as in `arm`.
        let (order, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.word.compare_exchange(NOBODY, who, order, failure);
        // SeqCst: the file head's proof, where the word that was found stands for s1: a publisher
        // whose work is not seen after this finds that word, or a later one.
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake, and arms again and looks before it sleeps; or somebody else does so in
    /// its place, and it sleeps on.
    pub(crate) fn disarm(&self) {
        // Relaxed: a ring may be lost by this, even one that comes before whatever made the caller
        // disarm (relaxed reads and writes may pass each other). But then p3 found NOBODY, and not
        // what the next arming left there: so p2 comes before the fence of that arming, and the look
        // after it sees p1. An Acquire would forbid nothing that does harm.
        self.word.store(NOBODY, Ordering::Relaxed);
    }

    /// p2, p3: work was published. Returns whom the caller has to wake, or `NOBODY`.
    pub(crate) fn ring(&self) -> u32 {
        // SeqCst: the file head's proof.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it after the publication. The load spares the common case,
        // where nobody sleeps, the exclusive cache line.
        match self.word.load(Ordering::Relaxed) {
            NOBODY => NOBODY,
            _ => self.word.swap(NOBODY, Ordering::Relaxed),
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use std::sync::Arc;

    /// Somebody armed it for himself meanwhile: one of the two is rung for, or both have seen it.
    #[test]
    fn loom_a_bell_that_is_armed_by_two_rings_for_one() {
        loom::model(|| {
            let bell = Arc::new(Bell::new());
            let work = Arc::new(AtomicU32::new(0));
            let (theirs, done) = (bell.clone(), work.clone());
            let publisher = loom::thread::spawn(move || {
                done.store(1, Ordering::Relaxed); // p1
                theirs.ring() != NOBODY
            });
            let (theirs, done) = (bell.clone(), work.clone());
            let sleeper = loom::thread::spawn(move || {
                theirs.arm(7);
                done.load(Ordering::Relaxed) == 1 // s3
            });
            bell.arm_if_nobody(8);
            let seen = work.load(Ordering::Relaxed) == 1; // s3
            let (rang, also_seen) = (publisher.join().unwrap(), sleeper.join().unwrap());
            assert!(rang || seen && also_seen, "B1");
        });
    }

    #[test]
    fn loom_work_and_sleep_never_miss_each_other() {
        for publishers in 1..=2 {
            loom::model(move || {
                let bell = Arc::new(Bell::new());
                let work = Arc::new(AtomicU32::new(0));
                let threads: Vec<_> = (0..publishers)
                    .map(|_| {
                        let (bell, work) = (bell.clone(), work.clone());
                        loom::thread::spawn(move || {
                            work.fetch_add(1, Ordering::Relaxed); // p1
                            bell.ring() != NOBODY
                        })
                    })
                    .collect();
                bell.arm(7);
                let seen = work.load(Ordering::Relaxed); // s3
                let rings = threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .filter(|rang| *rang)
                    .count();
                assert!(rings <= 1, "B2");
                // Whoever sleeps now has seen everything, or is rung for.
                assert!(
                    seen == publishers || rings == 1,
                    "B1: {seen} seen, {rings} rings"
                );
            });
        }
    }
}
