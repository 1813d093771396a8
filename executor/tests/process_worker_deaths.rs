//! However a worker dies: its one job fails with the true reason, and nothing else is touched.

mod support;

use std::fs;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::process;
use std::time::Duration;
use support::{kill, nap, own_pid, pool, until};
use tatkal_executor::{ForkServer, JoinError, JoinHandle, ProcessPool, WorkerExit};

tests![
    a_worker_killed_in_a_job_costs_that_job_alone,
    every_way_to_die_is_told_truly,
    a_worker_killed_while_idle_costs_nothing,
    a_job_that_waited_at_a_dead_worker_runs_elsewhere,
    a_worker_killed_while_it_starts_costs_nothing,
    a_worker_that_dies_in_the_middle_of_its_answer_costs_that_job_alone,
    a_worker_that_talks_nonsense_costs_its_job_alone,
    garbage_all_over_the_board_harms_nobody_else,
    zeros_all_over_the_head_of_the_board_are_heard_of,
    a_worker_that_closes_its_channel_costs_its_job_alone,
    a_death_is_seen_though_a_grandchild_holds_the_channel,
    a_stopped_worker_does_not_hold_up_the_end,
    jobs_are_failed_when_no_worker_lives_long_enough,
    a_dead_worker_s_answer_counts_if_it_was_whole,
];

/// How the worker died whose job this was.
fn exit_of<T: std::fmt::Debug>(handle: JoinHandle<T>) -> WorkerExit {
    match handle.join() {
        Err(JoinError::WorkerDied(exit)) => exit,
        other => panic!("expected a dead worker, got {other:?}"),
    }
}

/// A job that runs until its worker is killed, and that worker.
fn running_job(pool: &ProcessPool) -> (JoinHandle<u32>, u32) {
    let known = pool.worker_pids();
    let handle = pool.submit(nap, 600);
    let new = || {
        pool.worker_pids()
            .into_iter()
            .find(|pid| !known.contains(pid))
    };
    until("a worker", || new().is_some());
    let pid = new().unwrap();
    until("its nap", || support::naps(pid));
    (handle, pid)
}

fn a_worker_killed_in_a_job_costs_that_job_alone() {
    let pool = pool(3);
    let (handle, pid) = running_job(&pool);
    let others: Vec<_> = (0..20).map(|_| pool.submit(nap, 0)).collect();
    kill(pid, libc::SIGKILL);
    let exit = exit_of(handle);
    assert_eq!(
        (exit.pid, exit.signal, exit.code, exit.limit),
        (pid, Some(libc::SIGKILL), None, None)
    );
    for other in others {
        assert_ne!(other.join().unwrap(), pid);
    }
    let again: Vec<_> = (0..20).map(|_| pool.submit(nap, 0)).collect();
    assert!(again.into_iter().all(|handle| handle.join().is_ok()));
}

fn every_way_to_die_is_told_truly() {
    fn die(how: u8) {
        match how {
            0 => process::exit(0),
            1 => process::exit(99),
            2 => process::abort(),
            // SAFETY: the end of this process is what is wanted.
            3 => unsafe { libc::_exit(255) },
            // SAFETY: as above.
            4 => unsafe { assert_eq!(libc::kill(libc::getpid(), libc::SIGTERM), 0) },
            5 => overflow(&mut [0; 512]),
            // SAFETY: none; nothing is mapped there, and the fault is what is wanted.
            _ => unsafe { assert!(libc::memset(16 as *mut libc::c_void, 0, 1).is_null()) },
        }
        // A signal may take a moment.
        std::thread::sleep(Duration::from_secs(600));
    }
    #[allow(unconditional_recursion)]
    fn overflow(frame: &mut [u8; 512]) {
        let mut next = [frame[0].wrapping_add(1); 512];
        overflow(std::hint::black_box(&mut next));
        std::hint::black_box(&mut next);
    }
    let pool = pool(2);
    let deaths = [
        (None, Some(0)),
        (None, Some(99)),
        (Some(libc::SIGABRT), None),
        (None, Some(255)),
        (Some(libc::SIGTERM), None),
        (Some(libc::SIGABRT), None), // std's handler tells the overflow, and aborts
        (Some(libc::SIGSEGV), None),
    ];
    for (how, death) in (0..).zip(deaths) {
        let exit = exit_of(pool.submit(die, how));
        assert_eq!((exit.signal, exit.code), death, "case {how}");
        assert!(pool.submit(own_pid, ()).join().is_ok());
    }
}

fn a_worker_killed_while_idle_costs_nothing() {
    let pool = pool(1);
    for _ in 0..50 {
        let pid = pool.submit(own_pid, ()).join().unwrap();
        kill(pid, libc::SIGKILL);
        // At once: the pool may not have noticed, and may give it the job.
        assert_ne!(pool.submit(own_pid, ()).join().unwrap(), pid);
    }
}

