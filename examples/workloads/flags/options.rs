//! The command line of `flags`. Next: `job.rs`.

use super::countries::{self, Country};
use super::targets::{self, Target};
use crate::cli::{self, Common, Refusal};
use crate::http::{Tls, Url};
use crate::mode::Mode;
use crate::server;
use crate::units;
use clap::Parser;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where the talk's server keeps its flags.
const PATH: &str = "/download/{name}/flag-jpg-small.jpg";

/// What the talk waits for an answer.
const TIMEOUT: &str = "3.1s";

/// How many downloads async starts at once unless told otherwise: plenty for a loop on one thread,
/// and no more than a stranger's server can be asked to bear.
const DEFAULT_CONCURRENCY: usize = 100;
const MOST_CONCURRENCY: usize = 1000;

const MOST_RETRIES: usize = 20;

/// CPython's default for a pool of threads: work that waits wants more threads than CPUs.
fn default_workers(flags: usize) -> usize {
    (tatkal::available_cpus() + 4).min(32).min(flags).max(1)
}

/// Download country flags, in every concurrency mode, and compare.
#[derive(Debug, Clone, Parser)]
#[command(name = "flags", version, after_help = cli::EXIT_CODES, allow_negative_numbers = true)]
struct Arguments {
    /// Countries by name or two-letter code, as `yemen` or `ye`
    /// [default: yemen zambia vietnam venezuela ukraine]
    #[arg(value_name = "COUNTRY", value_parser = country)]
    countries: Vec<&'static Country>,

    /// Every flag there is
    #[arg(short, long, conflicts_with_all = ["countries", "every"])]
    all: bool,

    /// All 676 pairs of letters, most of which are no country
    #[arg(short, long, conflicts_with = "countries")]
    every: bool,

    /// No more than the first N of them
    #[arg(short, long, value_name = "N", value_parser = limit)]
    limit: Option<usize>,

    /// How many downloads the async modes have under way at once [default: all, up to 100]
    #[arg(short, long, value_name = "N", value_parser = concurrency)]
    max_concurrency: Option<usize>,

    /// Threads or processes in a pool, or threads under async-threads [default: 4 more than there
    /// are CPUs, up to 32, and no more than there are flags; async-threads: one for each CPU]
    #[arg(short, long, value_name = "N", value_parser = cli::workers)]
    workers: Option<usize>,

    /// Who is asked: a server inside this program (local; delay: answers after 0.5 to 5 s; error:
    /// a quarter of the answers are errors) or the one at a URL
    #[arg(short, long, value_name = "local|delay|error|URL", default_value = "local", value_parser = peer)]
    server: Peer,

    /// Where on the server a flag is; {name} and {cc} are filled in
    #[arg(long, value_name = "TEMPLATE", default_value = PATH, value_parser = template)]
    path: String,

    /// How long the embedded server waits before each answer [default: 200ms]
    #[arg(long, value_parser = units::duration, allow_hyphen_values = true)]
    delay: Option<Duration>,

    /// Which share of the embedded server's answers are errors, as 0.25 or 25%
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    error_rate: Option<f64>,

    /// The same number, the same delays and errors, in every mode and every run [default: 0]
    #[arg(long, value_name = "N", value_parser = units::seed)]
    seed: Option<u64>,

    /// How long one request may take
    #[arg(long, default_value = TIMEOUT, value_parser = units::positive_duration, allow_hyphen_values = true)]
    timeout: Duration,

    /// How many times a failed request is made again
    #[arg(long, value_name = "N", default_value = "0", value_parser = retries)]
    retries: usize,

    /// Trust the certificates in FILE (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Save the flags in DIR, each whole or not at all
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Say of each download what was asked for, how much came and how long it took; no progress bar
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
    /// What to download.
    pub targets: Vec<Target>,
    /// Threads or processes in a pool.
    pub workers: usize,
    /// Threads that run the tasks in mode async-threads.
    pub loop_threads: usize,
    /// Tasks that the async modes have under way at once.
    pub concurrency: usize,
    /// Who is asked.
    pub peer: Peer,
    /// Where on the server a flag is.
    pub path: String,
    /// How long one request may take.
    pub timeout: Duration,
    /// How many times a failed request is made again.
    pub retries: usize,
    /// Certificates to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Where flags are saved; an absolute path of a directory that exists.
    pub out: Option<PathBuf>,
    /// One line of detail more for each download.
    pub verbose: bool,
    /// Where results go.
    pub common: Common,
}

/// Who is asked for flags.
#[derive(Debug, Clone, PartialEq)]
pub enum Peer {
    /// The embedded server.
    Embedded(server::Config),
    /// A server of the user's: its URL without a slash at the end.
    At(String),
}

