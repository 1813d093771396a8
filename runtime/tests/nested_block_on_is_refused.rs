//! Whoever is inside a runtime awaits there: a nested `block_on` is refused, and the message names
//! the cure. A blocking job is the place where it is allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tatkal::{Handle, JoinHandle, LocalSet, Runtime, sleep, spawn, spawn_blocking};

fn one() -> Runtime {
    Runtime::new().unwrap()
}

fn many() -> Runtime {
    Runtime::builder().worker_threads(1).build().unwrap()
}

/// What a call that must panic says.
#[track_caller]
fn message<R>(call: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err();
    let panic = panic.expect("it should have been refused");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// Every way to block on something, tried where it must be refused.
#[track_caller]
fn all_are_refused() {
    let (other_one, other_many) = (one(), many());
    let (one_handle, many_handle) = (other_one.handle(), other_many.handle());
    let task: JoinHandle<()> = many_handle.spawn(std::future::pending());
    let local = LocalSet::new(&many_handle);
    for said in [
        message(|| tatkal::block_on(async {})),
        message(|| other_one.block_on(async {})),
        message(|| other_many.block_on(async {})),
        message(|| one_handle.block_on(async {})),
        message(|| many_handle.block_on(async {})),
        message(|| local.block_on(async {})),
        message(|| task.join()),
    ] {
        assert!(said.contains("use `.await` here"), "{said}");
        assert!(said.contains("spawn_blocking"), "{said}");
    }
    // And nothing of it stays: the thread is where it was.
    Handle::current();
}

#[test]
fn in_a_task() {
    one().block_on(async { spawn(async { all_are_refused() }).await.unwrap() });
    many().spawn(async { all_are_refused() }).join().unwrap();
}

#[test]
fn in_the_main_future() {
    one().block_on(async { all_are_refused() });
    many().block_on(async { all_are_refused() });
}

#[test]
fn in_a_future_that_another_thread_blocks_on() {
    for runtime in [one(), many()] {
        let handle = runtime.handle();
        let thread = std::thread::spawn(move || handle.block_on(async { all_are_refused() }));
        thread.join().unwrap();
    }
}

#[test]
fn in_a_local_set() {
    let runtime = many();
    let local = LocalSet::new(&runtime.handle());
    local.block_on(async { all_are_refused() });
    local.spawn_local(async { all_are_refused() }).detach();
    local.block_on(async {
        tatkal::spawn_local(async { all_are_refused() })
            .await
            .unwrap()
    });
}

#[test]
fn a_blocking_job_may_block() {
    for runtime in [one(), many()] {
        let job = async {
            spawn_blocking(|| {
                let ms = Duration::from_millis(1);
                Handle::current().block_on(async move { sleep(ms).await });
                let fresh = one().block_on(async { spawn(async { 3 }).await.unwrap() });
                fresh + many().block_on(async { spawn(async { 4 }).await.unwrap() })
            })
            .await
            .unwrap()
        };
        assert_eq!(runtime.block_on(job), 7);
    }
}

#[test]
fn a_guard_of_enter_is_no_obstacle() {
    let runtime = many();
    let _guard = runtime.enter();
    assert_eq!(one().block_on(async { 7 }), 7);
    assert_eq!(runtime.block_on(async { 8 }), 8);
}
