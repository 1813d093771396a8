//! What a worker and the program say to each other about what the worker's jobs have printed.
//!
//! ```text
//!   relay:   hold ── read the pipe ── write to stdout ── release (or, no more can be written: close)
//!   worker:  is_clear: pipe empty, and nothing held? ── yes ──> answer the job
//!                |  no
//!                v
//!            ask ── sleep until it is done ──────────────────────> answer the job
//!                       ^
//!   relay:   is_asked ──+── write what is in the pipe and what is held ── settle
//! ```
//!
//! A job that has printed nothing finds it clear, and all that costs is one look at its pipe.
//!
//! Owns      two words in shared memory. `held` is written by the program only (by the one thread that
//!           reads the pipe), `asked` is set by the worker and taken away by the program.
//! Holds     O1 when `is_clear` says so, all that this process had printed before is written (or never
//!           will be): what is not in the pipe was read by the relay, which had set `held` before; the
//!           reading and the look at the pipe take the pipe's lock in the kernel, so a look that does
//!           not find the bytes any more comes after `held`. The release comes after the writing.
//!           O2 whoever asks is answered: `ask` sets `asked` and then looks whether it is closed,
//!           `close` closes and then looks whether it was asked (two fences in one order, as in
//!           bell.rs), and each one that is asked while it is open is settled. O3 a worker that
//!           writes nonsense here waits for ever or not at all, and nobody else does.
//! Cost      silent jobs: a system call (a look at the pipe). Others: the relay's thread is woken.
//!           Next: `slot.rs`.

use crate::sync::atomic::{AtomicU32, Ordering, fence};

/// Values of `held`.
const NOTHING: u32 = 0;
const SOMETHING: u32 = 1;
/// Nobody reads the pipe any more.
const CLOSED: u32 = 2;

/// See the file head. Zeros are its beginning: nothing held, nothing asked.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outlet {
    held: AtomicU32,
    asked: AtomicU32,
}

#[cfg_attr(loom, allow(dead_code))]
impl Outlet {
    #[cfg(loom)]
    fn new() -> Outlet {
        Outlet {
            held: AtomicU32::new(NOTHING),
            asked: AtomicU32::new(0),
        }
    }

    // ---- the worker --------------------------------------------------------------------------

    /// Is all written that was printed? `unread`: how many bytes are in the pipe now.
    pub(crate) fn is_clear(&self, unread: impl FnOnce() -> usize) -> bool {
        let is_empty = unread() == 0;
        // Acquire: pairs with the Release in `release`; and after the look at the pipe (O1).
        match self.held.load(Ordering::Acquire) {
            NOTHING => is_empty,
            SOMETHING => false,
            _ => true,
        }
    }

    /// Wants all to be written that was printed. Then the relay has to be told. False: it is closed.
    pub(crate) fn ask(&self) -> bool {
        // Relaxed, both: the fence is in between (O2).
        self.asked.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.held.load(Ordering::Relaxed) != CLOSED
    }

    /// Is that done?
    pub(crate) fn is_settled(&self) -> bool {
        // Acquire: pairs with the Releases in `settle` and `close`: the writing comes before.
        self.asked.load(Ordering::Acquire) == 0
    }

    // ---- the relay ---------------------------------------------------------------------------

    /// Before it reads the pipe.
    pub(crate) fn hold(&self) {
        // Relaxed: the pipe's lock orders it (O1).
        self.held.store(SOMETHING, Ordering::Relaxed);
    }

    /// All that was read is written.
    pub(crate) fn release(&self) {
        // Release: pairs with the Acquire in `is_clear`.
        self.held.store(NOTHING, Ordering::Release);
    }

    /// Does the worker want all to be written? Before a look at the pipe.
    pub(crate) fn is_asked(&self) -> bool {
        // Acquire: what was printed before the asking is seen. (It was a system call, too.)
        self.asked.load(Ordering::Acquire) != 0
    }

    /// All is written that was printed before it was asked. True: the worker has to be woken.
    pub(crate) fn settle(&self) -> bool {
        // Release: pairs with the Acquire in `is_settled`.
        self.asked.swap(0, Ordering::Release) != 0
    }

    /// Nobody reads the pipe any more. True: the worker has to be woken.
    pub(crate) fn close(&self) -> bool {
        // Release: what was written before is.
        self.held.store(CLOSED, Ordering::Release);
        fence(Ordering::SeqCst); // O2
        self.settle()
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::Mutex;
    use std::sync::Arc;

    /// A pipe, and what came out of it.
    struct World {
        outlet: Outlet,
        pipe: Mutex<u32>,
        out: AtomicU32,
    }

    impl World {
        fn new() -> Arc<World> {
            Arc::new(World {
                outlet: Outlet::new(),
                pipe: Mutex::new(0),
                out: AtomicU32::new(0),
            })
        }

        /// By the relay: reads, and writes.
        fn pass_on(&self) {
            let is_asked = self.outlet.is_asked();
            self.outlet.hold();
            let read = std::mem::take(&mut *self.pipe.lock().unwrap());
            let out = self.out.load(Ordering::Relaxed);
            self.out.store(out + read, Ordering::Relaxed);
            self.outlet.release();
            if is_asked {
                self.outlet.settle();
            }
        }
    }

    #[test]
    fn loom_what_was_printed_is_out_before_the_answer() {
        loom::model(|| {
            let world = World::new();
            let theirs = world.clone();
            let relay = loom::thread::spawn(move || theirs.pass_on());
            *world.pipe.lock().unwrap() += 1;
            let unread = || *world.pipe.lock().unwrap() as usize;
            if world.outlet.is_clear(unread) {
                assert_eq!(world.out.load(Ordering::Relaxed), 1, "O1");
            }
            relay.join().unwrap();
        });
    }

    #[test]
    fn loom_whoever_asks_is_answered() {
        loom::model(|| {
            let world = World::new();
            let theirs = world.clone();
            // It is served once, or closed.
            let relay = loom::thread::spawn(move || theirs.outlet.close());
            let waits = world.outlet.ask();
            let is_told = relay.join().unwrap();
            assert!(!waits || is_told && world.outlet.is_settled(), "O2");
        });
    }
}
