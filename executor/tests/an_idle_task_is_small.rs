//! A task is one allocation, and while it sleeps costs at most 128 bytes with a future of 64 in it:
//! its state, its handle's waker and its place in the list of live tasks included, and what a burst
//! leaves behind in the queues. Counted by an allocator of our own, so this file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tatkal_executor::{LocalExecutor, yield_now};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 64 bytes that wait for ever.
struct Idle {
    _state: [u64; 8],
}

impl Future for Idle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

#[test]
fn at_most_128_bytes_and_one_allocation() {
    // Around the places where lists that double would be nearly empty.
    for tasks in [1_000, 1_030, 4_200, 10_000, 16_500] {
        let executor = LocalExecutor::default();
        executor.block_on(yield_now());
        let before = BYTES.load(Ordering::Relaxed);
        for _ in 0..tasks {
            executor.spawn_local(Idle { _state: [7; 8] }).detach();
        }
        executor.block_on(yield_now()); // each has been polled
        let each = (BYTES.load(Ordering::Relaxed) - before) as f64 / f64::from(tasks);
        assert_eq!(executor.live_tasks(), tasks as usize);
        assert!(each <= 128.0, "{each} bytes for each of {tasks}");
    }

    let executor = LocalExecutor::default();
    executor.block_on(async {
        // The first two bring the run queue's two blocks.
        for warm in [false, false, true] {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            tatkal_executor::spawn(async { 7 }).await.unwrap();
            let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert!(made == 1 || !warm, "{made} allocations for a task");
        }
    });
}
