//! A fork server that was stopped (SIGSTOP) delays no kill, no news of a death, and no end of a pool.

mod support;

use std::time::Duration;
use support::{children_of, is_dead, kill, nap, naps, own_pid, pool, until};
use tatkal_executor::{ForkServer, JoinError, JoinHandle, ProcessPool, Shutdown, WorkerExit};

tests![
    a_job_that_is_aborted_is_killed,
    a_job_whose_time_is_up_is_killed,
    a_job_that_ignores_sigterm_is_killed_when_the_grace_is_over,
    terminate_and_kill_stop_everything_and_the_pool_ends,
    a_dead_worker_is_heard_of_though_not_how_it_died,
    an_idle_pool_ends,
    a_pool_that_waits_for_a_worker_can_be_stopped,
    afterwards_the_pool_goes_on_and_no_zombie_is_left,
];

/// As long as it lives, the server is stopped.
struct Stopped(u32);

impl Stopped {
    fn new() -> Stopped {
        let server = ForkServer::find().unwrap().pid();
        kill(server, libc::SIGSTOP);
        until("the stop", || support::state(server) == Some('T'));
        Stopped(server)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, libc::SIGCONT);
        // Whatever it had to do, it has done when no child of its is left.
        until("the reaping", || children_of(self.0).is_empty());
    }
}

/// A pool of that many workers, all of them napping.
fn napping(workers: usize) -> (ProcessPool, Vec<JoinHandle<u32>>) {
    let pool = pool(workers);
    let naps_of: Vec<_> = (0..workers).map(|_| pool.submit(nap, 600)).collect();
    until("the naps", || {
        let pids = pool.worker_pids();
        pids.len() == workers && pids.into_iter().all(naps)
    });
    (pool, naps_of)
}

fn a_job_that_is_aborted_is_killed() {
    let (pool, naps) = napping(1);
    let worker = pool.worker_pids()[0];
    let _stopped = Stopped::new();
    for nap in naps {
        nap.abort();
        assert!(matches!(nap.join(), Err(JoinError::Cancelled)));
    }
    assert!(is_dead(worker));
    drop(pool);
}

fn a_job_whose_time_is_up_is_killed() {
    let pool = pool(1);
    let worker = pool.submit(own_pid, ()).join().unwrap();
    let _stopped = Stopped::new();
    let late = pool.jobs().timeout(Duration::from_millis(20));
    let late = late.submit(nap, 600);
    assert!(matches!(late.join(), Err(JoinError::TimedOut)));
    assert!(is_dead(worker));
    drop(pool);
}

fn a_job_that_ignores_sigterm_is_killed_when_the_grace_is_over() {
    fn stubborn(_: ()) -> u32 {
        // SAFETY: it installs no code.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        nap(600)
    }
    let grace = Duration::from_millis(50);
    let pool = ProcessPool::builder().workers(1).grace(grace);
    let pool = pool.build().unwrap();
    let job = pool.submit(stubborn, ());
    until("the nap", || {
        pool.worker_pids().first().is_some_and(|pid| naps(*pid))
    });
    let _stopped = Stopped::new();
    job.abort();
    assert!(matches!(job.join(), Err(JoinError::Cancelled)));
    drop(pool);
}

fn terminate_and_kill_stop_everything_and_the_pool_ends() {
    for stop in [ProcessPool::terminate, ProcessPool::kill] {
        let (pool, mut jobs) = napping(2);
        let workers = pool.worker_pids();
        let _stopped = Stopped::new();
        jobs.push(pool.submit(nap, 600));
        stop(&pool);
        for job in jobs {
            assert!(matches!(job.join(), Err(JoinError::Cancelled)));
        }
        pool.shutdown(Shutdown::finish());
        assert!(workers.into_iter().all(is_dead));
    }
}

fn a_dead_worker_is_heard_of_though_not_how_it_died() {
    let (pool, jobs) = napping(2);
    // Given in advance, one to each.
    let behind = [pool.submit(own_pid, ()), pool.submit(own_pid, ())];
    let [dead, alive] = pool.worker_pids()[..] else {
        panic!("two workers");
    };
    let _stopped = Stopped::new();
    kill(dead, libc::SIGKILL);
    let mut jobs = jobs.into_iter();
    let fallen = tatkal_executor::wait(jobs.as_mut_slice(), tatkal_executor::Until::First).join();
    let fallen = jobs.nth(fallen.done[0]).unwrap().join().unwrap_err();
    let JoinError::WorkerDied(WorkerExit {
        pid, signal, code, ..
    }) = fallen
    else {
        panic!("{fallen:?}");
    };
    assert_eq!((pid, signal, code), (dead, None, None), "nobody has told");
    pool.terminate();
    drop(jobs);
    for job in behind {
        assert!(matches!(job.join(), Err(JoinError::Cancelled)));
    }
    pool.shutdown(Shutdown::finish());
    assert!(is_dead(alive));
}

fn an_idle_pool_ends() {
    let pool = pool(2);
    let worker = pool.submit(own_pid, ()).join().unwrap();
    let _stopped = Stopped::new();
    drop(pool);
    assert!(is_dead(worker));
}

fn a_pool_that_waits_for_a_worker_can_be_stopped() {
    let pool = pool(1);
    let stopped = Stopped::new();
    let server = stopped.0;
    let job = pool.submit(own_pid, ());
    pool.terminate();
    assert!(matches!(job.join(), Err(JoinError::Cancelled)));
    pool.shutdown(Shutdown::finish());
    drop(stopped);
    assert!(children_of(server).is_empty(), "made, and ended");
}

fn afterwards_the_pool_goes_on_and_no_zombie_is_left() {
    let (pool, jobs) = napping(1);
    let worker = pool.worker_pids()[0];
    let server = ForkServer::find().unwrap().pid();
    kill(server, libc::SIGSTOP);
    let behind = pool.submit(own_pid, ());
    for job in jobs {
        job.abort();
        assert!(matches!(job.join(), Err(JoinError::Cancelled)));
    }
    kill(server, libc::SIGCONT);
    assert_ne!(behind.join().unwrap(), worker);
    until("the reaping", || support::state(worker).is_none());
}
