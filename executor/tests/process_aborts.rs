//! Aborts: what must not start does not, what must stop is stopped, and every handle gets exactly one
//! answer.

mod support;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};
use std::time::Duration;
use support::{Dice, Trace, begin, is_cancelled, leave_trace, nap, own_pid, pool, until};
use tatkal_executor::{Executor, JoinError, ProcessPool, Shutdown, block_on};

tests![
    an_aborted_queued_job_never_runs,
    an_aborted_running_job_is_killed_and_its_worker_replaced,
    an_abort_leaves_the_jobs_behind_it_unharmed,
    an_abort_reaches_a_stopped_worker,
    an_abort_of_a_finished_job_does_nothing,
    an_abort_that_races_the_end_gives_one_answer,
    an_abort_of_a_half_sent_job_leaves_the_channel_whole,
    aborts_behind_a_running_job_do_not_make_it_run_again,
    a_long_job_does_not_hold_up_the_one_behind_it,
    a_job_given_in_advance_is_not_overtaken_by_all_others,
    a_dropped_map_aborts_what_is_in_flight,
    a_job_can_be_awaited,
    a_waker_may_use_the_pool,
    a_job_that_wrote_over_its_board_can_be_stopped,
];

fn an_aborted_queued_job_never_runs() {
    let (begun, trace) = (Trace::new("begun"), Trace::new("trace"));
    let pool = pool(1);
    let running = pool.submit(begin, begun.path());
    until("the first job", || begun.count() == 1);
    // One of these is given to the worker in advance, the others wait in the queue.
    let waiting: Vec<_> = (0..10)
        .map(|_| pool.submit(|path: PathBuf| leave_trace(&path), trace.path()))
        .collect();
    for handle in waiting {
        handle.abort();
        assert!(is_cancelled(handle)); // at once, though the worker is busy
    }
    running.abort();
    assert!(is_cancelled(running));
    pool.submit(own_pid, ()).join().unwrap();
    drop(pool);
    assert_eq!((begun.count(), trace.count()), (1, 0));
}

fn an_aborted_running_job_is_killed_and_its_worker_replaced() {
    let pool = pool(1);
    for round in 0..20 {
        let begun = Trace::new("begun");
        let handle = pool.submit(begin, begun.path());
        until("the job", || begun.count() == 1);
        let pid = pool.worker_pids()[0];
        handle.abort();
        assert!(is_cancelled(handle), "round {round}");
        assert!(
            support::is_dead(pid),
            "the handle speaks when the job has stopped"
        );
        assert_ne!(pool.submit(own_pid, ()).join().unwrap(), pid);
    }
}

fn an_abort_leaves_the_jobs_behind_it_unharmed() {
    let pool = pool(1);
    for _ in 0..20 {
        let begun = Trace::new("begun");
        let handle = pool.submit(begin, begun.path());
        let behind: Vec<_> = (0..5_u64).map(|n| pool.submit(|n: u64| n, n)).collect();
        until("the job", || begun.count() == 1);
        handle.abort();
        for (n, handle) in (0..).zip(behind) {
            assert_eq!(handle.join().unwrap(), n);
        }
        assert!(is_cancelled(handle));
    }
}

fn an_abort_reaches_a_stopped_worker() {
    let begun = Trace::new("begun");
    let pool = pool(1);
    let handle = pool.submit(begin, begun.path());
    until("the job", || begun.count() == 1);
    support::kill(pool.worker_pids()[0], libc::SIGSTOP);
    handle.abort();
    assert!(is_cancelled(handle));
}

fn an_abort_of_a_finished_job_does_nothing() {
    let pool = pool(1);
    let handle = pool.submit(own_pid, ());
    until("the result", || handle.is_finished());
    handle.abort();
    let pid = handle.join().unwrap();
    assert_eq!(pool.submit(own_pid, ()).join().unwrap(), pid);
}

fn an_abort_that_races_the_end_gives_one_answer() {
    let mut dice = Dice(0x7a7c_a15e);
    let pool = pool(2);
    let (mut results, mut cancelled) = (0, 0);
    for _ in 0..150 {
        let handles: Vec<_> = (0..8_u64).map(|n| pool.submit(|n: u64| n * n, n)).collect();
        let victim = dice.below(8) as usize;
        for _ in 0..dice.below(2_000) {
            std::hint::spin_loop();
        }
        handles[victim].abort();
        for (n, handle) in handles.into_iter().enumerate() {
            match handle.join() {
                Ok(square) => {
                    assert_eq!(square, (n * n) as u64);
                    results += 1;
                }
                Err(JoinError::Cancelled) if n == victim => cancelled += 1,
                other => panic!("job {n}, aborted was {victim}: {other:?}"),
            }
        }
    }
    assert_eq!(results + cancelled, 150 * 8);
}

fn an_abort_of_a_half_sent_job_leaves_the_channel_whole() {
    let pool = pool(1);
    for round in 0..5_u8 {
        let busy = pool.submit(|(): ()| std::thread::sleep(Duration::from_millis(50)), ());
        // Given to the busy worker in advance, more than its socket holds: it is half sent.
        let large = pool.submit(|bytes: Vec<u8>| bytes.len(), vec![round; 1 << 20]);
        large.abort();
        assert!(is_cancelled(large));
        busy.join().unwrap();
        assert_eq!(pool.submit(|n: u8| n, round).join().unwrap(), round);
    }
    assert_eq!(pool.worker_pids().len(), 1);
}

