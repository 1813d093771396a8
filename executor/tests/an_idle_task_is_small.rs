//! A task is one allocation, and while it sleeps costs at most 128 bytes with a future of 64 in it:
//! its state, its handle's waker and its place in the list of live tasks included, and what a burst
//! leaves behind in the queues. Counted by an allocator of our own, so this file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tatkal_executor::{LocalExecutor, MultiExecutor, yield_now};

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

static POLLED: AtomicUsize = AtomicUsize::new(0);

/// 64 bytes that wait for ever.
struct Idle {
    _state: [u64; 8],
}

impl Future for Idle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        POLLED.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    }
}

/// Bytes for each of so many tasks on two threads, spawned by one of them or from outside.
fn on_two_threads(tasks: usize, from_a_worker: bool) -> f64 {
    let executor = MultiExecutor::new(2).unwrap();
    executor.handle().spawn(async {}).join().unwrap();
    let polled = POLLED.load(Ordering::Relaxed);
    let before = BYTES.load(Ordering::Relaxed);
    let handle = executor.handle();
    let spawn_all = move || {
        for _ in 0..tasks {
            handle.spawn(Idle { _state: [7; 8] }).detach();
        }
    };
    if from_a_worker {
        executor
            .handle()
            .spawn(async move { spawn_all() })
            .join()
            .unwrap();
    } else {
        spawn_all();
    }
    while POLLED.load(Ordering::Relaxed) - polled < tasks {
        std::thread::yield_now();
    }
    (BYTES.load(Ordering::Relaxed) - before) as f64 / tasks as f64
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

    // So many that the room which the inject queue keeps does not count; the first just past the
    // places of a list that doubles.
    for tasks in [8_130, 10_000, 16_500, 20_600] {
        for from_a_worker in [false, true] {
            let each = on_two_threads(tasks, from_a_worker);
            assert!(
                each <= 128.0,
                "{each} bytes for each of {tasks}, on two threads"
            );
        }
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
