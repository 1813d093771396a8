//! Submitting: from a function and its argument to bytes in the crew's queue.
//!
//! ```text
//!   submit(function, argument)
//!      | size_of::<F>() == 0           checked while compiling
//!      | encode the argument           in the caller: a failure is this job's alone
//!      | promise ──> JoinHandle<R>     the handle of every other mode
//!      v
//!   crew (lock) ──> worker             or the queue, and then the manager's turn
//! ```
//!
//! Next: `batches.rs`.

use super::ProcessPool;
use crate::block_on::refuse_if_entered;
use crate::error::{Crossing, JoinError};
use crate::pool::executor::{Portable, refuse_captures};
use crate::pool::process::chunk::{ChunkJob, Sent};
use crate::pool::process::crew::Phase;
use crate::pool::process::entry::{Entry, Single};
use crate::pool::process::fork_server;
use crate::pool::process::job::{Job, Outcome, RemoteJob, unknown_code};
use crate::pool::process::measure::Measured;
use crate::pool::process::panics::{PanicText, catch};
use crate::pool::process::parcel::{Parcel, Several};
use crate::pool::process::policy::Terms;
use crate::pool::process::shared::Link;
use crate::pool::process::stamps::Stamps;
use crate::pool::process::sys;
use crate::pool::process::wire::Payload;
use crate::pool::process::wire::codec::{Fresh, carry, new_memory, pack, panicked};
use crate::pool::process::wire::counted::Counted;
use crate::pool::process::wire::memory::Memory;
use crate::pool::thread::TrySubmitError;
use crate::sync::lock;
use crate::task::join::JoinHandle;
use crate::task::promise::promise;
use std::io;

/// What to do with a job for which there is no room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Wait,
    Refuse,
    /// For user code that the pool runs (a waker, a decoder): if it waited, who would make room?
    Exceed,
}

/// Why a job was not taken.
enum Refusal {
    Full,
    Failed(JoinError),
}

