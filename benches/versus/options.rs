//! The command line.

use crate::samples::ALLOCATORS;
use clap::Parser;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// Ours and the peers on the same work, interleaved, in one table.
#[derive(Parser)]
pub struct Options {
    /// Only rows that have this in their name, which is as in the table: "yield", "(2)"; may be
    /// given more than once
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Vec<String>,

    /// How often the contenders of a row take turns
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Fewer and shorter rounds: for a look, not for a claim
    #[arg(long)]
    quick: bool,

    /// With this allocator only
    #[arg(long, value_parser = ALLOCATORS)]
    pub allocator: Option<String>,

    /// Where to write the numbers [default: target/versus.json]
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,

    /// Where to draw the chart [default: target/versus.svg]
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,

    /// Measure nothing: put the JSON files of earlier runs together
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub join: Vec<PathBuf>,

    /// What cargo calls every bench with
    #[arg(long, hide = true)]
    bench: bool,

    /// Print samples and no table: what the program starts itself with
    #[arg(long, hide = true)]
    pub measure: bool,
}

impl Options {
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 5 } else { 15 })
    }

    /// How long a contender's turn should be.
    pub fn turn(&self) -> Duration {
        Duration::from_millis(if self.quick { 10 } else { 40 })
    }

    /// After how long a row has no further round.
    pub fn row_limit(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 8 })
    }

    pub fn json(&self) -> PathBuf {
        self.json.clone().unwrap_or_else(|| target("versus.json"))
    }

    pub fn svg(&self) -> PathBuf {
        self.svg.clone().unwrap_or_else(|| target("versus.svg"))
    }
}

/// A file in cargo's target directory: the program is in `target/release/deps/`.
fn target(file: &str) -> PathBuf {
    let program = env::current_exe().expect("the program has a path");
    let directory = program.ancestors().nth(3);
    directory.expect("it lies in a target directory").join(file)
}
