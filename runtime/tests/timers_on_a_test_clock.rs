//! Timers obey their runtime's clock: to the nanosecond, in order, and only while they are wanted.

mod common;

use common::{Count, poll_once};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tatkal::{
    MissedTickBehavior, Runtime, TestClock, interval, interval_at, sleep, sleep_until, spawn_local,
    timeout, timeout_at, yield_now,
};

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

fn leaping() -> (Runtime, TestClock) {
    let clock = TestClock::leaping();
    (with(&clock), clock)
}

fn with(clock: &TestClock) -> Runtime {
    Runtime::builder().clock(clock.clone()).build().unwrap()
}

/// Lets everything that is ready run, timers included.
async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

#[test]
fn a_sleep_ends_at_its_deadline_and_not_a_nanosecond_before() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        let task = spawn_local(sleep(10 * MS));
        settle().await;
        clock.advance(10 * MS - NS);
        settle().await;
        assert!(!task.is_finished());
        clock.advance(NS);
        settle().await;
        assert!(task.is_finished());
    });
}

#[test]
fn zero_and_the_past_are_ready_at_the_first_poll() {
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        assert!(poll_once(&mut sleep(Duration::ZERO)).is_ready());
        assert!(poll_once(&mut sleep_until(clock.now() - MS)).is_ready());
    });
}

#[test]
fn huge_sleeps_neither_overflow_nor_end() {
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        let start = clock.now();
        for huge in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
            assert!(poll_once(&mut sleep(huge)).is_pending());
            assert_eq!(timeout(MS, sleep(huge)).await.ok(), None);
            assert_eq!(timeout(huge, sleep(MS)).await, Ok(()));
        }
        assert_eq!(clock.now() - start, 4 * MS);
        // A thousand years, where an Instant can say that: waited for on a clock that leaps.
        let years = Duration::from_secs(500 * 365 * 86_400);
        sleep(years).await;
        assert_eq!(clock.now() - start, 4 * MS + years);
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let (runtime, _) = leaping();
    runtime.block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = [7, 1, 100_000, 3, 64, 5, 65, 2, 4097]
            .into_iter()
            .map(|n| {
                let order = order.clone();
                spawn_local(async move {
                    sleep(n * MS).await;
                    order.borrow_mut().push(n);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), [1, 2, 3, 5, 7, 64, 65, 4097, 100_000]);
    });
}

#[test]
fn a_dropped_sleep_wakes_nobody() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        let (woken, waker) = Count::waker();
        let mut cx = Context::from_waker(&waker);
        // One is dropped while it is fresh, one after the loop slept on it.
        let mut fresh = sleep(MS);
        assert!(Pin::new(&mut fresh).poll(&mut cx).is_pending());
        drop(fresh);
        let mut published = sleep(MS);
        assert!(Pin::new(&mut published).poll(&mut cx).is_pending());
        settle().await;
        drop(published);
        clock.advance(2 * MS);
        settle().await;
        assert_eq!(woken.get(), 0);
    });
}

#[test]
fn a_reset_sleep_ends_at_the_new_deadline_only() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        let start = clock.now();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut later = sleep(10 * MS);
        let mut sooner = sleep(30 * MS);
        assert!(Pin::new(&mut later).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut sooner).poll(&mut cx).is_pending());
        settle().await;
        later.reset(start + 20 * MS);
        sooner.reset(start + 20 * MS);
        assert_eq!(later.deadline(), start + 20 * MS);
        clock.advance(20 * MS - NS);
        settle().await;
        assert!(Pin::new(&mut later).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut sooner).poll(&mut cx).is_pending());
        clock.advance(NS);
        settle().await;
        assert!(Pin::new(&mut later).poll(&mut cx).is_ready());
        assert!(Pin::new(&mut sooner).poll(&mut cx).is_ready());
        // And it can be used again.
        later.reset(start + 21 * MS);
        assert!(Pin::new(&mut later).poll(&mut cx).is_pending());
        clock.advance(MS);
        settle().await;
        assert!(Pin::new(&mut later).poll(&mut cx).is_ready());
    });
}

#[test]
fn a_reset_reaches_a_waiter_that_does_not_poll_again() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        let (woken, waker) = Count::waker();
        let mut sleep = sleep(10 * MS);
        let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
        sleep.reset(clock.now() + 5 * MS);
        settle().await;
        clock.advance(5 * MS);
        settle().await;
        assert_eq!(woken.get(), 1);
    });
}

#[test]
fn a_sleep_moved_to_another_task_wakes_that_one() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        let (first, first_waker) = Count::waker();
        let (second, second_waker) = Count::waker();
        let mut sleep = sleep(MS);
        for waker in [&first_waker, &second_waker] {
            let poll = Pin::new(&mut sleep).poll(&mut Context::from_waker(waker));
            assert!(poll.is_pending());
            settle().await;
        }
        clock.advance(MS);
        settle().await;
        assert_eq!((first.get(), second.get()), (0, 1));
    });
}

