//! The program `hash`: mode by mode, then the report.

use super::job::{self, Job};
use super::options::Options;
use crate::drive::{self, Job as _};
use crate::interrupt;
use crate::mode::Mode;
use crate::refused::refused;
use crate::report::model::Workload;
use crate::session::Session;
use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use tatkal::{Runtime, ThreadPool, as_completed};

/// Runs the command line, whose first word is the program's name. Prints a refusal and leaves the
/// process when the line is wrong.
///
/// # Errors
/// A sentence, when the machine refuses what any run needs (a thread that hears signals). What a
/// mode is refused ends the run with a report of those before it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, String> {
    let options = Options::from_args(args).unwrap_or_else(|refusal| refusal.exit());
    let mut output = options.common.output(false);
    output.accounts = options.verbose;
    let session = Session::new(Workload::Hash, output, job::line);
    interrupt::watch(session.clone()).map_err(|error| refused("signals", &error))?;
    session.say(&options.describe());
    Ok(match run_modes(&options, &session) {
        Ok(()) => session.finish(),
        Err(error) => session.give_up(&error),
    })
}

fn run_modes(options: &Options, session: &Arc<Session>) -> Result<(), String> {
    for mode in &options.modes {
        let jobs = options.jobs_of(*mode, session.output().item_lines());
        match mode {
            Mode::Async => run_on_a_loop(session, options.workers, jobs)?,
            Mode::AsyncThreads => run_on_workers(session, options.workers, jobs)?,
            mode => drive::run(session, *mode, options.workers, job::run, jobs)?,
        }
    }
    Ok(())
}

/// One task for each job, on this thread's loop; the work itself goes to other threads, because
/// a task that computes keeps every other task of its loop waiting.
fn run_on_a_loop(session: &Arc<Session>, workers: usize, jobs: Vec<Job>) -> Result<(), String> {
    session.begin(Mode::Async, workers, Some(jobs.len()), jobs.len());
    let runtime = Runtime::new().map_err(|error| format!("no event loop: {error}"))?;
    let threads = Rc::new(ThreadPool::new(workers));
    let spawn = |(place, job): (usize, Job)| {
        let (session, threads) = (session.clone(), threads.clone());
        runtime.spawn_local(async move {
            let name = job.name();
            let hashed = threads.submit(move || job::run(job)).await;
            let item = hashed.unwrap_or_else(|error| drive::lost(&name, error));
            session.record(place, item);
        })
    };
    let tasks: Vec<_> = jobs.into_iter().enumerate().map(spawn).collect();
    runtime.block_on(async {
        for task in tasks {
            // Whatever became of a job is recorded by its task, which cannot fail itself.
            let _ = task.await;
        }
    });
    session.complete();
    Ok(())
}

/// One task for each job, and the work inside: whichever worker takes the task is busy with it, and
/// the others steal what waits behind it. (With sockets to serve beside it, a task would rather
/// hand such work to `spawn_blocking`, as the loop above does.)
fn run_on_workers(session: &Arc<Session>, workers: usize, jobs: Vec<Job>) -> Result<(), String> {
    session.begin(Mode::AsyncThreads, workers, Some(jobs.len()), jobs.len());
    let runtime = Runtime::builder()
        .worker_threads(workers)
        .build()
        .map_err(|error| format!("no event loop: {error}"))?;
    let names: Vec<String> = jobs.iter().map(Job::name).collect();
    let spawn = |job| runtime.spawn(async { job::run(job) });
    for (place, hashed) in as_completed(jobs.into_iter().map(spawn)) {
        let item = hashed.unwrap_or_else(|error| drive::lost(&names[place], error));
        session.record(place, item);
    }
    session.complete();
    Ok(())
}
