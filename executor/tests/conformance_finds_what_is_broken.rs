//! The conformance suite can fail: each of these executors breaks one promise, and the check of
//! that name says so.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tatkal_executor::testing::Conformance;
use tatkal_executor::{Executor, JoinHandle, Portable, Shutdown, ThreadPool};

/// How a pool is broken: each part may be replaced.
trait Fault: Copy + Send + Sync + 'static {
    const THREADS: usize = 2;

    fn submit<F, A, R>(self, pool: &Arc<ThreadPool>, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        Executor::submit(&**pool, function, argument)
    }

    fn shutdown(self, pool: &ThreadPool, how: Shutdown) {
        pool.shutdown(how);
    }

    fn window(self) -> usize {
        8
    }
}

struct Broken<T>(Arc<ThreadPool>, T);

impl<T: Fault> Executor for Broken<T> {
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.1.submit(&self.0, function, argument)
    }

    fn workers(&self) -> usize {
        2
    }

    fn shutdown(&self, how: Shutdown) {
        self.1.shutdown(&self.0, how);
    }

    fn default_window(&self) -> usize {
        self.1.window()
    }
}

#[track_caller]
fn assert_found<T: Fault>(fault: T, check: &str) {
    let make = move || Broken(Arc::new(ThreadPool::new(T::THREADS)), fault);
    // Short: some of the faults make a check wait in vain.
    let suite = Conformance::new(make).limit(Duration::from_millis(200));
    let report = suite.only(check).run();
    let found: Vec<_> = report.broken().map(|finding| finding.check).collect();
    assert_eq!(found, [check], "{report}");
}

#[test]
fn an_executor_without_a_fault_is_not_accused() {
    #[derive(Clone, Copy)]
    struct Sound;
    impl Fault for Sound {}
    let report = Conformance::new(|| Broken(Arc::new(ThreadPool::new(2)), Sound)).run();
    report.expect_kept();
    assert_eq!(
        report.findings().len(),
        Conformance::<Broken<Sound>>::names().count()
    );
}

/// The same value again.
fn again<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    postcard::from_bytes(&postcard::to_stdvec(value).ok()?).ok()
}

#[test]
fn a_job_that_runs_twice() {
    #[derive(Clone, Copy)]
    struct Stutter;
    impl Fault for Stutter {
        fn submit<F, A, R>(self, pool: &Arc<ThreadPool>, function: F, argument: A) -> JoinHandle<R>
        where
            F: Fn(A) -> R + Copy + Send + 'static,
            A: Portable,
            R: Portable,
        {
            if let Some(argument) = again(&argument) {
                Executor::submit(&**pool, function, argument).detach();
            }
            Executor::submit(&**pool, function, argument)
        }
    }
    assert_found(Stutter, "each_job_runs_once");
    assert_found(Stutter, "a_dropped_handle_detaches");
}

#[test]
fn every_job_but_the_first_is_lost() {
    #[derive(Clone, Copy)]
    struct Forget;
    impl Fault for Forget {
        fn submit<F, A, R>(self, pool: &Arc<ThreadPool>, function: F, argument: A) -> JoinHandle<R>
        where
            F: Fn(A) -> R + Copy + Send + 'static,
            A: Portable,
            R: Portable,
        {
            if pool.threads() == 0 {
                return Executor::submit(&**pool, function, argument);
            }
            let closed = ThreadPool::new(1);
            closed.shutdown(Shutdown::finish());
            Executor::submit(&closed, function, argument)
        }
    }
    assert_found(Forget, "a_dropped_handle_detaches");
    assert_found(Forget, "large_values_cross");
}

#[test]
fn a_panic_that_takes_the_pool_with_it() {
    struct Bomb(Arc<ThreadPool>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.shutdown(Shutdown::cancel());
            }
        }
    }
    #[derive(Clone, Copy)]
    struct Fragile;
    impl Fault for Fragile {
        fn submit<F, A, R>(self, pool: &Arc<ThreadPool>, function: F, argument: A) -> JoinHandle<R>
        where
            F: Fn(A) -> R + Copy + Send + 'static,
            A: Portable,
            R: Portable,
        {
            let bomb = Bomb(pool.clone());
            pool.submit(move || {
                let _bomb = bomb;
                function(argument)
            })
        }
    }
    assert_found(Fragile, "a_panic_reaches_its_handle_only");
}

#[test]
fn a_shutdown_that_does_not_wait() {
    #[derive(Clone, Copy)]
    struct Hasty;
    impl Fault for Hasty {
        fn shutdown(self, pool: &ThreadPool, how: Shutdown) {
            pool.shutdown(how.without_waiting());
        }
    }
    assert_found(Hasty, "shutdown_finishes");
}

#[test]
fn a_shutdown_that_always_waits() {
    #[derive(Clone, Copy)]
    struct Patient;
    impl Fault for Patient {
        fn shutdown(self, pool: &ThreadPool, how: Shutdown) {
            pool.shutdown(Shutdown { wait: true, ..how });
        }
    }
    assert_found(Patient, "shutdown_does_not_wait");
}

#[test]
fn a_shutdown_that_cancels_nothing() {
    #[derive(Clone, Copy)]
    struct Keep;
    impl Fault for Keep {
        fn shutdown(self, pool: &ThreadPool, how: Shutdown) {
            pool.shutdown(Shutdown {
                cancel_queued: false,
                ..how
            });
        }
    }
    assert_found(Keep, "shutdown_cancels");
}

#[test]
fn a_shutdown_that_cancels_what_it_should_finish() {
    #[derive(Clone, Copy)]
    struct Drop;
    impl Fault for Drop {
        fn shutdown(self, pool: &ThreadPool, how: Shutdown) {
            pool.shutdown(Shutdown {
                cancel_queued: true,
                ..how
            });
        }
    }
    assert_found(Drop, "shutdown_finishes");
    assert_found(Drop, "shutdown_does_not_wait");
}

#[test]
fn a_shutdown_that_leaves_the_door_open() {
    #[derive(Clone, Copy)]
    struct Open;
    impl Fault for Open {
        fn shutdown(self, _: &ThreadPool, _: Shutdown) {}
    }
    assert_found(Open, "submit_after_shutdown");
}

#[test]
fn fewer_workers_than_it_says() {
    #[derive(Clone, Copy)]
    struct Boast;
    impl Fault for Boast {
        const THREADS: usize = 1;
    }
    assert_found(Boast, "all_workers_work");
    assert_found(Boast, "a_slow_job_delays_nobody");
}

#[test]
fn a_submit_that_stands_in_the_callers_way() {
    #[derive(Clone, Copy)]
    struct Eager;
    impl Fault for Eager {
        fn submit<F, A, R>(self, pool: &Arc<ThreadPool>, function: F, argument: A) -> JoinHandle<R>
        where
            F: Fn(A) -> R + Copy + Send + 'static,
            A: Portable,
            R: Portable,
        {
            let job = Executor::submit(&**pool, function, argument);
            while !job.is_finished() {
                std::thread::yield_now();
            }
            job
        }
    }
    // Hangs until the watchdog gives it up, or the gate does: both are told.
    assert_found(Eager, "an_aborted_queued_job_never_runs");
}
