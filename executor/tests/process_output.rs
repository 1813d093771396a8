//! What workers print: whole lines, out before the result, neither lost nor doubled. (Long ones:
//! `process_printed_lines.rs`; stdouts that take their time or are gone: `process_printers_wait_alone.rs`.)

mod support;

use std::collections::HashMap;
use std::ffi::c_char;
use std::io::Write;
use support::{play_part, pool};
use tatkal_executor::{ForkServer, JoinError};

tests![
    parts: [
        prints_from_many_workers,
        prints_before_the_server_starts,
        dies_while_it_prints,
        panics_with_a_backtrace,
    ],
    lines_of_many_workers_are_whole_and_each_comes_once,
    what_was_buffered_before_the_start_is_printed_once,
    what_was_flushed_before_a_death_is_not_lost,
    a_backtrace_travels_when_it_is_asked_for,
];

const WORKERS: usize = 4;
const JOBS: usize = 40;
const LINES: usize = 25;

/// Lines as long as std's buffer lets pass in one piece, and shorter.
fn line(job: usize, number: usize) -> String {
    format!(
        "job {job} line {number} {}",
        "=".repeat((job * 31 + number * 17) % 900)
    )
}

fn prints_from_many_workers() {
    ForkServer::start().unwrap();
    let pool = pool(WORKERS);
    let print = |job: usize| {
        for number in 0..LINES {
            let line = line(job, number);
            let (start, end) = line.split_at(line.len() / 2);
            println!("{start}{end}");
        }
        print!("job {job} has no more"); // No line end: out with the result all the same.
    };
    let handles: Vec<_> = (0..JOBS).map(|job| pool.submit(print, job)).collect();
    for handle in handles {
        handle.join().unwrap();
    }
}

fn lines_of_many_workers_are_whole_and_each_comes_once() {
    let output = play_part("prints_from_many_workers");
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut rest = output.as_str();
    // A piece without a line end may stand before a line, and is cut off it.
    let last_words: Vec<String> = (0..JOBS)
        .map(|job| format!("job {job} has no more"))
        .collect();
    while !rest.is_empty() {
        let piece = last_words
            .iter()
            .rev()
            .find(|words| rest.starts_with(words.as_str()));
        let (piece, after) = match piece {
            Some(piece) => rest.split_at(piece.len()),
            None => rest.split_once('\n').expect("a line ends"),
        };
        *seen.entry(piece).or_default() += 1;
        rest = after;
    }
    for (job, last_words) in last_words.iter().enumerate() {
        for number in 0..LINES {
            assert_eq!(
                seen.remove(line(job, number).as_str()),
                Some(1),
                "job {job} line {number}"
            );
        }
        assert_eq!(seen.remove(last_words.as_str()), Some(1));
    }
    assert!(seen.is_empty(), "torn: {seen:?}");
}

unsafe extern "C" {
    /// C's formatted printing: into a buffer of its own.
    fn printf(format: *const c_char, ...) -> i32;
}

fn prints_before_the_server_starts() {
    print!("rust once, ");
    // SAFETY: a format without arguments.
    unsafe { printf(c"c once, ".as_ptr()) };
    ForkServer::start().unwrap();
    let pool = pool(2);
    for _ in 0..3 {
        let handles: Vec<_> = (0..4)
            .map(|n| pool.submit(|_: u32| print!("job, "), n))
            .collect();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
        pool.submit(|(): ()| -> () { std::process::exit(0) }, ())
            .join()
            .unwrap_err();
    }
}

fn what_was_buffered_before_the_start_is_printed_once() {
    let output = play_part("prints_before_the_server_starts");
    assert_eq!(output.matches("rust once").count(), 1, "{output}");
    assert_eq!(output.matches("c once").count(), 1, "{output}");
    assert_eq!(output.matches("job, ").count(), 12, "{output}");
}

fn dies_while_it_prints() {
    ForkServer::start().unwrap();
    let pool = pool(1);
    for abort in [false, true] {
        let handle = pool.submit(
            |abort: bool| -> () {
                println!("a whole line");
                print!("half a line, ");
                if abort {
                    std::io::stdout().flush().unwrap();
                    std::process::abort();
                }
                std::process::exit(0); // std flushes here
            },
            abort,
        );
        handle.join().unwrap_err();
    }
}

fn what_was_flushed_before_a_death_is_not_lost() {
    let output = play_part("dies_while_it_prints");
    assert_eq!(
        output,
        "a whole line\nhalf a line, a whole line\nhalf a line, "
    );
}

#[inline(never)]
fn a_frame_of_the_job(n: u32) -> u32 {
    assert!(std::hint::black_box(n) != 7, "not seven");
    n
}

fn panics_with_a_backtrace() {
    ForkServer::start().unwrap();
    let Err(JoinError::Panicked(report)) = pool(1).submit(a_frame_of_the_job, 7).join() else {
        panic!("it did not panic");
    };
    assert_eq!(report.message(), "not seven");
    println!("{}", report.backtrace().unwrap_or("none"));
}

fn a_backtrace_travels_when_it_is_asked_for() {
    let play = |setting: &str| {
        let part = "panics_with_a_backtrace";
        let output = support::part(part)
            .env("RUST_BACKTRACE", setting)
            .env_remove("RUST_LIB_BACKTRACE")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(play("0"), "none\n");
    let backtrace = play("1");
    assert!(backtrace.contains("a_frame_of_the_job"), "{backtrace}");
}
