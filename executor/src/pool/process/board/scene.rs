//! What a worker is doing, and for how long; two words of it outlive the worker in shared memory.
//!
//! A wait status says that a process was killed by signal 6. It does not say that this was in the
//! decoder of the argument, or that an allocation had just failed. So the worker notes where it is
//! in a job, which costs it three stores, and an aborting worker with a memory limit notes what has
//! failed last.
//!
//! ```text
//!   step:   0 ── claimed: Decoding ── Running ── Encoding ── 0, and then the answer
//!   cause:  0 ── SIGABRT while errno says "out of memory" ── MEMORY
//! ```
//!
//! Where the pool measures its jobs, each `enter` also adds the time since the one before to the lap
//! of the step that ends.
//!
//! Owns      the two words, and the laps (of which the pool sets only `measures`, before the worker is). The worker writes; the pool reads when the worker is dead, which it has
//!           learned through a system call, so that Relaxed is enough for both.
//! Holds     S1 the step is 0 before a job is claimed and before it is answered, so what the pool
//!           finds was noted for the one job that fell. S2 whatever a worker gone mad writes here,
//!           at worst an error text is wrong.
//! Rejected  an allocator of ours that notes what fails: the program's allocator is the program's.
//! Source    malloc(3) sets errno; signal-safety(7). Next: `../board.rs`.

use super::tray::Tray;
use crate::error::{Crossing, Limit};
use crate::pool::process::sys;
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// See the file head.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::pool::process) struct Scene {
    step: AtomicU32,
    cause: AtomicU32,
    /// Not 0: the steps are timed.
    measures: AtomicU32,
    /// When the step began.
    since_ns: AtomicU64,
    /// How long each step has taken in this job.
    laps_ns: [AtomicU64; Step::COUNT],
    /// Of a job with many items: how far it is, and what it has.
    pub(in crate::pool::process) tray: Tray,
}

/// How long the parts of a job took in the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::pool::process) struct Laps {
    pub(in crate::pool::process) decode_ns: u64,
    pub(in crate::pool::process) run_ns: u64,
    pub(in crate::pool::process) encode_ns: u64,
    /// By the machine's clock: when the last of them ended.
    pub(in crate::pool::process) done_ns: u64,
}

/// Where a worker is in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::pool::process) enum Step {
    Between = 0,
    Decoding = 1,
    Running = 2,
    Encoding = 3,
}

impl Step {
    const COUNT: usize = 4;
}

const MEMORY: u32 = 1;

impl Scene {
    /// By the worker.
    pub(in crate::pool::process) fn enter(&self, step: Step) {
        if self.is_measured() {
            let (now_ns, last) = (sys::now_ns(), self.step.load(Ordering::Relaxed));
            let lap_ns = now_ns.saturating_sub(self.since_ns.load(Ordering::Relaxed));
            // The remainder: a job that ran wild may have written here.
            let sum = &self.laps_ns[last as usize % Step::COUNT];
            sum.store(
                sum.load(Ordering::Relaxed).wrapping_add(lap_ns),
                Ordering::Relaxed,
            );
            self.since_ns.store(now_ns, Ordering::Relaxed);
        }
        self.step.store(step as u32, Ordering::Relaxed);
    }

    /// By the pool, before the worker exists: the steps are to be timed.
    pub(in crate::pool::process) fn measure(&self) {
        self.measures.store(1, Ordering::Relaxed);
    }

    /// By the worker: are they?
    pub(in crate::pool::process) fn is_measured(&self) -> bool {
        self.measures.load(Ordering::Relaxed) != 0
    }

    /// By the worker, between jobs: the laps of the last one. They begin anew.
    pub(in crate::pool::process) fn take_laps(&self) -> Laps {
        // One writer, so a load and a store do, where a swap would lock the bus.
        let take = |step: Step| {
            let sum = &self.laps_ns[step as usize];
            let lap_ns = sum.load(Ordering::Relaxed);
            sum.store(0, Ordering::Relaxed);
            lap_ns
        };
        Laps {
            decode_ns: take(Step::Decoding),
            run_ns: take(Step::Running),
            encode_ns: take(Step::Encoding),
            done_ns: self.since_ns.load(Ordering::Relaxed),
        }
    }

    /// By the pool: at which crossing did the worker die, if it was one?
    pub(in crate::pool::process) fn crossing(&self) -> Option<Crossing> {
        match self.step.load(Ordering::Relaxed) {
            step if step == Step::Decoding as u32 => Some(Crossing::DecodeArgument),
            step if step == Step::Encoding as u32 => Some(Crossing::EncodeResult),
            _ => None,
        }
    }

    /// By the pool: which limit had it reached, as far as it could tell?
    pub(in crate::pool::process) fn limit(&self) -> Option<Limit> {
        (self.cause.load(Ordering::Relaxed) == MEMORY).then_some(Limit::Memory)
    }
}

/// While it lives, an abort of this process is looked into.
pub(in crate::pool::process) struct AbortWatch<'scene>(PhantomData<&'scene Scene>);

static WATCHED: AtomicPtr<Scene> = AtomicPtr::new(ptr::null_mut());

impl AbortWatch<'_> {
    /// By a worker with a memory limit.
    pub(in crate::pool::process) fn new(scene: &Scene) -> AbortWatch<'_> {
        WATCHED.store(ptr::from_ref(scene).cast_mut(), Ordering::Relaxed);
        let handler = look_into_abort as extern "C" fn(libc::c_int);
        // SAFETY: the handler does only what a handler may.
        unsafe { libc::signal(libc::SIGABRT, handler as libc::sighandler_t) };
        AbortWatch(PhantomData)
    }
}

impl Drop for AbortWatch<'_> {
    fn drop(&mut self) {
        WATCHED.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The last thing this process does: an atomic store, and then it aborts as it would have.
extern "C" fn look_into_abort(signal: libc::c_int) {
    let out_of_memory = io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM);
    let scene = WATCHED.load(Ordering::Relaxed);
    if out_of_memory && !scene.is_null() {
        // SAFETY: not null, so its `AbortWatch` lives, and with it what it borrows.
        unsafe { (*scene).cause.store(MEMORY, Ordering::Relaxed) };
    }
    // SAFETY: both calls are allowed in a handler. The signal is blocked here, and comes again when
    // this returns, then without a handler.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
