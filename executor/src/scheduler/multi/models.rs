//! Loom explores the workers' loop as it is: bed, idle protocol, queues, lists and shutdown together,
//! with a parker for a driver. A lost wake-up shows as a deadlock and a leaked task as a leak, which
//! loom reports. (What it cannot see is memory: whether the executor outlives its tasks' pointers to
//! it is for the address sanitizer and the torture in tests/.)
//!
//! | model                                     | what meets                                        |
//! |-------------------------------------------|---------------------------------------------------|
//! | `a_token_ends_either_sleep`               | bed: wake, sleep, sleep in the driver             |
//! | `one_worker_...`, `two_workers_...`       | spawn and wake from outside, workers falling      |
//! |                                           | asleep, one of them in the driver                 |
//! | `..._watch_...`                           | who leaves its sleep for a poll that blocks, and  |
//! |                                           | who falls asleep or gives the watch up            |
//! | `closing_meets_...`                       | close, a spawn or a wake on its way, the worker   |
//!
//! Few preemptions: the loop is long. Loom's clock stands still, so a watch never ends by itself: the
//! loop's models do without it, and those of the watch look at the limit that a sleep would have.

use super::bed::Bed;
use super::home::spawn;
use super::shared::Shared;
use super::watch::Watch;
use super::worker::Worker;
use crate::park::Parker;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use loom::thread;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

fn start(workers: usize) -> (Arc<Shared>, Vec<thread::JoinHandle<()>>) {
    let shared = Arc::new(Shared::new(workers, Box::new(Parker::new()), None));
    let run = |index| {
        let shared = shared.clone();
        thread::spawn(move || Worker::new(shared, index).run())
    };
    let threads = (0..workers).map(run).collect();
    (shared, threads)
}

fn stop(shared: &Arc<Shared>, threads: Vec<thread::JoinHandle<()>>) {
    shared.close();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Counts itself when dropped. (Not an access that the order of which matters.)
struct CountsDrops(Arc<std::sync::atomic::AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Leaves its waker and is ready at the poll that the waker causes.
async fn woken_once(slot: Arc<Mutex<Option<Waker>>>) {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        *lock(&slot) = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Takes the waker that a task left; `None` when it was not polled yet.
fn take(slot: &Mutex<Option<Waker>>) -> Option<Waker> {
    lock(slot).take()
}

#[test]
fn a_token_ends_either_sleep() {
    model(3, || {
        let mut driver = Parker::new();
        let unparker = driver.unparker();
        let (bed, work) = (Arc::new(Bed::new()), Arc::new(AtomicUsize::new(0)));
        let waker = {
            let (bed, work) = (bed.clone(), work.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    work.fetch_add(1, Ordering::Relaxed);
                    bed.wake(&unparker);
                }
            })
        };
        // Ends only if no token is lost, and each token carries the work before it.
        let mut in_driver = true;
        while work.load(Ordering::Relaxed) < 2 {
            if in_driver {
                bed.sleep_in_driver(&mut driver, None);
            } else {
                bed.sleep(None);
            }
            in_driver = !in_driver;
        }
        waker.join().unwrap();
    });
}

#[test]
fn one_worker_runs_what_comes_from_outside() {
    model(2, || {
        let (shared, threads) = start(1);
        assert_eq!(spawn(&shared, async { 7 }).join().unwrap(), 7);
        stop(&shared, threads);
    });
}

/// Without preemptions, but to its end: whoever sleeps or waits, each of the others may go on. With
/// one, ten minutes were not enough; the models of idle.rs, of the bed and of the queues have more.
#[test]
fn two_workers_run_what_comes_from_outside() {
    model(0, || {
        let (shared, threads) = start(2);
        assert_eq!(spawn(&shared, async { 7 }).join().unwrap(), 7);
        stop(&shared, threads);
    });
}

/// One worker gets up by itself, for an event, and its poll never returns; the other one falls
/// asleep. It must be on watch in the end: a sleep without a limit is for ever here, as nobody is
/// left to end it, and loom calls that a deadlock.
fn the_watch_is_handed_on(goer_has_it: bool) {
    model(3, move || {
        let shared = Arc::new(Shared::new(2, Box::new(Parker::new()), None));
        let (goes, stays) = (Watch::new(2), Watch::new(2));
        if goer_has_it {
            // It fell asleep while the other one was awake.
            shared.idle.fall_asleep(0, false);
            assert!(goes.take_up(&shared).is_some());
        } else {
            // The other one did, got up after its round, and finds that nothing has happened.
            shared.idle.fall_asleep(1, false);
            assert!(stays.take_up(&shared).is_some());
            shared.idle.fall_asleep(0, false);
            assert!(goes.take_up(&shared).is_none());
            assert!(!shared.idle.got_up(1));
        }
        let goer = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.idle.got_up(0);
                goes.leave(&shared);
            })
        };
        shared.idle.fall_asleep(1, false);
        while stays.take_up(&shared).is_none() {
            shared.remotes[1].bed.sleep(None);
            shared.idle.got_up(1);
            shared.idle.fall_asleep(1, false);
        }
        goer.join().unwrap();
    });
}

#[test]
fn the_watch_of_who_goes_to_work_is_taken_up() {
    the_watch_is_handed_on(true);
}

#[test]
fn a_watch_that_is_given_up_meets_who_goes_to_work() {
    the_watch_is_handed_on(false);
}

#[test]
fn closing_meets_a_spawn() {
    model(2, || {
        let (shared, threads) = start(1);
        let drops = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let spawner = {
            let (shared, counts) = (shared.clone(), CountsDrops(drops.clone()));
            thread::spawn(move || {
                let task = spawn(&shared, async move {
                    let _counts = counts;
                    pending::<()>().await;
                });
                assert!(task.join().unwrap_err().is_cancelled());
            })
        };
        stop(&shared, threads);
        spawner.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_eq!(shared.live_tasks(), 0);
    });
}

/// The waker may be on its way to the inject queue while all references of the executor's own go:
/// what it holds on to is the one that the sweep gave to its task.
#[test]
fn closing_meets_a_wake() {
    model(2, || {
        let (shared, threads) = start(1);
        let slot = Arc::new(Mutex::new(None));
        let task = spawn(&shared, woken_once(slot.clone()));
        let waker = {
            let slot = slot.clone();
            thread::spawn(move || take(&slot).map(Waker::wake))
        };
        stop(&shared, threads);
        drop(shared);
        waker.join().unwrap();
        // Woken in time, or cancelled.
        let _ = task.join();
        drop(take(&slot));
    });
}
