//! What is to stop is stopped: a job whose time is up, a job that ignores the request, a whole pool.

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Trace, is_cancelled, is_dead, kill, leave_trace, nap, own_pid, pool, until};
use tatkal_executor::{Executor, JoinError, JoinHandle, ProcessPool, Shutdown, block_on};

tests![
    a_job_whose_time_is_up_is_stopped_and_its_worker_replaced,
    waiting_costs_a_job_no_time,
    a_job_that_is_done_in_time_is_not_disturbed,
    the_limit_of_the_pool_holds_for_every_job_without_its_own,
    a_map_has_terms_too,
    a_limit_reaches_a_stopped_worker,
    a_job_that_a_stopped_worker_has_not_begun_is_run_elsewhere,
    a_limit_too_short_for_anything_ends_in_time_or_too_late_and_in_no_other_way,
    a_job_that_ends_within_the_grace_has_a_result,
    a_job_that_ignores_sigterm_is_killed_when_the_grace_is_over,
    without_grace_a_job_is_killed_at_once,
    terminate_stops_everything,
    kill_stops_what_ignores_sigterm,
    a_pool_without_workers_can_be_stopped,
    terminate_does_not_wait_and_is_allowed_in_a_task,
];

const BRIEF: Duration = Duration::from_millis(50);
/// For jobs of no length that have to be done within it, however busy the machine is.
const FAIR: Duration = Duration::from_millis(500);
const AMPLE: Duration = Duration::from_secs(300);

fn is_timed_out<T: std::fmt::Debug>(handle: JoinHandle<T>) -> bool {
    matches!(handle.join(), Err(JoinError::TimedOut))
}

fn a_job_whose_time_is_up_is_stopped_and_its_worker_replaced() {
    let pool = pool(1);
    for _ in 0..10 {
        let pid = pool.submit(own_pid, ()).join().unwrap();
        let late = pool.jobs().timeout(BRIEF).submit(nap, 600);
        let behind = pool.submit(own_pid, ());
        assert!(is_timed_out(late));
        assert!(is_dead(pid), "the handle speaks when the job has stopped");
        assert_ne!(behind.join().unwrap(), pid);
    }
}

fn waiting_costs_a_job_no_time() {
    let go = Trace::new("go");
    let pool = pool(1);
    let busy = pool.submit(|go: PathBuf| until("the word", || go.exists()), go.path());
    // One of these is given to the worker in advance, the others wait in the queue.
    let waiting: Vec<_> = (0..4)
        .map(|_| pool.jobs().timeout(FAIR).submit(own_pid, ()))
        .collect();
    std::thread::sleep(2 * FAIR);
    leave_trace(&go.path());
    busy.join().unwrap();
    let pids = waiting.into_iter().map(|handle| handle.join().unwrap());
    assert!(pids.eq([pool.worker_pids()[0]; 4]));
}

fn a_job_that_is_done_in_time_is_not_disturbed() {
    let pool = pool(2);
    let jobs = pool.jobs().timeout(FAIR);
    let pid = jobs.submit(own_pid, ()).join().unwrap();
    // Its time passes while its worker does something else.
    pool.submit(|(): ()| std::thread::sleep(2 * FAIR), ())
        .join()
        .unwrap();
    assert_eq!(pool.submit(own_pid, ()).join().unwrap(), pid);
}

fn the_limit_of_the_pool_holds_for_every_job_without_its_own() {
    let pool = ProcessPool::builder()
        .workers(2)
        .timeout(BRIEF)
        .build()
        .unwrap();
    assert!(is_timed_out(pool.submit(nap, 600)));
    assert!(is_timed_out(pool.jobs().submit(nap, 600)));
    assert!(is_timed_out(pool.try_submit(nap, 600).unwrap()));
    let slow = |(): ()| std::thread::sleep(4 * BRIEF);
    pool.jobs().timeout(AMPLE).submit(slow, ()).join().unwrap();
    let endless = pool.jobs().without_timeout();
    endless.submit(slow, ()).join().unwrap();
}

fn a_map_has_terms_too() {
    let pool = pool(2);
    let jobs = pool.jobs().timeout(FAIR);
    let results: Vec<_> = jobs
        .map(|n: u64| nap(if n == 2 { 600 } else { 0 }) > 0, 0..5)
        .collect();
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(true) => assert_ne!(n, 2),
            Err(JoinError::TimedOut) => assert_eq!(n, 2),
            other => panic!("{other:?}"),
        }
    }
}

fn a_limit_reaches_a_stopped_worker() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(BRIEF)
        .build()
        .unwrap();
    let handle = pool.jobs().timeout(4 * BRIEF).submit(nap, 600);
    until("a worker", || !pool.worker_pids().is_empty());
    let pid = pool.worker_pids()[0];
    kill(pid, libc::SIGSTOP);
    assert!(is_timed_out(handle));
    assert!(is_dead(pid));
}

fn a_job_that_a_stopped_worker_has_not_begun_is_run_elsewhere() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(BRIEF)
        .build()
        .unwrap();
    let pid = pool.submit(own_pid, ()).join().unwrap();
    kill(pid, libc::SIGSTOP);
    until("the stop", || support::state(pid) == Some('T'));
    let handle = pool.jobs().timeout(FAIR).submit(own_pid, ());
    assert_ne!(handle.join().unwrap(), pid);
    until("the end of the stopped one", || is_dead(pid));
}

