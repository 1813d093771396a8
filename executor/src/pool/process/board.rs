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
//! Holds     L1 to L4 of `slot.rs`, B1 and B2 of `bell.rs`; D1 the pool gives out number n only when
//!           n - SLOTS is over, and never has more than SLOTS numbers between the first unanswered
//!           one and the last; D2 the pool makes no reference to bytes here: it copies in and out,
//!           and checks kind and length after it has read them, once.
//! Cost      a small job: two cache lines of a slot there, and the same two back. Pages of bodies
//!           that no payload ever needed are not there.
//!
//! Measured  round trip of two processes, 2 CPUs (virtual: waking an idle one is dear), ns:
//!           socketpair 4,100 on one CPU, 38,000 across two; board and futex 3,100 and 38,500; board
//!           and eventfd 2,900 and 37,600, polled 3,350 and 43,900; spinning, across two 290. So the
//!           costs are sleeping and waking, not the medium: the board wins by the jobs that are
//!           handed over while nobody sleeps, without any system call.
//! Rejected  a socket (two system calls a job, both ways); byte rings (see above); a slot for the
//!           longest payload (the pages stay); one board for all workers (a mad one would damage
//!           the jobs of others).
//! Source    io_uring's submission queue, LMAX's disruptor. Next: `image.rs`.

use super::arrival::Incoming;
use super::bell::{Bell, NOBODY};
use super::memory::{Along, Memory};
use super::scene::{Laps, Scene};
use super::slot::{SlotWord, State};
use super::sys;
use super::watch::{self, Place};
use super::wire::{BODY, Kind, MAX_PAYLOAD, Payload};
use std::cell::UnsafeCell;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};
use std::time::Duration;

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

/// What the worker finds in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Not offered yet.
    Nothing,
    /// The pool took it back: on to the next number.
    Over,
    /// Claimed. `length` of the argument.
    Mine { entry: u64, length: usize },
    /// Something that the pool does not write.
    Nonsense,
}