impl ProcessPool {
    /// Starts `function(argument)` in a worker and returns its handle. For a time limit and other
    /// terms of its own, see [`jobs`](Self::jobs).
    ///
    /// The argument is encoded by the calling thread. (So is a short result decoded, if it is there
    /// already: a decoder must not wait for what happens after `submit`.) Waits only where the queue
    /// is bounded and full. Whatever goes wrong, here or later, is told by the handle: see
    /// [`JoinError`].
    ///
    /// # Cancellation
    /// Dropping the handle detaches the job. [`JoinHandle::abort`] cancels it at once while it has
    /// not begun. When it runs, its worker gets a SIGTERM and, after the pool's
    /// [grace](crate::ProcessPoolBuilder::grace), a SIGKILL; the handle reports [`JoinError::Cancelled`]
    /// as soon as that worker is dead. A job that comes to its end before that has a result.
    ///
    /// # Panics
    /// With a bounded queue, on a thread that runs an executor: it might have to wait there. Use
    /// [`try_submit`](Self::try_submit).
    ///
    /// # Cost
    /// Three allocations and, when a worker has to be woken for it, one system call. Argument and
    /// result are each copied into and out of memory that is shared with the worker; long ones
    /// (above 16 KiB) into and out of a file in memory, whose descriptor travels. Large data goes
    /// fastest as a `Vec<u8>`, as serde visits everything else item by item; or without a copy, as
    /// [`SharedBytes`](crate::SharedBytes).
    #[track_caller]
    pub fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.submit_on(self.terms, function, argument)
    }

    /// As [`submit`](Self::submit), but never waits.
    ///
    /// # Errors
    /// When a bounded queue is full, or the pool is shut down: with the argument inside.
    pub fn try_submit<F, A, R>(
        &self,
        function: F,
        argument: A,
    ) -> Result<JoinHandle<R>, TrySubmitError<A>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.try_submit_on(self.terms, function, argument)
    }

    #[track_caller]
    pub(super) fn submit_on<F, A, R>(&self, terms: Terms, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        let when_full = self.when_full();
        let (job, handle) = match self.prepare(terms, &function, &argument) {
            Ok(prepared) => prepared,
            Err(handle) => return handle,
        };
        drop(argument); // before the wait for room
        self.enqueue_or_fail(job, when_full);
        handle
    }

    fn enqueue_or_fail(&self, job: Job, when_full: WhenFull) {
        if let Err((job, refusal)) = self.enqueue(job, when_full) {
            job.remote.finish(Outcome::Failed(match refusal {
                Refusal::Failed(error) => error,
                Refusal::Full => JoinError::Closed,
            }));
        }
    }

    /// Starts a job for one item of a `map` on the usual terms.
    #[track_caller]
    pub(super) fn submit_item<F, A, R>(&self, function: F, item: &A) -> Sent<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        refuse_captures::<F>();
        let entry = Entry::of::<Single<F, A, R>>(&function);
        self.submit_chunk(entry, (1, false), self.clock_ns(), |fresh| {
            pack(item, fresh)
        })
    }

    /// Starts a job for the items of a parcel. Turning them into bytes took so long.
    #[track_caller]
    pub(super) fn submit_parcel<F, A, R>(
        &self,
        function: F,
        parcel: Parcel,
        encode_ns: u64,
    ) -> Sent<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        refuse_captures::<F>();
        let entry = match parcel.items {
            1 => Entry::of::<Single<F, A, R>>(&function),
            _ => Entry::of::<Several<F, A, R>>(&function),
        };
        let chunk = (parcel.items, parcel.items > 1);
        let submitted_ns = self.clock_ns().saturating_sub(encode_ns);
        let argument = parcel.into_argument();
        self.submit_chunk(entry, chunk, submitted_ns, |fresh| carry(argument, fresh))
    }

    /// What the time is, if jobs are measured.
    pub(super) fn clock_ns(&self) -> u64 {
        self.shared.account.as_ref().map_or(0, |_| sys::now_ns())
    }

    #[track_caller]
    fn submit_chunk<R: Portable>(
        &self,
        entry: &'static Entry,
        (items, is_parcel): (usize, bool),
        submitted_ns: u64,
        pack: impl FnOnce(&mut Fresh<'_>) -> Result<Payload, String>,
    ) -> Sent<R> {
        let when_full = self.when_full();
        let measure = self.shared.account.clone().map(|account| {
            let stamps = Stamps {
                submitted_ns,
                ..Stamps::default()
            };
            (stamps, account)
        });
        let link = Link(self.shared.clone());
        let (remote, mut sent) = ChunkJob::new(link, items, is_parcel, measure);
        let packed = catch(|| pack(&mut || self.fresh()));
        if let Ok(Ok(argument)) = &packed {
            sent.bytes = argument.len();
        }
        if let Some(job) = self.job(Terms::default(), entry, Box::new(remote), packed) {
            self.enqueue_or_fail(job, when_full);
        }
        sent
    }

    pub(super) fn try_submit_on<F, A, R>(
        &self,
        terms: Terms,
        function: F,
        argument: A,
    ) -> Result<JoinHandle<R>, TrySubmitError<A>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        let crew = lock(&self.shared.crew);
        match crew.phase {
            // Now, and not after it was encoded in vain.
            Phase::Open if !crew.has_room() => return Err(TrySubmitError::Full(argument)),
            Phase::Open => drop(crew),
            Phase::Closing | Phase::Ended => return Err(TrySubmitError::Closed(argument)),
        }
        let (job, handle) = match self.prepare(terms, &function, &argument) {
            Ok(prepared) => prepared,
            Err(handle) => return Ok(handle),
        };
        match self.enqueue(job, WhenFull::Refuse) {
            Ok(()) => Ok(handle),
            Err((_, Refusal::Full)) => Err(TrySubmitError::Full(argument)),
            Err((_, Refusal::Failed(JoinError::Closed | JoinError::Broken(_)))) => {
                Err(TrySubmitError::Closed(argument))
            }
            Err((job, Refusal::Failed(error))) => {
                job.remote.finish(Outcome::Failed(error));
                Ok(handle)
            }
        }
    }

    #[track_caller]
    fn when_full(&self) -> WhenFull {
        if !self.shared.is_bounded || self.shared.is_delivering() {
            return WhenFull::Exceed;
        }
        refuse_if_entered();
        WhenFull::Wait
    }

    /// The job and its handle; or, when the argument cannot be encoded, a handle that says so.
    fn prepare<F, A, R>(
        &self,
        terms: Terms,
        function: &F,
        argument: &A,
    ) -> Result<(Job, JoinHandle<R>), JoinHandle<R>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        refuse_captures::<F>();
        let entry = Entry::of::<Single<F, A, R>>(function);
        let (promise, handle) = promise(Link(self.shared.clone()));
        let remote: Box<dyn RemoteJob> = match &self.shared.account {
            None => Box::new(promise),
            Some(account) => Box::new(Measured::new(promise, account.clone())),
        };
        let packed = catch(|| pack(argument, &mut || self.fresh()));
        match self.job(terms, entry, remote, packed) {
            Some(job) => Ok((job, handle)),
            None => Err(handle),
        }
    }

    /// Memory for a long argument.
    fn fresh(&self) -> io::Result<Option<Box<Memory>>> {
        let spare = lock(&self.shared.crew).spare();
        match spare {
            Some(memory) => Ok(Some(memory)),
            None if Counted::may_wait() => new_memory(),
            None => Ok(None),
        }
    }

    /// The job; or, when it cannot be one, its handle is told why.
    fn job(
        &self,
        terms: Terms,
        entry: &'static Entry,
        mut remote: Box<dyn RemoteJob>,
        packed: Result<Result<Payload, String>, PanicText>,
    ) -> Option<Job> {
        let reason = match packed {
            Ok(Ok(argument)) if Entry::at(entry.address(), &self.images).is_some() => {
                if let Some(stamps) = remote.stamps() {
                    stamps.accepted_ns = sys::now_ns();
                }
                let job = Job {
                    remote,
                    order: 0, // given when it is accepted
                    entry: entry.address(),
                    argument,
                    policy: terms.policy(),
                };
                return Some(job);
            }
            Ok(Ok(_)) => {
                remote.finish(Outcome::Failed(JoinError::Start(unknown_code())));
                return None;
            }
            Ok(Err(reason)) => reason,
            Err(panic) => panicked(&panic),
        };
        let reason = reason.into_boxed_str();
        let crossing = Crossing::EncodeArgument;
        remote.finish(Outcome::Failed(JoinError::Codec { crossing, reason }));
        None
    }

    /// Gives the job to the crew.
    fn enqueue(&self, job: Job, when_full: WhenFull) -> Result<(), (Job, Refusal)> {
        let mut crew = lock(&self.shared.crew);
        if crew.phase == Phase::Open && !crew.managed {
            drop(crew);
            if let Err(error) = self.start_manager() {
                return Err((job, Refusal::Failed(JoinError::Start(error))));
            }
            crew = lock(&self.shared.crew);
        }
        while crew.phase == Phase::Open && !crew.orphaned && !crew.has_room() {
            match when_full {
                WhenFull::Wait => crew = self.shared.wait(crew),
                WhenFull::Refuse => return Err((job, Refusal::Full)),
                WhenFull::Exceed => break,
            }
        }
        if crew.phase != Phase::Open {
            return Err((job, Refusal::Failed(crew.closed())));
        }
        if crew.orphaned {
            return Err((job, Refusal::Failed(JoinError::Start(fork_server::gone()))));
        }
        if self.shared.accept(crew, job) {
            self.shared.ring();
        }
        Ok(())
    }
}
