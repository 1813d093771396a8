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
    /// An event loop and its tasks on one thread
    Async,
    /// Tasks on several threads that steal each other's work
    AsyncThreads,
}

impl Mode {
    /// What `--mode` means when it is not given, in the order of the report.
    pub const ALL: [Mode; 5] = [
        Mode::Sequential,
        Mode::Threads,
        Mode::Processes,
        Mode::Async,
        Mode::AsyncThreads,
    ];

    /// The length of the longest name.
    pub const NAME_WIDTH: usize = 13;

    /// The name on the command line, in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Sequential => "sequential",
            Mode::ThreadsGil => "threads-gil",
            Mode::Threads => "threads",
            Mode::Processes => "processes",
            Mode::Async => "async",
            Mode::AsyncThreads => "async-threads",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line_and_keep_to_the_width() {
        for mode in Mode::ALL {
            let value = mode.to_possible_value().unwrap();
            assert_eq!(value.get_name(), mode.name());
            assert!(mode.name().len() <= Mode::NAME_WIDTH);
        }
        assert!(Mode::ThreadsGil.name().len() <= Mode::NAME_WIDTH);
        assert!(Mode::ThreadsGil.to_possible_value().is_none());
    }
}