fn a_limit_too_short_for_anything_ends_in_time_or_too_late_and_in_no_other_way() {
    let pool = pool(2);
    for limit in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(200),
    ] {
        let jobs = pool.jobs().timeout(limit);
        let long: Vec<_> = (0..4).map(|_| jobs.submit(nap, 600)).collect();
        let short: Vec<_> = (0..20).map(|_| jobs.submit(own_pid, ())).collect();
        assert!(long.into_iter().all(is_timed_out));
        for handle in short {
            match handle.join() {
                Ok(_) | Err(JoinError::TimedOut) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

static TOLD: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    TOLD.store(true, Ordering::Relaxed);
}

/// A job that arranges for SIGTERM, says that it has, and returns when it comes.
fn heed_sigterm(ready: PathBuf) -> String {
    let handler = note as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    leave_trace(&ready);
    until("SIGTERM", || TOLD.load(Ordering::Relaxed));
    "tidied up".to_owned()
}

fn a_job_that_ends_within_the_grace_has_a_result() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(AMPLE)
        .build()
        .unwrap();
    let (ready, pid) = (
        Trace::new("ready"),
        pool.submit(own_pid, ()).join().unwrap(),
    );
    let handle = pool.submit(heed_sigterm, ready.path());
    until("its arrangements", || ready.count() == 1);
    handle.abort();
    assert_eq!(handle.join().unwrap(), "tidied up");
    // A worker that was told to stop gets no further job.
    assert_ne!(pool.submit(own_pid, ()).join().unwrap(), pid);
    kill(pid, libc::SIGKILL); // It has become deaf to SIGTERM, and the grace is long.
}

/// A job that does not hear SIGTERM.
fn be_deaf(ready: PathBuf) -> u32 {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    leave_trace(&ready);
    nap(600)
}

fn a_job_that_ignores_sigterm_is_killed_when_the_grace_is_over() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(BRIEF)
        .build()
        .unwrap();
    let ready = Trace::new("ready");
    let handle = pool.submit(be_deaf, ready.path());
    until("its arrangements", || ready.count() == 1);
    let pid = pool.worker_pids()[0];
    handle.abort();
    assert!(is_cancelled(handle));
    assert!(is_dead(pid));
    assert!(is_timed_out(
        pool.jobs().timeout(BRIEF).submit(be_deaf, ready.path())
    ));
}

fn without_grace_a_job_is_killed_at_once() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(Duration::ZERO)
        .build()
        .unwrap();
    let ready = Trace::new("ready");
    let handle = pool.submit(heed_sigterm, ready.path());
    until("its arrangements", || ready.count() == 1);
    handle.abort();
    assert!(is_cancelled(handle));
}

fn at_work(path: PathBuf) -> u32 {
    leave_trace(&path);
    nap(600)
}

/// Three of these at work, and jobs that wait.
fn busy(
    pool: &ProcessPool,
    job: fn(&ProcessPool, PathBuf) -> JoinHandle<u32>,
) -> Vec<JoinHandle<u32>> {
    let ready = Trace::new("ready");
    let running: Vec<_> = (0..3).map(|_| job(pool, ready.path())).collect();
    until("three at work", || ready.count() == 3);
    let waiting = (0..20).map(|_| pool.submit(own_pid, ()));
    running.into_iter().chain(waiting).collect()
}

fn terminate_stops_everything() {
    let pool = pool(3);
    let handles = busy(&pool, |pool, path| pool.submit(at_work, path));
    let pids = pool.worker_pids();
    pool.terminate();
    pool.terminate(); // once more changes nothing
    assert!(matches!(
        pool.submit(own_pid, ()).join(),
        Err(JoinError::Closed)
    ));
    assert!(handles.into_iter().all(is_cancelled));
    pool.shutdown(Shutdown::finish());
    assert_eq!(pids.len(), 3);
    assert!(pids.into_iter().all(is_dead));
}

fn kill_stops_what_ignores_sigterm() {
    let pool = ProcessPool::builder()
        .workers(3)
        .grace(AMPLE)
        .build()
        .unwrap();
    let handles = busy(&pool, |pool, path| pool.submit(be_deaf, path));
    let pids = pool.worker_pids();
    pool.terminate(); // in vain
    pool.kill();
    assert!(handles.into_iter().all(is_cancelled));
    pool.shutdown(Shutdown::finish());
    assert!(pids.into_iter().all(is_dead));
}

fn a_pool_without_workers_can_be_stopped() {
    for stop in [ProcessPool::terminate, ProcessPool::kill] {
        let unused = pool(2);
        stop(&unused);
        unused.shutdown(Shutdown::finish());
        let idle = pool(2);
        let pid = idle.submit(own_pid, ()).join().unwrap();
        stop(&idle);
        idle.shutdown(Shutdown::finish());
        assert!(is_dead(pid));
    }
}

fn terminate_does_not_wait_and_is_allowed_in_a_task() {
    let pool = pool(1);
    let handle = pool.submit(nap, 600);
    block_on(async {
        pool.terminate();
        assert!(matches!(handle.await, Err(JoinError::Cancelled)));
    });
}
