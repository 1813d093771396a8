//! Loom explores how the holders of one task meet: every interleaving of their atomic operations
//! (and of the looser orders that the memory model allows), for each pair of holders, and up to
//! three preemptions for each triple below. `state/tests.rs` walks the transitions as such; here
//! are the orderings between them, and the cells, which loom reports when two accesses overlap.
//!
//! | model                           | who meets                                                |
//! |---------------------------------|----------------------------------------------------------|
//! | `a_wake_meets_a_poll`           | a wake (by value, by reference), a poll                  |
//! | `two_wakes_meet_a_poll`         | two wakes, a poll                                        |
//! | `the_last_waker_meets_the_end`  | drop of the last waker, a poll that returns Pending      |
//! | `an_abort_meets_a_poll`         | abort (both kinds of scheduler), a poll                  |
//! | `an_abort_meets_a_wake_...`     | abort, wake, poll; abort, abort, poll                    |
//! | `a_shutdown_..._meets_...`      | shutdown, wake, poll; at home: shutdown, wake            |
//! | `a_handle_..._meets_completion` | register, register another, join, drop; completion       |
//! | `..._leave_together`            | handle's drop, abort, completion                         |
//! | in `promise.rs`                 | start and complete, abort, join                          |
//!
//! What loom does not see: `SeqCst` is treated as `AcqRel` plus fences, a `Relaxed` load never
//! returns a value from the future, and nothing here runs for longer than a few polls.

mod bench;

use super::join::{AbortHandle, JoinHandle};
use crate::error::JoinError;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::lock;
use bench::{Bench, Counts, Output};
use loom::thread;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Explores everything.
fn model(f: impl Fn() + Sync + Send + 'static) {
    loom::model(f);
}

/// Explores up to so many preemptions: for three threads, where everything would take hours.
fn bounded_model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

