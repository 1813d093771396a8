//! The command line of `hash`. Next: `program.rs`.

use super::job::Job;
use crate::cli::{self, Common, Refusal};
use crate::mode::Mode;
use crate::printer::Lines;
use crate::report::model::plural;
use crate::units;
use clap::Parser;
use std::ffi::OsString;

/// Enough for hours of hashing.
const MOST_JOBS: usize = 100_000;
const MOST_ROUNDS: usize = 1_000_000;

/// One buffer; each worker has one.
const LARGEST: u64 = 1 << 30;

/// Hash random bytes with SHA-256, in every concurrency mode, and compare.
#[derive(Debug, Clone, Parser)]
#[command(name = "hash", version, after_help = cli::EXIT_CODES, allow_negative_numbers = true)]
struct Arguments {
    /// How many jobs
    #[arg(long, value_name = "N", default_value = "20", value_parser = jobs)]
    jobs: usize,

    /// How many random bytes each job hashes, as 16MiB or 512KiB
    #[arg(long, default_value = "1MiB", value_parser = size, allow_hyphen_values = true)]
    size: u64,

    /// How many times each job hashes them
    #[arg(long, value_name = "N", default_value = "1", value_parser = rounds)]
    rounds: usize,

    /// Threads or processes in a pool, or threads under async-threads [default: one for each CPU]
    #[arg(short, long, value_name = "N", value_parser = cli::workers)]
    workers: Option<usize>,

    /// The same number, the same bytes [default: one at random, which is printed]
    #[arg(long, value_name = "N", value_parser = units::seed)]
    seed: Option<u64>,

    /// Run threads under one lock with CPython's rules, too
    #[arg(long)]
    gil: bool,

    /// Say of the processes where the time of their jobs went, and what each of them did
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    common: Common,
}

/// A command line that can be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The modes to run, in this order.
    pub modes: Vec<Mode>,
    /// How many jobs.
    pub jobs: usize,
    /// Bytes a job.
    pub size: usize,
    /// Times each job hashes them.
    pub rounds: usize,
    /// Threads or processes in a pool.
    pub workers: usize,
    /// What the bytes follow from.
    pub seed: u64,
    /// Is the account of the processes a part of the report?
    pub verbose: bool,
    /// Where results go.
    pub common: Common,
}

impl Options {
    /// Reads a command line, its first word being the program's name.
    ///
    /// # Errors
    /// A refusal that names the cure; its `exit()` prints it and leaves with 2.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        cli::parse(args, check)
    }

    /// What there is to do in `mode`.
    pub fn jobs_of(&self, mode: Mode, lines: Lines) -> Vec<Job> {
        let job = |index| Job {
            index,
            size: self.size,
            rounds: self.rounds,
            seed: self.seed,
            gil: mode == Mode::ThreadsGil,
            lines,
        };
        (0..self.jobs).map(job).collect()
    }

    /// `20 jobs of 1 MiB, seed 42`.
    pub fn describe(&self) -> String {
        let rounds = match self.rounds {
            1 => String::new(),
            rounds => format!(", {} each", plural(rounds, "round")),
        };
        format!(
            "{} of {}{rounds}, seed {}",
            plural(self.jobs, "job"),
            units::show_size(self.size as u64),
            self.seed
        )
    }
}

fn check(arguments: Arguments) -> Result<Options, Refusal> {
    arguments.common.check()?;
    let workers = arguments.workers.unwrap_or_else(tatkal::available_cpus);
    let options = Options {
        modes: modes(&arguments)?,
        jobs: arguments.jobs,
        size: arguments.size as usize,
        rounds: arguments.rounds,
        workers,
        // Short enough to be typed again.
        seed: arguments
            .seed
            .unwrap_or_else(|| rand::random_range(0..1_000_000)),
        verbose: arguments.verbose,
        common: arguments.common,
    };
    check_memory(&options, physical_memory())?;
    Ok(options)
}

