//! `as_completed`: results in the order of completion, from any mode, each once; and what happens
//! to those that nobody asks for.

mod common;
mod gate;

use common::{Drops, message_of_panic};
use gate::{Gate, wait_until, within_a_minute};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tatkal_executor::{
    Executor, JoinError, JoinHandle, LocalExecutor, MultiExecutor, NotYet, Sequential, ThreadPool,
    as_completed, spawn,
};

/// One job per gate, each on a thread of its own; job n gives n.
fn gated(pool: &ThreadPool, jobs: usize) -> (Vec<Gate>, Vec<JoinHandle<usize>>) {
    let gates: Vec<_> = (0..jobs).map(|_| Gate::new()).collect();
    let handles = gates
        .iter()
        .map(Gate::pass)
        .enumerate()
        .map(|(n, pass)| {
            pool.submit(move || {
                pass.wait();
                n
            })
        })
        .collect();
    (gates, handles)
}

#[test]
fn results_come_in_the_order_in_which_the_gates_open() {
    within_a_minute(|| {
        let pool = ThreadPool::new(5);
        let (mut gates, handles) = gated(&pool, 5);
        let mut results = as_completed(handles);
        for (given, n) in [3, 0, 4, 1, 2].into_iter().enumerate() {
            assert_eq!(results.len(), 5 - given);
            gates[n].open();
            let (place, result) = results.next().unwrap();
            assert_eq!((place, result.unwrap()), (n, n));
        }
        assert!(results.next().is_none() && results.next().is_none());
    });
}

#[test]
fn what_finished_meanwhile_comes_in_its_order() {
    within_a_minute(|| {
        // One thread: the jobs finish in the order of their submission.
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let first = pool.submit(move || {
            pass.wait();
            "first"
        });
        let second = pool.submit(|| "second");
        let third = pool.submit(|| "third");
        let results = as_completed([third, first, second]);
        gate.open();
        drop(pool); // all three are over
        let order: Vec<_> = results
            .map(|(place, result)| (place, result.unwrap()))
            .collect();
        assert_eq!(order, [(1, "first"), (2, "second"), (0, "third")]);
    });
}

#[test]
fn what_had_finished_before_comes_in_input_order() {
    let executor = Sequential::new();
    let handles = (0..4).map(|n| executor.submit(|n: usize| n, n));
    let order: Vec<_> = as_completed(handles)
        .map(|(place, result)| (place, result.unwrap()))
        .collect();
    assert_eq!(order, [(0, 0), (1, 1), (2, 2), (3, 3)]);
}

#[test]
fn handles_of_different_modes_mix() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let multi = MultiExecutor::new(1).unwrap();
        LocalExecutor::default().block_on(async {
            let handles = vec![
                pool.submit(|| String::from("thread")),
                spawn(async { String::from("local task") }),
                Sequential::new().submit(|()| String::from("sequential"), ()),
                multi
                    .handle()
                    .spawn(async { String::from("stealing task") }),
                pool.submit(|| panic!("failed")),
            ];
            let mut results = as_completed(handles).into_stream();
            let mut seen = vec![String::new(); 5];
            while let Some((place, result)) = results.next().await {
                seen[place] = match result {
                    Ok(name) => name,
                    Err(error) => error.to_string(),
                };
            }
            assert_eq!(
                seen,
                [
                    "thread",
                    "local task",
                    "sequential",
                    "stealing task",
                    "the job panicked: failed"
                ]
            );
        });
    });
}

#[test]
fn a_stream_waits_without_blocking_its_executor() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let (gates, handles) = gated(&pool, 2);
        LocalExecutor::default().block_on(async move {
            let mut results = as_completed(handles).into_stream();
            // This task must run while the main future waits in `next`.
            spawn(async move { gates.into_iter().for_each(|mut gate| gate.open()) }).detach();
            let mut places = [
                results.next().await.unwrap().0,
                results.next().await.unwrap().0,
            ];
            places.sort_unstable();
            assert_eq!(places, [0, 1]);
            assert!(results.next().await.is_none());
        });
    });
}

