//! How far a worker is in a parcel (see `parcel.rs`), and the results that it has: in memory that
//! outlives it.
//!
//! ```text
//!              begin(7)        claim          claim                   cut(7): 2 have begun
//!   progress:  7 | 0 ────────> 7 | 1 ──────> 7 | 2 ─────────────────> 7 | STOP | 2
//!                                  keep            keep                         claim: no
//!   bytes:     [              ][ result 1    ][ result 1, result 2 ]
//! ```
//!
//! Each item is claimed before it begins, and its result is here before the next one is claimed. So
//! when the worker dies, the results here tell which items are done, and the claims tell whether it
//! was at one. And while it lives, the pool can end its parcel between two items: the one word says
//! which items have begun, and no other one will; what is done can be given out.
//!
//! Owns      the words and the bytes. The worker writes; the pool sets STOP, and reads.
//! Holds     Y1 an item is claimed, or cut off, and never both: claims and STOP are changes of one
//!           word. Y2 `kept` counts bytes that are here. Y3 what is here is of the job in
//!           `progress`: a look that began and ended with the same number there has seen nothing
//!           else. Y4 whatever a worker gone mad writes here, the pool reads no byte that is
//!           not here, and waits for nothing.
//! Orderings `kept`: Release, after the bytes; pairs with the Acquire before they are copied (Y2).
//!           `progress`: a Release fence between it and the next job's bytes pairs with the Acquire
//!           fence between their copying and the second look (Y3). STOP and claims: Relaxed would
//!           do, one word decides (Y1). Of a dead worker the pool has learned through a system
//!           call, and finds the stores as far as they had come, in this order.
//! Cost      an item: one atomic change of a line that is the worker's, and the copy of its result.
//!           Next: `scene.rs`.

use crate::pool::process::wire::BODY;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// See the file head.
#[derive(Debug)]
#[repr(C)]
pub(in crate::pool::process) struct Tray {
    /// From the highest bit: 32 of the job's number, STOP, how many of its items have begun.
    progress: AtomicU64,
    /// How many bytes are here.
    kept: AtomicU32,
    /// Written by the worker's one thread, behind what is counted; read up to there by both.
    bytes: UnsafeCell<[u8; BODY]>,
}

const STOP: u64 = 1 << 31;

/// A claim is far longer than an attempt to cut, so one of a few succeeds.
const CUT_TRIES: usize = 8;

/// What is there of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::pool::process) struct Leftover {
    /// How many items had begun.
    pub(in crate::pool::process) begun: usize,
    /// The results.
    pub(in crate::pool::process) bytes: Vec<u8>,
}

impl Default for Tray {
    fn default() -> Tray {
        Tray {
            progress: AtomicU64::new(0),
            kept: AtomicU32::new(0),
            bytes: UnsafeCell::new([0; BODY]),
        }
    }
}

impl Tray {
    // ---- the worker's side ------------------------------------------------------------------

    /// It is at job `number` now, and nothing is here.
    pub(in crate::pool::process) fn begin(&self, number: u64) {
        // In this order: the former job's results must not be taken for this one's (Y3).
        self.kept.store(0, Ordering::Release);
        self.progress.store(number << 32, Ordering::Release);
        fence(Ordering::Release); // Y3: pairs with the one in `left`
    }

    /// Claims the next item. False: no further one is to begin.
    pub(in crate::pool::process) fn claim(&self) -> bool {
        let word = self.progress.load(Ordering::Relaxed);
        // Release: the result before this item is here (Y2). It fails when STOP has just come.
        word & STOP == 0
            && self
                .progress
                .compare_exchange(word, word + 1, Ordering::Release, Ordering::Relaxed)
                .is_ok()
    }

    /// Puts a result here, unless more than `most` bytes would be here then.
    pub(in crate::pool::process) fn keep(&self, result: &[u8], most: usize) -> bool {
        let kept = self.kept.load(Ordering::Relaxed) as usize;
        if kept + result.len() > most.min(BODY) {
            return false;
        }
        // SAFETY: there is room. The bytes behind those that are counted are the worker's, who has
        // one thread that comes here.
        unsafe {
            let end = self.bytes.get().cast::<u8>().add(kept);
            end.copy_from_nonoverlapping(result.as_ptr(), result.len());
        }
        // Release: counted when it is here (Y2). At most BODY, which fits.
        self.kept
            .store((kept + result.len()) as u32, Ordering::Release);
        true
    }

