//! Memory that another thread asked for goes back in batches: but a thread that sleeps keeps none of
//! it. Counted by an allocator of our own, so this file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tatkal_executor::{MultiExecutor, ThreadPool};

/// No other allocation is aligned so, and not larger than cells that wait for a batch may be.
#[repr(align(64))]
struct Marked;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

fn is_marked(layout: Layout) -> bool {
    layout.align() == align_of::<Marked>() && layout.size() <= 512
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(usize::from(is_marked(layout)), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(usize::from(is_marked(layout)), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Fewer than a batch.
const TASKS: usize = 20;

/// The limit is for a thread that goes to sleep with them.
fn all_are_gone(who: &str) {
    let begin = Instant::now();
    while LIVE.load(Ordering::Relaxed) > 0 {
        let left = LIVE.load(Ordering::Relaxed);
        assert!(begin.elapsed() < Duration::from_secs(10), "{who}: {left}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_over_is_free_when_there_is_nothing_to_do() {
    let executor = MultiExecutor::new(2).unwrap();
    let handle = executor.handle();
    for _ in 0..TASKS {
        let marked = Marked;
        handle.spawn(async move { _ = &marked }).detach();
    }
    all_are_gone("a worker");
    let pool = ThreadPool::new(1);
    for _ in 0..TASKS {
        let marked = Marked;
        pool.submit(move || _ = &marked).detach();
    }
    all_are_gone("a thread of a pool");
}