#[test]
fn the_stream_trait_counts_and_ends() {
    use futures_core::Stream;
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let mut results = as_completed((0..2).map(|n| pool.submit(move || n))).into_stream();
        let pinned = std::pin::Pin::new(&mut results);
        assert_eq!(pinned.size_hint(), (2, Some(2)));
        let mut sum = 0;
        tatkal_executor::block_on(async {
            while let Some((_, n)) =
                poll_fn(|cx| std::pin::Pin::new(&mut results).poll_next(cx)).await
            {
                sum += n.unwrap();
            }
        });
        assert_eq!(sum, 1);
    });
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_called() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let (mut gates, handles) = gated(&pool, 1);
        let mut results = as_completed(handles).into_stream();
        let (first, first_waker) = common::Wakes::waker();
        let (second, second_waker) = common::Wakes::waker();
        for waker in [&first_waker, &second_waker] {
            let mut next = std::pin::pin!(results.next());
            assert!(
                next.as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
            // Dropped here: a `next` that was given up loses nothing.
        }
        gates[0].open();
        wait_until(|| second.count() > 0);
        assert_eq!((first.count(), second.count()), (0, 1));
        let mut next = std::pin::pin!(results.next());
        let ready = next.as_mut().poll(&mut Context::from_waker(&second_waker));
        assert!(matches!(ready, Poll::Ready(Some((0, Ok(0))))));
    });
}

#[test]
fn next_timeout_gives_up_and_loses_nothing() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let (mut gates, handles) = gated(&pool, 1);
        let mut results = as_completed(handles);
        assert_eq!(
            results.next_timeout(Duration::from_millis(1)).unwrap_err(),
            NotYet
        );
        assert_eq!(results.next_timeout(Duration::ZERO).unwrap_err(), NotYet);
        gates[0].open();
        let (place, result) = results.next_timeout(Duration::MAX).unwrap().unwrap();
        assert_eq!((place, result.unwrap()), (0, 0));
        assert!(results.next_timeout(Duration::ZERO).unwrap().is_none());
    });
}

#[test]
fn dropping_it_detaches_the_rest() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let runs = Arc::new(AtomicUsize::new(0));
        let drops = Drops::default();
        let handles: Vec<_> = (0..3)
            .map(|_| {
                let (pass, runs, output) = (pass.clone(), runs.clone(), drops.watch());
                pool.submit(move || {
                    pass.wait();
                    runs.fetch_add(1, Ordering::Relaxed);
                    output
                })
            })
            .collect();
        drop(as_completed(handles));
        gate.open();
        drop(pool);
        assert_eq!(runs.load(Ordering::Relaxed), 3, "the work ran on");
        assert_eq!(drops.count(), 3, "and its output went");
    });
}

#[test]
fn abort_all_cancels_what_can_be_cancelled() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut gate = Gate::new();
        let pass = gate.pass();
        let running = pool.submit(move || pass.wait());
        wait_until(|| pool.queued() == 0);
        let results = as_completed([running, pool.submit(|| ()), pool.submit(|| ())]);
        results.abort_all();
        gate.open();
        let outcomes: Vec<_> = results
            .map(|(place, result)| (place, matches!(result, Err(JoinError::Cancelled))))
            .collect();
        assert_eq!(outcomes, [(1, true), (2, true), (0, false)]);
    });
}

#[test]
fn blocking_is_refused_on_a_thread_that_runs_an_executor() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let (mut gates, mut handles) = gated(&pool, 1);
        handles.push(Sequential::new().submit(|()| 7, ()));
        LocalExecutor::default().block_on(async {
            let mut results = as_completed(handles);
            // What is there can be had without waiting.
            assert_eq!(results.next().unwrap().1.unwrap(), 7);
            let message = message_of_panic(|| results.next());
            assert!(
                message.contains("this thread runs an executor"),
                "{message}"
            );
            gates[0].open();
            assert_eq!(results.into_stream().next().await.unwrap().0, 0);
        });
    });
}

#[test]
fn a_handle_that_has_given_its_result_is_refused() {
    let mut handle = Sequential::new().submit(|()| 7, ());
    handle.join_timeout(Duration::ZERO).unwrap().unwrap();
    let message = message_of_panic(|| as_completed([handle]));
    assert!(
        message.contains("has already given its result"),
        "{message}"
    );
}

#[test]
fn no_result_is_lost_when_many_threads_finish_at_once() {
    within_a_minute(|| {
        let pools: Vec<_> = (0..3).map(|_| ThreadPool::new(2)).collect();
        let handles = (0..3_000).map(|n| pools[n % 3].submit(move || n));
        let mut seen = vec![false; 3_000];
        for (place, result) in as_completed(handles) {
            assert_eq!(result.unwrap(), place);
            assert!(
                !std::mem::replace(&mut seen[place], true),
                "{place} came twice"
            );
            if place % 64 == 0 {
                thread::yield_now();
            }
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}
