//! `abort` drops the future at its next safe point: at once when it is not being polled (as soon
//! as its thread gets to it), after the poll otherwise; never twice, and not after it finished.

mod common;

use common::{Drops, WakerSlot, turns, waiting};
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tatkal_executor::{AbortHandle, JoinError, JoinHandle, LocalExecutor, yield_now};

/// Who calls `abort`.
#[derive(Clone, Copy, Debug)]
enum By {
    Handle,
    AbortHandle,
    AnotherThread,
    /// All of them, more than once.
    Everyone,
}

const ALL: [By; 4] = [By::Handle, By::AbortHandle, By::AnotherThread, By::Everyone];

fn abort<T: Send>(handle: &JoinHandle<T>, by: By) {
    let from_afar = || {
        let abort = handle.abort_handle();
        std::thread::spawn(move || abort.abort()).join().unwrap();
    };
    match by {
        By::Handle => handle.abort(),
        By::AbortHandle => handle.abort_handle().abort(),
        By::AnotherThread => from_afar(),
        By::Everyone => {
            handle.abort();
            handle.abort_handle().clone().abort();
            from_afar();
            handle.abort();
        }
    }
}

struct Case {
    executor: LocalExecutor,
    drops: Drops,
    polls: Arc<AtomicUsize>,
    slot: WakerSlot,
    task: JoinHandle<()>,
}

/// A task that waits for ever, spawned and not polled yet.
fn spawned() -> Case {
    let executor = LocalExecutor::default();
    let drops = Drops::default();
    let (polls, slot) = <(Arc<AtomicUsize>, WakerSlot)>::default();
    let task = executor.spawn_local({
        let (watched, polls, slot) = (drops.watch(), polls.clone(), slot.clone());
        async move {
            let _watched = watched;
            waiting(polls, slot, || false).await;
        }
    });
    Case {
        executor,
        drops,
        polls,
        slot,
        task,
    }
}

impl Case {
    fn assert_cancelled_after(self, polls: usize) {
        assert!(self.task.is_finished());
        assert_eq!(self.polls.load(Ordering::SeqCst), polls);
        assert_eq!(self.drops.threads(), [std::thread::current().id()]);
        assert_eq!(self.executor.live_tasks(), 0);
        assert!(matches!(self.task.join(), Err(JoinError::Cancelled)));
        // A late wake finds nothing to do.
        if let Some(waker) = self.slot.lock().unwrap().take() {
            waker.wake();
        }
        self.executor.block_on(turns(2));
        assert_eq!(self.drops.count(), 1);
    }
}

#[test]
fn before_the_first_poll_it_is_never_polled() {
    for by in ALL {
        let case = spawned();
        abort(&case.task, by);
        assert_eq!(
            case.drops.count(),
            0,
            "{by:?}: not before its thread gets to it"
        );
        case.executor.block_on(turns(2));
        case.assert_cancelled_after(0);
    }
}

#[test]
fn while_it_sleeps_it_is_not_polled_again() {
    for by in ALL {
        let case = spawned();
        case.executor.block_on(turns(1));
        abort(&case.task, by);
        case.executor.block_on(turns(2));
        case.assert_cancelled_after(1);
    }
}

#[test]
fn while_it_is_queued_again_it_is_not_polled_again() {
    for by in ALL {
        for wake_first in [true, false] {
            let case = spawned();
            case.executor.block_on(turns(1));
            let waker = case.slot.lock().unwrap().clone().unwrap();
            if wake_first {
                waker.wake_by_ref();
            }
            abort(&case.task, by);
            waker.wake();
            case.executor.block_on(turns(2));
            case.assert_cancelled_after(1);
        }
    }
}

