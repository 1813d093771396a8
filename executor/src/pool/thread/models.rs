//! Model checks of the queue and of scopes: every order of a few threads' steps. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tatkal-executor --lib loom`.
//!
//! A lost wake-up shows as a deadlock, which loom reports; lost or doubled jobs show in the counts.

use super::queue::{Admitted, Queue, WhenFull};
use super::ticket::ScopeQueue;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};

/// A pool as the models see it: jobs are nothing but counted.
struct Model {
    queue: Queue<()>,
    done: AtomicUsize,
}

impl Model {
    fn new(limit: usize, capacity: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(limit, capacity),
            done: AtomicUsize::new(0),
        })
    }

    fn work(&self) {
        let mut job = self.queue.first();
        while let Some(()) = job {
            self.done.fetch_add(1, Ordering::Relaxed);
            job = self.queue.next();
        }
    }

    fn start(model: &Arc<Self>) -> JoinHandle<()> {
        let model = model.clone();
        thread::spawn(move || model.work())
    }

    /// Pushes a job, and starts a thread when asked to.
    fn submit(model: &Arc<Self>) -> Option<JoinHandle<()>> {
        match model.queue.push((), WhenFull::Wait) {
            Ok(Admitted::StartThread) => Some(Self::start(model)),
            Ok(Admitted::Done) => None,
            Err(()) => panic!("the queue is open"),
        }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn loom_every_job_runs_and_every_worker_leaves() {
    check(|| {
        let model = Model::new(2, None);
        let workers: Vec<_> = (0..3).filter_map(|_| Model::submit(&model)).collect();
        model.queue.close(false);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(model.done(), 3);
    });
}

#[test]
fn loom_jobs_leave_in_the_order_in_which_they_came() {
    check(|| {
        let queue = Arc::new(Queue::new(1, None));
        assert_eq!(queue.push(0, WhenFull::Wait), Ok(Admitted::StartThread));
        let worker = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut taken = vec![queue.first().unwrap()];
                taken.extend(std::iter::from_fn(|| queue.next()));
                taken
            })
        };
        for job in 1..4 {
            assert_eq!(queue.push(job, WhenFull::Wait), Ok(Admitted::Done));
        }
        queue.close(false);
        assert_eq!(worker.join().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn loom_a_sleeper_is_woken_for_a_job_of_another_submitter() {
    check(|| {
        let model = Model::new(1, None);
        let worker = Model::submit(&model).expect("the first job starts a thread");
        let other = {
            let model = model.clone();
            thread::spawn(move || assert!(Model::submit(&model).is_none()))
        };
        assert!(Model::submit(&model).is_none());
        other.join().unwrap();
        model.queue.close(false);
        worker.join().unwrap();
        assert_eq!(model.done(), 3);
    });
}

#[test]
fn loom_a_failed_start_leaves_no_job_behind() {
    check(|| {
        let model = Model::new(2, None);
        let worker = Model::submit(&model).expect("the first job starts a thread");
        let failing = {
            let model = model.clone();
            thread::spawn(
                move || match model.queue.push((), WhenFull::Wait).unwrap() {
                    Admitted::StartThread => model.queue.start_failed().len(),
                    Admitted::Done => 0,
                },
            )
        };
        // May count on the thread that will not come.
        let late = match model.queue.push((), WhenFull::Wait).unwrap() {
            Admitted::StartThread => model.queue.start_failed().len(),
            Admitted::Done => 0,
        };
        assert_eq!(failing.join().unwrap() + late, 0, "there was a worker");
        while model.done() < 3 {
            thread::yield_now();
        }
        model.queue.close(false);
        worker.join().unwrap();
    });
}

#[test]
fn loom_without_any_thread_the_jobs_come_back() {
    check(|| {
        let model = Model::new(1, Some(1));
        let push = |model: &Model| match model.queue.push((), WhenFull::Wait).unwrap() {
            Admitted::StartThread => model.queue.start_failed().len(),
            Admitted::Done => 0,
        };
        let other = {
            let model = model.clone();
            thread::spawn(move || push(&model) + push(&model))
        };
        let orphans = push(&model);
        assert_eq!(orphans + other.join().unwrap(), 3);
        assert_eq!(model.queue.counts().0.threads, 0);
    });
}

#[test]
fn loom_a_submitter_that_waits_for_room_gets_it() {
    check(|| {
        let model = Model::new(1, Some(0));
        let worker = Model::submit(&model).expect("the first job starts a thread");
        let other = {
            let model = model.clone();
            thread::spawn(move || assert!(Model::submit(&model).is_none()))
        };
        assert!(Model::submit(&model).is_none());
        other.join().unwrap();
        model.queue.close(false);
        worker.join().unwrap();
        assert_eq!(model.done(), 3);
    });
}

#[test]
fn loom_close_reaches_everybody_who_waits() {
    check(|| {
        let model = Model::new(1, Some(0));
        let worker = Model::submit(&model).expect("the first job starts a thread");
        let other = {
            let model = model.clone();
            thread::spawn(move || model.queue.push((), WhenFull::Wait).is_err())
        };
        let cancelled = model.queue.close(true).len();
        let refused = usize::from(other.join().unwrap());
        worker.join().unwrap();
        assert_eq!(model.done() + cancelled + refused, 2);
    });
}

/// Runs, or not, a job of a scope; jobs are counted.
fn redeem(scope: &ScopeQueue<()>, done: &AtomicUsize) {
    if let Some(()) = scope.take() {
        done.fetch_add(1, Ordering::Relaxed);
        scope.finish();
    }
}

#[test]
fn loom_a_scope_ends_after_its_jobs_whoever_runs_them() {
    for help in [true, false] {
        check(move || {
            let scope = Arc::new((ScopeQueue::new(), AtomicUsize::new(0)));
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    scope.0.push(());
                    let scope = scope.clone();
                    thread::spawn(move || redeem(&scope.0, &scope.1))
                })
                .collect();
            scope.0.wait(help, |()| {
                scope.1.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(scope.1.load(Ordering::Relaxed), 2);
            for worker in workers {
                worker.join().unwrap();
            }
        });
    }
}

#[test]
fn loom_a_scopes_thread_helps_with_a_job_that_comes_late() {
    check(|| {
        let scope = Arc::new((ScopeQueue::new(), AtomicUsize::new(0)));
        scope.0.push(());
        let worker = {
            let scope = scope.clone();
            thread::spawn(move || {
                if let Some(()) = scope.0.take() {
                    // A job that submits another one, for which no worker is left.
                    scope.0.push(());
                    scope.0.finish();
                }
            })
        };
        scope.0.wait(true, |()| {
            scope.1.fetch_add(1, Ordering::Relaxed);
        });
        worker.join().unwrap();
        // The first, or the one that the first one submitted.
        assert_eq!(scope.1.load(Ordering::Relaxed), 1);
    });
}
