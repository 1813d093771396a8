//! Lines that workers print are whole, however long and in how many parts. (Where stdout takes its time,
//! or is gone: `process_printers_wait_alone.rs`.)

mod support;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use support::{part, play_part, pool};
use tatkal_executor::{Executor, ForkServer, ProcessPool};

tests![
    parts: [
        prints_long_lines,
        prints_long_lines_to_stderr,
        prints_to_both,
        prints_and_tells_the_result,
        prints_in_c,
        prints_ten_thousand_times,
        prints_from_two_pools,
        dies_with_last_words,
        prints_in_the_middle_of_a_job,
        asks_on_stderr,
        prints_in_a_pool_of_a_job,
        prints_little_and_ends,
    ],
    long_lines_of_many_workers_are_whole,
    long_lines_on_stderr_are_whole_too,
    what_goes_to_one_file_stays_in_order,
    what_a_job_printed_is_out_before_its_result,
    what_c_prints_is_not_lost,
    ten_thousand_lines_are_neither_lost_nor_doubled,
    lines_of_two_pools_do_not_tear_each_other,
    last_words_are_written_before_the_death_is_told,
    a_line_is_out_while_its_job_goes_on,
    a_question_on_stderr_is_shown_without_its_end,
    a_pool_within_a_job_prints_as_well,
    silent_pools_have_no_thread_for_it,
    a_pool_that_has_printed_leaves_nothing,
];

const WORKERS: usize = 4;
const JOBS: usize = 12;
const LINES: usize = 6;

/// A line that says whose it is everywhere, of 100 KB or of some KB.
fn long_line(job: usize, number: usize) -> String {
    let unit = format!("{job:03}.{number:03} ");
    unit.repeat([12_500, 700, 200, 3][number % 4])
}

/// As one piece, or in many parts.
fn print_lines(out: &mut dyn Write, job: usize) {
    for number in 0..LINES {
        let line = long_line(job, number);
        if number % 2 == job % 2 {
            writeln!(out, "{line}").unwrap();
        } else {
            for part in line.as_bytes().chunks(500) {
                out.write_all(part).unwrap();
            }
            out.write_all(b"\n").unwrap();
        }
    }
}

fn assert_whole(output: &str, jobs: usize) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    output
        .lines()
        .for_each(|line| *seen.entry(line).or_default() += 1);
    for job in 0..jobs {
        for number in 0..LINES {
            let count = seen.remove(long_line(job, number).as_str());
            assert_eq!(count, Some(1), "job {job} line {number}");
        }
    }
    let torn: Vec<_> = seen
        .keys()
        .map(|line| line.get(..40).unwrap_or(line))
        .collect();
    assert!(torn.is_empty(), "torn: {torn:?}");
}

fn prints_long_lines() {
    ForkServer::start().unwrap();
    let pool = pool(WORKERS);
    let print = |job: usize| print_lines(&mut io::stdout(), job);
    assert!(pool.map(print, 0..JOBS).all(|done| done.is_ok()));
}

fn long_lines_of_many_workers_are_whole() {
    assert_whole(&play_part("prints_long_lines"), JOBS);
}

fn prints_long_lines_to_stderr() {
    ForkServer::start().unwrap();
    let pool = pool(WORKERS);
    let print = |job: usize| print_lines(&mut io::stderr(), job);
    assert!(pool.map(print, 0..JOBS).all(|done| done.is_ok()));
}

fn long_lines_on_stderr_are_whole_too() {
    let mut part = part("prints_long_lines_to_stderr");
    let output = part.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    assert_whole(&String::from_utf8(output.stderr).unwrap(), JOBS);
}

/// A pipe of ours: where it is read, and where it is written.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = io::pipe().unwrap();
    (read.into(), write.into())
}

fn prints_to_both() {
    ForkServer::start().unwrap();
    let print = |n: u32| {
        println!("{n} out");
        eprintln!("{n} err");
        println!("{n} out again");
    };
    let pool = pool(1);
    for n in 0..50 {
        pool.submit(print, n).join().unwrap();
        eprintln!("{n} is done");
    }
}