#[test]
fn a_timeout_polls_its_future_first_and_looks_at_no_clock_when_that_is_ready() {
    // Outside of any runtime: there is no clock to look at.
    assert_eq!(
        poll_once(&mut Box::pin(timeout(Duration::ZERO, async { 7 }))),
        Poll::Ready(Ok(7))
    );
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        let past = clock.now() - MS;
        assert_eq!(timeout_at(past, async { 7 }).await, Ok(7));
        assert!(
            timeout_at(past, std::future::pending::<()>())
                .await
                .is_err()
        );
        assert!(
            timeout(Duration::ZERO, std::future::pending::<()>())
                .await
                .is_err()
        );
    });
}

#[test]
fn a_timeout_ends_a_future_that_takes_too_long_and_leaves_one_that_does_not() {
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        let start = clock.now();
        assert!(timeout(5 * MS, sleep(10 * MS)).await.is_err());
        assert_eq!(clock.now() - start, 5 * MS);
        assert_eq!(timeout(10 * MS, sleep(5 * MS)).await, Ok(()));
        assert_eq!(clock.now() - start, 10 * MS);
    });
}

#[test]
fn an_interval_ticks_at_once_and_then_each_period() {
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        let start = clock.now();
        let mut interval = interval(10 * MS);
        for n in 0..5 {
            assert_eq!(interval.tick().await - start, n * 10 * MS);
            assert_eq!(clock.now() - start, n * 10 * MS);
        }
        interval.reset();
        sleep(5 * MS).await;
        assert_eq!(interval.tick().await - start, 50 * MS);
    });
}

#[test]
fn missed_ticks_come_in_a_burst_are_delayed_or_skipped() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    for (behavior, expected) in [
        (Burst, [38, 38, 38, 40, 50]),
        (Delay, [38, 48, 58, 68, 78]),
        (Skip, [38, 40, 50, 60, 70]),
    ] {
        let (runtime, clock) = leaping();
        runtime.block_on(async {
            let start = clock.now();
            let mut interval = interval_at(start, 10 * MS);
            interval.set_missed_tick_behavior(behavior);
            interval.tick().await;
            sleep(38 * MS).await;
            let mut delivered = Vec::new();
            for _ in 0..5 {
                interval.tick().await;
                delivered.push((clock.now() - start).as_millis());
            }
            assert_eq!(delivered, expected, "{behavior:?}");
        });
    }
}

#[test]
fn a_hundred_thousand_sleeps_all_end_and_none_early() {
    let (runtime, clock) = leaping();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100_000_u32)
            .map(|n| {
                let clock = clock.clone();
                spawn_local(async move {
                    let deadline =
                        clock.now() + Duration::from_micros(u64::from(n) * 7919 % 50_000);
                    sleep_until(deadline).await;
                    assert!(clock.now() >= deadline);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn time_that_is_moved_from_another_thread_wakes_the_runtime() {
    let clock = TestClock::new();
    let runtime = with(&clock);
    let start = clock.now(); // before it moves: it may have stopped by the time we sleep
    let mover = std::thread::spawn({
        let clock = clock.clone();
        // Each step may come before, during or after the park: the sleep ends in any case.
        move || (0..1000).for_each(|_| clock.advance(MS))
    });
    runtime.block_on(async {
        sleep_until(start + 100 * MS).await;
        assert!(clock.now() - start >= 100 * MS);
    });
    mover.join().unwrap();
}

#[test]
fn a_reset_of_a_timer_beneath_another_reaches_whoever_waits() {
    let clock = TestClock::new();
    with(&clock).block_on(async {
        for later in [false, true] {
            let start = clock.now();
            let (first_woken, first_waker) = Count::waker();
            let (second_woken, second_waker) = Count::waker();
            let mut first = sleep_until(start + 10 * MS);
            let mut second = sleep_until(start + 10 * MS);
            for (sleep, waker) in [(&mut first, &first_waker), (&mut second, &second_waker)] {
                let poll = Pin::new(sleep).poll(&mut Context::from_waker(waker));
                assert!(poll.is_pending());
            }
            // Not the latest of its thread. Whoever waits may be told at once, to ask anew.
            let moved = start + if later { 20 * MS } else { 5 * MS };
            first.reset(moved);
            settle().await;
            let poll = |sleep: &mut tatkal::Sleep| {
                Pin::new(sleep).poll(&mut Context::from_waker(&first_waker))
            };
            if first_woken.get() > 0 {
                assert!(poll(&mut first).is_pending());
            }
            let told = first_woken.get();
            clock.advance(moved - start);
            settle().await;
            assert_eq!(first_woken.get(), told + 1);
            assert!(poll(&mut first).is_ready());
            assert_eq!(second_woken.get(), usize::from(later));
        }
    });
}
