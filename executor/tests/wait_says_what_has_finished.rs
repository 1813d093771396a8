//! `wait`: until all, the first, or the first error. No handle and no result is lost.

mod common;
mod gate;

use common::{message_of_panic, turns};
use gate::{Gate, within_a_minute};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tatkal_executor::{
    Executor, JoinHandle, LocalExecutor, Sequential, ThreadPool, Until, Waited, spawn, wait,
};

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Value,
    Panic,
}

/// One gated job per end, each on a thread of its own.
fn gated(pool: &ThreadPool, ends: &[End]) -> (Vec<Gate>, Vec<JoinHandle<usize>>) {
    let gates: Vec<_> = ends.iter().map(|_| Gate::new()).collect();
    let handles = gates
        .iter()
        .map(Gate::pass)
        .zip(ends.iter().copied())
        .enumerate()
        .map(|(n, (pass, end))| {
            pool.submit(move || {
                pass.wait();
                assert_eq!(end, End::Value);
                n
            })
        })
        .collect();
    (gates, handles)
}

fn waited(done: &[usize], pending: &[usize]) -> Waited {
    Waited {
        done: done.into(),
        pending: pending.into(),
    }
}

#[test]
fn each_until_ends_the_wait_at_its_handle() {
    use End::{Panic, Value};
    within_a_minute(|| {
        let pool = ThreadPool::new(3);
        // Job 0 panics; the gates open in the order 2, 0, 1. After how many of them is it enough?
        for (until, enough) in [(Until::First, 1), (Until::FirstError, 2), (Until::All, 3)] {
            let (mut gates, mut handles) = gated(&pool, &[Panic, Value, Value]);
            let mut finished = Vec::new();
            {
                let mut waiting = pin!(wait(&mut handles, until));
                let mut cx = Context::from_waker(std::task::Waker::noop());
                assert!(waiting.as_mut().poll(&mut cx).is_pending());
            }
            for n in [2, 0, 1] {
                assert_eq!(
                    wait(&mut handles, until)
                        .join_timeout(Duration::ZERO)
                        .done
                        .len(),
                    finished.len(),
                    "{until:?}"
                );
                gates[n].open();
                finished.push(n);
                // Until this one has finished, whatever it was we waited for.
                let _ = wait(std::slice::from_mut(&mut handles[n]), Until::All).join();
                if finished.len() == enough {
                    break;
                }
            }
            finished.sort_unstable();
            let waited = wait(&mut handles, until).join();
            assert_eq!(waited.done, finished, "{until:?}");
            assert_eq!(waited.pending.len(), 3 - enough);
            gates.iter_mut().for_each(Gate::open);
            // The results are where they were.
            for (n, handle) in handles.into_iter().enumerate() {
                let result = handle.join();
                assert!(if n == 0 {
                    result.unwrap_err().is_panic()
                } else {
                    result.unwrap() == n
                });
            }
        }
    });
}

#[test]
fn the_first_error_may_never_come() {
    let executor = Sequential::new();
    let mut handles: Vec<_> = (0..3).map(|n| executor.submit(|n: usize| n, n)).collect();
    let all = wait(&mut handles, Until::FirstError).join();
    assert_eq!(all, waited(&[0, 1, 2], &[]));
}

#[test]
fn nothing_to_wait_for_is_no_wait() {
    for until in [Until::All, Until::First, Until::FirstError] {
        let none: &mut [JoinHandle<()>] = &mut [];
        assert_eq!(wait(none, until).join(), waited(&[], &[]));
    }
}

#[test]
fn a_limit_says_what_there_is() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let (mut gates, mut handles) = gated(&pool, &[End::Value; 2]);
        let limit = Duration::from_millis(1);
        assert_eq!(
            wait(&mut handles, Until::First).join_timeout(limit),
            waited(&[], &[0, 1])
        );
        gates[1].open();
        let first = wait(&mut handles, Until::First).join_timeout(Duration::MAX);
        assert_eq!(first, waited(&[1], &[0]));
        assert_eq!(
            wait(&mut handles, Until::All).join_timeout(limit),
            waited(&[1], &[0])
        );
        gates[0].open();
        assert_eq!(wait(&mut handles, Until::All).join(), waited(&[0, 1], &[]));
    });
}

#[test]
fn a_task_waits_without_blocking_its_executor() {
    within_a_minute(|| {
        LocalExecutor::default().block_on(async {
            let mut handles = vec![
                spawn(async { turns(3).await }),
                spawn(std::future::pending()),
                spawn(async {}),
            ];
            assert_eq!(
                wait(&mut handles, Until::First).await,
                waited(&[2], &[0, 1])
            );
            handles[1].abort();
            assert_eq!(
                wait(&mut handles, Until::All).await,
                waited(&[0, 1, 2], &[])
            );
            assert!(handles.remove(1).await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn one_completion_wakes_the_waiter_once_and_later_ones_do_not() {
    within_a_minute(|| {
        let executor = LocalExecutor::default();
        let mut handles: Vec<_> = (0..10).map(|_| executor.spawn_local(async {})).collect();
        let (wakes, waker) = common::Wakes::waker();
        let mut waiting = pin!(wait(&mut handles, Until::All));
        let mut cx = Context::from_waker(&waker);
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        executor.block_on(turns(1));
        assert_eq!(
            wakes.count(),
            1,
            "ten completions, and nobody polled in between"
        );
        assert!(
            matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(Waited { done, .. }) if done.len() == 10)
        );
    });
}

#[test]
fn blocking_is_refused_on_a_thread_that_runs_an_executor() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let (mut gates, mut handles) = gated(&pool, &[End::Value]);
        handles.push(Sequential::new().submit(|()| 7, ()));
        LocalExecutor::default().block_on(async {
            assert_eq!(wait(&mut handles, Until::First).join(), waited(&[1], &[0]));
            let message = message_of_panic(|| wait(&mut handles, Until::All).join());
            assert!(
                message.contains("this thread runs an executor"),
                "{message}"
            );
        });
        gates[0].open();
    });
}
