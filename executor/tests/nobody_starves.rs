//! Whoever is ready gets a turn, however busy the others keep the thread: tasks, the main future,
//! work from other threads, the driver. All of it is counted in polls, not in time.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;
use tatkal_executor::{
    Driver, Executor, JoinSet, LocalExecutor, MultiExecutor, Parker, Sequential, spawn_local,
    yield_now,
};

/// More turns than any fair scheduler needs; an unfair one fails instead of hanging.
const MANY: usize = 10_000;

/// Counts how often the executor looked at its driver, and how often it slept there.
struct CountingDriver {
    parker: Parker,
    looks: Arc<AtomicUsize>,
    sleeps: Arc<AtomicUsize>,
}

impl CountingDriver {
    fn new() -> (Self, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let (looks, sleeps) = (Arc::default(), Arc::default());
        let driver = Self {
            parker: Parker::new(),
            looks: Arc::clone(&looks),
            sleeps: Arc::clone(&sleeps),
        };
        (driver, looks, sleeps)
    }
}

impl Driver for CountingDriver {
    fn park(&mut self, limit: Option<Duration>) {
        let count = if limit.is_none() {
            &self.sleeps
        } else {
            &self.looks
        };
        count.fetch_add(1, Ordering::Relaxed);
        Driver::park(&mut self.parker, limit);
    }

    fn unparker(&self) -> Waker {
        Driver::unparker(&self.parker)
    }
}

/// Yields until `done` says so; the number of yields it took.
async fn yield_until(done: impl Fn() -> bool) -> usize {
    for yields in 0..MANY {
        if done() {
            return yields;
        }
        yield_now().await;
    }
    panic!("not done after {MANY} yields");
}

/// Hands its waker out and is ready at its second poll.
async fn woken_once(give: impl Fn(Waker)) {
    let mut given = false;
    poll_fn(|cx| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        give(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

#[test]
fn a_main_future_that_yields_lets_its_tasks_run() {
    let executor = LocalExecutor::default();
    let yields = executor.block_on(async {
        let ran = Rc::new(Cell::new(false));
        let task = spawn_local({
            let ran = ran.clone();
            async move { ran.set(true) }
        });
        let yields = yield_until(|| ran.get()).await;
        task.await.unwrap();
        yields
    });
    assert_eq!(
        yields, 1,
        "a yield is enough for a task that was ready before it"
    );
}

#[test]
fn every_task_that_was_ready_runs_between_two_polls_of_the_main_future() {
    // More than the executor runs between two looks at its driver.
    const TASKS: usize = 500;
    let executor = LocalExecutor::default();
    executor.block_on(async {
        let ran = Rc::new(Cell::new(0));
        for _ in 0..TASKS {
            let ran = ran.clone();
            spawn_local(async move { ran.set(ran.get() + 1) }).detach();
        }
        yield_now().await;
        assert_eq!(ran.get(), TASKS);
    });
}

#[test]
fn a_main_future_that_yields_lets_other_threads_in() {
    let executor = LocalExecutor::default();
    let handle = executor.handle();
    executor.block_on(async {
        let ran = Arc::new(AtomicUsize::new(0));
        let from_outside = ran.clone();
        std::thread::spawn(move || {
            handle
                .spawn(async move { from_outside.fetch_add(1, Ordering::Relaxed) })
                .detach();
        })
        .join()
        .unwrap();
        yield_until(|| ran.load(Ordering::Relaxed) == 1).await;
    });
}

#[test]
fn a_task_that_wakes_itself_takes_turns_with_the_others() {
    let executor = LocalExecutor::default();
    let turns = Rc::new(Cell::new([0usize; 3]));
    let tasks: Vec<_> = (0..3)
        .map(|me| {
            let turns = turns.clone();
            executor.spawn_local(async move {
                for _ in 0..MANY {
                    let mut now = turns.get();
                    now[me] += 1;
                    turns.set(now);
                    let spread = now.iter().max().unwrap() - now.iter().min().unwrap();
                    assert!(spread <= 1, "first in, first out: {now:?}");
                    yield_now().await;
                }
            })
        })
        .collect();
    executor.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(turns.get(), [MANY; 3]);
}

#[test]
fn a_task_whose_set_is_never_without_a_result_lets_the_others_run() {
    LocalExecutor::default().block_on(async {
        let stop = Rc::new(Cell::new(false));
        let taker = spawn_local({
            let stop = stop.clone();
            async move {
                let mut set = JoinSet::new();
                for taken in 0..MANY {
                    if stop.get() {
                        return taken;
                    }
                    set.insert(Sequential::new().submit(|()| (), ()));
                    set.join_next().await.unwrap().unwrap();
                }
                MANY
            }
        });
        spawn_local(async move { stop.set(true) }).detach();
        assert!(taker.await.unwrap() < MANY);
    });
}

#[test]
fn tasks_that_never_sleep_do_not_starve_the_main_future() {
    let executor = LocalExecutor::default();
    for _ in 0..3 {
        executor
            .spawn_local(poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }))
            .detach();
    }
    executor.block_on(async {
        for _ in 0..MANY {
            yield_now().await;
        }
    });
    assert_eq!(executor.live_tasks(), 3);
}

#[test]
fn a_busy_executor_still_looks_at_its_driver() {
    for busy_is_a_task in [true, false] {
        let (driver, looks, sleeps) = CountingDriver::new();
        let executor = LocalExecutor::new(driver);
        let busy = async {
            for _ in 0..MANY {
                yield_now().await;
            }
        };
        if busy_is_a_task {
            executor.block_on(executor.spawn_local(busy)).unwrap();
        } else {
            executor.block_on(busy);
        }
        let (looks, sleeps) = (
            looks.load(Ordering::Relaxed),
            sleeps.load(Ordering::Relaxed),
        );
        assert!(looks >= MANY / 100, "{looks} looks in {MANY} polls");
        assert!(looks <= MANY / 10, "a look is a system call: {looks}");
        assert_eq!(sleeps, 0, "there was work all the time");
    }
}

#[test]
fn work_from_other_threads_is_taken_while_the_queue_is_never_empty() {
    let executor = LocalExecutor::default();
    executor
        .spawn_local(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }))
        .detach();
    let outside = executor.handle();
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let thread = std::thread::spawn(move || {
        let rounds = (0..100).map(|round| outside.spawn(async move { round }));
        let sum = rounds.map(|task| task.join().unwrap()).sum::<i32>();
        receiver.recv().unwrap().wake();
        sum
    });
    executor.block_on(woken_once(|waker| sender.send(waker).unwrap()));
    assert_eq!(thread.join().unwrap(), 99 * 100 / 2);
}