/// With `--gil` the locked threads stand before the free ones, or in their place in the order.
fn modes(arguments: &Arguments) -> Result<Vec<Mode>, Refusal> {
    let mut modes = arguments.common.modes();
    if arguments.gil {
        let threads = modes.iter().position(|mode| *mode == Mode::Threads);
        let place = threads.ok_or_else(|| {
            Refusal::conflict(
                "--gil is a rule for threads: add --mode threads, or leave --mode out",
            )
        })?;
        modes.insert(place, Mode::ThreadsGil);
    }
    Ok(modes)
}

/// Every worker has a buffer at the same time; a machine that swaps measures nothing.
fn check_memory(options: &Options, memory: u64) -> Result<(), Refusal> {
    let busy = options.workers.min(options.jobs);
    let needed = options.size as u64 * busy as u64;
    if needed <= memory {
        return Ok(());
    }
    Err(Refusal::value(format!(
        "{busy} workers with {} each need {} of memory, and this machine has {}: \
         lower --size or --workers",
        units::show_size(options.size as u64),
        units::show_size(needed),
        units::show_size(memory),
    )))
}

fn physical_memory() -> u64 {
    let system = rustix::system::sysinfo();
    system.totalram as u64 * u64::from(system.mem_unit)
}

fn jobs(text: &str) -> Result<usize, String> {
    units::count(text, 1..=MOST_JOBS)
}

fn rounds(text: &str) -> Result<usize, String> {
    units::count(text, 1..=MOST_ROUNDS)
}

fn size(text: &str) -> Result<u64, String> {
    units::size(text, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Result<Options, String> {
        let args = ["hash"].into_iter().chain(args.split_whitespace());
        Options::from_args(args.map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_talks() {
        let options = read("").unwrap();
        assert_eq!(
            (options.jobs, options.size, options.rounds),
            (20, 1 << 20, 1)
        );
        assert_eq!(options.modes, Mode::ALL);
        assert_eq!(options.workers, tatkal::available_cpus());
    }

    #[test]
    fn gil_adds_a_mode_beside_the_truth() {
        let options = read("--gil --seed 5").unwrap();
        assert_eq!(options.modes[1..3], [Mode::ThreadsGil, Mode::Threads]);
        let lines = Lines::Nowhere;
        assert!(
            options
                .jobs_of(Mode::ThreadsGil, lines)
                .iter()
                .all(|job| job.gil)
        );
        assert!(
            options
                .jobs_of(Mode::Threads, lines)
                .iter()
                .all(|job| !job.gil)
        );
        assert!(
            options
                .jobs_of(Mode::Threads, lines)
                .iter()
                .all(|job| job.seed == 5)
        );
        let said = read("--gil --mode async").unwrap_err();
        assert!(said.contains("add --mode threads"), "{said}");
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_cure() {
        for (args, cure) in [
            ("--workers 0", "at least 1"),
            ("--workers 100000", "at most 256"),
            ("--jobs 99999999999999999999", "at most 100000"),
            ("--size 1TiB", "16MiB"),
            ("--size 4GiB", "at most 1 GiB"),
            ("--rounds 0", "at least 1"),
            ("--mode thread", "threads"),
            (
                "--mode threads-gil",
                "possible values: sequential, threads, processes, async, async-threads",
            ),
            ("--job 3", "--jobs"),
            ("extra", "unexpected argument"),
        ] {
            let said = read(args).unwrap_err();
            assert!(said.contains(cure), "{args}: {said}");
        }
    }

    #[test]
    fn more_memory_than_there_is_is_refused() {
        let options = read("--size 1GiB --workers 64 --jobs 64");
        if let Ok(options) = options {
            let said = check_memory(&options, 8 << 30).unwrap_err();
            assert!(format!("{said:?}").contains("lower --size"));
        }
        let options = read("--size 1MiB --workers 64 --jobs 2").unwrap();
        assert!(check_memory(&options, 2 << 20).is_ok(), "two at a time");
    }
}
