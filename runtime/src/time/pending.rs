//! Timers in the wheel, live and cancelled, and when the cancelled ones are swept out.
//!
//! Cancelling a published timer does not touch the wheel (that would take the wheel's lock each
//! time): the entry is marked, and stays where it is. So somebody must clear up.
//!
//! Holds     cancelled timers never outnumber the live ones for long, and cost few wake-ups: a sweep
//!           when the wheel has doubled since the last one, or when a wake-up that found only
//!           cancelled ones can pay for it.
//! Cost      a sweep looks at every entry. It is paid for by what happened since the one before:
//!           each insert pays for two looks, each needless wake-up for as many as it is worth.
//! Rejected  unlinking on cancel: the wheel's lock on each, fought for between workers (the cost
//!           that tokio-rs/tokio#6504 is about).
//! Next: `timers.rs`.

use super::entry::Entry;
use super::wheel::Wheel;
use std::sync::Arc;

/// The wheel is not swept before it holds this many entries: below, they are not worth a look.
const SWEEP_FROM: usize = 1024;

/// A wake-up that finds nothing to do (a return from the kernel, two locks, a system call) costs as
/// much as looking at this many entries: some 5 microseconds, against 10 ns for a look.
const LOOKS_PER_WAKE_UP: usize = 512;

/// Deadlines and their entries.
pub(super) struct Pending {
    wheel: Wheel<Arc<Entry>>,
    /// The wheel is swept when it holds this many.
    sweep_at: usize,
    /// How many looks have been paid for since the last sweep.
    paid: usize,
}

impl Pending {
    pub(super) fn new() -> Pending {
        Pending {
            wheel: Wheel::new(),
            sweep_at: SWEEP_FROM,
            paid: 0,
        }
    }

    /// How many there are, cancelled ones included.
    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }

    pub(super) fn insert(&mut self, deadline: u64, entry: Arc<Entry>) {
        if self.wheel.len() >= self.sweep_at {
            self.sweep();
        }
        self.wheel.insert(deadline, entry);
        self.paid += 2;
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<u64> {
        self.wheel.next()
    }

    /// Takes out what is due at `now`, the last to fire first.
    pub(super) fn take_due(&mut self, now: u64, due: &mut Vec<(u64, Arc<Entry>)>) {
        self.wheel.advance(now, due);
        due.reverse();
    }

    /// Everything that was due had been cancelled. The rest may be, too: without a sweep each one
    /// would cost a wake-up of its own.
    pub(super) fn sweep_after_a_needless_wake_up(&mut self) {
        self.paid += LOOKS_PER_WAKE_UP;
        if self.paid >= self.wheel.len() {
            self.sweep();
        }
    }

    /// Dropping cancelled entries under the lock runs no user code: their wakers are gone.
    fn sweep(&mut self) {
        self.wheel.retain(|entry| entry.is_waiting());
        self.sweep_at = SWEEP_FROM.max(2 * self.wheel.len());
        self.paid = 0;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::task::Waker;

    fn insert(pending: &mut Pending, deadline: u64) -> Arc<Entry> {
        let entry = Arc::new(Entry::waiting(Waker::noop().clone()));
        pending.insert(deadline, entry.clone());
        entry
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let mut pending = Pending::new();
        for _ in 0..100 * SWEEP_FROM {
            insert(&mut pending, u64::MAX).cancel();
        }
        assert!(pending.len() <= SWEEP_FROM);
    }

    #[test]
    fn live_timers_survive_the_sweeps() {
        let mut pending = Pending::new();
        let live: Vec<_> = (0..2 * SWEEP_FROM)
            .map(|_| {
                insert(&mut pending, u64::MAX).cancel();
                insert(&mut pending, u64::MAX)
            })
            .collect();
        assert!(pending.len() >= live.len());
        assert!(live.iter().all(|entry| entry.is_waiting()));
    }

    #[test]
    fn timers_cancelled_after_a_sweep_cost_few_wake_ups() {
        let mut pending = Pending::new();
        let timers: Vec<_> = (0..4 * LOOKS_PER_WAKE_UP as u64)
            .map(|deadline| insert(&mut pending, deadline << 20))
            .collect();
        pending.sweep(); // all live: nothing goes, and nothing is paid any more
        timers.iter().for_each(|entry| drop(entry.cancel()));
        let mut wake_ups = 0;
        while let Some(next) = pending.next() {
            pending.take_due(next, &mut Vec::new());
            pending.sweep_after_a_needless_wake_up();
            wake_ups += 1;
        }
        assert!(wake_ups <= 2 * 4, "{wake_ups} wake-ups"); // and as many for cascades
    }

    #[test]
    fn one_needless_wake_up_sweeps_away_the_others() {
        let mut pending = Pending::new();
        for deadline in [0, u64::MAX - 1, u64::MAX] {
            insert(&mut pending, deadline).cancel();
        }
        let mut due = Vec::new();
        pending.take_due(0, &mut due);
        assert_eq!(due.len(), 1);
        pending.sweep_after_a_needless_wake_up();
        assert_eq!(pending.next(), None);
    }
}