#[test]
fn during_its_poll_it_is_dropped_after_that_poll() {
    for wakes_itself in [false, true] {
        let executor = LocalExecutor::default();
        let drops = Drops::default();
        let polls = Arc::new(AtomicUsize::new(0));
        let myself = Arc::new(Mutex::new(None::<AbortHandle>));
        let task = executor.spawn_local({
            let (watched, myself) = (drops.watch(), myself.clone());
            let (drops, polls) = (drops.clone(), polls.clone());
            poll_fn(move |cx| {
                let _watched = &watched;
                polls.fetch_add(1, Ordering::SeqCst);
                let abort = myself.lock().unwrap().take().unwrap();
                abort.abort();
                std::thread::spawn(move || abort.abort()).join().unwrap();
                if wakes_itself {
                    cx.waker().wake_by_ref();
                }
                assert_eq!(
                    drops.count(),
                    0,
                    "a future is not dropped under its own poll"
                );
                Poll::<()>::Pending
            })
        });
        *myself.lock().unwrap() = Some(task.abort_handle());
        executor.block_on(turns(3));
        assert_eq!((polls.load(Ordering::SeqCst), drops.count()), (1, 1));
        assert!(matches!(task.join(), Err(JoinError::Cancelled)));
    }
}

#[test]
fn during_its_last_poll_its_result_stands() {
    let executor = LocalExecutor::default();
    let myself = Arc::new(Mutex::new(None::<AbortHandle>));
    let task = executor.spawn_local({
        let myself = myself.clone();
        async move {
            myself.lock().unwrap().take().unwrap().abort();
            7
        }
    });
    *myself.lock().unwrap() = Some(task.abort_handle());
    assert_eq!(executor.block_on(task).unwrap(), 7);
}

#[test]
fn after_it_finished_its_result_stands() {
    for by in ALL {
        let drops = Drops::default();
        let executor = LocalExecutor::default();
        let output = drops.watch();
        let task = executor.spawn_local(async move { output });
        executor.block_on(turns(1));
        abort(&task, by);
        executor.block_on(turns(1));
        let output = task.join().unwrap();
        assert_eq!(drops.count(), 0);
        drop(output);
        assert_eq!(drops.count(), 1);
    }
}

#[test]
fn after_its_handle_is_gone_an_abort_handle_still_works() {
    let case = spawned();
    let abort = case.task.abort_handle();
    case.task.detach();
    case.executor.block_on(turns(1));
    assert!(!abort.is_finished());
    abort.abort();
    case.executor.block_on(turns(2));
    assert!(abort.is_finished());
    assert_eq!(case.drops.count(), 1);
    // It holds the last reference to the task now; that it may go anywhere is part of the deal.
    drop(case.executor);
    std::thread::spawn(move || drop(abort)).join().unwrap();
}

#[test]
fn from_the_destructor_of_the_future_it_does_nothing() {
    struct AbortsInDrop(Arc<Mutex<Option<AbortHandle>>>, Drops);
    impl Drop for AbortsInDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().take().unwrap().abort();
            drop(self.1.watch());
        }
    }
    for ready in [false, true] {
        let executor = LocalExecutor::default();
        let drops = Drops::default();
        let myself = Arc::new(Mutex::new(None));
        let guard = AbortsInDrop(myself.clone(), drops.clone());
        let task = executor.spawn_local(async move {
            let _guard = guard;
            if !ready {
                pending::<()>().await;
            }
            7
        });
        *myself.lock().unwrap() = Some(task.abort_handle());
        executor.block_on(turns(1));
        task.abort();
        executor.block_on(turns(2));
        assert_eq!(drops.count(), 1);
        assert_eq!(task.join().ok(), ready.then_some(7));
    }
}

#[test]
fn of_many_tasks_racing_their_own_completion_each_is_dropped_once() {
    const TASKS: usize = 500;
    for _ in 0..20 {
        let executor = LocalExecutor::default();
        let (futures, outputs) = (Drops::default(), Drops::default());
        let tasks: Vec<_> = (0..TASKS)
            .map(|i| {
                let (future, output) = (futures.watch(), outputs.watch());
                executor.spawn_local(async move {
                    let _future = future;
                    for _ in 0..i % 4 {
                        yield_now().await;
                    }
                    output
                })
            })
            .collect();
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let aborter = std::thread::spawn(move || aborts.iter().for_each(AbortHandle::abort));
        let mut finished = 0;
        executor.block_on(async {
            for task in tasks {
                match task.await {
                    Ok(_) => finished += 1,
                    Err(JoinError::Cancelled) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        });
        aborter.join().unwrap();
        assert!(finished <= TASKS);
        assert_eq!((futures.count(), outputs.count()), (TASKS, TASKS));
        assert_eq!(executor.live_tasks(), 0);
    }
}
