//! The promises of [`Executor`], as checks that any implementation can be run
//! through.
//!
//! ```text
//!   Conformance::new(make) ──> for each check: make() ──> its own thread ──> kept, or how it was
//!                                                            |                broken ──> Report
//!                                                       a watchdog: a check that hangs is a failure
//! ```
//!
//! A job is a function without data that may run in another process, so what a job does must be
//! seen from outside: jobs leave marks in files, and wait for files (`bed.rs`).
//!
//! Always compiled rather than behind a feature: everything is generic over the executor, so a
//! program that does not use it carries nothing of it, and a test needs no flag that could be
//! forgotten.
//!
//! Reading order: `bed.rs` (where jobs leave their marks), `answers.rs`, `maps.rs`, `failures.rs`,
//! `stopping.rs`, `handles.rs` (the checks), then the suite below.
//!
//! # Example
//! ```
//! use tatkal_executor::testing::Conformance;
//! use tatkal_executor::ThreadPool;
//! Conformance::new(|| ThreadPool::new(2)).run().expect_kept();
//! ```

mod answers;
mod bed;
mod failures;
mod handles;
mod maps;
mod stopping;

use crate::pool::Executor;
use bed::Bed;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// How long a check waits for what has to come: far more than any takes, on any machine.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// What a check finds: the promise is kept, or how it is broken.
type Verdict = Result<(), String>;

/// One promise, and how to look whether it is kept.
struct Check<E> {
    name: &'static str,
    promise: &'static str,
    run: fn(&Bed<E>) -> Verdict,
}

/// Fails a check unless something holds.
macro_rules! ensure {
    ($holds:expr, $($broken:tt)+) => {
        if !$holds {
            return Err(format!($($broken)+));
        }
    };
}
use ensure;

/// Lists checks by the names of their functions.
macro_rules! checks {
    ($($module:ident::$name:ident: $promise:literal,)*) => {
        fn checks<E: Executor + Send + Sync + 'static>() -> Vec<Check<E>> {
            vec![$(Check {
                name: stringify!($name),
                promise: $promise,
                run: $module::$name::<E>,
            }),*]
        }
    };
}

checks![
    answers::each_job_runs_once: "each job runs exactly once and its handle gives its result",
    answers::jobs_come_from_any_thread: "any number of threads may submit at once",
    answers::nothing_is_a_value_too: "arguments and results may be empty",
    answers::large_values_cross: "arguments and results of many MiB, in both directions at once",
    answers::all_workers_work: "as many jobs run at the same time as there are workers",
    answers::a_slow_job_delays_nobody: "a job that waits holds back no other while a worker is free",
    answers::a_job_may_use_executors: "a job may make and use executors of its own",
    maps::map_keeps_the_order: "results of a map come in the order of its items",
    maps::map_is_lazy: "a map runs ahead of its caller by no more than its window",
    maps::a_dropped_map_cancels: "a map that is dropped cancels what is queued",
    failures::a_panic_reaches_its_handle_only: "a panic is an error of its handle, with its message, and of nothing else",
    failures::a_value_that_cannot_cross: "what cannot be encoded fails its own job, and the error names the crossing",
    stopping::an_aborted_queued_job_never_runs: "an aborted job that no worker has started never runs",
    stopping::abort_comes_too_late: "the result of a finished job stands, whoever aborts it",
    stopping::submit_after_shutdown: "after shutdown a job is not run, and its handle reports Closed",
    stopping::shutdown_finishes: "shutdown that waits returns when all jobs, queued ones too, are over",
    stopping::shutdown_cancels: "shutdown that cancels: queued jobs never run, running ones run on",
    stopping::shutdown_does_not_wait: "shutdown that does not wait returns at once, and all jobs run on",
    stopping::shutdown_meets_submitters: "whoever submits during a shutdown learns what became of the job",
    handles::a_dropped_handle_detaches: "a job whose handle is dropped runs all the same",
    handles::a_handle_waits_as_long_as_told: "join_timeout gives up in time, and the handle is as good as before",
    handles::a_handle_is_a_future: "handles can be awaited",
    handles::as_completed_gives_each_once: "as_completed gives each result once, those that are there first",
    handles::wait_says_what_is_done: "wait returns at the first, at the first error, or when all are done",
];

