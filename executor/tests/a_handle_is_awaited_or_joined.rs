//! The one handle can be awaited on any executor and joined by any thread, in any order, until it
//! gave its result. Waiting that would stop the very loop that runs the task is refused.

mod common;

use common::{Drops, message_of_panic, turns};
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tatkal_executor::{JoinHandle, LocalExecutor, block_on, spawn, spawn_local, yield_now};

/// An executor on a thread of its own that runs until its sender is dropped.
struct Background {
    spawner: tatkal_executor::SpawnHandle,
    stop: tatkal_executor::AbortHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Background {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let executor = LocalExecutor::default();
            let life = executor.spawn_local(pending::<()>());
            sender
                .send((executor.handle(), life.abort_handle()))
                .unwrap();
            executor.block_on(life).unwrap_err();
        });
        let (spawner, stop) = receiver.recv().unwrap();
        Self {
            spawner,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.abort();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A task that ends when the sender says so.
fn on_command(executor: &Background) -> (mpsc::Sender<()>, JoinHandle<i32>) {
    let (sender, receiver) = mpsc::channel::<()>();
    let task = executor.spawner.spawn(async move {
        while receiver.try_recv().is_err() {
            yield_now().await;
        }
        7
    });
    (sender, task)
}

#[test]
fn by_a_thread_before_and_after_completion() {
    let background = Background::new();
    let (end, task) = on_command(&background);
    let joiner = std::thread::spawn(move || task.join().unwrap());
    end.send(()).unwrap();
    assert_eq!(joiner.join().unwrap(), 7);
    let (end, task) = on_command(&background);
    end.send(()).unwrap();
    while !task.is_finished() {
        std::thread::yield_now();
    }
    assert_eq!(task.join().unwrap(), 7);
}

#[test]
fn by_a_thread_that_gives_up_and_by_another_that_goes_on() {
    let background = Background::new();
    let (end, mut task) = on_command(&background);
    let start = Instant::now();
    assert!(task.join_timeout(Duration::from_millis(20)).is_none());
    assert!(start.elapsed() >= Duration::from_millis(20), "never early");
    assert!(task.join_timeout(Duration::ZERO).is_none());
    let joiner = std::thread::spawn(move || task.join_timeout(Duration::MAX).unwrap().unwrap());
    end.send(()).unwrap();
    assert_eq!(joiner.join().unwrap(), 7);
}

#[test]
fn on_another_executor() {
    let background = Background::new();
    let (end, task) = on_command(&background);
    let awaiting = LocalExecutor::default();
    let sum = awaiting.block_on(async {
        let waiter = spawn_local(async move { task.await.unwrap() + 1 });
        yield_now().await;
        end.send(()).unwrap();
        waiter.await.unwrap()
    });
    assert_eq!(sum, 8);
    let (end, task) = on_command(&background);
    end.send(()).unwrap();
    assert_eq!(block_on(task).unwrap(), 7);
}

#[test]
fn polled_by_one_and_then_by_another() {
    let background = Background::new();
    let (end, mut task) = on_command(&background);
    let first = LocalExecutor::default();
    first.block_on(async {
        let mut poll = |cx: &mut Context<'_>| Pin::new(&mut task).poll(cx);
        std::future::poll_fn(|cx| {
            assert!(poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    });
    drop(first);
    assert!(task.join_timeout(Duration::from_millis(1)).is_none());
    end.send(()).unwrap();
    let second = LocalExecutor::default();
    assert_eq!(second.block_on(task).unwrap(), 7);
}

#[test]
fn by_two_in_turn_while_it_completes() {
    // The replaced waker races the completion: whoever was polled last is told, or reads at once.
    let background = Background::new();
    for _ in 0..2_000 {
        let mut task = background.spawner.spawn(async { 7 });
        let first = Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop()));
        match first {
            Poll::Ready(result) => assert_eq!(result.unwrap(), 7),
            Poll::Pending => assert_eq!(task.join().unwrap(), 7),
        }
    }
}

#[test]
fn joining_inside_a_task_is_refused_unless_it_is_finished() {
    let executor = LocalExecutor::default();
    executor.block_on(async {
        let running = spawn(async {});
        let message = message_of_panic(|| running.join());
        assert!(message.contains(".await"), "{message}");
        let finished = spawn(async { 7 });
        yield_now().await;
        assert_eq!(finished.join().unwrap(), 7);
        let mut waiting = spawn_local(pending::<()>());
        message_of_panic(|| waiting.join_timeout(Duration::ZERO));
        assert!(
            !waiting.is_finished(),
            "and the handle is as good as before"
        );
        waiting.abort();
        waiting.await.unwrap_err();
    });
}

#[test]
fn a_nested_block_on_is_refused_with_a_cure() {
    let executor = LocalExecutor::default();
    let other = Rc::new(LocalExecutor::default());
    executor.block_on(async {
        for message in [
            message_of_panic(|| block_on(async {})),
            message_of_panic(|| other.block_on(async {})),
        ] {
            assert!(message.contains("use `.await` here"), "{message}");
        }
        let in_a_task = spawn(async { block_on(async {}) });
        assert!(in_a_task.await.unwrap_err().is_panic());
    });
    // Refusing has changed nothing.
    assert_eq!(other.block_on(async { 7 }), 7);
    assert_eq!(executor.block_on(async { 7 }), 7);
}

#[test]
fn its_result_is_given_once() {
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local(async { 7 });
    executor.block_on(turns(1));
    assert_eq!(task.join_timeout(Duration::ZERO).unwrap().unwrap(), 7);
    assert!(task.is_finished());
    task.abort();
    task.abort_handle().abort();
    assert!(message_of_panic(|| task.join_timeout(Duration::ZERO)).contains("already"));
    let mut cx = Context::from_waker(Waker::noop());
    let message = message_of_panic(|| Pin::new(&mut task).poll(&mut cx));
    assert!(message.contains("after it gave its result"));
}

#[test]
fn a_joined_handle_holds_no_memory_of_the_task() {
    let drops = Drops::default();
    let executor = LocalExecutor::default();
    let mut task = executor.spawn_local({
        let watched = drops.watch();
        async move { watched }
    });
    executor.block_on(turns(1));
    let output = task.join_timeout(Duration::ZERO).unwrap().unwrap();
    drop(output);
    assert_eq!(drops.count(), 1);
    drop(task);
    assert_eq!(drops.count(), 1);
}

#[test]
fn its_result_may_be_too_local_to_send() {
    let executor = LocalExecutor::default();
    let task = executor.spawn_local(async { Rc::new(7) });
    assert_eq!(*executor.block_on(task).unwrap(), 7);
}

#[test]
fn outside_of_an_executor_spawn_panics_with_a_cure() {
    let message = message_of_panic(|| spawn(async {}));
    assert!(message.contains("`block_on`"), "{message}");
    let message = message_of_panic(|| spawn_local(async {}));
    assert!(message.contains("`LocalExecutor`"), "{message}");
}
