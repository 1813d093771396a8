//! However many jobs, faults and pools: no process, zombie, descriptor, thread or memory is left.

mod support;

use std::fs;
use std::process;
use std::time::{Duration, Instant};
use support::{Dice, assert_nothing_is_left, footprint, is_dead, memory_kib, pool, until};
use tatkal_executor::{
    ForkServer, JoinError, JoinHandle, OnDeath, ProcessPool, Shutdown, WorkerExit,
};

tests![
    a_thousand_faults_leave_nothing,
    workers_killed_at_random_cost_only_what_they_ran,
    thousands_of_aborts_leave_nothing,
    a_hundred_pools_leave_nothing,
    a_worker_has_no_descriptors_but_its_own,
];

/// A job that ends in one of many ways, the first of which is a result.
fn fate(how: u64) -> u64 {
    match how {
        0..=4 => how,
        5 => panic!("a panic"),
        6 => process::exit(99),
        7 => process::abort(),
        // SAFETY: the end of this process is what is wanted.
        8 => unsafe { u64::from(libc::raise(libc::SIGKILL) == 0) },
        9 => process::exit(0),
        // SAFETY: none; nothing is mapped there, and the fault is what is wanted.
        10 => unsafe { libc::memset(16 as *mut libc::c_void, 0, 1) as u64 },
        // SAFETY: a stopped process costs no more than one that sleeps.
        11 => unsafe { u64::from(libc::raise(libc::SIGSTOP) == 0) },
        _ => {
            std::thread::sleep(Duration::from_secs(600)); // to be aborted, or to be late
            how
        }
    }
}

const FATES: u64 = 16;
const TO_BE_STOPPED: [u64; 2] = [11, 12];
const TO_BE_LATE: u64 = 13;

fn submit_fate(pool: &ProcessPool, how: u64) -> JoinHandle<u64> {
    match how {
        // A few milliseconds, or this would take for ever.
        TO_BE_LATE => pool
            .jobs()
            .timeout(Duration::from_millis(5))
            .submit(fate, how),
        14 => pool.jobs().on_death(OnDeath::Retry(2)).submit(fate, 6),
        15 => pool.jobs().on_death(OnDeath::Retry(1)).submit(fate, 8),
        _ => pool.submit(fate, how),
    }
}

/// Was its end the right one? How many workers it has cost, if they can be told.
fn assert_fate(how: u64, handle: JoinHandle<u64>) -> usize {
    let result = handle.join();
    let died = |is_so: fn(&WorkerExit) -> bool| match &result {
        Err(JoinError::WorkerDied(exit)) if is_so(exit) => Some(1),
        _ => None,
    };
    let costs = match (how, &result) {
        (0..=4, Ok(same)) => (*same == how).then_some(0),
        (5, Err(JoinError::Panicked(report))) => (report.message() == "a panic").then_some(0),
        (6, _) => died(|exit| exit.code == Some(99)),
        (7, _) => died(|exit| exit.signal == Some(libc::SIGABRT)),
        (8, _) => died(|exit| exit.signal == Some(libc::SIGKILL)),
        (9, _) => died(|exit| exit.code == Some(0)),
        (10, _) => died(|exit| exit.signal == Some(libc::SIGSEGV)),
        (11..=12, Err(JoinError::Cancelled)) => Some(0), // it may have been queued
        (13, Err(JoinError::TimedOut)) => Some(1),
        (14, Err(JoinError::Quarantined(deaths))) => (deaths.len() == 3).then_some(3),
        (15, Err(JoinError::Quarantined(deaths))) => (deaths.len() == 2).then_some(2),
        _ => None,
    };
    costs.unwrap_or_else(|| panic!("fate {how} became {result:?}"))
}

/// How many workers are to be lost: some, unless the environment asks for more.
fn faults_wanted() -> usize {
    std::env::var("TATKAL_TEST_FAULTS").map_or(1_000, |count| count.parse().unwrap())
}

