//! Whoever prints waits for the program's stdout, or hears that it is gone; nobody else does.

mod support;

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Trace, part, play_part, pool, start_part, until};
use tatkal_executor::{Executor, ForkServer, JoinError, ProcessPool, Shutdown};

tests![
    parts: [
        holds_the_lock_of_stdout,
        leaves_somebody_behind,
        prints_to_nobody,
        prints_against_a_wall,
        is_killed_against_a_wall,
    ],
    a_main_that_holds_stdout_gets_its_results,
    a_child_of_a_dead_worker_does_not_keep_the_pool,
    a_broken_stdout_is_an_error_of_the_next_print,
    a_stdout_that_nobody_reads_stops_nobody_else,
    a_pool_that_nobody_reads_can_be_killed,
];

fn holds_the_lock_of_stdout() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    let mut stdout = io::stdout().lock();
    pool.submit(|(): ()| print!("the job | "), ())
        .join()
        .unwrap();
    writeln!(stdout, "the program").unwrap();
}

fn a_main_that_holds_stdout_gets_its_results() {
    let output = play_part("holds_the_lock_of_stdout");
    assert_eq!(output, "the job | the program\n");
}

/// A process that has this one's stdout. When the one file is there it prints, and makes the other.
fn start_child((go, done): (std::path::PathBuf, std::path::PathBuf)) -> u32 {
    let (go, done) = (go.display(), done.display());
    let script = format!(
        "while ! test -e {go}; do sleep 0.01; done
        printf 'a line of a child\nand a half, '; echo > {done}; exec sleep 600"
    );
    let child = Command::new("sh").arg("-c").arg(script).spawn();
    child.unwrap().id()
}

fn leaves_somebody_behind() {
    ForkServer::start().unwrap();
    let (pool, go, done) = (pool(1), Trace::new("child-go"), Trace::new("child-done"));
    let child = pool.submit(start_child, (go.path(), done.path()));
    let child = child.join().unwrap();
    let exit = |(): ()| -> () {
        println!("a line");
        std::process::exit(3)
    };
    pool.submit(exit, ()).join().unwrap_err();
    println!("told");
    support::leave_trace(&go.path());
    until("the child has printed", || done.count() > 0);
    pool.submit(|(): ()| println!("another line"), ())
        .join()
        .unwrap();
    drop(pool);
    println!("gone");
    support::kill(child, libc::SIGKILL);
}

fn a_child_of_a_dead_worker_does_not_keep_the_pool() {
    let output = play_part("leaves_somebody_behind");
    // Of the two processes neither waits for the other.
    let lines = output.replace("another line\n", "");
    assert_eq!(lines, "a line\ntold\na line of a child\nand a half, gone\n");
    assert!(output.contains("another line\n"));
}

/// Prints until that fails. (Panics do not get to stdout.)
fn print_until_it_fails(_: u32) -> String {
    let fails = || (0..1_000_000).find_map(|_| writeln!(io::stdout(), "is anybody there?").err());
    fails().map_or_else(String::new, |error| error.to_string())
}

fn prints_to_nobody() {
    ForkServer::start().unwrap();
    let pool = pool(2);
    until("nobody reads", || {
        let line = pool.submit(|(): ()| writeln!(io::stdout(), "a line").is_ok(), ());
        !line.join().unwrap()
    });
    for n in 0..4 {
        let error = pool.submit(print_until_it_fails, n).join().unwrap();
        assert!(error.contains("Broken pipe"), "{error}");
        // And whoever does not mind goes on.
        assert_eq!(pool.submit(|n: u32| n + 1, n).join().unwrap(), n + 1);
    }
    let panics = pool.submit(|(): ()| (0..100_000).for_each(|_| println!("hello?")), ());
    assert!(matches!(panics.join(), Err(JoinError::Panicked(_))));
}

fn a_broken_stdout_is_an_error_of_the_next_print() {
    let mut part = start_part("prints_to_nobody");
    drop(part.stdout.take());
    assert!(part.wait().unwrap().success());
}

/// In a program whose stdout nobody reads: a job that fills it, and is not done with that.
fn hit_the_wall(pool: &ProcessPool, trace: &Trace) -> tatkal_executor::JoinHandle<()> {
    let print = |path: std::path::PathBuf| -> () {
        for n in 0.. {
            println!("{n} {}", "against a wall ".repeat(200));
            std::fs::write(&path, n.to_string()).unwrap();
        }
    };
    let handle = pool.submit(print, trace.path());
    // It has come to the wall when it gets no further for a while.
    let count = || std::fs::read_to_string(trace.path()).unwrap_or_default();
    let mut last = (String::new(), Instant::now());
    while last.0.is_empty() || last.1.elapsed() < Duration::from_millis(300) {
        let now = count();
        if now != last.0 {
            last = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    handle
}

fn prints_against_a_wall() {
    ForkServer::start().unwrap();
    let trace = Trace::new("wall");
    let pool = pool(2);
    let printer = hit_the_wall(&pool, &trace);
    // Silent jobs run, one by one and by the handful; and die, and are told so.
    for n in 0..100 {
        assert_eq!(pool.submit(|n: u32| n + 1, n).join().unwrap(), n + 1);
    }
    assert!(pool.map(|n: u32| n, 0..1_000).all(|n| n.is_ok()));
    let die = pool.submit(|(): ()| -> () { std::process::exit(7) }, ());
    assert!(matches!(die.join(), Err(JoinError::WorkerDied(_))));
    assert_eq!(pool.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
    // Another pool's silent jobs, and what goes to stderr.
    let other = support::pool(1);
    other
        .submit(|(): ()| eprintln!("stderr is free"), ())
        .join()
        .unwrap();
    assert_eq!(other.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
    drop(other);
    // The one that prints can be stopped.
    printer.abort();
    assert!(matches!(printer.join(), Err(JoinError::Cancelled)));
    drop((pool, trace));
    eprintln!("done");
    std::process::exit(0);
}

fn with_a_wall(name: &str) -> String {
    let mut command = part(name);
    let (_nobody_reads, wall) = io::pipe().unwrap();
    command.stdout(wall).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn a_stdout_that_nobody_reads_stops_nobody_else() {
    assert_eq!(
        with_a_wall("prints_against_a_wall"),
        "stderr is free\ndone\n"
    );
}

fn is_killed_against_a_wall() {
    ForkServer::start().unwrap();
    let trace = Trace::new("killed-at-wall");
    let pool = pool(2);
    let printer = hit_the_wall(&pool, &trace);
    pool.kill();
    assert!(matches!(printer.join(), Err(JoinError::Cancelled)));
    pool.shutdown(Shutdown::finish());
    drop(trace);
    eprintln!("ended");
    std::process::exit(0);
}

fn a_pool_that_nobody_reads_can_be_killed() {
    assert_eq!(with_a_wall("is_killed_against_a_wall"), "ended\n");
}
