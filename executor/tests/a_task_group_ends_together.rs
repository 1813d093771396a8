//! A task group waits for all its members; the first failure cancels the rest; nothing outlives it.

mod common;
mod gate;

use common::{Drops, message_of_panic, turns};
use gate::{Gate, wait_until, within_a_minute};
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use tatkal_executor::{
    Failure, GroupError, GroupSpawner, JoinError, LocalExecutor, MultiExecutor, TaskGroup,
    ThreadPool, block_on, yield_now,
};

fn local<R>(future: impl Future<Output = R>) -> R {
    LocalExecutor::default().block_on(future)
}

/// What is still alive is dropped by the executor, so this counts before that.
async fn drops_after<R>(future: impl Future<Output = R>, drops: &Drops) -> (R, usize) {
    let result = future.await;
    (result, drops.count())
}

fn sleeper(drops: &Drops) -> impl Future<Output = Result<u32, &'static str>> + use<> {
    let watched = drops.watch();
    async move {
        let _watched = watched;
        pending().await
    }
}

#[test]
fn the_scope_waits_for_members_that_nobody_asked_about() {
    let drops = Drops::default();
    let scope = TaskGroup::scope(async |group| {
        for n in 1..=5 {
            let watched = drops.watch();
            group.spawn(async move {
                turns(n * 3).await;
                drop(watched);
                Ok::<_, Infallible>(())
            });
        }
        Ok("body")
    });
    let (result, ended) = local(drops_after(scope, &drops));
    assert_eq!((result.unwrap(), ended), ("body", 5));
}

#[test]
fn values_come_as_members_end() {
    local(async {
        let values = TaskGroup::scope(async |mut group| {
            assert!(group.join_next().await.is_none(), "no member");
            for n in [3, 1, 2] {
                group.spawn(async move {
                    turns(10 * n).await;
                    Ok::<_, Infallible>(n)
                });
            }
            assert_eq!(group.len(), 3);
            let mut values = Vec::new();
            while let Some(value) = group.join_next().await {
                values.push(value);
            }
            assert!(group.is_empty());
            Ok(values)
        });
        assert_eq!(values.await.unwrap(), [1, 2, 3]);
    });
}

#[test]
fn the_first_failure_cancels_members_and_body() {
    let drops = Drops::default();
    let scope = TaskGroup::scope(async |group| {
        let in_body = drops.watch();
        for _ in 0..3 {
            group.spawn(sleeper(&drops));
        }
        group.spawn(async {
            turns(5).await;
            Err("failed")
        });
        pending::<()>().await;
        drop(in_body);
        Ok(())
    });
    let (result, ended) = local(drops_after(scope, &drops));
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a member of the group failed: failed",
        "one failure: the cancelled have not failed"
    );
    assert_eq!(ended, 4, "three members and the body");
}