fn wakes_meet_a_poll(wakes: usize, by_value: bool, check: fn(&Bench)) -> impl Fn() {
    move || {
        let (bench, runnable, handle, task) = Bench::new::<false>(false);
        runnable.run();
        let bench = Arc::new(bench);
        // Queued once more, so that the poll below is there for the wakes to meet.
        bench.waker().wake();
        let threads: Vec<_> = (0..wakes)
            .map(|_| {
                let (bench, waker) = (bench.clone(), bench.waker());
                thread::spawn(move || {
                    bench.shared.ready.store(true, Ordering::Relaxed);
                    if by_value {
                        waker.wake();
                    } else {
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        bench.run_queue();
        for thread in threads {
            thread.join().unwrap();
        }
        // Whoever came first: the wake is in the queue, or was in the poll.
        bench.run_queue();
        assert!(handle.is_finished(), "a lost wake-up");
        check(&bench);
        drop((handle, task));
        Arc::into_inner(bench).unwrap().assert_gone(Some(true));
    }
}

fn at_most_three_polls(bench: &Bench) {
    let polls = Counts::get(&bench.counts.polls);
    assert!((2..=3).contains(&polls), "{polls} polls");
}

fn at_most_four_polls(bench: &Bench) {
    let polls = Counts::get(&bench.counts.polls);
    assert!((2..=4).contains(&polls), "{polls} polls");
}

#[test]
fn a_wake_meets_a_poll() {
    model(wakes_meet_a_poll(1, true, at_most_three_polls));
    model(wakes_meet_a_poll(1, false, at_most_three_polls));
}

#[test]
fn two_wakes_meet_a_poll() {
    bounded_model(2, wakes_meet_a_poll(2, true, at_most_four_polls));
}

#[test]
fn the_last_waker_meets_the_end_of_a_poll() {
    // Nobody else knows the task: whoever goes last frees it, with the future in it.
    model(|| {
        let (bench, runnable, handle, task) = Bench::new::<false>(false);
        runnable.run();
        bench.waker().wake();
        drop((handle, task));
        let runnable = bench.next().unwrap();
        let waker = lock(&bench.shared.waker).take().unwrap();
        let thread = thread::spawn(move || drop(waker));
        runnable.run();
        drop(lock(&bench.shared.waker).take());
        thread.join().unwrap();
        bench.assert_gone(Some(false));
    });
}

fn an_abort_meets_a_poll<const IN_PLACE: bool>() {
    for ready in [false, true] {
        model(move || {
            let (bench, runnable, handle, task) = Bench::new::<IN_PLACE>(ready);
            let abort = handle.abort_handle();
            let thread = thread::spawn(move || abort.abort());
            runnable.run();
            thread.join().unwrap();
            bench.run_queue();
            assert!(handle.is_finished(), "an abort that nobody carries out");
            let output = match handle.join() {
                Ok(output) => {
                    assert_eq!(output.value(), 7);
                    true
                }
                Err(JoinError::Cancelled) => false,
                Err(other) => panic!("{other}"),
            };
            assert!(ready || !output);
            drop(task);
            bench.assert_gone(Some(output));
        });
    }
}

#[test]
fn an_abort_meets_a_poll_of_a_task() {
    an_abort_meets_a_poll::<false>();
}

#[test]
fn an_abort_meets_a_poll_of_a_job() {
    an_abort_meets_a_poll::<true>();
}

fn an_abort_and_another_meet_a_poll<const IN_PLACE: bool>(other_is_a_wake: bool) {
    bounded_model(3, move || {
        let (bench, runnable, handle, task) = Bench::new::<IN_PLACE>(false);
        runnable.run();
        bench.waker().wake();
        let runnable = bench.next().unwrap();
        let aborter = {
            let abort = handle.abort_handle();
            thread::spawn(move || abort.abort())
        };
        let other = {
            let (abort, waker) = (handle.abort_handle(), bench.finish());
            thread::spawn(move || {
                if other_is_a_wake {
                    waker.wake();
                } else {
                    drop(waker);
                    abort.abort();
                }
            })
        };
        runnable.run();
        aborter.join().unwrap();
        other.join().unwrap();
        bench.run_queue();
        assert!(handle.is_finished());
        drop((handle, task));
        bench.assert_gone(None);
    });
}

#[test]
fn an_abort_meets_a_wake_and_a_poll_of_a_task() {
    an_abort_and_another_meet_a_poll::<false>(true);
}

#[test]
fn an_abort_meets_a_wake_and_a_poll_of_a_job() {
    an_abort_and_another_meet_a_poll::<true>(true);
}

#[test]
fn two_aborts_meet_a_poll() {
    an_abort_and_another_meet_a_poll::<true>(false);
    an_abort_and_another_meet_a_poll::<false>(false);
}

#[test]
fn a_shutdown_meets_a_wake_and_a_poll() {
    bounded_model(3, || {
        let (bench, runnable, handle, task) = Bench::new::<false>(false);
        runnable.run();
        let bench = Arc::new(bench);
        let waker = bench.finish();
        let waking = thread::spawn(move || waker.wake());
        let polling = {
            let bench = bench.clone();
            thread::spawn(move || bench.run_queue())
        };
        // SAFETY: the body is `Send`: any thread may drop it.
        unsafe { task.shutdown() };
        waking.join().unwrap();
        polling.join().unwrap();
        bench.run_queue();
        assert!(handle.is_finished());
        drop(handle);
        Arc::into_inner(bench).unwrap().assert_gone(None);
    });
}

/// At home the task goes at once, queued or not: the runnable that the wake makes is a husk.
#[test]
fn a_shutdown_at_home_meets_a_wake() {
    model(|| {
        let (bench, runnable, handle, task) = Bench::new_at_home(false);
        runnable.run();
        let waker = bench.finish();
        let waking = thread::spawn(move || waker.wake());
        // SAFETY: this is the thread that polls.
        unsafe { task.shutdown() };
        assert!(handle.is_finished());
        waking.join().unwrap();
        bench.run_queue();
        drop(handle);
        bench.assert_gone(Some(false));
    });
}

/// Counts its calls.
struct Called(AtomicBool);

impl Called {
    fn waker() -> (Arc<Self>, Waker) {
        let called = Arc::new(Self(AtomicBool::new(false)));
        (called.clone(), called.into())
    }
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

fn poll(handle: &mut JoinHandle<Output>, waker: &Waker) -> Option<Output> {
    match Pin::new(handle).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(result) => Some(result.expect("nobody cancels it")),
        Poll::Pending => None,
    }
}

/// The task completes on another thread while `f` has the handle.
fn completion_meets(f: impl Fn(JoinHandle<Output>) + Sync + Send + 'static) {
    model(move || {
        let (bench, runnable, handle, task) = Bench::new::<false>(true);
        drop(task);
        let thread = thread::spawn(move || runnable.run());
        f(handle);
        thread.join().unwrap();
        bench.assert_gone(Some(true));
    });
}

#[test]
fn a_handle_that_registers_meets_completion() {
    model(|| {
        let (bench, runnable, mut handle, task) = Bench::new::<false>(true);
        drop(task);
        let (called, waker) = Called::waker();
        let thread = thread::spawn(move || runnable.run());
        let output = poll(&mut handle, &waker);
        thread.join().unwrap();
        let output = output.unwrap_or_else(|| {
            assert!(called.0.load(Ordering::Acquire), "waits for ever");
            poll(&mut handle, &waker).expect("it is complete")
        });
        assert_eq!(output.value(), 7);
        drop((output, handle, waker));
        assert_eq!(Arc::strong_count(&called), 1, "its waker is dropped once");
        bench.assert_gone(Some(true));
    });
}

#[test]
fn a_handle_that_changes_its_waker_meets_completion() {
    model(|| {
        let (bench, runnable, mut handle, task) = Bench::new::<false>(true);
        drop(task);
        let (_, first) = Called::waker();
        let (called, second) = Called::waker();
        assert!(poll(&mut handle, &first).is_none());
        let thread = thread::spawn(move || runnable.run());
        let output = poll(&mut handle, &second);
        thread.join().unwrap();
        let output = output.unwrap_or_else(|| {
            assert!(
                called.0.load(Ordering::Acquire),
                "only the old waker was called"
            );
            poll(&mut handle, &second).expect("it is complete")
        });
        drop((output, handle));
        assert_eq!(Arc::strong_count(&called), 2, "the cell's clone is gone");
        bench.assert_gone(Some(true));
    });
}

#[test]
fn a_handle_that_is_joined_meets_completion() {
    completion_meets(|handle| assert_eq!(handle.join().unwrap().value(), 7));
}

#[test]
fn a_handle_that_is_dropped_meets_completion() {
    completion_meets(drop);
}

#[test]
fn a_waiting_handle_that_is_dropped_meets_completion() {
    model(|| {
        let (bench, runnable, mut handle, task) = Bench::new::<false>(true);
        drop(task);
        let (called, waker) = Called::waker();
        assert!(poll(&mut handle, &waker).is_none());
        let thread = thread::spawn(move || runnable.run());
        drop(handle);
        thread.join().unwrap();
        drop(waker);
        assert_eq!(
            Arc::strong_count(&called),
            1,
            "the waker goes with its handle or its cell"
        );
        bench.assert_gone(Some(true));
    });
}

#[test]
fn a_handle_an_abort_handle_and_completion_leave_together() {
    fn leave<const IN_PLACE: bool>() {
        bounded_model(3, || {
            let (bench, runnable, handle, task) = Bench::new::<IN_PLACE>(true);
            drop(task);
            let abort: AbortHandle = handle.abort_handle();
            let aborter = thread::spawn(move || abort.abort());
            let runner = thread::spawn(move || runnable.run());
            drop(handle);
            aborter.join().unwrap();
            runner.join().unwrap();
            bench.assert_gone(None);
        });
    }
    leave::<false>();
    leave::<true>();
}
