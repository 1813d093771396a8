//! The program `flags`: a server if need be, mode by mode, then the report.

use super::blocking;
use super::download;
use super::job::Job;
use super::options::{Options, Peer};
use super::save::Folder;
use super::tasks::{self, On};

use crate::drive;
use crate::interrupt;
use crate::mode::Mode;
use crate::refused::refused;
use crate::report::model::{Workload, plural};
use crate::report::progress::Progress;
use crate::server::{Config, Server};
use crate::session::Session;
use crate::units::spell_duration;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command line, whose first word is the program's name. Prints a refusal and leaves the
/// process when the line is wrong.
///
/// # Errors
/// A sentence, when the machine refuses what any run needs (a port, a thread that hears signals).
/// What a mode is refused ends the run with a report of those before it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, String> {
    let options = Options::from_args(args).unwrap_or_else(|refusal| refusal.exit());
    raise_open_files();
    let output = options.common.output(false);
    let bar = !options.verbose && Progress::wanted(output.lines);
    let session = Session::new(Workload::Flags, options.common.output(bar), download::line);
    interrupt::watch(session.clone()).map_err(|error| refused("signals", &error))?;
    let server = match &options.peer {
        Peer::Embedded(config) => Some(start(config)?),
        Peer::At(_) => None,
    };
    let base = match (&server, &options.peer) {
        (Some(server), _) => server.url(),
        (None, Peer::At(url)) => url.clone(),
        (None, Peer::Embedded(_)) => unreachable!("the embedded server was started"),
    };
    session.say(&describe(&options, &base));
    let folder = options.out.clone().map(Folder::new);
    if let Some(folder) = folder.clone() {
        session.before_exit(move || folder.sweep());
    }
    Ok(
        match run_modes(&options, &session, &base, folder.as_ref()) {
            Ok(()) => session.finish(),
            Err(error) => session.give_up(&error),
        },
    )
}

fn run_modes(
    options: &Options,
    session: &Arc<Session>,
    base: &str,
    folder: Option<&Folder>,
) -> Result<(), String> {
    let lines = session.output().item_lines();
    for mode in &options.modes {
        let job = |target| Job::new(options, *mode, base, folder, lines, target);
        let jobs = options.targets.iter().map(job).collect();
        let on = match mode {
            Mode::Async => On::OneThread,
            Mode::AsyncThreads => On::Threads(options.loop_threads),
            mode => {
                drive::run(session, *mode, options.workers, blocking::run, jobs)?;
                continue;
            }
        };
        let cacert = options.cacert.as_deref();
        tasks::run(session, on, jobs, options.concurrency, cacert)
            .map_err(|error| refused("event loop", &error))?;
    }
    Ok(())
}

fn start(config: &Config) -> Result<Server, String> {
    Server::start(config.clone()).map_err(|error| refused("embedded server", &error))
}

/// `5 flags from http://127.0.0.1:40123, embedded: answers after 200ms`.
fn describe(options: &Options, base: &str) -> String {
    let flags = plural(options.targets.len(), "flag");
    let Peer::Embedded(config) = &options.peer else {
        return format!("{flags} from {base}");
    };
    let (least, most) = (config.delay.start(), config.delay.end());
    let delay = match least == most {
        true => spell_duration(*least),
        false => format!("{} to {}", spell_duration(*least), spell_duration(*most)),
    };
    let faults = match config.error_rate {
        0.0 => String::new(),
        rate => format!(", {:.0} % of them errors", rate * 100.0),
    };
    let seed = match least == most && config.error_rate == 0.0 {
        true => String::new(),
        false => format!(" (seed {})", config.seed),
    };
    format!("{flags} from {base}, embedded: answers after {delay}{faults}{seed}")
}

/// As many open files as the system lets us have: with `--every -m 676` each download has a
/// connection, and the embedded server the other end of it. What the system refuses shows soon
/// enough, at the connection that needs it.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
}