fn aborts_behind_a_running_job_do_not_make_it_run_again() {
    let begun = Trace::new("begun");
    let pool = pool(1);
    let running = pool.submit(begin, begun.path());
    until("the job", || begun.count() == 1);
    for _ in 0..100 {
        let behind = pool.submit(own_pid, ());
        behind.abort();
        assert!(is_cancelled(behind));
    }
    support::kill(pool.worker_pids()[0], libc::SIGKILL);
    assert!(matches!(running.join(), Err(JoinError::WorkerDied(_))));
    pool.submit(own_pid, ()).join().unwrap();
    assert_eq!(begun.count(), 1);
}

fn a_long_job_does_not_hold_up_the_one_behind_it() {
    let begun = Trace::new("begun");
    let pool = pool(2);
    // Both workers busy for a while; then more jobs, each of which is given to one in advance.
    let short: Vec<_> = (0..2).map(|_| pool.submit(nap, 0)).collect();
    let long = pool.submit(begin, begun.path());
    let behind: Vec<_> = (0..20).map(|_| pool.submit(own_pid, ())).collect();
    for handle in short.into_iter().chain(behind) {
        handle.join().unwrap();
    }
    assert!(!long.is_finished());
    until("the long job", || begun.count() == 1);
    long.abort();
    assert!(is_cancelled(long));
}

fn a_job_given_in_advance_is_not_overtaken_by_all_others() {
    const JOBS: u64 = 400;
    let (begun, order) = (Trace::new("begun"), Trace::new("order"));
    let pool = pool(2);
    // Both at work, so that from here on jobs are given in advance to whoever is next.
    let long = pool.submit(begin, begun.path());
    until("the long job", || begun.count() == 1);
    let handles: Vec<_> = (0..JOBS)
        .map(|n| {
            let sign = |(path, n): (PathBuf, u64)| {
                let mut file = fs::File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap();
                file.write_all(&n.to_ne_bytes()).unwrap();
            };
            pool.submit(sign, (order.path(), n))
        })
        .collect();
    handles
        .into_iter()
        .for_each(|handle| handle.join().unwrap());
    long.abort();
    assert!(is_cancelled(long));
    let bytes = fs::read(order.path()).unwrap();
    let order = bytes
        .chunks(8)
        .map(|n| u64::from_ne_bytes(n.try_into().unwrap()));
    for (place, n) in (0..).zip(order) {
        // One job was behind the long one until it was seen to be overtaken.
        assert!(n.abs_diff(place) <= 8, "job {n} was number {place}");
    }
}

fn a_dropped_map_aborts_what_is_in_flight() {
    let begun = Trace::new("begun");
    let pool = pool(2);
    let mut map = pool.map(
        |(n, path): (u32, PathBuf)| {
            if n > 0 {
                begin(path);
            }
            n
        },
        (0..).map(|n| (n, begun.path())),
    );
    assert_eq!(map.next().unwrap().unwrap(), 0);
    until("two jobs", || begun.count() >= 2);
    drop(map);
    drop(pool); // Waits for the jobs, which take for ever unless they are aborted.
}

fn a_job_can_be_awaited() {
    let pool = pool(2);
    let sum = block_on(async {
        let (one, other) = (pool.submit(|n: u32| n, 40), pool.submit(|n: u32| n, 2));
        one.await.unwrap() + other.await.unwrap()
    });
    assert_eq!(sum, 42);
}

/// Submits a job whenever it is woken: user code that runs on the manager's thread.
struct Resubmit {
    pool: ProcessPool,
    woken: AtomicUsize,
}

impl Wake for Resubmit {
    fn wake(self: Arc<Self>) {
        self.pool.submit(own_pid, ()).detach();
        self.pool.shutdown(Shutdown::finish()); // cannot wait here, and does not
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

fn a_waker_may_use_the_pool() {
    let woken = Arc::new(Resubmit {
        pool: pool(1),
        woken: AtomicUsize::new(0),
    });
    let mut handle = woken
        .pool
        .submit(|(): ()| std::thread::sleep(Duration::from_millis(50)), ());
    let waker = woken.clone().into();
    let poll = Future::poll(
        std::pin::Pin::new(&mut handle),
        &mut Context::from_waker(&waker),
    );
    assert!(poll.is_pending());
    until("the waker", || woken.woken.load(Ordering::Relaxed) == 1);
    drop(waker);
    handle.join().unwrap();
}

/// Fills the memory that its worker shares with the pool with this byte, and sleeps.
fn write_over_the_board(byte: u8) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let board = maps.lines().find(|line| line.contains("tatkal-board"));
    let (start, end) = board
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .split_once('-')
        .unwrap();
    let address = |text| usize::from_str_radix(text, 16).unwrap();
    let (start, end) = (address(start), address(end));
    // SAFETY: mapped, and writable. Nobody in this process relies on what is there.
    unsafe { std::ptr::write_bytes(start as *mut u8, byte, end - start) };
    nap(600);
}

fn a_job_that_wrote_over_its_board_can_be_stopped() {
    for byte in [0, 1, 2, 3, 0x55, 0xff] {
        let pool = pool(1);
        let mad = pool.submit(write_over_the_board, byte);
        // Its worker may be killed for it before it can be seen: the job does not run again.
        until("its work", || {
            pool.worker_pids().into_iter().any(support::naps) || mad.is_finished()
        });
        let behind = pool.submit(own_pid, ());
        mad.abort();
        assert!(mad.join().is_err());
        behind.join().unwrap();
        // The same with a job behind it whose offer it may write over.
        let mad = pool.submit(write_over_the_board, byte);
        let behind = pool.submit(own_pid, ());
        // Its worker may be killed for it before it can be seen: the job does not run again.
        until("its work", || {
            pool.worker_pids().into_iter().any(support::naps) || mad.is_finished()
        });
        mad.abort();
        assert!(mad.join().is_err());
        let _ = behind.join(); // It may have to pay.
    }
}
