//! Every way to end a thread pool, crossed: who ends it, whether it waits, and what becomes of the
//! jobs in the queue.

mod gate;

use gate::{Gate, wait_until, within_a_minute};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use tatkal_executor::{Executor, JoinError, JoinHandle, LocalExecutor, Shutdown, ThreadPool};

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    AnotherThread,
    AJobOfThePool,
    Drop,
    DropInAJob,
}

const QUEUED: usize = 3;

/// A pool of one thread whose first job stands at a gate, with jobs queued behind it.
struct Scene {
    gate: Gate,
    running: JoinHandle<()>,
    queued: Vec<JoinHandle<usize>>,
    runs: Arc<AtomicUsize>,
}

impl Scene {
    /// `in_job` runs in the first job, before the gate.
    fn new(pool: &ThreadPool, in_job: impl FnOnce() + Send + 'static) -> Self {
        let gate = Gate::new();
        let pass = gate.pass();
        let (tell, started) = mpsc::channel();
        let (queued_all, go) = mpsc::channel();
        let running = pool.submit(move || {
            tell.send(()).unwrap();
            go.recv().unwrap();
            in_job();
            pass.wait();
        });
        started.recv().unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let queued = (0..QUEUED)
            .map(|n| {
                let runs = runs.clone();
                pool.submit(move || {
                    runs.fetch_add(1, Ordering::Relaxed);
                    n
                })
            })
            .collect();
        queued_all.send(()).unwrap();
        Self {
            gate,
            running,
            queued,
            runs,
        }
    }

    /// The running job always ends well; the queued ones run, or are cancelled.
    fn finish(mut self, cancelled: bool) {
        self.gate.open();
        self.running.join().unwrap();
        for (n, handle) in self.queued.into_iter().enumerate() {
            match handle.join() {
                Ok(result) => assert!(!cancelled && result == n, "job {n} ran"),
                Err(JoinError::Cancelled) => assert!(cancelled, "job {n} was cancelled"),
                Err(error) => panic!("job {n}: {error:?}"),
            }
        }
        let runs = if cancelled { 0 } else { QUEUED };
        assert_eq!(self.runs.load(Ordering::Relaxed), runs);
    }
}

fn shut_down(from: From, how: Shutdown) {
    let pool = Arc::new(ThreadPool::new(1));
    match from {
        From::AnotherThread => {
            let scene = Scene::new(&pool, || {});
            if how.wait {
                let returned = Arc::new(AtomicBool::new(false));
                let shutting_down = {
                    let (pool, returned) = (pool.clone(), returned.clone());
                    thread::spawn(move || {
                        pool.shutdown(how);
                        returned.store(true, Ordering::Relaxed);
                    })
                };
                // It has closed the pool, and stands there for as long as the gate is shut.
                wait_until(|| pool.try_submit(|| ()).is_err());
                assert!(!returned.load(Ordering::Relaxed), "it waits");
                let (gate, running) = (scene.gate, scene.running);
                drop(gate);
                shutting_down.join().unwrap();
                assert!(running.is_finished(), "it waited");
                assert_eq!(pool.threads(), 0, "its threads are gone");
                assert!(scene.queued.iter().all(JoinHandle::is_finished));
                let runs = scene.runs.load(Ordering::Relaxed);
                assert_eq!(runs, if how.cancel_queued { 0 } else { QUEUED });
            } else {
                pool.shutdown(how); // returns although the gate is shut
                pool.shutdown(how);
                scene.finish(how.cancel_queued);
            }
        }
        From::AJobOfThePool => {
            let inside = pool.clone();
            // It does not wait for itself.
            Scene::new(&pool, move || inside.shutdown(how)).finish(how.cancel_queued);
        }
        From::Drop => {
            let mut scene = Scene::new(&pool, || {});
            scene.gate.open();
            drop(Arc::into_inner(pool).unwrap());
            assert!(scene.running.is_finished());
            assert_eq!(scene.runs.load(Ordering::Relaxed), QUEUED, "drop waits");
            scene.finish(false);
            return;
        }
        From::DropInAJob => {
            let (give, take) = mpsc::channel::<ThreadPool>();
            let scene = Scene::new(&pool, move || drop(take.recv().unwrap()));
            give.send(Arc::into_inner(pool).unwrap()).unwrap();
            scene.finish(false);
            return;
        }
    }
    let late = pool.submit(|| panic!("runs after the shutdown"));
    assert!(matches!(late.join(), Err(JoinError::Closed)));
}

