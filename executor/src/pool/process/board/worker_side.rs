//! The board as the worker sees it: from number to number, and asleep when there is none.
//!
//! ```text
//!   next(n) ── Mine ──> argument(n), run, answer(n) ── whom to wake
//!      ^  |─── Over ───────────────────────────────────> n + 1
//!      |  +─── Nothing ── look_on ── sleep ──+
//!      +─────────────────────────────────────+
//! ```
//!
//! Owns      the bytes of a slot from `next`, which claims it, to `answer` (L4). The process has one
//!           thread here. Next: `../image.rs`.

use super::{Board, SLOTS, WORKER};
use crate::pool::process::board::slot::State;
use crate::pool::process::board::watch;
use crate::pool::process::sys;
use crate::pool::process::wire::{Kind, Payload};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the worker finds in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pool::process) enum Turn {
    /// Not offered yet.
    Nothing,
    /// The pool took it back: on to the next number.
    Over,
    /// Claimed. `length` of the argument.
    Mine { entry: u64, length: usize },
    /// Something that the pool does not write.
    Nonsense,
}

impl Board {
    /// Looks at job `number`, and claims it when it is there.
    pub(in crate::pool::process) fn next(&self, number: u64) -> Turn {
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
    pub(in crate::pool::process) fn argument(&self, number: u64, length: usize) -> &[u8] {
        // SAFETY: the place has `length` bytes (asserted there). The job is CLAIMED: the pool does
        // not touch them (L4), and this side writes there only in `answer`, after it.
        unsafe { std::slice::from_raw_parts(self.place(number, length), length) }
    }

    /// Answers the claimed job. The argument is gone then. Returns whom the worker has to wake.
    pub(in crate::pool::process) fn answer(
        &self,
        number: u64,
        kind: Kind,
        result: &Payload,
        took: Duration,
    ) -> u32 {
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
    pub(in crate::pool::process) fn is_read(&self, number: u64) -> bool {
        // Acquire: pairs with the Release of a `Loan`'s end.
        self.slot(number).read.load(Ordering::Acquire) == number
    }

    /// Will there be no more jobs?
    pub(in crate::pool::process) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`; offers before it are seen.
        self.page().closing.0.load(Ordering::Acquire) != 0
    }

    /// Sleeps until job `number` may be there, and no longer than `limit`. May return for no reason.
    pub(in crate::pool::process) fn sleep(&self, number: u64, limit: Option<Duration>) {
        let doze = &self.page().doze.0.bell;
        if self.may_sleep(number) {
            sys::await_ring(&self.pillow, limit);
        }
        doze.disarm();
    }

    /// Returns when everything is written that this process has printed: to this pipe, and by `tell`
    /// the relay is woken.
    pub(in crate::pool::process) fn see_out(&self, pipe: &OwnedFd, tell: impl FnOnce()) {
        let outlet = self.outlet();
        if outlet.is_clear(|| sys::unread(pipe)) || !outlet.ask() {
            return;
        }
        tell();
        while !outlet.is_settled() {
            sys::await_ring(&self.pillow, None);
        }
    }

    /// Asks to be woken for job `number`. False: there is something to do already.
    pub(in crate::pool::process) fn may_sleep(&self, number: u64) -> bool {
        self.page().doze.0.bell.arm(WORKER);
        !self.has_news(number)
    }

    /// Is job `number` there, or something else to do?
    fn has_news(&self, number: u64) -> bool {
        let (there, _) = self.slot(number).word.look();
        there >= number || self.is_closed()
    }

    /// Was the last job alone, and given from another CPU? Then looks on for job `number`.
    pub(in crate::pool::process) fn look_on(&self, number: u64) {
        if self.page().doze.0.other.is_elsewhere() {
            watch::look_on(|| self.has_news(number));
        }
    }
}
