//! Why a handle has no value: the one error of every mode.
//!
//! A task, a thread-pool job and a process-pool job fail in different ways, but a caller holds
//! the same `JoinHandle` for each of them and matches on the same enum. Next: `park.rs`.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Why a task or a job has no result.
///
/// # Example
/// ```
/// use tatkal_executor::JoinError;
/// fn explain(error: &JoinError) -> String {
///     match error {
///         JoinError::Panicked(report) => format!("it panicked: {}", report.message()),
///         JoinError::WorkerDied(exit) => format!("process {} is gone", exit.pid),
///         other => other.to_string(),
///     }
/// }
/// assert_eq!(explain(&JoinError::Cancelled), "the job was cancelled");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// `abort()` reached it before it finished, or its runtime or pool shut down.
    Cancelled,
    /// Its code panicked. The panic went no further than this handle.
    Panicked(PanicReport),
    /// Its time limit passed, and it was stopped.
    TimedOut,
    /// The worker process that ran it died.
    WorkerDied(WorkerExit),
    /// It was run again and again, as asked for, and cost a worker each time. How each ended.
    Quarantined(Box<[WorkerExit]>),
    /// Its pool broke: another job ended a worker where that must not happen, or no worker could
    /// be set up. The reason.
    Broken(Box<str>),
    /// An argument or a result could not be turned into bytes or back.
    Codec {
        /// Which of the four crossings failed.
        crossing: Crossing,
        /// What the encoder or decoder said.
        reason: Box<str>,
    },
    /// The pool or runtime takes no more work.
    Closed,
    /// The work could not be started: the operating system refused what it needs (a thread, a
    /// process, a descriptor).
    Start(std::io::Error),
}

/// One of the four places where a process job's data changes form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crossing {
    /// The caller encodes the argument.
    EncodeArgument,
    /// The worker decodes the argument.
    DecodeArgument,
    /// The worker encodes the result.
    EncodeResult,
    /// The caller's side decodes the result.
    DecodeResult,
}

/// How a worker process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WorkerExit {
    /// Process id of the dead worker.
    pub pid: u32,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// The code it exited with, if it exited.
    pub code: Option<i32>,
    /// The limit that ended it, if one did.
    pub limit: Option<Limit>,
    /// The crossing at which the job was: decoding its argument, or encoding its result. `None`
    /// when its function was running.
    pub crossing: Option<Crossing>,
}

/// A limit of the pool's that a worker reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// `ProcessPoolBuilder::memory_limit`. An aborted worker is seen to have reached it when the
    /// last thing that failed there was an allocation.
    Memory,
    /// `ProcessPoolBuilder::cpu_limit`.
    CpuTime,
}

/// What is left of a panic: its message, and its payload when it happened in this process.
pub struct PanicReport {
    // Boxed: a task has room for its output, and errors are rare.
    inner: Box<Panic>,
}

struct Panic {
    message: String,
    // A `Mutex` because a payload is `Send` but not `Sync`, and an error should be both.
    payload: Option<Mutex<Box<dyn Any + Send>>>,
    place: Option<String>,
    backtrace: Option<String>,
}

impl PanicReport {
    /// A panic caught in this process.
    pub(crate) fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast_ref::<&'static str>() {
            Some(text) => (*text).to_owned(),
            None => match payload.downcast_ref::<String>() {
                Some(text) => text.clone(),
                None => "(a panic payload that is not a string)".to_owned(),
            },
        };
        Self {
            inner: Box::new(Panic {
                message,
                payload: Some(Mutex::new(payload)),
                place: None,
                backtrace: None,
            }),
        }
    }

    /// A panic in another process: only text crosses.
    #[cfg_attr(any(loom, not(target_os = "linux")), allow(dead_code))] // the process pool's
    pub(crate) fn from_text(
        message: String,
        place: Option<String>,
        backtrace: Option<String>,
    ) -> Self {
        Self {
            inner: Box::new(Panic {
                message,
                payload: None,
                place,
                backtrace,
            }),
        }
    }

    /// The panic message.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Where it happened, as `file:line:column`, for a panic in another process. (One in this
    /// process has told the panic hook.)
    pub fn location(&self) -> Option<&str> {
        self.inner.place.as_deref()
    }

    /// How it came to be there, for a panic in another process and where the environment variable
    /// `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` (which wins) asked for it when the fork server
    /// started. It is not cheap: finding the names costs each worker, once, what it costs a program.
    pub fn backtrace(&self) -> Option<&str> {
        self.inner.backtrace.as_deref()
    }

    /// The value given to `panic!` or `panic_any`; `None` when it stayed in another process.
    pub fn into_payload(self) -> Option<Box<dyn Any + Send>> {
        self.inner
            .payload
            .map(|payload| payload.into_inner().unwrap_or_else(|e| e.into_inner()))
    }

    /// Goes on panicking in the calling thread, with the original payload where there is one.
    ///
    /// # Panics
    /// Always: that is what it is for.
    pub fn resume(self) -> ! {
        match self.inner.payload {
            Some(payload) => std::panic::resume_unwind(
                payload
                    .into_inner()
                    .unwrap_or_else(|poisoned| poisoned.into_inner()),
            ),
            None => std::panic::resume_unwind(Box::new(self.inner.message)),
        }
    }
}

