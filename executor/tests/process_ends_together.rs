//! Program, fork server and workers end together, whoever is first and however it goes.

mod support;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{is_dead, kill, nap, own_pid, pids_told_by, play_part, pool, start_part, until};
use tatkal_executor::{ForkServer, JoinError, LocalExecutor, Parker, ProcessPool, Shutdown};

tests![
    parts: [
        works_in_three_ways,
        forgets_its_pool,
        exits_in_the_middle,
        loses_its_server,
        loses_its_server_before_it_has_threads,
        loses_its_server_with_an_idle_pool,
        loses_its_server_during_a_setup,
        has_threads_already,
        hears_ctrl_c,
        stops_in_order_at_ctrl_c,
        forks_by_itself,
    ],
    nothing_outlives_a_killed_program,
    nothing_outlives_a_program_killed_while_its_server_is_stopped,
    nothing_outlives_a_program_that_returns_from_main,
    nothing_outlives_a_program_that_exits_in_the_middle_of_jobs,
    without_the_server_every_job_ends_with_an_error,
    a_dead_server_is_replaced_while_there_is_one_thread,
    an_idle_pool_whose_server_dies_says_so,
    a_pool_whose_server_dies_during_a_setup_says_so,
    a_server_is_refused_where_there_are_threads,
    ctrl_c_leaves_the_workers_to_the_program,
    ctrl_c_is_one_orderly_stop_and_the_workers_are_silent,
    ctrl_c_ends_a_program_that_makes_nothing_of_it_and_the_workers_are_silent,
    a_forked_copy_of_the_program_leaves_the_pool_alone,
];

