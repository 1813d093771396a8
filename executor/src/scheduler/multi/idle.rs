//! Who sleeps, who searches, and why no wake-up is lost.
//!
//! A worker is *awake* or asleep; an awake one without work is *searching*: it looks into the
//! other queues. `counts` holds both numbers in one word, `sleepers` says who sleeps.
//!
//! ```text
//!            out of work               found nothing
//!   working ────────────> searching ─────────────────> asleep
//!      ^  ^                   │                         │  │
//!      │  └───────────────────┘ found work              │  │ an event, or its timeout
//!      │                        ^                       │  │
//!      │                        └── wake_one (producer) ┘  │
//!      └───────────────────────────────────────────────────┘
//! ```
//!
//! Rules     R1 Whoever publishes work then calls `wake_one`: it wakes a sleeper unless someone is
//!              searching (who will find the work) or nobody sleeps.
//!           R2 A searcher that finds work and was the last one wakes another searcher: there may
//!              be more (a chain: the number of awake workers grows to what the work needs).
//!           R3 A worker that goes to sleep leaves the counts first, and then, if it was the last
//!              searcher (or did not search), looks at every queue once more. If there is
//!              something, it calls `wake_one`, which may name itself.
//!
//! # No lost wake-up
//!
//! Lost would be: work is published, and everyone is asleep for good. What a worker publishes, in
//! its own queue, cannot be lost: that worker is awake, and runs what nobody takes from it. It calls
//! `wake_one` for help, without a fence: a look at `counts` that is too old by a few nanoseconds
//! may cost that help, until its next push, or if its poll blocks until the watch (watch.rs).
//!
//! What comes from outside goes through the lock of the inject queue's inbox:
//!
//! ```text
//!   producer P                        last worker S on its way to sleep
//!   p1 lock, push, unlock             s1 counts: leave awake and searching
//!   p2 read counts                    s2 lock, look at the inject queue, unlock
//! ```
//!
//! If p1 locks before s2, S sees the work, and wakes someone. If s2 comes first, what S did before
//! it, s1, happens before p2: P sees that nobody searches and someone sleeps, and wakes someone.
//! Either way someone is awake after both, and searches (`wake_one` counts the woken worker as
//! searching before it runs), so R1 may rely on it.
//!
//! P skipping the wake because it saw a searcher X: then X's s1 is later in the order of `counts`
//! than what p2 read. X's s2 cannot come before p1, or p2 would have seen that s1. So if X found
//! nothing, R3 makes the last searcher look again, after p1; if it found other work, R2 wakes
//! another. If P saw nobody asleep, the same holds of each worker's own s1 and s2.
//!
//! Cost      `wake_one` with nobody to wake: a load. Waking: a lock and a futex call.
//! Rejected  a fence in `wake_one`, so that helpers too are never late: 20 cycles for each wake.
//! Source    the protocol is Go's (`runtime/proc.go`, "Worker thread parking/unparking") as tokio
//!           packs it in `scheduler/multi_thread/idle.rs`. Next: `live.rs`.

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};

/// One searching worker in `counts`; awake ones stand above.
const SEARCHING: usize = 1;
const AWAKE: usize = 1 << 16;

/// The most workers that `counts` has room for.
pub(super) const MAX_WORKERS: usize = AWAKE - 1;

/// See the file head.
#[derive(Debug)]
#[repr(align(128))] // read at each push: nothing else on its cache lines
pub(super) struct Idle {
    counts: AtomicUsize,
    sleepers: Mutex<Vec<usize>>,
    workers: usize,
}