/// What a worker said to a job.
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) payload: Incoming,
    /// How long the worker was at it.
    pub(super) took: Duration,
    /// Of a long result: dropped when it has been read.
    #[allow(dead_code)] // it goes with the answer, and that is all it does
    pub(super) loan: Option<Loan>,
    /// What went along with the argument, to be dropped now.
    pub(super) spent: Along,
    /// And its memory, if that is not used again.
    #[allow(dead_code)] // as above
    pub(super) waste: Option<Box<Memory>>,
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
    /// A new board, and the descriptor by which the worker maps it too.
    pub(super) fn create() -> io::Result<(Board, OwnedFd)> {
        let file = sys::sealed_memory(c"tatkal-board", size_of::<Page>())?;
        let board = Board::open(&file)?;
        board.page().doze.0.bell.disarm();
        // Until somebody else takes over, the manager is told of answers.
        board.arm(MANAGER);
        Ok((board, file))
    }

    /// Maps the page of [`create`](Self::create). The descriptor may be closed afterwards.
    pub(super) fn open(file: &OwnedFd) -> io::Result<Board> {
        // The mapping is page-aligned, large enough, and zeroed at birth, which is sound for
        // everything in it; the seals keep it from shrinking.
        let page = sys::map_shared(file, size_of::<Page>())?.cast();
        Ok(Board {
            page,
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

    // ---- the pool's side --------------------------------------------------------------------

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
        sys::futex_wake(self.page().doze.0.bell.word());
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

    // ---- the worker's side ------------------------------------------------------------------

    /// Looks at job `number`, and claims it when it is there.
    pub(super) fn next(&self, number: u64) -> Turn {
        let slot = self.slot(number);
        match slot.word.look() {
            (there, State::Offered) if there == number => {
                if !slot.word.claim(number) {
                    return Turn::Over;
                }
                Turn::Mine {
                    entry: slot.entry.load(Ordering::Relaxed),
                    length: slot.length.load(Ordering::Relaxed) as usize,
                }
            }
            // No job of this slot: something ran wild here.
            (there, _) if there.abs_diff(number) % SLOTS as u64 != 0 && there != 0 => {
                Turn::Nonsense
            }
            // Over, and the slot has been given to a later job already.
            (there, _) if there > number => Turn::Over,
            (there, State::Withdrawn) if there == number => Turn::Over,
            _ => Turn::Nothing,
        }
    }

    /// The argument of the job that was just claimed, not longer than `BODY`.
    pub(super) fn argument(&self, number: u64, length: usize) -> &[u8] {
        // SAFETY: the place has `length` bytes (asserted there). The job is CLAIMED: the pool does
        // not touch them (L4), and this side writes there only in `answer`, after it.
        unsafe { std::slice::from_raw_parts(self.place(number, length), length) }
    }

    /// Answers the claimed job. The argument is gone then. Returns whom the worker has to wake.
    pub(super) fn answer(&self, number: u64, kind: Kind, result: &Payload, took: Duration) -> u32 {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.slot(number).took_ns.store(took_ns, Ordering::Relaxed);
        if self.scene().is_measured() {
            let (laps, there) = (self.scene().take_laps(), self.slot_laps(number));
            there.decode_ns.store(laps.decode_ns, Ordering::Relaxed);
            there.run_ns.store(laps.run_ns, Ordering::Relaxed);
            there.encode_ns.store(laps.encode_ns, Ordering::Relaxed);
            there.done_ns.store(laps.done_ns, Ordering::Relaxed);
        }
        self.write(number, kind, result);
        self.page().answers.0.other.note();
        self.slot(number).word.answer(number);
        self.page().answers.0.bell.ring()
    }

    /// Has the pool read the long result of job `number`?
    pub(super) fn is_read(&self, number: u64) -> bool {
        // Acquire: pairs with the Release of a `Loan`'s end.
        self.slot(number).read.load(Ordering::Acquire) == number
    }

    /// Will there be no more jobs?
    pub(super) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`; offers before it are seen.
        self.page().closing.0.load(Ordering::Acquire) != 0
    }

    /// Sleeps until job `number` may be there, and no longer than `limit`. May return for no reason.
    pub(super) fn sleep(&self, number: u64, limit: Option<Duration>) {
        let doze = &self.page().doze.0.bell;
        if self.may_sleep(number) {
            sys::futex_wait(doze.word(), WORKER, limit);
        }
        doze.disarm();
    }

    /// Asks to be woken for job `number`. False: there is something to do already.
    pub(super) fn may_sleep(&self, number: u64) -> bool {
        self.page().doze.0.bell.arm(WORKER);
        !self.has_news(number)
    }

    /// Is job `number` there, or something else to do?
    fn has_news(&self, number: u64) -> bool {
        let (there, _) = self.slot(number).word.look();
        there >= number || self.is_closed()
    }

    /// Was the last job alone, and given from another CPU? Then looks on for job `number`.
    pub(super) fn look_on(&self, number: u64) {
        if self.page().doze.0.other.is_elsewhere() {
            watch::look_on(|| self.has_news(number));
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; no reference outlives `self`.
        unsafe { sys::unmap(self.page.cast(), size_of::<Page>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Board, Board) {
        let (pool, file) = Board::create().unwrap();
        let worker = Board::open(&file).unwrap();
        (pool, worker)
    }

    fn bytes(length: usize, seed: u64) -> Payload {
        Payload::Bytes((0..length).map(|at| (at as u64 * 7 + seed) as u8).collect())
    }

    #[test]
    fn a_late_reader_does_not_hide_that_a_later_result_was_read() {
        let (pool, worker) = pair();
        let board = Arc::new(pool);
        let [first, later] = [1, 1 + SLOTS as u64].map(|number| Loan {
            board: board.clone(),
            number,
        });
        drop(later);
        drop(first);
        assert!(worker.is_read(1 + SLOTS as u64));
    }

    #[test]
    fn arguments_and_results_of_every_length_cross() {
        let (pool, worker) = pair();
        let lengths = [0, 1, INLINE - 1, INLINE, INLINE + 1, 5000, BODY];
        for (number, length) in (1..).zip(lengths.into_iter().cycle().take(3 * SLOTS)) {
            assert_eq!(worker.next(number), Turn::Nothing);
            pool.offer(number, number * 3, &bytes(length, number));
            let turn = Turn::Mine {
                entry: number * 3,
                length,
            };
            assert_eq!(worker.next(number), turn);
            let Payload::Bytes(expected) = bytes(length, number) else {
                unreachable!()
            };
            assert_eq!(worker.argument(number, length), expected);
            assert_eq!(pool.look(number), Look::NotYet);
            assert!(pool.was_begun(number) && !pool.withdraw(number));
            let took = Duration::from_nanos(number);
            worker.answer(number, Kind::Done, &bytes(length, number + 1), took);
            assert_eq!(
                pool.look(number),
                Look::Answered {
                    kind: Kind::Done,
                    length,
                    took
                }
            );
            let Payload::Bytes(expected) = bytes(length, number + 1) else {
                unreachable!()
            };
            assert_eq!(pool.copy_out(number, length), expected);
        }
    }

    #[test]
    fn a_job_is_claimed_or_withdrawn_but_never_both() {
        let (pool, worker) = pair();
        for number in 1..=3 * SLOTS as u64 {
            pool.offer(number, 0, &bytes(0, 0));
            if number % 3 == 0 {
                assert!(matches!(worker.next(number), Turn::Mine { .. }));
                assert!(!pool.withdraw(number));
            } else {
                assert!(pool.withdraw(number));
                assert_eq!(worker.next(number), Turn::Over);
            }
            assert_eq!(pool.was_begun(number), number % 3 == 0);
        }
    }

    #[test]
    fn a_worker_far_behind_passes_over_what_is_over() {
        let (pool, worker) = pair();
        for number in 1..=2 * SLOTS as u64 {
            pool.offer(number, 0, &bytes(0, 0));
            assert!(pool.withdraw(number));
        }
        let last = 2 * SLOTS as u64 + 1;
        pool.offer(last, 9, &bytes(0, 0));
        for number in 1..last {
            assert_eq!(worker.next(number), Turn::Over, "{number}");
        }
        assert_eq!(
            worker.next(last),
            Turn::Mine {
                entry: 9,
                length: 0
            }
        );
    }

    #[test]
    fn one_of_two_racers_wins_every_job() {
        let (pool, worker) = pair();
        for number in 1..=2_000 {
            pool.offer(number, 0, &bytes(0, 0));
            let claim = || matches!(worker.next(number), Turn::Mine { .. });
            let wins = std::thread::scope(|scope| {
                let claim = scope.spawn(claim);
                [pool.withdraw(number), claim.join().unwrap()]
            });
            assert!(wins[0] != wins[1], "job {number}: {wins:?}");
        }
    }

    /// L3: a worker that writes anything anywhere cannot make the pool read what is not there.
    #[test]
    fn whatever_is_written_here_is_an_answer_or_nonsense() {
        let (pool, worker) = pair();
        let mut dice = 0x5eed_u64;
        let mut roll = move || {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice
        };
        let mut seen = [0; 3];
        for _ in 0..20_000 {
            let number = 1 + roll() % (2 * SLOTS as u64);
            let slot = worker.slot(number);
            // Plausible values, or the walk would hardly ever get past the first check.
            let kind = if roll() % 2 == 0 {
                roll() as u32
            } else {
                (roll() % 8) as u32
            };
            slot.kind.store(kind, Ordering::Relaxed);
            slot.length
                .store((roll() >> (32 + roll() % 32)) as u32, Ordering::Relaxed);
            slot.took_ns.store(roll(), Ordering::Relaxed);
            match roll() % 3 {
                0 if roll() % 2 == 0 => slot.word.offer(number),
                0 => slot.word.offer(roll() >> 2),
                _ => slot.word.answer(number),
            }
            match pool.look(number) {
                Look::NotYet => seen[0] += 1,
                Look::Nonsense => seen[1] += 1,
                Look::Answered { length, .. } => {
                    assert!(length <= MAX_PAYLOAD);
                    if length <= BODY {
                        assert_eq!(pool.copy_out(number, length).len(), length);
                    }
                    seen[2] += 1;
                }
            }
            pool.withdraw(number);
            pool.was_begun(number);
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
