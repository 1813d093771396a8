//! A process pool runs functions in other processes and gives back what they return.

mod support;

use std::collections::HashSet;
use std::process;
use support::{own_pid, pool};
use tatkal_executor::{Executor, ForkServer, JoinError, ProcessPool, Shutdown, TrySubmitError};

tests![
    a_result_comes_back,
    a_closure_without_captures_is_a_job,
    jobs_run_in_other_processes_than_the_program,
    results_of_many_jobs_are_their_own,
    map_gives_results_in_input_order,
    a_panic_reaches_its_handle_with_message_and_place,
    a_worker_survives_the_panic_of_its_job,
    workers_are_started_on_demand,
    the_fork_server_is_started_once,
    a_pool_may_be_made_and_used_by_any_thread,
    after_shutdown_a_job_is_refused,
    zero_workers_are_refused,
    a_full_queue_refuses_and_gives_the_argument_back,
    submit_waits_for_room,
    a_job_may_use_a_pool_of_its_own,
    two_pools_do_not_disturb_each_other,
];

fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

fn a_result_comes_back() {
    assert_eq!(pool(1).submit(sum, vec![1, 2, 3]).join().unwrap(), 6);
}

fn a_closure_without_captures_is_a_job() {
    let handle = pool(1).submit(
        |(text, times): (String, usize)| text.repeat(times),
        ("ab".into(), 3),
    );
    assert_eq!(handle.join().unwrap(), "ababab");
}

fn jobs_run_in_other_processes_than_the_program() {
    let pool = pool(1);
    let pid = pool.submit(own_pid, ()).join().unwrap();
    assert_ne!(pid, process::id());
    assert_eq!(pool.worker_pids(), [pid]);
}

fn results_of_many_jobs_are_their_own() {
    let pool = pool(4);
    let handles: Vec<_> = (0..2_000_u64)
        .map(|n| pool.submit(|n: u64| n * n, n))
        .collect();
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.join().unwrap(), n * n);
    }
}

fn map_gives_results_in_input_order() {
    let pool = pool(3);
    let results = pool.map(|n: u64| n + 1, 0..500).map(Result::unwrap);
    assert!(results.eq(1..=500));
}

fn a_panic_reaches_its_handle_with_message_and_place() {
    let pool = pool(1);
    let handle = pool.submit(|n: u32| -> u32 { panic!("no {n}") }, 7);
    let Err(JoinError::Panicked(report)) = handle.join() else {
        panic!("it did not panic");
    };
    assert_eq!(report.message(), "no 7");
    assert!(
        report.location().unwrap().starts_with(file!()),
        "{report:?}"
    );
}

fn a_worker_survives_the_panic_of_its_job() {
    let pool = pool(1);
    let before = pool.submit(own_pid, ()).join().unwrap();
    let handle = pool.submit(|(): ()| -> () { std::panic::panic_any(7_u8) }, ());
    assert!(handle.join().unwrap_err().is_panic());
    assert_eq!(pool.submit(own_pid, ()).join().unwrap(), before);
}

fn workers_are_started_on_demand() {
    let pool = pool(64);
    assert_eq!((pool.workers(), pool.worker_pids().len()), (64, 0));
    for _ in 0..10 {
        pool.submit(own_pid, ()).join().unwrap();
    }
    // One after the other: each found the worker of the one before idle.
    assert_eq!(pool.worker_pids().len(), 1);
}

fn the_fork_server_is_started_once() {
    let server = ForkServer::start().unwrap();
    assert_eq!(ForkServer::start().unwrap().pid(), server.pid());
    assert_eq!(ForkServer::find(), Some(server));
    assert_eq!(support::children_of(process::id()), [server.pid()]);
}

fn a_pool_may_be_made_and_used_by_any_thread() {
    let threads: Vec<_> = (0..4_u64)
        .map(|n| {
            std::thread::spawn(move || {
                let pool = ProcessPool::new(1).unwrap();
                pool.submit(|n: u64| n * 2, n).join().unwrap()
            })
        })
        .collect();
    let results: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(results, [0, 2, 4, 6]);
}

fn after_shutdown_a_job_is_refused() {
    let pool = pool(1);
    let early = pool.submit(sum, vec![1]);
    pool.shutdown(Shutdown::finish());
    assert_eq!(early.join().unwrap(), 1);
    let late = pool.submit(sum, vec![1]);
    assert!(matches!(late.join(), Err(JoinError::Closed)));
    pool.shutdown(Shutdown::finish());
    assert!(pool.worker_pids().is_empty());
}

fn zero_workers_are_refused() {
    let refused = ProcessPool::new(0).unwrap_err();
    assert!(refused.to_string().contains("at least 1"), "{refused}");
}

fn a_full_queue_refuses_and_gives_the_argument_back() {
    for capacity in [0, 1, 5] {
        let pool = ProcessPool::builder()
            .workers(2)
            .capacity(capacity)
            .build()
            .unwrap();
        let nap = |seconds: u64| std::thread::sleep(std::time::Duration::from_secs(seconds));
        let mut handles = Vec::new();
        let refused = loop {
            match pool.try_submit(nap, 600) {
                Ok(handle) => handles.push(handle),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, TrySubmitError::Full(600)), "{refused}");
        assert_eq!(handles.len(), 2 + capacity);
        support::until("two at work", || pool.queued() == capacity);
        handles.iter().for_each(|handle| handle.abort());
        for handle in handles {
            assert!(handle.join().unwrap_err().is_cancelled());
        }
        // An aborted job counts until its turn comes.
        support::until("an empty queue", || pool.queued() == 0);
        pool.submit(sum, vec![1]).join().unwrap();
        pool.shutdown(Shutdown::finish());
        let refused = pool.try_submit(nap, 7);
        assert!(matches!(refused, Err(TrySubmitError::Closed(7))));
    }
}

fn submit_waits_for_room() {
    let pool = ProcessPool::builder()
        .workers(2)
        .capacity(0)
        .build()
        .unwrap();
    let results: Vec<_> = (0..300_u64)
        .map(|n| pool.submit(|n: u64| n * n, n))
        .collect();
    for (n, handle) in (0..).zip(results) {
        assert_eq!(handle.join().unwrap(), n * n);
    }
}

fn a_job_may_use_a_pool_of_its_own() {
    fn inner(numbers: Vec<u64>) -> u64 {
        let pool = ProcessPool::new(2).unwrap();
        let handles: Vec<_> = numbers
            .into_iter()
            .map(|n| pool.submit(|n: u64| n * n, n))
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum()
    }
    let pool = pool(2);
    for _ in 0..3 {
        assert_eq!(pool.submit(inner, vec![1, 2, 3]).join().unwrap(), 14);
    }
}

fn two_pools_do_not_disturb_each_other() {
    let (one, other) = (pool(2), pool(2));
    let handle = other.submit(sum, vec![40, 2]);
    let pids: HashSet<_> = [&one, &other]
        .map(|pool| pool.submit(own_pid, ()).join().unwrap())
        .into();
    assert_eq!(pids.len(), 2);
    drop(one);
    assert_eq!(handle.join().unwrap(), 42);
    assert_eq!(other.submit(sum, vec![1]).join().unwrap(), 1);
}
