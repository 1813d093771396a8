//! `as_completed` gives each handle's memory back as it gives its result, not at the end. Counted
//! by an allocator of our own, so this file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use tatkal_executor::{Executor, Sequential, as_completed};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn each_result_takes_its_handle_along() {
    const HANDLES: usize = 1_000;
    let executor = Sequential::new();
    let handles: Vec<_> = (0..HANDLES)
        .map(|n| executor.submit(|n: usize| n, n))
        .collect();
    let mut results = as_completed(handles);
    results.next().unwrap().1.unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..HANDLES / 2 {
        results.next().unwrap().1.unwrap();
    }
    // At least the cell of each; what the test's own frame does meanwhile is lost in the tenth.
    let released = before - LIVE.load(Ordering::Relaxed);
    assert!(
        released >= HANDLES / 2 - HANDLES / 10,
        "{released} released"
    );
}