fn a_thousand_faults_leave_nothing() {
    let before = footprint();
    let mut dice = Dice(0x0005_eed0_f7a7_ca11);
    let server = ForkServer::find().unwrap().pid();
    let pool = ProcessPool::builder()
        .workers(3)
        .grace(Duration::from_millis(2))
        .build()
        .unwrap();
    let mut warm = None;
    let mut faults = 0;
    while faults < faults_wanted() {
        let fates: Vec<u64> = (0..20).map(|_| dice.below(FATES)).collect();
        let submitted = fates.iter().map(|&how| submit_fate(&pool, how));
        let handles: Vec<_> = submitted.collect();
        for (how, handle) in fates.iter().zip(&handles) {
            if TO_BE_STOPPED.contains(how) {
                handle.abort(); // queued or running
            }
        }
        let ends = fates.into_iter().zip(handles);
        faults += ends
            .map(|(how, handle)| assert_fate(how, handle))
            .sum::<usize>();
        if warm.is_none() && faults >= faults_wanted() / 10 {
            warm = Some((memory_kib(process::id()), memory_kib(server)));
        }
    }
    let (ours, servers) = warm.unwrap();
    let (ours_now, servers_now) = (memory_kib(process::id()), memory_kib(server));
    println!(
        "{faults} workers lost; memory from {ours} to {ours_now} KiB, of the server from {servers} \
         to {servers_now} KiB"
    );
    // Between two looks an allocator may take another page or ten; leaked stacks or buffers of
    // so many dead workers would be many times that.
    assert!(ours_now < ours + 2048, "the program grew");
    assert!(servers_now < servers + 512, "the server grew");
    drop(pool);
    assert_nothing_is_left(&before);
}

/// Takes a moment, so that a kill finds somebody at work.
fn successor_after_a_while(n: u64) -> u64 {
    let end = Instant::now() + Duration::from_micros(n % 1000);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    n + 1
}

