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
//! Rules     R1 A producer publishes work, then calls `wake_one`: it wakes a sleeper unless
//!              someone is searching (who will find the work) or nobody sleeps.
//!           R2 A searcher that finds work and was the last one wakes another searcher: there may
//!              be more (a chain: the number of awake workers grows to what the work needs).
//!           R3 A worker that goes to sleep leaves the counts first, and then, if it was the last
//!              searcher (or did not search), looks at every queue once more. If there is
//!              something, it calls `wake_one`, which may name itself.
//!
//! # No lost wake-up
//!
//! Lost would be: work is published, and everyone is asleep for good.
//!
//! ```text
//!   producer P                        last worker S on its way to sleep
//!   p1 publish work (Release)         s1 counts: leave awake and searching (SeqCst)
//!   p2 fence (SeqCst)                 s2 fence (SeqCst)
//!   p3 read counts                    s3 look at every queue
//! ```
//!
//! The two fences are in one total order. If p2 comes before s2, s3 sees what p1 published, and S
//! wakes someone. If s2 comes before p2, p3 sees s1: nobody searches, someone sleeps, and P wakes
//! someone. Either way someone is awake after both, and searches (`wake_one` counts the woken
//! worker as searching before it runs), so R1 may rely on it.
//!
//! P skipping the wake because it saw a searcher X: X leaves searching later than p3 in the order
//! of `counts`. If X found other work, R2 wakes another; if it found none, R3 makes the last one
//! of them look again, after p1. If P saw nobody asleep, each worker's own s1 comes after p3 in
//! that order, and its s3 after p1.
//!
//! Cost      `wake_one` with nobody to wake: a fence and a load. Waking: a lock and a futex call.
//! Source    the protocol is Go's (`runtime/proc.go`, "Worker thread parking/unparking") as tokio
//!           packs it in `scheduler/multi_thread/idle.rs`. Next: `shared.rs`.

use crate::sync::atomic::{AtomicUsize, Ordering, fence};
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
        // SeqCst: p2 in the proof.
        fence(Ordering::SeqCst);
        if !self.needs_wake() {
            None
        } else {
            self.take_sleeper()
        }
    }

    fn needs_wake(&self) -> bool {
        // Relaxed: p3; the fence before it orders.
        let counts = self.counts.load(Ordering::Relaxed);
        counts % AWAKE == 0 && counts / AWAKE < self.workers
    }

    #[cold]
    fn take_sleeper(&self) -> Option<usize> {
        let mut sleepers = lock(&self.sleepers);
        // Again: another producer may have woken someone meanwhile.
        if !self.needs_wake() {
            return None;
        }
        let worker = sleepers.pop()?;
        // SeqCst: the one order of `counts` that the proof speaks of.
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
        // SeqCst: s1 in the proof. Under the lock: whoever takes us off the list finds us
        // out of the counts, and puts us back.
        let before = self.counts.fetch_sub(leave, Ordering::SeqCst);
        sleepers.push(worker);
        drop(sleepers);
        // SeqCst: s2 in the proof.
        fence(Ordering::SeqCst);
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