impl Options {
    /// Reads a command line, its first word being the program's name. Makes the directory of
    /// `--out`.
    ///
    /// # Errors
    /// A refusal that names the cure; its `exit()` prints it and leaves with 2.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        cli::parse(args, check)
    }
}

fn check(arguments: Arguments) -> Result<Options, Refusal> {
    arguments.common.check()?;
    let peer = arguments.peer()?;
    let targets = arguments.targets();
    if let (Peer::At(base), Some(target)) = (&peer, targets.first()) {
        // What is wrong with the URL would be wrong with each item's.
        let url = format!("{base}{}", target.fill(&arguments.path));
        Url::parse(&url).map_err(|error| Refusal::value(error.to_string()))?;
    }
    if let Some(path) = &arguments.cacert {
        let roots = Tls::with_root_file(path).map(drop);
        roots.map_err(|error| Refusal::value(format!("--cacert: {error}")))?;
    }
    let out = arguments.out.as_deref().map(directory).transpose()?;
    Ok(Options {
        modes: arguments.common.modes(),
        workers: arguments
            .workers
            .unwrap_or_else(|| default_workers(targets.len())),
        loop_threads: arguments.workers.unwrap_or_else(tatkal::available_cpus),
        concurrency: arguments
            .max_concurrency
            .unwrap_or(DEFAULT_CONCURRENCY)
            .min(targets.len()),
        targets,
        peer,
        path: arguments.path,
        timeout: arguments.timeout,
        retries: arguments.retries,
        cacert: arguments.cacert,
        out,
        verbose: arguments.verbose,
        common: arguments.common,
    })
}

impl Arguments {
    /// What is asked for, each once, in the order asked.
    fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = match () {
            _ if self.every => targets::every(),
            _ if self.all => targets::all(),
            _ if self.countries.is_empty() => targets::talk(),
            _ => self.countries.iter().map(|c| Target::from(*c)).collect(),
        };
        let mut seen = std::collections::HashSet::new();
        targets.retain(|target| seen.insert(target.cc.clone()));
        targets.truncate(self.limit.unwrap_or(usize::MAX));
        targets
    }

    /// The server with its options, or a refusal of options that are not for that server.
    fn peer(&self) -> Result<Peer, Refusal> {
        let mut config = match &self.server {
            Peer::Embedded(config) => config.clone(),
            Peer::At(_) => return self.stranger(),
        };
        if self.cacert.is_some() {
            let message = "--cacert is for https: URLs: give one with --server";
            return Err(Refusal::conflict(message));
        }
        if let Some(delay) = self.delay {
            if config.delay.start() != config.delay.end() {
                let message = "--delay is one delay for all answers, and --server delay draws one \
                               for each: leave one of them out";
                return Err(Refusal::conflict(message));
            }
            config.delay = delay..=delay;
        }
        config.error_rate = self.error_rate.unwrap_or(config.error_rate);
        config.seed = self.seed.unwrap_or(config.seed);
        Ok(Peer::Embedded(config))
    }

    fn stranger(&self) -> Result<Peer, Refusal> {
        let given = [
            ("--delay", self.delay.is_some()),
            ("--error-rate", self.error_rate.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Refusal::conflict(format!(
                "{option} is for the embedded server, and --server names another: leave one of \
                 them out"
            ))),
            None => Ok(self.server.clone()),
        }
    }
}

/// Makes the directory that files are saved in, and its path absolute: workers may have been
/// started elsewhere.
fn directory(path: &std::path::Path) -> Result<PathBuf, Refusal> {
    let made = fs::create_dir_all(path).and_then(|()| fs::canonicalize(path));
    made.map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                "a file is in the way; name a directory".into()
            }
            _ => format!("cannot be made: {error}; name another directory"),
        };
        Refusal::value(format!("--out '{}': {what}", path.display()))
    })
}

fn country(text: &str) -> Result<&'static Country, String> {
    countries::find(text).ok_or_else(|| match countries::suggest(text) {
        Some(name) => format!("no such country; did you mean '{name}'?"),
        None => "no such country; give an English name or a two-letter code, as yemen or ye".into(),
    })
}

fn peer(text: &str) -> Result<Peer, String> {
    match text {
        "local" => Ok(Peer::Embedded(server::Config::local())),
        "delay" => Ok(Peer::Embedded(server::Config::delay())),
        "error" => Ok(Peer::Embedded(server::Config::error())),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            Url::parse(url).map_err(|error| error.reason.to_string())?;
            Ok(Peer::At(url.strip_suffix('/').unwrap_or(url).into()))
        }
        _ => Err(
            "give local, delay, error, or a URL such as https://cdn.countryflags.com".to_owned(),
        ),
    }
}

