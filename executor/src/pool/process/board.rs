//! The board: memory that a pool shares with one worker. Every job, with its answer, has a slot.
//!
//! ```text
//!            ┌─ head ──────────────────────┬─ slots ────────────────────────┬─ bodies ──────────────┐
//!            │ closing │ doze    │ answers │ word kind length entry  inline │ BODY bytes for each   │
//!            │         │ (worker │ (pool   │  · SLOTS, job n in n % SLOTS   │ slot, for payloads    │
//!            │         │  sleeps)│  sleeps)│                                │ that are not `inline` │
//!            └─────────┴─────────┴─────────┴────────────────────────────────┴───────────────────────┘
//!   pool:    offer n ── ring doze ──────────────────────────> worker: claim n, run, answer n
//!   pool:    look at n, copy the result <───────────────── ring answers ──+
//! ```
//!
//! One place for request and reply, because they are never there at the same time: the worker has
//! read the argument when it writes the result. There is no byte ring, so nothing wraps around,
//! there are no indices to distrust, and a job that was taken back leaves no hole: the worker goes
//! from number to number and passes over what is not offered any more.
//!
//! Owns      the mapping. The pool's side is used under its lock; the worker has one thread.
//! Holds     L1 to L4 of `board/slot.rs`, B1 and B2 of `board/bell.rs`; D1 the pool gives out number n only when
//!           n - SLOTS is over, and never has more than SLOTS numbers between the first unanswered
//!           one and the last; D2 the pool makes no reference to bytes here: it copies in and out,
//!           and checks kind and length after it has read them, once.
//! Cost      a small job: two cache lines of a slot there, and the same two back. Pages of bodies
//!           that no payload ever needed are not there.
//!
//! Measured  round trip of two processes, 2 CPUs (virtual: waking an idle one is dear), ns:
//!           socketpair 4,100 on one CPU, 38,000 across two; board and futex 3,100 and 38,500; board
//!           and eventfd 2,900 and 37,600, polled 3,350 and 43,900; spinning, across two 290. So a
//!           worker sleeps in the read of an eventfd (a futex that processes share is looked up by its
//!           page, which costs a job there and back on one CPU 0.1 us more), and the
//!           costs are sleeping and waking, not the medium: the board wins by the jobs that are
//!           handed over while nobody sleeps, without any system call.
//! Rejected  a socket (two system calls a job, both ways); byte rings (see above); a slot for the
//!           longest payload (the pages stay); one board for all workers (a mad one would damage
//!           the jobs of others).
//! Source    io_uring's submission queue, LMAX's disruptor.
//!
//! Before this, read what stands in it: `board/bell.rs` and `board/watch.rs` (sleeping, and not
//! sleeping), `board/outlet.rs` (what jobs print), `board/slot.rs` (whose bytes they are),
//! `board/tray.rs` (how far a worker is in a parcel), `board/scene.rs` (what a dead worker was
//! doing). Next: `board/worker_side.rs`.

pub(super) mod bell;
pub(super) mod outlet;
pub(super) mod scene;
pub(super) mod slot;
#[cfg(test)]
mod tests;
pub(super) mod tray;
pub(super) mod watch;
mod worker_side;

pub(super) use worker_side::Turn;

use super::sys;
use super::wire::arrival::Incoming;
use super::wire::memory::{Along, Memory};
use super::wire::{BODY, Kind, MAX_PAYLOAD, Payload};
use bell::{Bell, NOBODY};
use outlet::Outlet;
use scene::{Laps, Scene};
use slot::{SlotWord, State};
use std::cell::UnsafeCell;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};
use std::time::Duration;
use watch::Place;

/// How many numbers may be in use. As many no-op jobs take a worker about as long as waking a
/// sleeping pool does, which is what they have to bridge. A power of two.
pub(super) const SLOTS: usize = 128;

/// Payloads up to here lie beside the word, in the same two cache lines.
const INLINE: usize = 88;

/// Whom `answers` wakes: the pool's manager.
pub(super) const MANAGER: u32 = 1;

/// Or a thread that waits for a job.
pub(super) const WAITER: u32 = 2;

/// What `doze` holds when the worker sleeps.
const WORKER: u32 = 1;

#[repr(C)]
struct Page {
    closing: Line<AtomicU32>,
    doze: Line<Side>,
    answers: Line<Side>,
    slots: [Slot; SLOTS],
    laps: [SlotLaps; SLOTS],
    bodies: [UnsafeCell<[u8; BODY]>; SLOTS],
    /// With its tray, which is as long as a body.
    scene: Line<Scene>,
    outlet: Line<Outlet>,
}

/// How a side is woken, and where the other side is, which wakes it.
#[repr(C)]
struct Side {
    bell: Bell,
    other: Place,
}

/// A value with cache lines of its own: two, as they are fetched in pairs.
#[repr(C, align(128))]
struct Line<T>(T);