impl Idle {
    /// All workers start awake, none of them searching.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            counts: AtomicUsize::new(workers * AWAKE),
            sleepers: Mutex::new(Vec::with_capacity(workers)),
            workers,
        }
    }

    /// R1, after work was published: the worker that the caller must wake, if one is needed. It
    /// counts as awake and searching from here on.
    #[inline]
    pub(super) fn wake_one(&self) -> Option<usize> {
        if !self.needs_wake() {
            None
        } else {
            self.take_sleeper()
        }
    }

    fn needs_wake(&self) -> bool {
        // Relaxed: p2; the inbox's lock orders.
        let counts = self.counts.load(Ordering::Relaxed);
        counts.is_multiple_of(AWAKE) && counts / AWAKE < self.workers
    }

    #[cold]
    fn take_sleeper(&self) -> Option<usize> {
        let mut sleepers = lock(&self.sleepers);
        // Again: another producer may have woken someone meanwhile.
        if !self.needs_wake() {
            return None;
        }
        let worker = sleepers.pop()?;
        // SeqCst, as all changes of `counts`: `Watch` looks at it around fences.
        self.counts.fetch_add(AWAKE + SEARCHING, Ordering::SeqCst);
        Some(worker)
    }

    /// Wakes a sleeper whatever the others do. It counts as awake and searching.
    pub(super) fn wake_any(&self) -> Option<usize> {
        let worker = lock(&self.sleepers).pop()?;
        self.counts.fetch_add(AWAKE + SEARCHING, Ordering::SeqCst);
        Some(worker)
    }

    /// May one more worker search? Half of them at most: more would only fight over the queues.
    pub(super) fn start_searching(&self) -> bool {
        // Relaxed: a limit, not a protocol.
        let searching = self.counts.load(Ordering::Relaxed) % AWAKE;
        if 2 * searching >= self.workers {
            return false;
        }
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// A searcher found work. True: it was the last one, and must call `wake_one` (R2).
    pub(super) fn stop_searching(&self) -> bool {
        self.counts.fetch_sub(SEARCHING, Ordering::SeqCst) % AWAKE == 1
    }

    /// R3: the worker leaves the counts. True: it must look at every queue once more.
    pub(super) fn fall_asleep(&self, worker: usize, searching: bool) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let leave = AWAKE + if searching { SEARCHING } else { 0 };
        // s1 in the proof. Under the lock: whoever takes us off the list finds us out of the counts,
        // and puts us back.
        let before = self.counts.fetch_sub(leave, Ordering::SeqCst);
        sleepers.push(worker);
        !searching || before % AWAKE == 1
    }

    /// The worker got up. True: a producer took it off the list, and it counts as searching.
    /// False: it got up by itself (an event, a timeout) and counts as working.
    pub(super) fn got_up(&self, worker: usize) -> bool {
        let mut sleepers = lock(&self.sleepers);
        match sleepers.iter().position(|sleeper| *sleeper == worker) {
            None => true,
            Some(at) => {
                sleepers.swap_remove(at);
                self.counts.fetch_add(AWAKE, Ordering::SeqCst);
                false
            }
        }
    }

    /// How many workers are awake, a moment ago.
    pub(super) fn awake(&self) -> usize {
        // Relaxed: a look.
        self.counts.load(Ordering::Relaxed) / AWAKE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(loom))]
    #[test]
    fn a_producer_wakes_one_sleeper_and_no_more_while_that_one_searches() {
        let idle = Idle::new(3);
        assert_eq!(idle.wake_one(), None, "all are awake");
        assert!(idle.fall_asleep(0, false));
        assert!(idle.fall_asleep(1, false));
        let woken = idle.wake_one().expect("two sleep, nobody searches");
        assert_eq!(idle.wake_one(), None, "the woken one is searching");
        assert!(idle.got_up(woken));
        assert!(idle.stop_searching(), "it was the last searcher");
        let other = idle.wake_one().expect("one sleeps, nobody searches");
        assert_eq!(woken + other, 1);
    }

    #[cfg(not(loom))]
    #[test]
    fn a_sleeper_that_gets_up_by_itself_is_not_woken_again() {
        let idle = Idle::new(2);
        idle.fall_asleep(1, false);
        assert!(!idle.got_up(1), "nobody woke it");
        assert_eq!(idle.awake(), 2);
        assert_eq!(idle.wake_one(), None);
    }

    #[cfg(not(loom))]
    #[test]
    fn at_most_half_of_the_workers_search() {
        let idle = Idle::new(4);
        assert!(idle.start_searching());
        assert!(idle.start_searching());
        assert!(!idle.start_searching());
    }

    /// The proof's two columns: whatever the order, work is not left behind with everyone asleep.
    #[cfg(loom)]
    fn no_wake_up_is_lost(producers: usize, searching: bool, preemptions: Option<usize>) {
        use std::sync::Arc;

        let mut model = loom::model::Builder::new();
        model.preemption_bound = preemptions;
        model.check(move || {
            let idle = Arc::new(Idle::new(1));
            // As many as were pushed; the lock is the inbox's.
            let work = Arc::new(Mutex::new(0));
            let woken = Arc::new(AtomicUsize::new(0));
            if searching {
                assert!(idle.start_searching());
            }
            let threads: Vec<_> = (0..producers)
                .map(|_| {
                    let (idle, work, woken) = (idle.clone(), work.clone(), woken.clone());
                    loom::thread::spawn(move || {
                        *lock(&work) += 1;
                        if idle.wake_one().is_some() {
                            woken.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            // The worker: it sees no work, and goes to sleep.
            let mut found = *lock(&work) == producers;
            if !found {
                let look_again = idle.fall_asleep(0, searching);
                found = look_again && *lock(&work) > 0 && idle.wake_one().is_some();
            }
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(
                found || woken.load(Ordering::Relaxed) > 0,
                "work is there, and all sleep"
            );
        });
    }

    #[cfg(loom)]
    #[test]
    fn a_working_worker_falls_asleep_against_one_producer() {
        no_wake_up_is_lost(1, false, None);
    }

    #[cfg(loom)]
    #[test]
    fn a_searching_worker_falls_asleep_against_one_producer() {
        no_wake_up_is_lost(1, true, None);
    }

    #[cfg(loom)]
    #[test]
    fn a_searching_worker_falls_asleep_against_two_producers() {
        no_wake_up_is_lost(2, true, Some(3));
    }
}