/// Looks whether an implementation of [`Executor`] keeps the promises of the
/// trait.
///
/// # Example
/// A wrapper that calls itself two workers and is one:
/// ```
/// use std::time::Duration;
/// use tatkal_executor::{Executor, JoinHandle, Portable, Shutdown, ThreadPool};
/// use tatkal_executor::testing::Conformance;
/// struct Boaster(ThreadPool);
/// impl Executor for Boaster {
///     fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
///     where
///         F: Fn(A) -> R + Copy + Send + 'static,
///         A: Portable,
///         R: Portable,
///     {
///         Executor::submit(&self.0, function, argument)
///     }
///     fn workers(&self) -> usize {
///         2
///     }
///     fn shutdown(&self, how: Shutdown) {
///         self.0.shutdown(how);
///     }
/// }
/// let report = Conformance::new(|| Boaster(ThreadPool::new(1)))
///     .limit(Duration::from_millis(100))
///     .only("all_workers_work")
///     .run();
/// assert_eq!(report.broken().next().unwrap().check, "all_workers_work");
/// ```
#[must_use = "nothing is checked until `run` is called"]
pub struct Conformance<E> {
    make: Arc<dyn Fn() -> E + Send + Sync>,
    limit: Duration,
    only: Option<String>,
}

impl<E: Executor + Send + Sync + 'static> Conformance<E> {
    /// Checks the executors that `make` makes: a new one for each check, each with the same
    /// settings. Few workers are best; with more than one, more is checked.
    pub fn new(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(make),
            limit: DEFAULT_LIMIT,
            only: None,
        }
    }

    /// How long a check waits for what has to come before it calls it missing. By default a
    /// minute. A check that hangs is given up after twice that.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Makes only the checks whose names contain `part`.
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only = Some(part.into());
        self
    }

    /// The names of all checks, in the order in which they run.
    pub fn names() -> impl Iterator<Item = &'static str> {
        checks::<E>().into_iter().map(|check| check.name)
    }

    /// Makes the checks, one after the other, and says what each found. Leaves no file behind.
    ///
    /// A check that hangs leaves its thread behind, and is a failure.
    ///
    /// # Panics
    /// When there is no directory for temporary files to write to, or no thread to be had.
    pub fn run(&self) -> Report {
        let wanted = |check: &Check<E>| {
            self.only
                .as_ref()
                .is_none_or(|part| check.name.contains(part))
        };
        let findings = checks::<E>().into_iter().filter(wanted);
        Report {
            findings: findings.map(|check| self.look(&check)).collect(),
        }
    }

    fn look(&self, check: &Check<E>) -> Finding {
        let bed = Bed::new(self.make.clone(), self.limit);
        let (said, verdict) = mpsc::channel();
        let run = check.run;
        let looker = thread::Builder::new().name(check.name.to_owned());
        let looker = looker.spawn(move || {
            let looked = catch_unwind(AssertUnwindSafe(|| run(&bed)));
            // The bed's executors go on this thread, and may hang like the rest of the check.
            drop(bed);
            let _ = said.send(looked.unwrap_or_else(|panic| Err(panicked(panic))));
        });
        let looker = looker.expect("a thread for the check");
        let verdict = verdict
            .recv_timeout(self.limit.saturating_mul(2))
            .unwrap_or_else(|_| Err(format!("it hangs: not over after {:?}", 2 * self.limit)));
        if looker.is_finished() {
            let _ = looker.join();
        }
        Finding {
            check: check.name,
            promise: check.promise,
            broken: verdict.err(),
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> String {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", message.unwrap_or("(no text)"))
}

/// What one check found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// What it looked for, as a sentence.
    pub promise: &'static str,
    /// `None`: the promise is kept. Otherwise, how it is broken.
    pub broken: Option<String>,
}

/// What all checks found.
#[derive(Debug, Clone)]
#[must_use = "a broken promise is only written here"]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// What each check found, in the order in which they were made.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The checks that found a broken promise.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|one| one.broken.is_some())
    }

    /// For tests.
    ///
    /// # Panics
    /// When a promise is broken: with all of them in the message. And when nothing was checked.
    #[track_caller]
    pub fn expect_kept(&self) {
        assert!(!self.findings.is_empty(), "no check has that name");
        assert!(self.broken().next().is_none(), "\n{self}");
    }
}

/// The broken promises, a line each; or how many were kept.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.broken().count();
        writeln!(f, "{broken} of {} promises broken", self.findings.len())?;
        for Finding {
            check,
            promise,
            broken,
        } in self.broken()
        {
            let how = broken.as_deref().unwrap_or_default();
            writeln!(f, "  {check}: {how}\n    (promised: {promise})")?;
        }
        Ok(())
    }
}

impl<E> fmt::Debug for Conformance<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance")
            .field("limit", &self.limit)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
