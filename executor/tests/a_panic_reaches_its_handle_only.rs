//! A panic of a task's code reaches the handle of that task; the loop, the other tasks and the
//! thread go on. The same for panics in the wakers that a task is given.

mod common;

use common::{Drops, message_of_panic, turns};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use tatkal_executor::{JoinError, JoinHandle, LocalExecutor, block_on, yield_now};

fn panic_message<T: std::fmt::Debug>(result: Result<T, JoinError>) -> String {
    match result {
        Err(JoinError::Panicked(report)) => report.message().to_owned(),
        other => panic!("not a panic: {other:?}"),
    }
}

/// The executor still runs tasks.
fn assert_alive(executor: &LocalExecutor) {
    let task = executor.spawn_local(async {
        yield_now().await;
        7
    });
    assert_eq!(executor.block_on(task).unwrap(), 7);
}

#[test]
fn in_the_first_poll_and_in_a_later_one() {
    let executor = LocalExecutor::default();
    let first = executor.spawn_local(async { panic!("first") });
    let later = executor.spawn_local(async {
        yield_now().await;
        if true {
            panic!("after {}", 1);
        }
    });
    assert_eq!(panic_message::<()>(executor.block_on(first)), "first");
    assert_eq!(panic_message(executor.block_on(later)), "after 1");
    assert_alive(&executor);
}

#[test]
fn the_payload_survives() {
    let executor = LocalExecutor::default();
    let task = executor.spawn_local(async { std::panic::panic_any(42_u64) });
    match executor.block_on(task) {
        Err(JoinError::Panicked(report)) => {
            let payload = report.into_payload().unwrap();
            assert_eq!(*payload.downcast::<u64>().unwrap(), 42);
        }
        Ok(()) => panic!("it should have panicked"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_future_that_panicked_is_dropped_before_its_handle_hears_of_it() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let watched = drops.watch();
    let task = executor.spawn_local(poll_fn(move |_| -> Poll<()> {
        let _here = &watched;
        panic!("in poll");
    }));
    executor.block_on(async {
        task.await.unwrap_err();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn in_the_drop_of_a_future_that_was_ready() {
    let outputs = Drops::default();
    let futures = Drops::default();
    let executor = LocalExecutor::default();
    let task = executor.spawn_local({
        let (bomb, output) = (futures.watch_and_panic(), outputs.watch());
        let mut output = Some(output);
        poll_fn(move |_| {
            let _here = &bomb;
            Poll::Ready(output.take())
        })
    });
    assert_eq!(panic_message(executor.block_on(task)), "in drop");
    assert_eq!((futures.count(), outputs.count()), (1, 1));
    assert_alive(&executor);
}

#[test]
fn in_the_drop_of_an_aborted_future() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let bomb = drops.watch_and_panic();
    let task = executor.spawn_local(async move {
        let _bomb = bomb;
        pending::<()>().await;
    });
    executor.block_on(turns(1));
    task.abort();
    assert_eq!(panic_message(executor.block_on(task)), "in drop");
    assert_eq!(drops.count(), 1);
    assert_alive(&executor);
}

#[test]
fn in_poll_and_in_drop_the_later_panic_is_the_result() {
    struct Both;
    impl Future for Both {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in poll")
        }
    }
    impl Drop for Both {
        fn drop(&mut self) {
            panic!("in drop")
        }
    }
    let executor = LocalExecutor::default();
    let task = executor.spawn_local(Both);
    assert_eq!(panic_message(executor.block_on(task)), "in drop");
    assert_alive(&executor);
}

#[test]
fn in_the_drop_of_an_output_that_nobody_wants() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let output = drops.watch_and_panic();
    executor.spawn_local(async move { output }).detach();
    executor.block_on(turns(1));
    assert_eq!(drops.count(), 1);
    assert_alive(&executor);
}

#[test]
fn in_the_drop_of_an_output_whose_handle_comes_too_late_it_is_the_handles() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let output = drops.watch_and_panic();
    let task = executor.spawn_local(async move { output });
    executor.block_on(turns(1));
    assert!(task.is_finished());
    assert_eq!(message_of_panic(|| drop(task)), "in drop");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_handle_dropped_while_unwinding_does_not_abort_the_process() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let output = drops.watch_and_panic();
    let task = executor.spawn_local(async move { output });
    executor.block_on(turns(1));
    let message = message_of_panic(move || {
        let _task = task;
        panic!("the handle's owner");
    });
    assert_eq!(message, "the handle's owner");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_payload_that_panics_when_it_is_dropped() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let payload = drops.watch_and_panic();
    executor
        .spawn_local(async move { std::panic::panic_any(payload) })
        .detach();
    executor.block_on(turns(1));
    assert_eq!(drops.count(), 1);
    assert_alive(&executor);
}

#[test]
fn in_the_main_future_it_passes_through_and_the_executor_goes_on() {
    let executor = LocalExecutor::default();
    let task = executor.spawn_local(async { 7 });
    let message = message_of_panic(|| {
        executor.block_on(async {
            yield_now().await;
            panic!("main")
        })
    });
    assert_eq!(message, "main");
    assert_eq!(executor.block_on(task).unwrap(), 7);
}

/// A waker that panics when it is called, when it is dropped, or both.
struct Grumpy {
    wake: bool,
    drop: bool,
    drops: Drops,
}

impl Wake for Grumpy {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if self.wake {
            panic!("waker called");
        }
    }
}

