//! A JoinSet gives each result once, in the order of completion, and what is in it when it is
//! dropped is aborted.

mod common;
mod gate;

use common::{Drops, Wakes, message_of_panic, turns};
use gate::{Gate, wait_until, within_a_minute};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tatkal_executor::{
    Executor, JoinError, JoinSet, LocalExecutor, MultiExecutor, Sequential, ThreadPool, block_on,
    spawn, yield_now,
};

#[test]
fn results_come_as_the_tasks_end_and_then_there_are_none() {
    LocalExecutor::default().block_on(async {
        let mut set = JoinSet::new();
        assert!(set.join_next().await.is_none() && set.is_empty());
        for n in [3, 1, 2] {
            set.spawn(async move {
                turns(10 * n).await;
                n
            });
        }
        assert_eq!(set.len(), 3);
        assert!(set.try_join_next().is_none(), "nothing has finished");
        for n in 1..=3 {
            assert_eq!(set.join_next().await.unwrap().unwrap(), n);
        }
        assert!(set.join_next().await.is_none() && set.try_join_next().is_none());
        assert!(set.is_empty());
    });
}

#[test]
fn handles_of_every_mode_in_one_set() {
    within_a_minute(|| {
        let (pool, multi) = (ThreadPool::new(1), MultiExecutor::new(1).unwrap());
        LocalExecutor::default().block_on(async {
            let mut set: JoinSet<String> = [
                pool.submit(|| "thread".into()),
                Sequential::new().submit(|()| String::from("sequential"), ()),
                multi.handle().spawn(async { "stealing task".into() }),
            ]
            .into_iter()
            .collect();
            set.spawn(async { "task".into() });
            let not_send = Rc::new("local task");
            set.spawn_local(async move { not_send.to_string() });
            set.extend([pool.submit(|| panic!("on purpose"))]);
            let mut results = Vec::new();
            while let Some(result) = set.join_next().await {
                results.push(result.map_err(|error| error.to_string()));
            }
            results.sort();
            let ok = [
                "local task",
                "sequential",
                "stealing task",
                "task",
                "thread",
            ]
            .map(|name| Ok(name.to_owned()));
            let failed = Err("the job panicked: on purpose".to_owned());
            assert_eq!(results, [&ok[..], &[failed]].concat());
        });
    });
}

#[test]
fn ten_thousand_tasks_one_result_each() {
    within_a_minute(|| {
        let multi = MultiExecutor::new(2).unwrap();
        multi.block_on(async {
            let mut set = JoinSet::new();
            let mut seen = vec![false; 10_000];
            for n in 0..10_000 {
                set.spawn(async move {
                    if n % 3 == 0 {
                        yield_now().await;
                    }
                    n
                });
                if n % 7 == 0 {
                    while let Some(result) = set.try_join_next() {
                        assert!(!std::mem::replace(&mut seen[result.unwrap()], true));
                    }
                }
            }
            while let Some(result) = set.join_next().await {
                assert!(!std::mem::replace(&mut seen[result.unwrap()], true));
            }
            assert!(seen.into_iter().all(|seen| seen));
        });
    });
}

#[test]
fn a_place_is_used_again_and_its_results_are_not_confused() {
    LocalExecutor::default().block_on(async {
        let mut set = JoinSet::new();
        // Two stay, ten thousand pass by: the set does not grow with them.
        for n in [20_000, 20_001] {
            set.spawn(async move {
                turns(30_000).await;
                n
            });
        }
        for n in 0..10_000 {
            set.spawn(async move { n });
            assert_eq!(set.join_next().await.unwrap().unwrap(), n);
            assert_eq!(set.len(), 2);
        }
        assert_eq!(set.join_next().await.unwrap().unwrap(), 20_000);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 20_001);
    });
}

