//! The memory of tasks from outside is kept for the next ones: but never more than there were tasks,
//! and none when there is nothing to do for a moment. Counted by an allocator of our own, so this
//! file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tatkal_executor::{MultiExecutor, ThreadPool, spawn};

/// So much is captured that no other allocation is as large as the cell around it.
type Marked = [u8; 401];

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

fn is_marked(layout: Layout) -> bool {
    layout.align() == align_of::<usize>() && (440..504).contains(&layout.size())
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

/// A few magazines, and a part of one.
const TASKS: usize = 1_000;

/// The limit is for a thread that never frees them.
fn all_are_gone(who: &str) {
    let begin = Instant::now();
    while LIVE.load(Ordering::Relaxed) > 0 {
        let left = LIVE.load(Ordering::Relaxed);
        assert!(begin.elapsed() < Duration::from_secs(10), "{who}: {left}");
        std::thread::yield_now();
    }
}

/// On a thread that ends: as long as it lives it keeps what it fetched and did not need.
fn submit(who: &str, spawn: impl Fn(Marked) + Send + Sync) {
    let submit = || (0..TASKS).for_each(|_| spawn([0; _]));
    std::thread::scope(|scope| scope.spawn(submit).join().unwrap());
    let most = LIVE.load(Ordering::Relaxed);
    assert!(most <= TASKS, "{who}: {most}");
    all_are_gone(who);
}

#[test]
fn what_is_over_is_free_when_there_is_nothing_to_do() {
    for workers in [1, 3] {
        let executor = MultiExecutor::new(workers).unwrap();
        let handle = executor.handle();
        for _ in 0..3 {
            submit("workers", |marked| {
                handle.spawn(async move { _ = &marked }).detach();
            });
            // Half of these end on the worker that spawned them: its own magazine is used, too.
            executor.block_on(async {
                spawn(async {
                    for _ in 0..TASKS {
                        let marked: Marked = [0; _];
                        spawn(async move { _ = &marked }).detach();
                    }
                })
                .await
                .unwrap();
            });
            all_are_gone("workers that spawn");
        }
        let pool = ThreadPool::new(workers);
        for _ in 0..3 {
            submit("a pool", |marked| pool.submit(move || _ = &marked).detach());
        }
    }
}
