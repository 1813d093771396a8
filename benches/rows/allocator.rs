//! Which allocator? The system's, mimalloc, or the system's with its bytes counted, by the
//! environment: `BENCH_ALLOCATOR=system` (the default), `mimalloc` or `counting`.
//!
//! One program carries all three, so that the allocator is the only thing that differs between two
//! runs: same code, same addresses, same inlining, and one command measures every row twice. The
//! choice is made once, at the first allocation (before `main`), and then costs each call a load
//! and a branch that is always predicted: three instructions beside the fifty or more of a
//! `malloc`, on whichever side makes the call. Two programs would save those, at the price of a
//! `cargo bench --bench versus` that builds only half of what it runs.
//!
//! Nothing is counted unless counting was chosen: a program that counts is not one that is timed.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// The variable's name.
pub const VARIABLE: &str = "BENCH_ALLOCATOR";

/// Forwards to the allocator of the environment's choice.
pub struct Chosen;

const UNDECIDED: u8 = 0;
const SYSTEM: u8 = 1;
const MIMALLOC: u8 = 2;
const COUNTING: u8 = 3;

/// Relaxed throughout: every thread that finds it undecided decides the same.
static CHOICE: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Bytes that were asked for and not given back. Relaxed: a sum, read when all is quiet.
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// How many bytes are allocated now, as the layouts say. Always 0 unless counting was chosen.
pub fn live_bytes() -> i64 {
    LIVE_BYTES.load(Ordering::Relaxed)
}

/// Decides, before the first allocation.
fn decide() {
    // SAFETY: the name ends with a NUL, and nobody changes the environment this early; `getenv`
    // itself does not allocate.
    let value = unsafe { libc::getenv(c"BENCH_ALLOCATOR".as_ptr()) };
    let choice = if value.is_null() {
        SYSTEM
    } else {
        // SAFETY: `getenv` returned a string that ends with a NUL.
        match unsafe { std::ffi::CStr::from_ptr(value) }.to_bytes() {
            b"mimalloc" => MIMALLOC,
            b"counting" => COUNTING,
            _ => SYSTEM,
        }
    };
    CHOICE.store(choice, Ordering::Relaxed);
}

// SAFETY: each call goes to an allocator that keeps the contract, and a pointer always to the one
// that it came from, because the choice never changes.
unsafe impl GlobalAlloc for Chosen {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match CHOICE.load(Ordering::Relaxed) {
                SYSTEM => System.alloc(layout),
                MIMALLOC => MiMalloc.alloc(layout),
                _ => unusual(
                    move |chosen| chosen.alloc(layout),
                    move || System.alloc(layout),
                    layout,
                    1,
                ),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match CHOICE.load(Ordering::Relaxed) {
                SYSTEM => System.alloc_zeroed(layout),
                MIMALLOC => MiMalloc.alloc_zeroed(layout),
                _ => unusual(
                    move |chosen| chosen.alloc_zeroed(layout),
                    move || System.alloc_zeroed(layout),
                    layout,
                    1,
                ),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match CHOICE.load(Ordering::Relaxed) {
                SYSTEM => System.dealloc(pointer, layout),
                MIMALLOC => MiMalloc.dealloc(pointer, layout),
                _ => unusual(
                    move |chosen| chosen.dealloc(pointer, layout),
                    move || System.dealloc(pointer, layout),
                    layout,
                    -1,
                ),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match CHOICE.load(Ordering::Relaxed) {
                SYSTEM => System.realloc(pointer, layout, size),
                MIMALLOC => MiMalloc.realloc(pointer, layout, size),
                _ => unusual(
                    move |chosen| chosen.realloc(pointer, layout, size),
                    move || {
                        LIVE_BYTES.fetch_add(size as i64, Ordering::Relaxed);
                        System.realloc(pointer, layout, size)
                    },
                    layout,
                    -1,
                ),
            }
        }
    }
}

/// What is not to cost the two that are timed anything but a branch: the first call of all, which
/// decides and starts over, and a call that is counted. Out of line.
#[cold]
#[inline(never)]
fn unusual<R>(
    again: impl FnOnce(&Chosen) -> R,
    counted: impl FnOnce() -> R,
    layout: Layout,
    sign: i64,
) -> R {
    if CHOICE.load(Ordering::Relaxed) == UNDECIDED {
        decide();
        return again(&Chosen);
    }
    LIVE_BYTES.fetch_add(sign * layout.size() as i64, Ordering::Relaxed);
    counted()
}