fn workers_killed_at_random_cost_only_what_they_ran() {
    let before = footprint();
    let mut dice = Dice(0x00c0_ffee);
    let pool = pool(4);
    let mut fallen = 0;
    for _ in 0..40 {
        let numbers: Vec<u64> = (0..50).map(|_| dice.below(1 << 40)).collect();
        let handles: Vec<_> = numbers
            .iter()
            .map(|&n| pool.submit(successor_after_a_while, n))
            .collect();
        // Not before somebody is at work.
        until("the first result", || {
            handles.iter().any(JoinHandle::is_finished)
        });
        let mut killed = Vec::new();
        for _ in 0..2 {
            let pids = pool.worker_pids();
            if !pids.is_empty() {
                let pid = pids[dice.below(pids.len() as u64) as usize];
                // SAFETY: a worker of ours. (Were it dead and its number given away since the
                // look, in these microseconds, this would hit a stranger: a risk of the test.)
                unsafe { libc::kill(pid as i32, libc::SIGKILL) };
                killed.push(pid);
            }
        }
        let mut fallen_now = 0;
        for (n, handle) in numbers.into_iter().zip(handles) {
            match handle.join() {
                Ok(next) => assert_eq!(next, n + 1),
                Err(JoinError::WorkerDied(exit)) => {
                    assert!(killed.contains(&exit.pid), "{exit}");
                    assert_eq!(exit.signal, Some(libc::SIGKILL));
                    fallen_now += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(
            fallen_now <= killed.len(),
            "{fallen_now} jobs for {killed:?}"
        );
        fallen += fallen_now;
    }
    assert!(fallen > 0, "80 kills, and nobody was at work");
    drop(pool);
    assert_nothing_is_left(&before);
}

/// In the queue, given in advance, just begun, running for long, just done, done.
fn thousands_of_aborts_leave_nothing() {
    let before = footprint();
    let seed = 0x000a_b047_u64;
    let mut dice = Dice(seed);
    let pool = pool(3);
    for _ in 0..100 {
        let jobs: Vec<_> = (0..40)
            .map(|_| match dice.below(10) {
                0 => (12, pool.submit(fate, 12)), // ends in no other way
                1..5 => (1, pool.submit(successor_after_a_while, dice.below(300))),
                _ => (0, pool.submit(fate, 0)),
            })
            .collect();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        for index in 0..order.len() {
            order.swap(
                index,
                index + dice.below((jobs.len() - index) as u64) as usize,
            );
        }
        // Twice: the second one finds it on its way out.
        for index in order.iter().chain(&order) {
            jobs[*index].1.abort();
        }
        for (how, handle) in jobs {
            match handle.join() {
                Err(JoinError::Cancelled) => {}
                Ok(_) if how != 12 => {}
                other => panic!("seed {seed:#x}, kind {how}: {other:?}"),
            }
        }
    }
    assert_eq!(pool.submit(fate, 3).join().unwrap(), 3);
    drop(pool);
    assert_nothing_is_left(&before);
}

fn a_hundred_pools_leave_nothing() {
    let before = footprint();
    for n in 0..100_u64 {
        let pool = pool(2);
        match n % 5 {
            0 => drop(pool), // never used
            1 => assert_eq!(pool.submit(|n: u64| n, n).join().unwrap(), n),
            2 => {
                let handles = [7, 3, 5, 14].map(|how| (how, submit_fate(&pool, how)));
                pool.shutdown(Shutdown::finish().without_waiting());
                for (how, handle) in handles {
                    assert_fate(how, handle);
                }
            }
            3 => {
                let handles = [12, 11, 0].map(|how| pool.submit(fate, how));
                pool.kill();
                for handle in handles {
                    assert!(matches!(handle.join(), Ok(0) | Err(JoinError::Cancelled)));
                }
            }
            _ => {
                let handle = pool.submit(fate, 12);
                pool.shutdown(Shutdown::cancel().without_waiting());
                handle.abort();
                assert_fate(12, handle);
            }
        }
    }
    assert_nothing_is_left(&before);
}

fn a_worker_has_no_descriptors_but_its_own() {
    fn open_fds(_: ()) -> Vec<String> {
        let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let target = |fd: fs::DirEntry| Some((fd.file_name(), fs::read_link(fd.path()).ok()?));
        let names = fds
            .filter_map(target)
            .map(|(number, target)| format!("{} {}", number.to_string_lossy(), target.display()));
        names.collect()
    }
    let mut pipe = [0; 2];
    // SAFETY: the two numbers are written by the call; the descriptors are closed below.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let neighbour = pool(2);
    neighbour.submit(fate, 0).join().unwrap();
    let pool: ProcessPool = pool(2);
    for _ in 0..3 {
        let fds = pool.submit(open_fds, ()).join().unwrap();
        // Besides stdin, stdout and stderr: the channel, four bells, stdout again, the directory that
        // is being read, and where the test was started with more files open, a plug in the place of
        // each.
        let parts = fds.iter().map(|fd| fd.split_once(' ').unwrap());
        let own = parts.clone().filter(|(number, target)| {
            number.parse::<i32>().unwrap() > 2 && *target != "/dev/null" && !target.contains("/fd")
        });
        let own: Vec<&str> = own.map(|(_, target)| target).collect();
        let [channel, bells @ .., pipe] = &own[..] else {
            panic!("{fds:?}");
        };
        assert!(channel.contains("socket:"), "{fds:?}");
        assert_eq!(bells.len(), 4, "{fds:?}");
        assert!(bells.iter().all(|bell| bell.contains("eventfd")), "{fds:?}");
        assert!(parts.clone().any(|fd| fd == ("1", *pipe)), "{fds:?}");
    }
    // SAFETY: ours, from above.
    unsafe {
        libc::close(pipe[0]);
        libc::close(pipe[1]);
    }
    let pids = [pool.worker_pids(), neighbour.worker_pids()].concat();
    drop((pool, neighbour));
    assert!(pids.into_iter().all(is_dead));
}