/// A path whose placeholders we know, with a slash in front.
fn template(text: &str) -> Result<String, String> {
    let bare = text.replace("{name}", "").replace("{cc}", "");
    if bare.contains(['{', '}']) {
        return Err("the placeholders are {name} and {cc}".into());
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() || *c == ' ') {
        return Err(format!(
            "{bad:?} cannot stand in a path; write it in % form"
        ));
    }
    match text.starts_with('/') {
        true => Ok(text.into()),
        false => Ok(format!("/{text}")),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    units::count(text, 1..=676)
}

fn concurrency(text: &str) -> Result<usize, String> {
    units::count(text, 1..=MOST_CONCURRENCY)
}

fn retries(text: &str) -> Result<usize, String> {
    units::count(text, 0..=MOST_RETRIES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::targets::TALK;

    fn read(args: &str) -> Result<Options, String> {
        let args = ["flags"].into_iter().chain(args.split_whitespace());
        Options::from_args(args.map(OsString::from)).map_err(|error| error.to_string())
    }

    fn names(args: &str) -> Vec<String> {
        let targets = read(args).unwrap().targets;
        targets.into_iter().map(|target| target.name).collect()
    }

    #[test]
    fn the_defaults_are_the_talks() {
        let options = read("").unwrap();
        assert_eq!(names(""), TALK);
        assert_eq!(options.modes, Mode::ALL);
        assert_eq!((options.workers, options.concurrency), (5, 5));
        assert_eq!(options.loop_threads, tatkal::available_cpus());
        assert_eq!(options.timeout, Duration::from_millis(3100));
        assert_eq!(options.peer, Peer::Embedded(server::Config::local()));
    }

    #[test]
    fn flags_are_asked_for_once_each() {
        assert_eq!(names("ye Yemen zm ye"), ["yemen", "zambia"]);
        assert_eq!(names("--all").len(), 249);
        assert_eq!(names("--every").len(), 676);
        assert_eq!(names("-e -l 3"), ["aa", "ab", "ac"]);
        assert_eq!(names("-al2"), names("--all")[..2]);
        assert_eq!(read("--all -m 249").unwrap().concurrency, 249);
        assert_eq!(read("--all").unwrap().concurrency, DEFAULT_CONCURRENCY);
        let nine = read("-w 9 ye").unwrap();
        assert_eq!((nine.workers, nine.loop_threads), (9, 9), "as asked");
    }

    #[test]
    fn server_options_make_the_server() {
        let Peer::Embedded(config) = read("-s error --seed 9 --delay 100ms").unwrap().peer else {
            panic!("it is embedded");
        };
        let delay = Duration::from_millis(100);
        assert_eq!(config.delay, delay..=delay);
        assert_eq!((config.error_rate, config.seed), (0.25, 9));
        let url = read("-s https://cdn.countryflags.com/").unwrap().peer;
        assert_eq!(url, Peer::At("https://cdn.countryflags.com".into()));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_cure() {
        for (args, cure) in [
            ("yemn", "did you mean 'yemen'?"),
            ("atlantis", "two-letter code"),
            ("yemen --all", "cannot be used with"),
            ("--all --every", "cannot be used with"),
            ("--every yemen", "cannot be used with"),
            ("--workers 0", "at least 1"),
            ("-m 0", "at least 1"),
            ("-m 5000", "at most 1000"),
            ("-l 0", "at least 1"),
            ("--timeout 3", "3s or 3ms"),
            ("--timeout 0s", "longer than zero"),
            ("--retries 999", "at most 20"),
            ("--error-rate 2", "0.25"),
            ("-s example.org", "a URL such as"),
            ("-s http://", "the URL has no host"),
            ("-s http://127.0.0.1:99999", "http://127.0.0.1:99999"),
            ("-s delay --delay 1s", "leave one of them out"),
            (
                "-s http://127.0.0.1:1 --delay 1s",
                "--delay is for the embedded",
            ),
            (
                "-s http://127.0.0.1:1 --seed 1",
                "--seed is for the embedded",
            ),
            ("--cacert ca.pem", "https: URLs"),
            ("-s https://[::1] --cacert /no/such.pem", "/no/such.pem"),
            ("--path /{code}.jpg", "{name} and {cc}"),
            ("--out /dev/null/flags", "--out"),
            ("--mode thread", "threads"),
            ("--verbos", "--verbose"),
        ] {
            let said = read(args).unwrap_err();
            assert!(said.contains(cure), "{args}: {said}");
        }
        assert!(template("/a\r\nb").unwrap_err().contains("cannot stand"));
        assert_eq!(template("flags/{cc}.jpg").unwrap(), "/flags/{cc}.jpg");
    }
}