impl Drop for Grumpy {
    fn drop(&mut self) {
        drop(self.drops.watch());
        if self.drop {
            panic!("waker dropped");
        }
    }
}

fn poll_with<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

/// Leaves a grumpy waker in the handle's task as its only reference.
fn register<T>(handle: &mut JoinHandle<T>, wake: bool, drop: bool) -> Drops {
    let drops = Drops::default();
    let grumpy = Grumpy {
        wake,
        drop,
        drops: drops.clone(),
    };
    assert!(poll_with(handle, &Arc::new(grumpy).into()).is_pending());
    drops
}

#[test]
fn a_join_waker_that_panics_when_it_is_called() {
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local(async { 7 });
    let drops = register(&mut task, true, false);
    executor.block_on(turns(1));
    assert_eq!(block_on(task).unwrap(), 7);
    assert_eq!(drops.count(), 1, "and it is not leaked");
    assert_alive(&executor);
}

#[test]
fn a_join_waker_that_panics_when_it_is_dropped_with_the_task() {
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local(async { 7 });
    let drops = register(&mut task, false, true);
    executor.block_on(turns(1));
    assert_eq!(task.join().unwrap(), 7, "the panic is not the joiner's");
    assert_eq!(drops.count(), 1);
    assert_alive(&executor);
}

#[test]
fn a_join_waker_that_panics_when_it_is_replaced_leaves_the_handle_usable() {
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local(async { 7 });
    let drops = register(&mut task, false, true);
    let message = message_of_panic(|| poll_with(&mut task, Waker::noop()));
    assert_eq!(message, "waker dropped");
    assert_eq!(drops.count(), 1);
    assert_eq!(executor.block_on(task).unwrap(), 7);
}

#[test]
fn a_join_waker_that_panics_as_its_handle_is_dropped() {
    for unwinding in [false, true] {
        let executor = LocalExecutor::default();
        let mut task = executor.spawn_local(async { 7 });
        let drops = register(&mut task, false, true);
        let message = message_of_panic(move || {
            let task = task;
            if unwinding {
                panic!("the handle's owner");
            }
            drop(task);
        });
        let expected = ["waker dropped", "the handle's owner"][usize::from(unwinding)];
        assert_eq!(message, expected);
        assert_eq!(drops.count(), 1);
        assert_alive(&executor);
    }
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_leaves_the_handle_usable() {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| panic!("waker cloned"),
        |_| unreachable!(),
        |_| unreachable!(),
        |_| {},
    );
    // SAFETY: the functions do nothing with the pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local(async { 7 });
    for already_registered in [false, true] {
        if already_registered {
            assert!(poll_with(&mut task, Waker::noop()).is_pending());
        }
        assert_eq!(
            message_of_panic(|| poll_with(&mut task, &waker)),
            "waker cloned"
        );
    }
    assert_eq!(executor.block_on(task).unwrap(), 7);
}

#[test]
fn in_drops_while_the_executor_is_dropped() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let tasks: Vec<_> = (0..3)
        .map(|i| {
            let watched = if i == 1 {
                drops.watch_and_panic()
            } else {
                drops.watch()
            };
            executor.spawn_local(async move {
                let _watched = watched;
                pending::<()>().await;
            })
        })
        .collect();
    executor.block_on(turns(1));
    drop(executor);
    assert_eq!(drops.count(), 3);
    let results: Vec<_> = tasks.into_iter().map(|task| task.join()).collect();
    assert!(matches!(results[0], Err(JoinError::Cancelled)));
    assert!(matches!(results[1], Err(JoinError::Panicked(_))));
    assert!(matches!(results[2], Err(JoinError::Cancelled)));
}