/// Runs user code whose panic has nobody to go to (the panic hook has printed it).
pub(crate) fn contain(user_code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(user_code)) {
        // A payload's own drop may panic too: then its memory is the price.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(std::mem::forget);
    }
}

impl fmt::Debug for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicReport")
            .field("message", &self.inner.message)
            .field("location", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl JoinError {
    /// Was it cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, JoinError::Cancelled)
    }

    /// Did it panic?
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Crossing::EncodeArgument => "encoding the argument",
            Crossing::DecodeArgument => "decoding the argument in the worker",
            Crossing::EncodeResult => "encoding the result in the worker",
            Crossing::DecodeResult => "decoding the result",
        })
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => {
                write!(f, "process {} was killed by signal {signal}", self.pid)?;
                if let Some(name) = signal_name(signal) {
                    write!(f, " ({name})")?;
                }
            }
            (None, Some(code)) => write!(f, "process {} exited with code {code}", self.pid)?,
            (None, None) => write!(f, "process {} is gone", self.pid)?,
        }
        match self.limit {
            Some(Limit::Memory) => f.write_str(" when it had reached its memory limit")?,
            Some(Limit::CpuTime) => f.write_str(" because its job had used up its CPU time")?,
            None => {}
        }
        match self.crossing {
            Some(crossing) => write!(f, ", while {crossing}"),
            None => Ok(()),
        }
    }
}

/// Of the signals that end a process, those that are to be expected.
#[cfg(target_os = "linux")] // elsewhere there are no workers
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGALRM => "SIGALRM",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        _ => return None,
    })
}

#[cfg(not(target_os = "linux"))]
fn signal_name(_: i32) -> Option<&'static str> {
    None
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled => f.write_str("the job was cancelled"),
            JoinError::Panicked(report) => match report.location() {
                Some(place) => write!(f, "the job panicked at {place}: {}", report.message()),
                None => write!(f, "the job panicked: {}", report.message()),
            },
            JoinError::TimedOut => f.write_str("the job ran past its time limit and was stopped"),
            JoinError::WorkerDied(exit) => write!(f, "the worker died: {exit}"),
            JoinError::Quarantined(deaths) => {
                write!(
                    f,
                    "the job was given up after it had cost {} workers",
                    deaths.len()
                )?;
                let mut mark = ": ";
                for exit in deaths {
                    write!(f, "{}{exit}", std::mem::replace(&mut mark, "; "))?;
                }
                Ok(())
            }
            JoinError::Broken(reason) => write!(f, "the pool is broken: {reason}"),
            JoinError::Codec { crossing, reason } => write!(f, "{crossing} failed: {reason}"),
            JoinError::Closed => f.write_str("the pool is shut down and takes no more work"),
            JoinError::Start(error) => {
                write!(f, "the job could not be started: {error}{}", cure(error))
            }
        }
    }
}

/// What can be done where the operating system has refused something.
fn cure(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise the limit of open files (ulimit -n), or use fewer workers",
        Some(libc::EAGAIN) => {
            "; raise the limits of processes and memory (ulimit -u, ulimit -v), or use fewer workers"
        }
        Some(libc::ENOMEM) => "; free memory or raise its limit (ulimit -v), or use fewer workers",
        _ => "",
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JoinError::Start(error) => Some(error),
            _ => None,
        }
    }
}