#[repr(C, align(128))]
struct Slot {
    word: SlotWord,
    kind: AtomicU32,
    length: AtomicU32,
    entry: AtomicU64,
    took_ns: AtomicU64,
    /// The number of the last long result that the pool has read.
    read: AtomicU64,
    inline: UnsafeCell<[u8; INLINE]>,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// `Laps` of the job in a slot, where jobs are measured. Not in the slot: its two cache lines are full,
/// and most pools do not measure.
#[repr(C)]
struct SlotLaps {
    decode_ns: AtomicU64,
    run_ns: AtomicU64,
    encode_ns: AtomicU64,
    done_ns: AtomicU64,
}

/// What the pool finds in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    NotYet,
    Answered {
        kind: Kind,
        length: usize,
        took: Duration,
    },
    /// That is no answer.
    Nonsense,
}

/// What a worker said to a job.
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) payload: Incoming,
    /// How long the worker was at it.
    pub(super) took: Duration,
    /// What is only to be dropped, when the result has been read: what went along with the argument,
    /// its memory, if that is not used again, and the loan of a long result.
    pub(super) spent: (Along, Option<Box<Memory>>, Option<Loan>),
}

/// The memory of a long result, which is the worker's. Dropped, the worker may use it again.
pub(super) struct Loan {
    pub(super) board: Arc<Board>,
    pub(super) number: u64,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let slot = self.board.slot(self.number);
        // Release: pairs with the Acquire in `is_read`; the reads come before. The largest: a later
        // result of this slot may have been read before this one.
        slot.read.fetch_max(self.number, Ordering::Release);
    }
}

/// See the file head.
pub(super) struct Board {
    page: NonNull<Page>,
    /// An eventfd: the worker sleeps on it while `doze` is armed.
    pillow: OwnedFd,
    /// The pool's side: jobs are measured.
    measures: bool,
}

// SAFETY: the page is atomics, and bytes whose owner the slots' words name (L4); the mapping
// belongs to the process, not a thread.
unsafe impl Send for Board {}
// SAFETY: as above. The bytes are touched by methods that say whose they are then: on the pool's
// side under its lock, on the worker's by its one thread.
unsafe impl Sync for Board {}

impl Board {
    /// A new board, and the descriptors by which the worker opens it too.
    pub(super) fn create() -> io::Result<(Board, [OwnedFd; 2])> {
        let file = sys::sealed_memory(c"tatkal-board", size_of::<Page>())?;
        let pillow = sys::blocking_eventfd()?;
        let theirs = pillow.try_clone()?;
        let board = Board::open(&file, pillow)?;
        board.page().doze.0.bell.disarm();
        // Until somebody else takes over, the manager is told of answers.
        board.arm(MANAGER);
        Ok((board, [file, theirs]))
    }

    /// Maps the page of [`create`](Self::create). Its descriptor may be closed afterwards.
    pub(super) fn open(file: &OwnedFd, pillow: OwnedFd) -> io::Result<Board> {
        // The mapping is page-aligned, large enough, and zeroed at birth, which is sound for
        // everything in it; the seals keep it from shrinking.
        let page = sys::map_shared(file, size_of::<Page>())?.cast();
        Ok(Board {
            page,
            pillow,
            measures: false,
        })
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped until drop. Shared references to atomics and `UnsafeCell`s only.
        unsafe { self.page.as_ref() }
    }

    fn slot(&self, number: u64) -> &Slot {
        &self.page().slots[(number % SLOTS as u64) as usize]
    }

    fn slot_laps(&self, number: u64) -> &SlotLaps {
        &self.page().laps[(number % SLOTS as u64) as usize]
    }

    /// Where a payload of this length lies.
    fn place(&self, number: u64, length: usize) -> *mut u8 {
        assert!(length <= BODY, "a payload of {length} bytes in a slot");
        match length <= INLINE {
            true => self.slot(number).inline.get().cast(),
            false => self.page().bodies[(number % SLOTS as u64) as usize]
                .get()
                .cast(),
        }
    }

