//! How do we compare? Ours and the peers on the same work, in one run, in one table.
//!
//! ```text
//!   cargo bench --bench versus                      every row, with both allocators
//!   cargo bench --bench versus -- --only spawn      the rows whose name has `spawn` in it
//!   cargo bench --bench versus -- --join A B        one table out of the JSON of two such runs
//!   cargo bench --bench versus -- --help            the rest
//! ```
//!
//! The contenders of a row take turns, round by round, so that what slows the machine down for a
//! while slows down all of them, and each round gives one ratio; the table has the median of those
//! and their quartiles. Ratio: the peer's cost divided by ours, so above 1 is a win of ours.
//!
//! ```text
//!   versus ──starts──> itself, allocator: system    ──prints samples──┐
//!          ──starts──> itself, allocator: mimalloc  ──prints samples──┤
//!                                                                     v
//!              table on stdout, target/versus.json, target/versus.svg
//! ```
//!
//! Why it starts itself: an allocator is for a whole program (`rows/allocator.rs`). What each row
//! does stands in `rows/`, what the numbers should be in `bars.rs`.
//!
//! Reading order: `options.rs`, `samples.rs` (rounds), `bars.rs`, `result.rs` (ratios, and the JSON
//! file), `table.rs`, `chart.rs`.

#[path = "../rows/mod.rs"]
mod rows;

mod bars;
mod chart;
mod machine;
mod options;
mod result;
mod samples;
mod table;

use clap::Parser as _;
use options::Options;
use result::Report;
use rows::allocator::{Chosen, VARIABLE};
use samples::{ALLOCATORS, Samples};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

fn main() {
    if rows::begin() {
        return;
    }
    let options = Options::parse();
    if options.measure {
        samples::measure(&options);
        return;
    }
    let report = if options.join.is_empty() {
        run(&options)
    } else {
        Report::joined(options.join.iter().map(|path| read(path)).collect())
    };
    print!("{}", table::draw(&report));
    let json = serde_json::to_string_pretty(&report).expect("plain data");
    write(&options.json(), &json);
    write(&options.svg(), &chart::draw(&report));
}

/// Measures with each allocator.
fn run(options: &Options) -> Report {
    let wanted = |allocator: &&str| {
        let only = options.allocator.as_deref();
        only.is_none_or(|only| only == *allocator)
    };
    let samples = ALLOCATORS
        .into_iter()
        .filter(wanted)
        .map(|allocator| (allocator.to_owned(), start(allocator)))
        .collect();
    Report::new(samples)
}

/// This program again, with an allocator.
fn start(allocator: &str) -> Vec<Samples> {
    eprintln!("measuring with the allocator: {allocator}");
    let program = env::current_exe().expect("the program has a path");
    let output = Command::new(program)
        .args(env::args_os().skip(1))
        .arg("--measure")
        .env(VARIABLE, allocator)
        .stderr(Stdio::inherit())
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "measuring ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).expect("the samples are JSON")
}

fn read(path: &Path) -> Report {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    match fs::write(path, text) {
        Ok(()) => eprintln!("wrote {}", path.display()),
        Err(error) => eprintln!("cannot write {}: {error}", path.display()),
    }
}
