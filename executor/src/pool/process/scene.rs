//! What a worker was doing when it died: two words in shared memory that outlive it.
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
//! Owns      the two words. The worker writes; the pool reads when the worker is dead, which it has
//!           learned through a system call, so that Relaxed is enough for both.
//! Holds     S1 the step is 0 before a job is claimed and before it is answered, so what the pool
//!           finds was noted for the one job that fell. S2 whatever a worker gone mad writes here,
//!           at worst an error text is wrong.
//! Rejected  an allocator of ours that notes what fails: the program's allocator is the program's.
//! Source    malloc(3) sets errno; signal-safety(7). Next: `board.rs`.

use crate::error::{Crossing, Limit};
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// See the file head.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Scene {
    step: AtomicU32,
    cause: AtomicU32,
}

/// Where a worker is in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Step {
    Between = 0,
    Decoding = 1,
    Running = 2,
    Encoding = 3,
}

const MEMORY: u32 = 1;

impl Scene {
    /// By the worker.
    pub(super) fn enter(&self, step: Step) {
        self.step.store(step as u32, Ordering::Relaxed);
    }

    /// By the pool: at which crossing did the worker die, if it was one?
    pub(super) fn crossing(&self) -> Option<Crossing> {
        match self.step.load(Ordering::Relaxed) {
            step if step == Step::Decoding as u32 => Some(Crossing::DecodeArgument),
            step if step == Step::Encoding as u32 => Some(Crossing::EncodeResult),
            _ => None,
        }
    }

    /// By the pool: which limit had it reached, as far as it could tell?
    pub(super) fn limit(&self) -> Option<Limit> {
        (self.cause.load(Ordering::Relaxed) == MEMORY).then_some(Limit::Memory)
    }
}

/// While it lives, an abort of this process is looked into.
pub(super) struct AbortWatch<'scene>(PhantomData<&'scene Scene>);

static WATCHED: AtomicPtr<Scene> = AtomicPtr::new(ptr::null_mut());

impl AbortWatch<'_> {
    /// By a worker with a memory limit.
    pub(super) fn new(scene: &Scene) -> AbortWatch<'_> {
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