#[test]
fn every_shutdown_does_what_it_says() {
    within_a_minute(|| {
        for from in [
            From::AnotherThread,
            From::AJobOfThePool,
            From::Drop,
            From::DropInAJob,
        ] {
            for wait in [true, false] {
                for cancel_queued in [true, false] {
                    shut_down(
                        from,
                        Shutdown {
                            wait,
                            cancel_queued,
                        },
                    );
                }
            }
        }
    });
}

#[test]
fn a_second_shutdown_may_still_cancel_and_wait() {
    within_a_minute(|| {
        let pool = ThreadPool::new(1);
        let mut scene = Scene::new(&pool, || {});
        pool.shutdown(Shutdown::finish().without_waiting());
        pool.shutdown(Shutdown::cancel().without_waiting());
        assert!(scene.queued.iter().all(JoinHandle::is_finished));
        scene.gate.open();
        pool.shutdown(Shutdown::finish());
        assert!(scene.running.is_finished());
        assert_eq!(pool.threads(), 0);
        scene.finish(true);
    });
}

#[test]
fn many_threads_may_shut_down_at_once() {
    within_a_minute(|| {
        let pool = ThreadPool::new(2);
        let jobs: Vec<_> = (0..20).map(|n| pool.submit(move || n)).collect();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    pool.shutdown(Shutdown::finish());
                    assert_eq!(pool.threads(), 0, "each caller waits for the end");
                });
            }
        });
        assert!(jobs.iter().all(JoinHandle::is_finished));
    });
}

/// The states (letters) of the threads with this name, as the system tells them.
#[cfg(target_os = "linux")]
fn states_of(name: &str) -> Vec<char> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let told = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let of_name = told.filter(|stat| stat.contains(&format!("({name}")));
    of_name
        .filter_map(|stat| stat.rsplit(") ").next()?.chars().next())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_sleep_hear_of_the_end() {
    within_a_minute(|| {
        const THREADS: usize = 3;
        let pool = ThreadPool::builder().threads(THREADS).name("sleepers");
        let pool = pool.build();
        let all_there = Arc::new(Barrier::new(THREADS));
        for _ in 0..THREADS {
            let all_there = all_there.clone();
            pool.submit(move || all_there.wait()).detach();
        }
        wait_until(|| states_of("sleepers") == ['S'; THREADS]);
        pool.shutdown(Shutdown::finish());
        assert_eq!(pool.threads(), 0);
    });
}

#[test]
fn jobs_that_are_submitted_by_the_last_jobs_are_refused() {
    within_a_minute(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let inside = pool.clone();
        let scene = Scene::new(&pool, || {});
        let late = pool.submit(move || inside.submit(|| "late"));
        pool.shutdown(Shutdown::finish().without_waiting());
        scene.finish(false);
        let refused = late.join().unwrap();
        assert!(matches!(refused.join(), Err(JoinError::Closed)));
    });
}

#[test]
fn a_waiting_submitter_is_refused_by_the_shutdown() {
    within_a_minute(|| {
        let pool = ThreadPool::builder().threads(1).capacity(0).build();
        let mut gate = Gate::new();
        let pass = gate.pass();
        let running = pool.submit(move || pass.wait());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.submit(|| "never").join());
            pool.shutdown(Shutdown::finish().without_waiting());
            assert!(matches!(waiting.join().unwrap(), Err(JoinError::Closed)));
        });
        gate.open();
        running.join().unwrap();
    });
}

#[test]
fn waiting_on_a_thread_that_runs_an_executor_is_refused() {
    let pool = ThreadPool::new(1);
    let refused = LocalExecutor::default().block_on(async {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.shutdown(Shutdown::finish())
        }))
    });
    assert!(refused.is_err());
    assert_eq!(
        pool.submit(|| 1).join().unwrap(),
        1,
        "and nothing has happened"
    );
}

#[test]
fn the_trait_shuts_down_too() {
    let pool = ThreadPool::new(1);
    Executor::shutdown(&pool, Shutdown::cancel());
    let late = Executor::submit(&pool, |n: u8| n, 1);
    assert!(matches!(late.join(), Err(JoinError::Closed)));
}