#[test]
fn dropping_the_set_drops_every_task_once() {
    let drops = Drops::default();
    LocalExecutor::default().block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..5 {
            let watched = drops.watch();
            set.spawn(async move {
                let _watched = watched;
                std::future::pending::<()>().await;
            });
        }
        let watched = drops.watch();
        set.spawn(async move { drop(watched) });
        turns(2).await;
        assert_eq!(drops.count(), 1, "one has finished");
        drop(set);
        turns(2).await;
        assert_eq!(drops.count(), 6);
    });
    assert_eq!(drops.count(), 6);
}

#[test]
fn results_that_nobody_took_go_with_the_set() {
    let drops = Drops::default();
    LocalExecutor::default().block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let watched = drops.watch();
            set.spawn(async move { watched });
        }
        drop(set.join_next().await);
        assert_eq!(drops.count(), 1);
        turns(2).await;
        drop(set);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn abort_all_while_joining_gives_the_rest_as_cancelled() {
    LocalExecutor::default().block_on(async {
        let mut set = JoinSet::new();
        set.spawn(async { 1 });
        let one = set.spawn(std::future::pending());
        set.spawn(std::future::pending());
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
        one.abort();
        assert!(matches!(
            set.join_next().await,
            Some(Err(JoinError::Cancelled))
        ));
        set.spawn(async { 2 });
        turns(1).await; // it ends before
        set.abort_all();
        assert_eq!(set.len(), 2);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn shutdown_waits_for_what_cannot_be_stopped() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let drops = Drops::default();
        let watched = drops.watch();
        let mut set = JoinSet::new();
        set.insert(pool.submit(move || {
            pass.wait();
            drop(watched);
        }));
        wait_until(|| pool.queued() == 0);
        set.insert(pool.submit(|| unreachable!("cancelled in the queue")));
        let (wakes, waker) = Wakes::waker();
        let mut cx = Context::from_waker(&waker);
        {
            let mut shutdown = pin!(set.shutdown());
            assert!(shutdown.as_mut().poll(&mut cx).is_pending());
            assert_eq!(drops.count(), 0);
            gate.open();
            wait_until(|| wakes.count() > 0);
            assert!(shutdown.as_mut().poll(&mut cx).is_ready());
        }
        assert_eq!((drops.count(), set.len()), (1, 0));
    });
}

#[test]
fn what_was_detached_runs_on_and_says_nothing() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let mut gate = Gate::new();
        let drops = Drops::default();
        let mut set = JoinSet::new();
        for _ in 0..2 {
            let (pass, watched) = (gate.pass(), drops.watch());
            set.insert(pool.submit(move || {
                pass.wait();
                drop(watched);
                "detached"
            }));
        }
        set.detach_all();
        assert!(set.is_empty() && set.try_join_next().is_none());
        // It takes the first place again, which those of before complete into as well.
        let mut own = Gate::new();
        let pass = own.pass();
        let executor = MultiExecutor::new(1).unwrap();
        set.insert(executor.handle().spawn(async move {
            pass.wait();
            "own"
        }));
        gate.open();
        wait_until(|| drops.count() == 2);
        drop(pool);
        assert!(set.try_join_next().is_none());
        own.open();
        assert_eq!(block_on(set.join_next()).unwrap().unwrap(), "own");
    });
}

#[test]
fn join_next_can_be_given_up_and_the_last_waker_is_called() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let mut set = JoinSet::new();
        set.insert(pool.submit(move || pass.wait()));
        let [(first, first_waker), (second, second_waker)] = [Wakes::waker(), Wakes::waker()];
        for waker in [&first_waker, &second_waker] {
            let mut next = pin!(set.join_next());
            let mut cx = Context::from_waker(waker);
            assert!(next.as_mut().poll(&mut cx).is_pending());
        }
        gate.open();
        wait_until(|| second.count() > 0);
        assert_eq!((first.count(), second.count()), (0, 1));
        let mut cx = Context::from_waker(&second_waker);
        assert!(matches!(
            set.poll_join_next(&mut cx),
            Poll::Ready(Some(Ok(())))
        ));
        assert!(matches!(set.poll_join_next(&mut cx), Poll::Ready(None)));
    });
}