/// A worker whose own queue is never empty takes the others' work by the share, not one by one:
/// with one task for each look at the inject queue these needed 61 polls each.
#[test]
fn many_tasks_from_outside_wait_a_few_rounds_of_a_busy_worker() {
    const TASKS: usize = 2_000;
    let executor = MultiExecutor::new(1).unwrap();
    let (polls, left) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(TASKS)),
    );
    // Holds the worker back until all are there.
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let busy = executor.handle().spawn({
        let (polls, left) = (polls.clone(), left.clone());
        async move {
            gate.recv().unwrap();
            while left.load(Ordering::Relaxed) > 0 {
                polls.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        }
    });
    for _ in 0..TASKS {
        let left = left.clone();
        let task = async move { left.fetch_sub(1, Ordering::Relaxed) };
        executor.handle().spawn(task).detach();
    }
    open.send(()).unwrap();
    busy.join().unwrap();
    let polls = polls.load(Ordering::Relaxed);
    assert!(
        polls < TASKS,
        "{polls} polls of the busy task for {TASKS} others"
    );
}

#[test]
fn an_idle_executor_sleeps_once_per_wake() {
    let (driver, looks, sleeps) = CountingDriver::new();
    let executor = LocalExecutor::new(driver);
    const WAKES: usize = 100;
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let thread = std::thread::spawn(move || receiver.iter().map(Waker::wake).count());
    executor.block_on(async {
        for _ in 0..WAKES {
            woken_once(|waker| sender.send(waker).unwrap()).await;
        }
        drop(sender);
    });
    assert_eq!(thread.join().unwrap(), WAKES);
    // Two: a wake that is seen before the sleep leaves a token, which ends the next sleep at once.
    let sleeps = sleeps.load(Ordering::Relaxed);
    assert!(sleeps <= 2 * WAKES + 1, "{sleeps} sleeps, {WAKES} wakes");
    assert!(looks.load(Ordering::Relaxed) <= WAKES / 10);
}