    fn write(&self, number: u64, kind: Kind, payload: &Payload) {
        let slot = self.slot(number);
        // Relaxed, here and below: the slot's word is set after, and read before.
        slot.kind.store(kind as u32, Ordering::Relaxed);
        // At most MAX_PAYLOAD, which fits.
        slot.length.store(payload.len() as u32, Ordering::Relaxed);
        if let Payload::Bytes(bytes) = payload {
            // SAFETY: the place has room (asserted there); by the callers the slot's bytes are this
            // side's now (L4).
            unsafe {
                let place = self.place(number, bytes.len());
                place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
    }

    /// Offers job `number`, which D1 allows. The worker may have to be woken then, see
    /// [`ring_worker`](Self::ring_worker).
    pub(super) fn offer(&self, number: u64, entry: u64, argument: &Payload) {
        self.slot(number).entry.store(entry, Ordering::Relaxed);
        self.write(number, Kind::Job, argument);
        self.slot(number).word.offer(number);
    }

    /// Before an offer: is the job alone in the pool?
    pub(super) fn note_lone(&self, is_lone: bool) {
        let pool = &self.page().doze.0.other;
        match is_lone {
            true => pool.note(),
            false => pool.leave(),
        }
    }

    /// Did the worker answer last on another CPU than this?
    pub(super) fn worker_is_elsewhere(&self) -> bool {
        self.page().answers.0.other.is_elsewhere()
    }

    /// After an offer: true when the worker sleeps, and [`wake_worker`](Self::wake_worker) has to
    /// follow (when the lock is free: it is a system call).
    pub(super) fn ring_worker(&self) -> bool {
        self.page().doze.0.bell.ring() != NOBODY
    }

    pub(super) fn wake_worker(&self) {
        sys::ring(&self.pillow);
    }

    /// Takes job `number` back. False when it has begun.
    pub(super) fn withdraw(&self, number: u64) -> bool {
        self.slot(number).word.withdraw(number)
    }

    /// Once the worker is dead: had job `number` begun?
    pub(super) fn was_begun(&self, number: u64) -> bool {
        matches!(
            self.slot(number).word.look(),
            (there, State::Claimed | State::Answered) if there == number
        )
    }

    /// Is there an answer to job `number`, which was offered and not taken back?
    pub(super) fn look(&self, number: u64) -> Look {
        let slot = self.slot(number);
        match slot.word.look() {
            (there, State::Answered) if there == number => {}
            (there, State::Offered | State::Claimed) if there == number => return Look::NotYet,
            // A job that was offered and not taken back: nobody in his senses wrote this.
            _ => return Look::Nonsense,
        }
        // D2: each is read once, and believed only after the check.
        let kind = Kind::of(slot.kind.load(Ordering::Relaxed));
        let length = slot.length.load(Ordering::Relaxed) as usize;
        let took = Duration::from_nanos(slot.took_ns.load(Ordering::Relaxed));
        match kind {
            Some(kind) if kind != Kind::Job && length <= MAX_PAYLOAD => {
                Look::Answered { kind, length, took }
            }
            _ => Look::Nonsense,
        }
    }

    /// The bytes of an answer, not longer than `BODY`.
    pub(super) fn copy_out(&self, number: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::<u8>::with_capacity(length);
        // SAFETY: the place has `length` bytes (asserted there), and so has the vector. It is
        // ANSWERED, so the bytes are the pool's (L4); should a mad worker write them now, garbage
        // is copied, and any bytes are valid.
        unsafe {
            let place = self.place(number, length);
            bytes.as_mut_ptr().copy_from_nonoverlapping(place, length);
            bytes.set_len(length);
        }
        // D2: the compiler must not look at the original again where the copy is meant.
        compiler_fence(Ordering::SeqCst);
        bytes
    }

    /// Before there is a worker: its jobs are to be measured.
    pub(super) fn measure(&mut self) {
        self.measures = true;
        self.scene().measure();
    }

    /// Are they? (A copy beside the page, whose line the worker writes to.)
    pub(super) fn is_measured(&self) -> bool {
        self.measures
    }

    /// How long the parts of job `number`, which is answered, took. Numbers to distrust.
    pub(super) fn laps(&self, number: u64) -> Laps {
        let laps = self.slot_laps(number);
        // Relaxed, here and in `answer`: the slot's word is set after, and read before.
        Laps {
            decode_ns: laps.decode_ns.load(Ordering::Relaxed),
            run_ns: laps.run_ns.load(Ordering::Relaxed),
            encode_ns: laps.encode_ns.load(Ordering::Relaxed),
            done_ns: laps.done_ns.load(Ordering::Relaxed),
        }
    }

    /// What the worker was doing when it died; by the worker, what it is doing.
    pub(super) fn scene(&self) -> &Scene {
        &self.page().scene.0
    }

    /// Whether what the worker's jobs have printed is out.
    pub(super) fn outlet(&self) -> &Outlet {
        &self.page().outlet.0
    }

    /// `who` is to be told of the next answer, and looks for answers after this call.
    pub(super) fn arm(&self, who: u32) {
        self.page().answers.0.bell.arm(who);
    }

    /// Nobody is told of answers until [`rearm`](Self::rearm): the caller will look.
    pub(super) fn disarm(&self) {
        self.page().answers.0.bell.disarm();
    }

    /// The manager is told of the next answer, unless somebody else is by now. The caller looks for
    /// answers after this call.
    pub(super) fn rearm(&self) {
        self.page().answers.0.bell.arm_if_nobody(MANAGER);
    }

    /// No more jobs will come: the worker leaves once it has done what was offered.
    pub(super) fn close(&self) {
        // Release: pairs with the Acquire in `is_closed`; the bell's fence orders it as work.
        self.page().closing.0.store(1, Ordering::Release);
        if self.ring_worker() {
            self.wake_worker();
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; no reference outlives `self`.
        unsafe { sys::unmap(self.page.cast(), size_of::<Page>()) };
    }
}