#[test]
fn a_panic_of_a_member_is_a_failure() {
    let drops = Drops::default();
    let scope = TaskGroup::scope(async |group| {
        group.spawn(sleeper(&drops));
        group.spawn(async { panic!("in a member") });
        Ok(())
    });
    let (result, ended) = local(drops_after(scope, &drops));
    match result.unwrap_err().into_first() {
        Failure::Lost(JoinError::Panicked(report)) => assert_eq!(report.message(), "in a member"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ended, 1);
}

#[test]
fn an_error_of_the_body_cancels_the_members() {
    let drops = Drops::default();
    let scope = TaskGroup::scope(async |group| {
        group.spawn(sleeper(&drops));
        yield_now().await;
        Err::<(), _>("the body")
    });
    let (result, ended) = local(drops_after(scope, &drops));
    let failure = result.unwrap_err().into_first();
    assert_eq!((failure.returned(), ended), (Some("the body"), 1));
}

#[test]
fn a_panic_of_the_body_waits_for_the_members_and_goes_on() {
    let drops = Drops::default();
    for in_the_call in [true, false] {
        let before = drops.count();
        let message = message_of_panic(|| {
            local(async {
                let scope = TaskGroup::scope(|group| {
                    let watched = drops.watch();
                    group.spawn(async move {
                        let _watched = watched;
                        pending::<Result<(), Infallible>>().await
                    });
                    assert!(!in_the_call, "on purpose");
                    async move {
                        yield_now().await;
                        let _group = group;
                        panic!("on purpose")
                    }
                });
                let scope: Result<(), _> = scope.await;
                scope.unwrap();
            });
        });
        assert_eq!(message, "on purpose");
        assert_eq!(drops.count() - before, 1);
    }
}

#[test]
fn all_that_failed_before_the_cancellation_reached_it_is_reported() {
    let error: GroupError<&str> = local(TaskGroup::scope(async |group| {
        group.spawn(async { Err::<(), _>("first") });
        group.spawn(async { panic!("second") });
        group.spawn(async { pending().await });
        Ok(())
    }))
    .unwrap_err();
    let failures: Vec<_> = error.failures().map(ToString::to_string).collect();
    assert_eq!(failures, ["first", "the job panicked: second"]);
    assert_eq!(
        error.to_string(),
        "a member of the group failed: first (and 1 more)"
    );
    assert_eq!(error.into_failures().count(), 2);
}

#[test]
fn a_cancelled_member_has_not_failed() {
    let value = local(TaskGroup::scope(async |mut group| {
        let one = group.spawn(pending());
        group.spawn(async { Ok::<_, Infallible>(2) });
        one.abort();
        let value = group.join_next().await;
        assert_eq!(group.join_next().await, None);
        Ok(value)
    }));
    assert_eq!(value.unwrap(), Some(2));
}

#[test]
fn members_spawn_members() {
    fn tree(group: &GroupSpawner<(), Infallible>, depth: u32, leaves: &Arc<AtomicUsize>) {
        for _ in 0..2 {
            let (own, leaves) = (group.clone(), leaves.clone());
            group.spawn(async move {
                match depth {
                    0 => drop(leaves.fetch_add(1, Ordering::Relaxed)),
                    _ => tree(&own, depth - 1, &leaves),
                }
                Ok(())
            });
        }
    }
    within_a_minute(|| {
        let multi = MultiExecutor::new(2).unwrap();
        let leaves = Arc::new(AtomicUsize::new(0));
        let counted = leaves.clone();
        // The scope is itself a task, which needs its future to be `Send`.
        let scope = TaskGroup::scope(async move |group| {
            tree(&group.spawner(), 9, &counted);
            Ok(())
        });
        multi.handle().spawn(scope).join().unwrap().unwrap();
        assert_eq!(leaves.load(Ordering::Relaxed), 1024);
    });
}

#[test]
fn after_a_failure_and_after_the_end_nothing_more_is_taken() {
    let drops = Drops::default();
    local(async {
        let mut kept = None;
        let result = TaskGroup::scope(async |group| {
            kept = Some(group.spawner());
            let (spawner, watched) = (group.spawner(), drops.watch());
            group.spawn(async move {
                // Runs when this member is dropped, which is after the failure.
                struct Late(GroupSpawner<u32, &'static str>, Option<common::Watched>);
                impl Drop for Late {
                    fn drop(&mut self) {
                        let watched = self.1.take();
                        let abort = self.0.spawn(async move {
                            drop(watched);
                            unreachable!("never run")
                        });
                        assert!(abort.is_finished());
                    }
                }
                let _late = Late(spawner, Some(watched));
                pending().await
            });
            yield_now().await;
            Err::<(), _>("stop")
        });
        assert!(result.await.is_err());
        assert_eq!(drops.count(), 1);
        let (spawner, watched) = (kept.unwrap(), drops.watch());
        spawner.spawn(async move {
            drop(watched);
            Ok(7)
        });
        assert_eq!(drops.count(), 2, "dropped at once");
        let pool = ThreadPool::new(1);
        spawner.insert(pool.submit(|| Ok(7)));
    });
}

#[test]
fn a_group_of_tasks_threads_and_local_tasks() {
    within_a_minute(|| {
        let (pool, multi) = (ThreadPool::new(1), MultiExecutor::new(1).unwrap());
        let sum = local(TaskGroup::scope(async |mut group| {
            let not_send = Rc::new(1_u32);
            group.spawn_local(async move { Ok::<_, Infallible>(*not_send) });
            group.spawn(async { Ok(20) });
            group.insert(pool.submit(|| Ok(300)));
            group.insert(multi.handle().spawn(async { Ok(4000) }));
            let mut sum = 0;
            while let Some(value) = group.join_next().await {
                sum += value;
            }
            Ok(sum)
        }));
        assert_eq!(sum.unwrap(), 4321);
    });
}

#[test]
fn a_running_thread_job_is_waited_for_and_a_queued_one_never_runs() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let drops = Drops::default();
        let watched = drops.watch();
        let running = pool.submit(move || {
            pass.wait();
            drop(watched);
            Ok(())
        });
        wait_until(|| pool.queued() == 0);
        let mut scope = pin!(TaskGroup::scope(|group| {
            group.insert(running);
            group.insert(pool.submit(|| unreachable!("cancelled in the queue")));
            async { Err::<(), _>("stop") }
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(scope.as_mut().poll(&mut cx).is_pending());
        assert_eq!(drops.count(), 0);
        gate.open();
        let result = block_on(scope);
        assert_eq!(drops.count(), 1);
        assert_eq!(result.unwrap_err().into_first().returned(), Some("stop"));
    });
}

#[test]
fn dropping_the_scope_drops_body_and_members_once() {
    let drops = Drops::default();
    local(async {
        {
            let mut scope = pin!(TaskGroup::scope(async |group| {
                let in_body = drops.watch();
                group.spawn(sleeper(&drops));
                group.spawn(sleeper(&drops));
                pending::<()>().await;
                drop(in_body);
                Ok(())
            }));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(scope.as_mut().poll(&mut cx).is_pending());
            turns(2).await;
            assert_eq!(drops.count(), 0);
        }
        turns(2).await;
        assert_eq!(drops.count(), 3);
    });
    assert_eq!(drops.count(), 3);
}

#[test]
fn values_are_dropped_once_asked_for_or_not() {
    for asked in [0, 2, 5] {
        let drops = Drops::default();
        let scope = TaskGroup::scope(async |mut group| {
            for _ in 0..5 {
                let watched = drops.watch();
                group.spawn(async move { Ok::<_, Infallible>(watched) });
            }
            for _ in 0..asked {
                group.join_next().await.unwrap();
            }
            turns(20).await;
            assert_eq!(drops.count(), asked);
            Ok(())
        });
        let (result, ended) = local(drops_after(scope, &drops));
        result.unwrap();
        assert_eq!(ended, 5, "{asked} asked for");
    }
}

#[test]
fn ten_thousand_members_of_which_one_fails() {
    within_a_minute(|| {
        let multi = MultiExecutor::new(2).unwrap();
        let drops = Drops::default();
        let error = multi.block_on(TaskGroup::scope(async |group| {
            for n in 0..10_000 {
                let watched = drops.watch();
                group.spawn(async move {
                    let _watched = watched;
                    match n {
                        5_000 => Err(n),
                        _ if n % 2 == 0 => pending().await,
                        _ => Ok(()),
                    }
                });
            }
            Ok(())
        }));
        assert_eq!(error.unwrap_err().into_first().returned(), Some(5_000));
        assert_eq!(drops.count(), 10_000, "those refused, too");
    });
}

#[test]
fn a_member_is_gone_when_its_value_is_there() {
    // On another thread than the scope's, whose result races with the drop of its future.
    within_a_minute(|| {
        let multi = MultiExecutor::new(2).unwrap();
        for _ in 0..1_000 {
            let drops = Drops::default();
            let watched = drops.watch();
            let scope = TaskGroup::scope(async |group| {
                let member = async move {
                    let _watched = watched;
                    Ok::<_, Infallible>(())
                };
                group.insert(multi.handle().spawn(member));
                Ok(())
            });
            block_on(scope).unwrap();
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_body_without_an_executor_cannot_spawn_and_the_group_ends() {
    let message = message_of_panic(|| {
        block_on(TaskGroup::scope(async |group| {
            group.spawn(async { Ok::<_, Infallible>(()) });
            Ok(())
        }))
    });
    assert!(message.contains("there is no executor"), "{message}");
}

#[test]
fn a_scope_whose_waker_panics_does_not_hurt_who_spawns() {
    struct Grumpy;
    impl std::task::Wake for Grumpy {
        fn wake(self: Arc<Self>) {
            panic!("in wake");
        }
    }
    let (give, spawner) = std::sync::mpsc::channel();
    let mut scope = pin!(TaskGroup::scope(async |group| {
        give.send(group.spawner()).unwrap();
        pending::<Result<(), Infallible>>().await
    }));
    let waker = Arc::new(Grumpy).into();
    let mut poll = || scope.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending());
    let spawner: GroupSpawner<(), Infallible> = spawner.recv().unwrap();
    // The scope is woken while this spawn unwinds: a second panic would end the process.
    let message = message_of_panic(|| drop(spawner.spawn(async { Ok(()) })));
    assert!(message.contains("there is no executor"), "{message}");
    assert!(poll().is_pending());
    spawner.insert(ThreadPool::new(1).submit(|| Ok(())));
}
