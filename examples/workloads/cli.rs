//! What both command lines share: modes, workers, JSON, and how a wrong line is refused.
//!
//! A refusal goes to standard error, names the cure, and exits with 2 before anything was started.
//! Next: `hash/options.rs`.

use crate::mode::Mode;
use crate::printer::Lines;
use crate::session::{Json, Output};
use crate::units;
use clap::Args;
use clap::error::ErrorKind;
use rustix::fs::Access;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// More workers than this is a slip of the pen: each is a thread or a whole process.
pub const MOST_WORKERS: usize = 256;

/// How a program ends, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    every item was done (not found is an answer)
  1    an item failed, or modes got different bytes
  2    the command line is wrong
  130  interrupted by Ctrl-C (143: by SIGTERM); the report covers what was done";

/// The options of both programs.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// How to do it; give it again for several modes, in the order in which they shall run
    /// [default: all of them]
    #[arg(long = "mode", value_enum, value_delimiter = ',', value_name = "MODE")]
    modes: Vec<Mode>,

    /// Write all that was measured as JSON to FILE; - is standard output, and the report for
    /// people then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Common {
    /// The modes to run, each once, in the order of their first mention.
    pub fn modes(&self) -> Vec<Mode> {
        if self.modes.is_empty() {
            return Mode::ALL.into();
        }
        let mut modes = Vec::new();
        for mode in &self.modes {
            if !modes.contains(mode) {
                modes.push(*mode);
            }
        }
        modes
    }

    /// Where the results go.
    pub fn output(&self, bar: bool) -> Output {
        let json = self.json.as_ref().map(|path| match path.as_os_str() {
            dash if dash == "-" => Json::Stdout,
            _ => Json::File(path.clone()),
        });
        let lines = match json {
            Some(Json::Stdout) => Lines::Stderr,
            _ => Lines::Stdout,
        };
        Output {
            lines,
            bar,
            json,
            accounts: false,
        }
    }

    /// Finds out before the run, not after it, whether the JSON can be written.
    ///
    /// # Errors
    /// A refusal when the file's folder does not exist or takes no files.
    pub fn check(&self) -> Result<(), Refusal> {
        let Some(path) = self.json.as_ref().filter(|path| path.as_os_str() != "-") else {
            return Ok(());
        };
        let refuse = |why: &str| {
            let path = path.display();
            Err(Refusal::value(format!("--json '{path}': {why}")))
        };
        if path.is_dir() || path.file_name().is_none() {
            return refuse("that is a directory; name a file in it");
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return refuse("its directory does not exist; make it first");
        }
        let written_in_place = path.exists() && !path.is_file();
        if !written_in_place && rustix::fs::access(folder, Access::WRITE_OK).is_err() {
            return refuse("its directory takes no new files");
        }
        Ok(())
    }
}

/// Reads `--workers`.
///
/// # Errors
/// A sentence that says how many there can be.
pub fn workers(text: &str) -> Result<usize, String> {
    units::count(text, 1..=MOST_WORKERS)
}

/// Why a command line that clap has read is wrong after all.
#[derive(Debug)]
pub struct Refusal {
    kind: ErrorKind,
    message: String,
}

impl Refusal {
    /// A value cannot be used.
    pub fn value(message: String) -> Self {
        let kind = ErrorKind::ValueValidation;
        Self { kind, message }
    }

    /// Two options cannot both be meant.
    pub fn conflict(message: impl Into<String>) -> Self {
        let kind = ErrorKind::ArgumentConflict;
        let message = message.into();
        Self { kind, message }
    }
}

/// Reads a command line into `P`, then lets `check` look at it as a whole.
///
/// # Errors
/// What clap or `check` refuse, in clap's words and shape. `--help` is such an error too: its
/// `exit()` prints it and leaves with 0.
pub fn parse<P: clap::Parser, O>(
    args: impl IntoIterator<Item = OsString>,
    check: impl FnOnce(P) -> Result<O, Refusal>,
) -> Result<O, clap::Error> {
    let mut command = P::command();
    let matches = command.try_get_matches_from_mut(args)?;
    let parsed = P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    check(parsed).map_err(|refusal| command.error(refusal.kind, refusal.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Just {
        #[command(flatten)]
        common: Common,
    }

    fn common(args: &[&str]) -> Common {
        let args = ["program"].iter().chain(args).map(OsString::from);
        parse(args, |just: Just| Ok(just.common)).unwrap()
    }

    #[test]
    fn modes_keep_their_order_and_stand_once() {
        assert_eq!(common(&[]).modes(), Mode::ALL);
        let modes = common(&["--mode", "async", "--mode", "threads,async"]).modes();
        assert_eq!(modes, [Mode::Async, Mode::Threads]);
        let modes = common(&["--mode", "async-threads"]).modes();
        assert_eq!(modes, [Mode::AsyncThreads]);
    }

    #[test]
    fn a_json_file_that_cannot_be_written_is_refused_before_the_run() {
        for (path, cure) in [
            ("/no/such/directory/run.json", "make it first"),
            ("/", "name a file in it"),
            ("/tmp/..", "name a file in it"),
        ] {
            let refusal = common(&["--json", path]).check().unwrap_err();
            assert!(refusal.message.contains(cure), "{}", refusal.message);
        }
        common(&["--json", "/dev/null"]).check().unwrap();
        common(&["--json", "-"]).check().unwrap();
        common(&["--json", "run.json"]).check().unwrap();
    }

    #[test]
    fn json_on_standard_output_moves_the_report_to_standard_error() {
        assert_eq!(common(&["--json", "-"]).output(false).lines, Lines::Stderr);
        assert_eq!(common(&["--json", "x"]).output(false).lines, Lines::Stdout);
    }
}
