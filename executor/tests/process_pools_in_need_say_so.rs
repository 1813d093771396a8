//! A program that is short of something (processes, descriptors, a stdin) has a pool that works all
//! the same, or that says at once what it is short of.

mod support;

use std::io::Read;
use std::os::fd::AsRawFd;
use std::process;
use support::{kill, nap, naps, own_pid, play_part, pool, until};
use tatkal_executor::{ForkServer, JoinError, Shutdown};

tests![
    parts: [
        is_refused_processes,
        lets_its_server_have_no_descriptors,
        has_no_stdin,
        has_a_file_past_its_limit,
        has_no_descriptors_for_a_while,
    ],
    when_no_process_can_be_made_the_jobs_fail_at_once,
    when_the_server_has_no_descriptors_the_jobs_fail_at_once,
    a_program_without_stdin_has_pools_too,
    a_program_that_lowered_its_limit_below_an_open_file_has_pools_too,
    when_there_are_descriptors_again_there_are_workers_again,
];

/// Sets a limit of another process.
fn limit(pid: u32, resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the limit lives on the stack; the old one is not asked for.
    let answer = unsafe { libc::prlimit(pid as i32, resource, &limit, std::ptr::null_mut()) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

fn is_refused_processes() {
    // SAFETY: plain numbers. Root is not bound by the limit, so become somebody who is.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setresuid(65_534, 65_534, 65_534), 0);
        }
    }
    let server = ForkServer::start().unwrap();
    let pool = pool(2);
    let one = pool.submit(own_pid, ()).join().unwrap();
    limit(server.pid(), libc::RLIMIT_NPROC, 0);
    // With one worker left, it does what there is to do.
    let handles: Vec<_> = (0..10).map(|_| pool.submit(own_pid, ())).collect();
    assert!(
        handles
            .into_iter()
            .all(|handle| handle.join().unwrap() == one)
    );
    // Without any, nobody can.
    kill(one, libc::SIGKILL);
    until("its end", || pool.worker_pids().is_empty());
    for _ in 0..3 {
        let handles: Vec<_> = (0..10).map(|_| pool.submit(own_pid, ())).collect();
        for handle in handles {
            match handle.join() {
                Err(JoinError::Start(error)) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn when_no_process_can_be_made_the_jobs_fail_at_once() {
    play_part("is_refused_processes");
}

fn lets_its_server_have_no_descriptors() {
    let server = ForkServer::start().unwrap();
    let pool = pool(2);
    limit(server.pid(), libc::RLIMIT_NOFILE, 3);
    match pool.submit(own_pid, ()).join() {
        // The line of the pool itself may be what did not fit.
        Err(JoinError::Start(_)) => {}
        other => panic!("{other:?}"),
    }
    process::exit(0);
}

fn when_the_server_has_no_descriptors_the_jobs_fail_at_once() {
    play_part("lets_its_server_have_no_descriptors");
}

fn has_no_stdin() {
    // SAFETY: nothing in this program reads from it.
    unsafe { libc::close(0) };
    ForkServer::start().unwrap();
    let read_nothing = |(): ()| std::io::read_to_string(std::io::stdin()).unwrap();
    let pool = pool(1);
    assert_eq!(pool.submit(read_nothing, ()).join().unwrap(), "");
    assert_eq!(pool.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
}

fn a_program_without_stdin_has_pools_too() {
    play_part("has_no_stdin");
}

fn has_a_file_past_its_limit() {
    let high = 200;
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the number is free, and nobody owns the copy behind it.
    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), high) }, high);
    limit(process::id(), libc::RLIMIT_NOFILE, 100);
    ForkServer::start().unwrap();
    let pool = pool(1);
    assert_eq!(pool.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
    drop(writer);
    // SAFETY: as above.
    unsafe { libc::close(high) };
    // Would wait for ever if the server or the worker still held the other end.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

fn a_program_that_lowered_its_limit_below_an_open_file_has_pools_too() {
    play_part("has_a_file_past_its_limit");
}

/// A soft limit of this program's own descriptors.
fn limit_own_descriptors(value: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit lives on the stack.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = value;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}

fn has_no_descriptors_for_a_while() {
    ForkServer::start().unwrap();
    for more in [1, 2] {
        let pool = pool(2);
        pool.submit(own_pid, ()).join().unwrap();
        pool.submit(nap, 600).detach();
        until("the nap", || pool.worker_pids().into_iter().all(naps));
        limit_own_descriptors(3);
        // They wait behind the nap, as there can be no other worker.
        let handles: Vec<_> = (0..more).map(|_| pool.submit(own_pid, ())).collect();
        std::thread::sleep(std::time::Duration::from_millis(20)); // for the manager to be refused
        limit_own_descriptors(1000);
        for handle in handles {
            handle.join().unwrap();
        }
        pool.kill();
        pool.shutdown(Shutdown::finish());
    }
}

fn when_there_are_descriptors_again_there_are_workers_again() {
    play_part("has_no_descriptors_for_a_while");
}
