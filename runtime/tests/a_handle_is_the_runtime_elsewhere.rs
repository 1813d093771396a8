//! `Handle`: what `current` and `try_current` find, and where `spawn` goes while a thread is a
//! guest.

mod common;

use common::descriptors;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use tatkal::{Handle, JoinSet, Runtime, spawn, spawn_blocking};

fn many(name: &str) -> Runtime {
    let builder = Runtime::builder().worker_threads(1).thread_name(name);
    builder.build().unwrap()
}

/// The name of the thread that runs this.
async fn whose() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn there_is_none_outside_and_one_inside() {
    assert!(Handle::try_current().is_none());
    let found = || Handle::try_current().is_some();
    for runtime in [Runtime::new().unwrap(), many("w")] {
        assert!(runtime.block_on(async { found() }));
        assert!(runtime.block_on(async { spawn(async move { found() }).await.unwrap() }));
        assert!(runtime.block_on(async { spawn_blocking(found).await.unwrap() }));
        assert!(runtime.handle().block_on(async { found() }));
        let guard = runtime.enter();
        assert!(found());
        drop(guard);
        assert!(!found());
    }
    let refused = std::panic::catch_unwind(Handle::current).unwrap_err();
    let said = refused.downcast::<&str>().unwrap();
    assert!(said.contains("there is no tatkal runtime on this thread"));
}

#[test]
fn spawn_goes_to_the_runtime_that_was_entered_last() {
    let (first, second) = (many("first"), many("second"));
    let _outer = first.enter();
    assert_eq!(spawn(whose()).join().unwrap(), "first-0");
    {
        let _inner = second.enter();
        assert_eq!(spawn(whose()).join().unwrap(), "second-0");
        // `block_on` is the innermost while it lasts.
        let name = first.block_on(async { spawn(whose()).await.unwrap() });
        assert_eq!(name, "first-0");
        let name = first.block_on(async {
            let _guard = second.enter();
            spawn(whose()).await.unwrap()
        });
        assert_eq!(name, "second-0");
    }
    assert_eq!(spawn(whose()).join().unwrap(), "first-0");
    // A set spawns where `spawn` does.
    let mut set = JoinSet::new();
    set.spawn(whose());
    let name = futures_lite::future::block_on(set.join_next());
    assert_eq!(name.unwrap().unwrap(), "first-0");
}

#[test]
fn guards_dropped_in_the_wrong_order_leave_no_runtime_that_is_gone() {
    let (first, second) = (many("first"), many("second"));
    let outer = first.enter();
    let inner = second.enter();
    drop(outer);
    drop(inner); // brings `first` back
    drop(first);
    assert!(spawn(whose()).join().unwrap_err().is_cancelled());
    drop(second);
}

#[test]
fn a_thread_that_runs_tasks_spawns_them_itself() {
    let (runtime, others) = (many("workers"), many("others"));
    let other = others.handle();
    let name = runtime.spawn(async move {
        let task = {
            let _guard = other.enter();
            spawn(whose())
        };
        task.await.unwrap()
    });
    assert_eq!(name.join().unwrap(), "workers-0");
}

#[test]
fn a_one_thread_runtime_runs_what_its_guests_spawn() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let (done, wait) = channel();
    let guest = thread::spawn(move || {
        let by_guard = {
            let _guard = handle.enter();
            spawn(async { thread::current().id() })
        };
        let by_block_on = handle.block_on(async { spawn(async { thread::current().id() }).await });
        done.send(()).unwrap();
        [by_guard.join().unwrap(), by_block_on.unwrap()]
    });
    runtime.block_on(async {
        spawn_blocking(move || wait.recv()).await.unwrap().unwrap();
    });
    assert_eq!(guest.join().unwrap(), [thread::current().id(); 2]);
}

#[test]
fn a_blocking_job_spawns_on_its_runtime() {
    let runtime = many("workers");
    let job = runtime.spawn_blocking(|| spawn(whose()).join().unwrap());
    assert_eq!(job.join().unwrap(), "workers-0");
    let nested = runtime.spawn_blocking(|| spawn_blocking(|| 7));
    assert_eq!(nested.join().unwrap().join().unwrap(), 7);
}

#[test]
fn idle_blocking_threads_keep_nothing_of_a_runtime_that_is_gone() {
    let before = descriptors();
    let marker = Arc::new(());
    for _ in 0..20 {
        let runtime = many("w");
        let kept = marker.clone();
        runtime.spawn_blocking(move || drop(kept)).join().unwrap();
        // Waits for the idle thread to end, and what it held goes with it.
        runtime
            .shutdown_timeout(std::time::Duration::from_secs(60))
            .unwrap();
    }
    while descriptors() > before {
        thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&marker), 1);
}

#[test]
fn threads_have_the_stack_that_was_asked_for() {
    // 8 MiB of it are used: with the default of 2 MiB this would be the end of the process.
    fn deep() -> usize {
        let room = [1_u8; 8 << 20];
        std::hint::black_box(&room)
            .iter()
            .map(|b| *b as usize)
            .sum()
    }
    let builder = Runtime::builder().worker_threads(1);
    let runtime = builder.thread_stack_size(16 << 20).build().unwrap();
    assert_eq!(runtime.spawn(async { deep() }).join().unwrap(), 8 << 20);
    assert_eq!(runtime.spawn_blocking(deep).join().unwrap(), 8 << 20);
}