#[test]
fn join_all_gives_the_values_or_the_first_panic() {
    LocalExecutor::default().block_on(async {
        let set: JoinSet<_> = (0..4).map(|n| spawn(async move { n })).collect();
        assert_eq!(set.join_all().await, [0, 1, 2, 3]);
    });
    let drops = Drops::default();
    let watched = drops.watch();
    let message = message_of_panic(|| {
        LocalExecutor::default().block_on(async {
            let mut set = JoinSet::new();
            set.spawn(async move {
                let _watched = watched;
                std::future::pending::<()>().await;
            });
            set.spawn(async { panic!("the first") });
            set.join_all().await
        })
    });
    assert_eq!((&*message, drops.count()), ("the first", 1));
}

#[test]
fn a_waker_of_before_that_panics_as_it_goes_loses_no_result() {
    struct Grumpy;
    impl std::task::Wake for Grumpy {
        fn wake(self: std::sync::Arc<Self>) {}
    }
    impl Drop for Grumpy {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let mut handle = pool.submit(move || pass.wait());
        {
            let waker = std::task::Waker::from(std::sync::Arc::new(Grumpy));
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(&mut handle).poll(&mut cx).is_pending());
            // The handle keeps the last of it.
        }
        let mut set = JoinSet::new();
        set.insert(handle);
        gate.open();
        block_on(set.join_next()).unwrap().unwrap();
        assert!(set.is_empty());
    });
}

#[test]
fn a_handle_that_has_given_its_result_is_refused() {
    let mut handle = Sequential::new().submit(|()| 7, ());
    assert!(handle.join_timeout(std::time::Duration::ZERO).is_some());
    let message = message_of_panic(|| JoinSet::new().insert(handle));
    assert!(
        message.contains("has already given its result"),
        "{message}"
    );
}

/// Calls a closure when it is called, and another when it is dropped.
struct Calls<W: Fn(), D: Fn()>(W, D);

impl<W: Fn() + Send + Sync, D: Fn() + Send + Sync> std::task::Wake for Calls<W, D> {
    fn wake(self: std::sync::Arc<Self>) {
        (self.0)();
    }
}

impl<W: Fn(), D: Fn()> Drop for Calls<W, D> {
    fn drop(&mut self) {
        (self.1)();
    }
}

#[test]
fn a_handle_that_finishes_as_it_is_taken_in_is_given_once() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let gate = std::sync::Mutex::new(Gate::new());
        let pass = gate.lock().unwrap().pass();
        let mut handle = pool.submit(move || pass.wait());
        let abort = handle.abort_handle();
        // The waker that the set's replaces: as it goes, the job ends.
        let ends_the_job = move || {
            gate.lock().unwrap().open();
            wait_until(|| abort.is_finished());
            panic!("in drop");
        };
        let waker = std::sync::Arc::new(Calls(|| {}, ends_the_job)).into();
        let polled = pin!(&mut handle).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker); // the handle has the last one
        let mut set = JoinSet::new();
        set.insert(handle);
        block_on(set.join_next()).unwrap().unwrap();
        drop(pool); // what its thread had to say is said
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        set.insert(pool.submit(move || pass.wait()));
        assert!(set.try_join_next().is_none(), "the next one still runs");
        gate.open();
        block_on(set.join_next()).unwrap().unwrap();
        assert!(set.is_empty());
    });
}

#[test]
fn a_waiter_that_panics_as_it_is_woken_costs_no_result() {
    let mut set = JoinSet::new();
    let executor = LocalExecutor::default();
    set.insert(executor.spawn_local(async { 1 }));
    let waker = std::sync::Arc::new(Calls(|| panic!("in wake"), || {})).into();
    let polled = set.poll_join_next(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    set.insert(Sequential::new().submit(|()| 2, ()));
    executor.block_on(async {
        for n in [2, 1] {
            assert_eq!(set.join_next().await.unwrap().unwrap(), n);
        }
        assert!(set.join_next().await.is_none());
    });
}