    /// Appends what is here.
    pub(in crate::pool::process) fn append_to(&self, bytes: &mut Vec<u8>) {
        let kept = (self.kept.load(Ordering::Acquire) as usize).min(BODY); // Y2, Y4
        bytes.reserve(kept);
        // SAFETY: `kept` bytes are here, and the vector has room for as many. Nobody writes those
        // that are counted, but for another process that has gone on to its next job, or mad: then
        // garbage is copied, any bytes are valid, and `left` sees that in the first case.
        unsafe {
            let end = bytes.as_mut_ptr().add(bytes.len());
            end.copy_from_nonoverlapping(self.bytes.get().cast(), kept);
            bytes.set_len(bytes.len() + kept);
        }
    }

    // ---- the pool's side --------------------------------------------------------------------

    /// Job `number` is to begin no further item. How many it has begun; `None` when it has begun
    /// none, or the worker is not at that job, and then nothing has changed.
    pub(in crate::pool::process) fn cut(&self, number: u64) -> Option<usize> {
        // As often as a worker could get in between that goes on; one gone mad could for ever (Y4).
        (0..CUT_TRIES).find_map(|_| {
            let word = self.progress.load(Ordering::Relaxed);
            let begun = begun(word, number).filter(|begun| *begun > 0)?;
            self.progress
                .compare_exchange(word, word | STOP, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
                .then_some(begun)
        })
    }

    /// Is the job to begin no further item?
    #[cfg(test)] // only the worker has to know
    pub(in crate::pool::process) fn is_cut(&self) -> bool {
        self.progress.load(Ordering::Relaxed) & STOP != 0
    }

    /// What is here of job `number`; nothing when the worker is not at it.
    pub(in crate::pool::process) fn left(&self, number: u64) -> Leftover {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes);
        fence(Ordering::Acquire); // Y3: pairs with the one in `begin`
        match begun(self.progress.load(Ordering::Relaxed), number) {
            Some(begun) => Leftover { begun, bytes },
            None => Leftover::default(),
        }
    }
}

/// How many items have begun, if the word is of job `number`.
fn begun(word: u64, number: u64) -> Option<usize> {
    (word >> 32 == number & u64::from(u32::MAX)).then_some((word & (STOP - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: in the tests below the bytes are touched by one thread.
    unsafe impl Sync for Tray {}

    #[test]
    fn what_is_left_is_of_the_job_and_of_no_other() {
        let tray = Tray::default();
        tray.begin(7);
        assert!(tray.claim() && tray.keep(b"seven", BODY) && tray.claim());
        assert_eq!(tray.left(6), Leftover::default());
        let left = tray.left(7);
        assert_eq!((left.begun, &left.bytes[..]), (2, &b"seven"[..]));
        tray.begin(8);
        assert_eq!(tray.left(7), Leftover::default());
        assert_eq!(tray.left(8), Leftover::default());
    }

    #[test]
    fn what_has_no_room_is_not_taken() {
        let tray = Tray::default();
        tray.begin(1);
        assert!(tray.keep(&[1; BODY - 1], BODY));
        assert!(!tray.keep(&[2; 2], BODY) && !tray.keep(&[3; 1], BODY - 1));
        assert!(tray.keep(&[4; 1], BODY) && !tray.keep(&[5; 1], usize::MAX));
        assert_eq!(tray.left(1).bytes.len(), BODY);
    }

    #[test]
    fn an_item_is_claimed_or_cut_off_but_never_both() {
        let tray = &Tray::default();
        for number in 1..=200 {
            tray.begin(number);
            assert!(tray.cut(number).is_none(), "none has begun");
            std::thread::scope(|scope| {
                let claims =
                    scope.spawn(|| std::iter::from_fn(|| tray.claim().then_some(())).count());
                let begun = loop {
                    assert!(tray.cut(number - 1).is_none());
                    if let Some(begun) = tray.cut(number) {
                        break begun;
                    }
                };
                assert_eq!(claims.join().unwrap(), begun);
            });
        }
    }
}