/// Prints the pids of the server and of the pool's workers.
fn tell_pids(pool: &ProcessPool) {
    let mut line = ForkServer::find().unwrap().pid().to_string();
    for pid in pool.worker_pids() {
        line += &format!(" {pid}");
    }
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

/// Three workers: one sleeps in a job, one computes, one is idle.
fn a_busy_pool() -> ProcessPool {
    ForkServer::start().unwrap();
    let pool = pool(3);
    pool.submit(nap, 600).detach();
    pool.submit(
        |(): ()| -> () {
            loop {
                std::hint::spin_loop()
            }
        },
        (),
    )
    .detach();
    pool.submit(own_pid, ()).join().unwrap();
    until("three workers", || pool.worker_pids().len() == 3);
    pool
}

fn works_in_three_ways() {
    let pool = a_busy_pool();
    tell_pids(&pool);
    nap(600);
}

fn nothing_outlives_a_killed_program() {
    let mut part = start_part("works_in_three_ways");
    let pids = pids_told_by(&mut part);
    assert_eq!(pids.len(), 4);
    part.kill().unwrap();
    part.wait().unwrap();
    until("everyone's end", || pids.iter().all(|pid| is_dead(*pid)));
}

fn nothing_outlives_a_program_killed_while_its_server_is_stopped() {
    let mut part = start_part("works_in_three_ways");
    let pids = pids_told_by(&mut part);
    kill(pids[0], libc::SIGSTOP);
    until("the stop", || support::state(pids[0]) == Some('T'));
    part.kill().unwrap();
    part.wait().unwrap();
    until("everyone's end", || pids.iter().all(|pid| is_dead(*pid)));
}

fn forgets_its_pool() {
    let pool = a_busy_pool();
    tell_pids(&pool);
    std::mem::forget(pool);
}

fn nothing_outlives_a_program_that_returns_from_main() {
    let mut part = start_part("forgets_its_pool");
    let pids = pids_told_by(&mut part);
    assert!(part.wait().unwrap().success());
    // No waiting here: the program's exit has waited, and has left no zombie to anybody.
    assert_eq!(
        pids.iter()
            .map(|pid| support::state(*pid))
            .collect::<Vec<_>>(),
        [None; 4]
    );
}

fn exits_in_the_middle() {
    let pool = a_busy_pool();
    tell_pids(&pool);
    // From another thread, while this one waits for a job.
    std::thread::spawn(|| process::exit(3));
    pool.submit(nap, 600).join().unwrap_err();
    nap(600);
}

fn nothing_outlives_a_program_that_exits_in_the_middle_of_jobs() {
    let mut part = start_part("exits_in_the_middle");
    let pids = pids_told_by(&mut part);
    assert_eq!(part.wait().unwrap().code(), Some(3));
    assert_eq!(
        pids.iter()
            .map(|pid| support::state(*pid))
            .collect::<Vec<_>>(),
        [None; 4]
    );
}

fn loses_its_server() {
    let server = ForkServer::start().unwrap();
    let pool = pool(2);
    let running = [pool.submit(nap, 600), pool.submit(nap, 600)];
    let at_work = || {
        pool.worker_pids()
            .into_iter()
            .filter(|pid| support::naps(*pid))
            .count()
    };
    until("two jobs", || at_work() == 2);
    let pids = pool.worker_pids();
    let queued: Vec<_> = (0..10).map(|_| pool.submit(own_pid, ())).collect();
    kill(server.pid(), libc::SIGKILL);
    for handle in running {
        let error = handle.join().unwrap_err();
        let known = matches!(&error, JoinError::WorkerDied(exit) if pids.contains(&exit.pid));
        assert!(known, "{error}");
    }
    for handle in queued {
        let error = handle.join().unwrap_err();
        assert!(
            matches!(error, JoinError::Start(_) | JoinError::WorkerDied(_)),
            "{error}"
        );
    }
    let late = pool.submit(own_pid, ()).join().unwrap_err();
    assert!(matches!(&late, JoinError::Start(_)), "{late}");
    assert!(late.to_string().contains("fork server is gone"), "{late}");
    // The pool's own thread is a second one. What to do about that is no cure here.
    let next = ProcessPool::new(1).unwrap_err().to_string();
    assert!(
        next.contains("fork server is gone") && !next.contains("first line of main"),
        "{next}"
    );
    drop(pool);
    // The kernel kills them, and there is no server left to say when it has.
    until("the workers' end", || pids.iter().all(|pid| is_dead(*pid)));
    // Nor is the server a zombie of ours.
    assert_eq!(support::children_of(process::id()), []);
}

fn without_the_server_every_job_ends_with_an_error() {
    play_part("loses_its_server");
}

fn loses_its_server_before_it_has_threads() {
    let first = ForkServer::start().unwrap();
    kill(first.pid(), libc::SIGKILL);
    until("its end", || ForkServer::find().is_none());
    assert_eq!(support::children_of(process::id()), []);
    let second = ForkServer::start().unwrap();
    assert_ne!(first.pid(), second.pid());
    assert_eq!(pool(1).submit(|n: u32| n + 1, 1).join().unwrap(), 2);
}

fn a_dead_server_is_replaced_while_there_is_one_thread() {
    play_part("loses_its_server_before_it_has_threads");
}

fn loses_its_server_with_an_idle_pool() {
    let server = ForkServer::start().unwrap();
    let (used, unused) = (pool(2), pool(2));
    used.submit(own_pid, ()).join().unwrap();
    kill(server.pid(), libc::SIGKILL);
    until("the server's end", || is_dead(server.pid()));
    for pool in [used, unused] {
        until("the bad news", || pool.worker_pids().is_empty());
        let error = pool.submit(own_pid, ()).join().unwrap_err();
        assert!(error.to_string().contains("fork server is gone"), "{error}");
    }
    assert_eq!(support::children_of(process::id()), []);
}

fn an_idle_pool_whose_server_dies_says_so() {
    play_part("loses_its_server_with_an_idle_pool");
}

fn loses_its_server_during_a_setup() {
    let server = ForkServer::start().unwrap();
    let setup = |(): ()| {
        nap(600);
    };
    let pool = ProcessPool::builder()
        .workers(1)
        .initializer(setup, ())
        .build()
        .unwrap();
    let handle = pool.submit(own_pid, ());
    until("the setup", || {
        pool.worker_pids()
            .first()
            .is_some_and(|pid| support::naps(*pid))
    });
    kill(server.pid(), libc::SIGKILL);
    let error = handle.join().unwrap_err();
    assert!(error.to_string().contains("fork server is gone"), "{error}");
    until("the end of the worker", || pool.worker_pids().is_empty());
    assert_eq!(pool.queued(), 0);
}

fn a_pool_whose_server_dies_during_a_setup_says_so() {
    play_part("loses_its_server_during_a_setup");
}

fn has_threads_already() {
    // One thread, but every worker would have a dead copy of what it runs.
    let error = LocalExecutor::new(Parker::new()).block_on(async { ForkServer::start() });
    assert!(error.unwrap_err().to_string().contains("runs an executor"));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    for error in [
        ForkServer::start().unwrap_err(),
        ProcessPool::new(1).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("there are 2") && text.contains("first line of main"),
            "{text}"
        );
    }
    drop(stop);
    let _ = thread.join().unwrap();
    // The kernel's list of threads may be a moment behind the join.
    until("one thread", || ForkServer::start().is_ok());
    assert_eq!(pool(1).submit(|n: u32| n + 1, 1).join().unwrap(), 2);
}