fn what_goes_to_one_file_stays_in_order() {
    let (read, write) = pipe();
    let copy = write.try_clone().unwrap();
    let mut command = part("prints_to_both");
    let mut part = command.stdout(write).stderr(copy).spawn().unwrap();
    drop(command); // with the ends that it has
    let mut output = String::new();
    File::from(read).read_to_string(&mut output).unwrap();
    assert!(part.wait().unwrap().success());
    let lines = |n: u32| format!("{n} out\n{n} err\n{n} out again\n{n} is done\n");
    assert_eq!(output, (0..50).map(lines).collect::<String>());
}

fn prints_and_tells_the_result() {
    ForkServer::start().unwrap();
    let pool = pool(2);
    for n in 0..200 {
        let print = |n: u32| match n % 4 {
            0 => println!("{n} is a line"),
            1 => print!("{n} is not | "),
            2 => print!("{n} is\nand {n} is not | "),
            _ => print!("{n} {} | ", "is long".repeat(3_000)),
        };
        pool.submit(print, n).join().unwrap();
        println!("{n} is told");
    }
}

fn what_a_job_printed_is_out_before_its_result() {
    let lines = |n: u32| {
        let printed = match n % 4 {
            0 => format!("{n} is a line\n"),
            1 => format!("{n} is not | "),
            2 => format!("{n} is\nand {n} is not | "),
            _ => format!("{n} {} | ", "is long".repeat(3_000)),
        };
        format!("{printed}{n} is told\n")
    };
    let expected: String = (0..200).map(lines).collect();
    assert!(play_part("prints_and_tells_the_result") == expected);
}

unsafe extern "C" {
    fn puts(line: *const libc::c_char) -> libc::c_int;
    fn printf(format: *const libc::c_char, ...) -> libc::c_int;
}

fn prints_in_c() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    // SAFETY: a text that ends in a NUL.
    let line = |_: u32| unsafe { puts(c"a line of C's".as_ptr()) };
    for n in 0..2 {
        pool.submit(line, n).join().unwrap();
        println!("told");
    }
    // SAFETY: a format without arguments.
    let half = |(): ()| unsafe { printf(c"half a line of C's".as_ptr()) };
    pool.submit(half, ()).join().unwrap();
}

fn what_c_prints_is_not_lost() {
    let line = "a line of C's\ntold\n";
    let expected = [line, line, "half a line of C's"].concat();
    assert_eq!(play_part("prints_in_c"), expected);
}

fn prints_ten_thousand_times() {
    ForkServer::start().unwrap();
    let pool = pool(WORKERS);
    let print = |n: u32| println!("line {n}");
    let handles: Vec<_> = (0..2_000).map(|n| pool.submit(print, n)).collect();
    assert!(pool.map(print, 2_000..10_000).all(|done| done.is_ok()));
    for handle in handles {
        handle.join().unwrap();
    }
}

fn ten_thousand_lines_are_neither_lost_nor_doubled() {
    let output = play_part("prints_ten_thousand_times");
    let number = |line: &str| line.strip_prefix("line ").unwrap().parse().unwrap();
    let mut numbers: Vec<u32> = output.lines().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10_000));
}

fn prints_from_two_pools() {
    ForkServer::start().unwrap();
    let pools = [pool(2), pool(2)];
    let print = |job: usize| print_lines(&mut io::stdout(), job);
    let jobs = (0..JOBS).map(|job| pools[job % 2].submit(print, job));
    for handle in jobs.collect::<Vec<_>>() {
        handle.join().unwrap();
    }
}

fn lines_of_two_pools_do_not_tear_each_other() {
    assert_whole(&play_part("prints_from_two_pools"), JOBS);
}

fn dies_with_last_words() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    for how in 0..50 {
        let die = |how: u32| -> () {
            println!("{how}: {}", "last words ".repeat(2_000));
            print!("{how}: half a line");
            io::stdout().flush().unwrap();
            match how % 4 {
                // SAFETY: the end of this process is what is wanted.
                0 => drop(unsafe { libc::raise(libc::SIGKILL) }),
                1 => std::process::abort(),
                2 => std::process::exit(0),
                _ => panic!(),
            }
        };
        pool.submit(die, how).join().unwrap_err();
        println!(", and dead");
    }
}

