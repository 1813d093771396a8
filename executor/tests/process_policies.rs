//! What a pool was told to do when a worker dies is what it does.

mod support;

use std::path::PathBuf;
use std::process;
use support::{Trace, leave_trace, nap, own_pid, pool, until};
use tatkal_executor::{Executor, JoinError, OnDeath, ProcessPool, TrySubmitError};

tests![
    a_job_is_run_again_as_often_as_was_said,
    a_job_that_costs_too_many_workers_is_given_up_and_the_error_says_how_each_ended,
    a_retried_job_costs_no_other_job_anything,
    an_aborted_or_late_job_is_not_run_again,
    a_pool_that_is_to_break_breaks_as_a_whole,
    one_job_may_break_a_pool_whose_other_jobs_may_not,
];

/// Ends its worker the first `times` times.
fn die_at_first((trace, times): (PathBuf, u64)) -> u64 {
    leave_trace(&trace);
    let turn = std::fs::metadata(&trace).unwrap().len();
    if turn <= times {
        process::exit(turn as i32);
    }
    turn
}

fn a_job_is_run_again_as_often_as_was_said() {
    let trace = Trace::new("turns");
    let pool = pool(2);
    let tough = pool.jobs().on_death(OnDeath::Retry(3));
    let handle = tough.submit(die_at_first, (trace.path(), 3));
    assert_eq!(handle.join().unwrap(), 4);
}

fn a_job_that_costs_too_many_workers_is_given_up_and_the_error_says_how_each_ended() {
    for more in [0, 1, 4] {
        let trace = Trace::new("turns");
        let pool = ProcessPool::builder()
            .workers(2)
            .on_death(OnDeath::Retry(more))
            .build()
            .unwrap();
        let error = pool.submit(die_at_first, (trace.path(), 100)).join();
        let error = error.unwrap_err();
        let text = error.to_string();
        let JoinError::Quarantined(deaths) = error else {
            panic!("{error:?}");
        };
        let codes: Vec<_> = deaths.iter().map(|exit| exit.code.unwrap()).collect();
        assert!(codes.iter().copied().eq(1..=more as i32 + 1), "{codes:?}");
        assert_eq!(trace.count(), u64::from(more) + 1);
        assert!(
            text.contains(&format!("cost {} worker", more + 1)) && text.contains("code 1"),
            "{text}"
        );
        assert!(pool.submit(own_pid, ()).join().is_ok());
    }
}

fn a_retried_job_costs_no_other_job_anything() {
    let trace = Trace::new("turns");
    let pool = pool(2);
    let tough = pool.jobs().on_death(OnDeath::Retry(20));
    let mut handles = Vec::new();
    for n in 0..400_u64 {
        if n == 100 {
            tough.submit(die_at_first, (trace.path(), 20)).detach();
        }
        handles.push(pool.submit(|n: u64| n + 1, n));
    }
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.join().unwrap(), n + 1);
    }
    drop(pool);
    assert_eq!(trace.count(), 21);
}

fn an_aborted_or_late_job_is_not_run_again() {
    let begun = Trace::new("begun");
    let pool = ProcessPool::builder()
        .workers(1)
        .on_death(OnDeath::Retry(5))
        .build()
        .unwrap();
    let begin = |path: PathBuf| {
        leave_trace(&path);
        nap(600)
    };
    let handle = pool.submit(begin, begun.path());
    until("the job", || begun.count() == 1);
    handle.abort();
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    let brief = pool.jobs().timeout(std::time::Duration::from_millis(50));
    let handle = brief.submit(begin, begun.path());
    assert!(matches!(handle.join(), Err(JoinError::TimedOut)));
    drop(pool);
    assert!(begun.count() <= 2);
}

fn a_pool_that_is_to_break_breaks_as_a_whole() {
    let (begun, go) = (Trace::new("begun"), Trace::new("go"));
    let pool = ProcessPool::builder()
        .workers(2)
        .on_death(OnDeath::BreakPool)
        .build()
        .unwrap();
    let begin = |path: PathBuf| {
        leave_trace(&path);
        nap(600)
    };
    let running = pool.submit(begin, begun.path());
    let culprit = pool.submit(
        |go: PathBuf| {
            until("the word", || go.exists());
            process::exit(9)
        },
        go.path(),
    );
    let culprit: tatkal_executor::JoinHandle<()> = culprit;
    let waiting: Vec<_> = (0..10).map(|_| pool.submit(own_pid, ())).collect();
    until("the first job", || begun.count() == 1);
    leave_trace(&go.path());
    match culprit.join() {
        Err(JoinError::WorkerDied(exit)) => assert_eq!(exit.code, Some(9)),
        other => panic!("{other:?}"),
    }
    for handle in waiting.into_iter().chain([running]) {
        match handle.join() {
            Err(JoinError::Broken(reason)) => assert!(reason.contains("code 9"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let late = pool.submit(own_pid, ()).join();
    assert!(matches!(late, Err(JoinError::Broken(_))), "{late:?}");
    let late = pool.try_submit(own_pid, ());
    assert!(matches!(late, Err(TrySubmitError::Closed(()))));
}

fn one_job_may_break_a_pool_whose_other_jobs_may_not() {
    let pool = pool(2);
    let fatal = pool.jobs().on_death(OnDeath::BreakPool);
    let die = |(): ()| -> () { process::abort() };
    assert!(matches!(
        pool.submit(die, ()).join(),
        Err(JoinError::WorkerDied(_))
    ));
    assert!(fatal.map(|n: u32| n, 0..10).all(|result| result.is_ok()));
    assert!(matches!(
        fatal.submit(die, ()).join(),
        Err(JoinError::WorkerDied(_))
    ));
    assert!(matches!(
        pool.submit(own_pid, ()).join(),
        Err(JoinError::Broken(_))
    ));
}
