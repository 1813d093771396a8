//! The ways of doing many things at once that the programs compare. Next: `report/`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A way of doing many things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
pub enum Mode {
    /// One after the other: the baseline
    Sequential,
    /// A pool of threads under one lock with CPython's rules; `hash --gil` adds it.
    #[value(skip)]
    ThreadsGil,
    /// A pool of threads
    Threads,
    /// A pool of forked worker processes
    Processes,
    /// An event loop on one thread
    Async,
}

impl Mode {
    /// What `--mode` means when it is not given, in the order of the report.
    pub const ALL: [Mode; 4] = [
        Mode::Sequential,
        Mode::Threads,
        Mode::Processes,
        Mode::Async,
    ];

    /// The name on the command line, in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Sequential => "sequential",
            Mode::ThreadsGil => "threads-gil",
            Mode::Threads => "threads",
            Mode::Processes => "processes",
            Mode::Async => "async",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