fn a_server_is_refused_where_there_are_threads() {
    play_part("has_threads_already");
}

fn hears_ctrl_c() {
    // SAFETY: ignoring a signal installs no code. The program decides to go on.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let pool = a_busy_pool();
    let handle = pool.submit(
        |(): ()| {
            nap(1);
            "done".to_owned()
        },
        (),
    );
    // SAFETY: to our own group, which `start_part` made: this program, its server, its workers.
    assert_eq!(unsafe { libc::kill(0, libc::SIGINT) }, 0);
    assert_eq!(handle.join().unwrap(), "done");
    assert_eq!(pool.worker_pids().len(), 3);
    process::exit(0); // Not waiting for the endless ones.
}

fn ctrl_c_leaves_the_workers_to_the_program() {
    play_part("hears_ctrl_c");
}

static TOLD: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    TOLD.store(true, Ordering::Relaxed);
}

fn stops_in_order_at_ctrl_c() {
    let handler = note as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    let pool = a_busy_pool();
    let handle = pool.submit(nap, 600);
    tell_pids(&pool);
    until("Ctrl-C", || TOLD.load(Ordering::Relaxed));
    pool.terminate();
    pool.shutdown(Shutdown::finish());
    assert!(handle.join().unwrap_err().is_cancelled());
    println!("stopped in order");
}

/// As a terminal does it: to the whole group. What the part then prints, and its end.
fn press_ctrl_c(name: &str) -> (String, String, process::ExitStatus) {
    let mut part = support::part(name);
    let mut part = part.stderr(process::Stdio::piped()).spawn().unwrap();
    let pids = pids_told_by(&mut part);
    assert_eq!(pids.len(), 4);
    // SAFETY: to the group that the part is in, and we are not.
    assert_eq!(unsafe { libc::kill(-(part.id() as i32), libc::SIGINT) }, 0);
    let output = part.wait_with_output().unwrap();
    until("everyone's end", || pids.iter().all(|pid| is_dead(*pid)));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status)
}

fn ctrl_c_is_one_orderly_stop_and_the_workers_are_silent() {
    let (printed, errors, status) = press_ctrl_c("stops_in_order_at_ctrl_c");
    assert_eq!(
        (printed.as_str(), errors.as_str()),
        ("stopped in order\n", "")
    );
    assert!(status.success());
}

fn ctrl_c_ends_a_program_that_makes_nothing_of_it_and_the_workers_are_silent() {
    let (printed, errors, status) = press_ctrl_c("works_in_three_ways");
    assert_eq!((printed.as_str(), errors.as_str()), ("", ""));
    assert_eq!(status.signal(), Some(libc::SIGINT));
}

fn forks_by_itself() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    let before = pool.submit(own_pid, ()).join().unwrap();
    // SAFETY: the child only drops the pool and uses what needs no lock of ours.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(pool); // Neither waits for a manager that is not here, nor dismisses the workers.
        // SAFETY: the end of the child.
        unsafe { libc::_exit(if ForkServer::find().is_none() { 42 } else { 1 }) }
    }
    let mut status = 0;
    // SAFETY: our child, and a status on the stack.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(process::ExitStatus::from_raw(status).code(), Some(42));
    assert_eq!(pool.submit(own_pid, ()).join().unwrap(), before);
}

fn a_forked_copy_of_the_program_leaves_the_pool_alone() {
    play_part("forks_by_itself");
}