fn a_job_that_waited_at_a_dead_worker_runs_elsewhere() {
    let pool = pool(1);
    for _ in 0..20 {
        let (handle, pid) = running_job(&pool);
        // With one worker, the next job is given to it in advance; the others are queued.
        let waiting: Vec<_> = (0..3).map(|_| pool.submit(own_pid, ())).collect();
        kill(pid, libc::SIGKILL);
        assert_eq!(exit_of(handle).pid, pid);
        for handle in waiting {
            assert_ne!(handle.join().unwrap(), pid);
        }
        kill(pool.worker_pids()[0], libc::SIGKILL);
        until("the idle worker's end", || pool.worker_pids().is_empty());
    }
}

fn a_worker_killed_while_it_starts_costs_nothing() {
    let server = ForkServer::find().unwrap().pid();
    for round in 0..50 {
        let before = support::children_of(server);
        let pool = pool(1);
        let handle = pool.submit(|n: u32| n, round);
        let newborn = || {
            support::children_of(server)
                .into_iter()
                .find(|pid| !before.contains(pid))
        };
        until("a new worker", || {
            newborn().is_some() || handle.is_finished()
        });
        if let Some(pid) = newborn() {
            kill(pid, libc::SIGKILL);
        }
        // It may have got as far as the job, and then the job is what the kill costs.
        match handle.join() {
            Ok(n) => assert_eq!(n, round),
            Err(JoinError::WorkerDied(exit)) => assert_eq!(exit.signal, Some(libc::SIGKILL)),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(pool.submit(|n: u32| n, 7).join().unwrap(), 7);
    }
}

/// The worker's end of its channel: its one socket. Open until the worker's end.
fn channel() -> ManuallyDrop<fs::File> {
    let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let socket = fds.filter(|fd| {
        let target = fs::read_link(fd.path()).unwrap_or_default();
        let number: i32 = fd.file_name().to_str().unwrap().parse().unwrap();
        number > 2 && target.to_string_lossy().starts_with("socket:")
    });
    let number = socket
        .last()
        .unwrap()
        .file_name()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    // SAFETY: open; and whoever damages a worker's channel wants exactly that.
    ManuallyDrop::new(unsafe { fs::File::from_raw_fd(number) })
}

/// The worker's board, as a job finds it that looks for it: where it is mapped.
fn board() -> *mut u8 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("tatkal-board"));
    let start = line.unwrap().split('-').next().unwrap();
    usize::from_str_radix(start, 16).unwrap() as *mut u8
}

/// Writes into the slot of job `number`, at `offset`.
fn scribble(number: usize, offset: usize, value: u64) {
    // SAFETY: within the board, which is the worker's; a mad one is what is wanted. Three pairs of
    // cache lines come before the 128 slots of as many bytes each.
    unsafe {
        board()
            .add(3 * 128 + number % 128 * 128 + offset)
            .cast::<u64>()
            .write_volatile(value)
    }
}

/// The slot's word, kind and length, and where its bytes begin.
const WORD: usize = 0;
const KIND_AND_LENGTH: usize = 8;
const BYTES: usize = 40;

/// The word for an answer to job `number`.
fn answered(number: u64) -> u64 {
    number << 2 | 3
}

fn a_worker_that_dies_in_the_middle_of_its_answer_costs_that_job_alone() {
    fn part_of_an_answer(steps: usize) {
        let parts = [
            (BYTES, 7),
            (KIND_AND_LENGTH, 2),
            (KIND_AND_LENGTH, 2 | 1 << 32),
        ];
        for (offset, value) in &parts[..steps] {
            scribble(1, *offset, *value);
        }
        // SAFETY: the end of this process is what is wanted.
        unsafe { libc::_exit(7) }
    }
    for steps in 0..=3 {
        let pool = pool(1);
        let exit = exit_of(pool.submit(part_of_an_answer, steps));
        assert_eq!(exit.code, Some(7), "{steps} steps");
        assert!(pool.submit(own_pid, ()).join().is_ok());
    }
}

fn a_worker_that_talks_nonsense_costs_its_job_alone() {
    fn nonsense((kind_and_length, word): (u64, u64)) {
        scribble(1, KIND_AND_LENGTH, kind_and_length);
        scribble(1, WORD, word);
        nap(600);
    }
    let nonsense_of = |kind_and_length| {
        let pool = pool(2);
        let handle = pool.submit(nonsense, (kind_and_length, answered(1)));
        // Nobody rings for it: it is seen with the next answer.
        until("the end of the madness", || {
            pool.submit(own_pid, ()).join().is_ok() && handle.is_finished()
        });
        assert_eq!(exit_of(handle).signal, Some(libc::SIGKILL));
        assert!(pool.submit(own_pid, ()).join().is_ok());
    };
    nonsense_of(0);
    nonsense_of(1); // Job is no answer
    nonsense_of(77);
    nonsense_of(2 | u64::from(u32::MAX) << 32);
    nonsense_of(2 | (1 << 20) << 32); // a long answer, and no memory comes with it
}