fn last_words_are_written_before_the_death_is_told() {
    let mut part = part("dies_with_last_words");
    let output = part.stderr(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    let last = "last words ".repeat(2_000);
    let words = |how| format!("{how}: {last}\n{how}: half a line, and dead\n");
    let expected: String = (0..50).map(words).collect();
    assert!(String::from_utf8(output.stdout).unwrap() == expected);
}

fn prints_in_the_middle_of_a_job() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    let print = |(): ()| {
        println!("in the middle");
        io::stdin().read_line(&mut String::new()).unwrap();
        println!("at the end");
    };
    pool.submit(print, ()).join().unwrap();
}

fn a_line_is_out_while_its_job_goes_on() {
    let mut command = part("prints_in_the_middle_of_a_job");
    let mut part = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = io::BufReader::new(part.stdout.take().unwrap());
    let mut line = String::new();
    io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "in the middle\n");
    part.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    line.clear();
    stdout.read_to_string(&mut line).unwrap();
    assert_eq!(line, "at the end\n");
    assert!(part.wait().unwrap().success());
}

fn asks_on_stderr() {
    ForkServer::start().unwrap();
    let ask = |(): ()| {
        eprint!("who is there? ");
        io::stdin().read_line(&mut String::new()).unwrap();
    };
    pool(1).submit(ask, ()).join().unwrap();
}

fn a_question_on_stderr_is_shown_without_its_end() {
    let mut command = part("asks_on_stderr");
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut part = command.spawn().unwrap();
    let mut question = [0; 14];
    let mut stderr = part.stderr.take().unwrap();
    stderr.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"who is there? ");
    part.stdin.take().unwrap().write_all(b"me\n").unwrap();
    assert!(part.wait().unwrap().success());
}

fn prints_in_a_pool_of_a_job() {
    ForkServer::start().unwrap();
    let outer = |n: u32| {
        let inner = ProcessPool::new(1).unwrap();
        inner
            .submit(|n: u32| print!("inner {n}, "), n)
            .join()
            .unwrap();
        println!("outer {n}");
    };
    let pool = pool(1);
    for n in 0..3 {
        pool.submit(outer, n).join().unwrap();
        println!("told {n}");
    }
}

fn a_pool_within_a_job_prints_as_well() {
    let lines = |n: u32| format!("inner {n}, outer {n}\ntold {n}\n");
    let expected: String = (0..3).map(lines).collect();
    assert_eq!(play_part("prints_in_a_pool_of_a_job"), expected);
}

fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap());
    names.map(|name| name.trim().to_owned()).collect()
}

fn silent_pools_have_no_thread_for_it() {
    let relays = || {
        threads()
            .iter()
            .filter(|name| *name == "tatkal-output")
            .count()
    };
    let pool = pool(2);
    assert!(pool.map(|n: u32| n, 0..1_000).all(|n| n.is_ok()));
    pool.submit(|(): ()| -> () { std::process::exit(0) }, ())
        .join()
        .unwrap_err();
    assert_eq!(relays(), 0);
    pool.submit(|(): ()| print!(""), ()).join().unwrap();
    assert_eq!(relays(), 0);
}

fn prints_little_and_ends() {
    ForkServer::start().unwrap();
    let before = support::footprint();
    for n in 0..20 {
        let pool = pool(2);
        pool.submit(|n: u32| println!("{n}"), n).join().unwrap();
        pool.submit(|n: u32| eprintln!("{n}"), n).join().unwrap();
        if n % 2 == 0 {
            drop(pool.submit(|n: u32| println!("detached {n}"), n));
        }
        drop(pool);
        println!("{n} has ended");
    }
    support::assert_nothing_is_left(&before);
}

fn a_pool_that_has_printed_leaves_nothing() {
    let mut part = part("prints_little_and_ends");
    let output = part.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    let out = |n: u32| match n % 2 {
        0 => format!("{n}\ndetached {n}\n{n} has ended\n"),
        _ => format!("{n}\n{n} has ended\n"),
    };
    let expected: String = (0..20).map(out).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let err: String = (0..20).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), err);
}