fn garbage_all_over_the_board_harms_nobody_else() {
    fn fill(seed: u64) {
        let mut dice = support::Dice(seed);
        for number in 0..128 {
            for offset in [WORD, KIND_AND_LENGTH, 16, 24, BYTES] {
                scribble(number, offset, dice.below(u64::MAX));
            }
        }
    }
    for seed in 1..=60 {
        let pool = pool(2);
        let mad = pool.submit(fill, seed);
        let others: Vec<_> = (0..50).map(|n: u32| pool.submit(|n: u32| n, n)).collect();
        // Its own answer is written after the garbage. Then its worker finds the garbage and leaves;
        // unless the pool has found it before.
        match mad.join() {
            Ok(()) => {}
            Err(JoinError::WorkerDied(exit)) => assert_eq!(exit.signal, Some(libc::SIGKILL)),
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
        for (n, other) in (0..).zip(others) {
            let result = other.join();
            assert_eq!(result.unwrap(), n, "seed {seed}");
        }
    }
}

/// Where the two say whom to wake. Whoever waits for the job still hears of its end.
fn zeros_all_over_the_head_of_the_board_are_heard_of() {
    fn clear(_: ()) {
        // SAFETY: within the board, as in `scribble`; no other process writes so much.
        unsafe { board().write_bytes(0, 3 * 128) }
    }
    for attends in [false, true] {
        let pool = pool(1);
        let mad = pool.submit(clear, ());
        match attends {
            false => until("its end", || mad.is_finished()),
            true => mad.join().unwrap(),
        }
        assert!(pool.submit(own_pid, ()).join().is_ok());
    }
}

fn a_worker_that_closes_its_channel_costs_its_job_alone() {
    let pool = pool(1);
    let handle = pool.submit(
        |(): ()| {
            drop(ManuallyDrop::into_inner(channel()));
            nap(600)
        },
        (),
    );
    assert_eq!(exit_of(handle).signal, Some(libc::SIGKILL));
    assert!(pool.submit(own_pid, ()).join().is_ok());
}

fn a_death_is_seen_though_a_grandchild_holds_the_channel() {
    fn leave_a_child(_: ()) -> u32 {
        // SAFETY: the child only sleeps, and dies with its parent: it is a test.
        unsafe {
            if libc::fork() == 0 {
                libc::alarm(60);
                libc::pause();
            }
            libc::_exit(5)
        }
    }
    let pool = pool(1);
    assert_eq!(exit_of(pool.submit(leave_a_child, ())).code, Some(5));
    assert!(pool.submit(own_pid, ()).join().is_ok());
}

fn a_stopped_worker_does_not_hold_up_the_end() {
    let pool = pool(2);
    let pid = pool.submit(own_pid, ()).join().unwrap();
    kill(pid, libc::SIGSTOP);
    until("the stop", || support::state(pid) == Some('T'));
    drop(pool);
    assert!(support::is_dead(pid));
}

fn jobs_are_failed_when_no_worker_lives_long_enough() {
    let server = ForkServer::find().unwrap().pid();
    let pool = pool(1);
    let others = support::children_of(server);
    let handle = pool.submit(own_pid, ());
    // A killer that is faster than any worker: no job can begin, so none can be blamed.
    until("an end of it", || {
        for pid in support::children_of(server) {
            if !others.contains(&pid) {
                // SAFETY: a signal to a child of our server; it may be gone already.
                unsafe { libc::kill(pid as i32, libc::SIGKILL) };
            }
        }
        handle.is_finished()
    });
    match handle.join() {
        Err(JoinError::Start(error)) => assert!(error.to_string().contains("signal 9"), "{error}"),
        Err(JoinError::WorkerDied(_)) | Ok(_) => {} // One of them was faster than the killer.
        Err(other) => panic!("{other}"),
    }
    assert!(pool.submit(own_pid, ()).join().is_ok());
}

fn a_dead_worker_s_answer_counts_if_it_was_whole() {
    fn answer_and_die(_: ()) {
        scribble(1, KIND_AND_LENGTH, 2); // Done, with no bytes: ()
        scribble(1, WORD, answered(1));
        process::abort();
    }
    let pool = pool(1);
    pool.submit(answer_and_die, ()).join().unwrap();
    assert!(pool.submit(own_pid, ()).join().is_ok());
}
