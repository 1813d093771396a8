//! What submitters and workers of a pool share, and the life of a worker.
//!
//! ```text
//!   start_thread ──> on_thread_start ──> first ──> run ──> next ──> run ──> ... ──> on_thread_stop
//!        |                                         until the queue is closed and empty
//!        └── the system says no: jobs that nobody else can run fail with `Start`
//! ```
//!
//! A job is a task whose body is ready at its first poll, so handle, abort and panics work as for
//! any other task. Nothing ever wakes it, so its `Schedule` is a type without data (`OnPool`).
//!
//! A worker knows whose it is (`WORKER_OF`): what would wait for the pool asks for it first, since
//! a thread must not wait for itself (see `pool.rs`).
//!
//! Next: `scope.rs`.

use super::queue::{Admitted, Queue, WhenFull};
use super::ticket::Ticket;
use crate::block_on::refuse_if_entered;
use crate::error::JoinError;
use crate::task::cell::Slot;
use crate::task::memory::leave_cells_to;
use crate::task::runnable::Runnable;
use crate::task::schedule::{Schedule, Scheduled};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// A hook that runs on each thread of the pool.
pub(super) type Hook = Arc<dyn Fn() + Send + Sync>;

/// What a pool was built with.
pub(super) struct Settings {
    pub(super) threads: usize,
    pub(super) capacity: Option<usize>,
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) on_thread_start: Option<Hook>,
    pub(super) on_thread_stop: Option<Hook>,
}

/// A pool, as its threads and its submitters share it.
pub(super) struct Shared {
    id: PoolId,
    pub(super) queue: Queue<Work>,
    pub(super) settings: Settings,
    /// The number in the next thread's name.
    next_number: AtomicUsize,
}

/// What waits in a pool's queue. Dropped, it cancels the job that it stands for.
pub(super) enum Work {
    /// A job.
    Job(Runnable),
    /// A job that waits in its scope.
    Ticket(Ticket),
}

impl Work {
    fn run(self) {
        match self {
            Work::Job(runnable) => runnable.run(),
            Work::Ticket(ticket) => ticket.run(),
        }
    }

    fn fail(self, error: JoinError) {
        match self {
            Work::Job(runnable) => runnable.fail(error),
            Work::Ticket(ticket) => ticket.fail(error),
        }
    }
}

/// The scheduler of a pool's jobs: they are polled once and never woken.
pub(super) struct OnPool;

impl Schedule for OnPool {
    /// A queued job is `Send` and has not run: whoever aborts it may drop it.
    const CANCEL_IN_PLACE: bool = true;

    fn schedule(scheduled: Scheduled<Self>) {
        drop(scheduled.into_runnable());
    }

    /// On a worker: jobs come from outside of the pool, as a rule. Any other thread has no moment
    /// at which it would free what it kept.
    fn is_from_elsewhere(&self, _: Slot) -> bool {
        WORKER_OF.get().is_some()
    }
}

/// Names a pool for good. An address would not do: a destructor of a thread-local may still ask
/// after the pool is gone and another one lives in its place.
type PoolId = u64;

static NEXT_POOL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The pool whose worker this thread is.
    static WORKER_OF: Cell<Option<PoolId>> = const { Cell::new(None) };
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            // Relaxed: distinct numbers are all that is asked.
            id: NEXT_POOL.fetch_add(1, Ordering::Relaxed),
            queue: Queue::new(settings.threads, settings.capacity),
            settings,
            next_number: AtomicUsize::new(0),
        }
    }

    /// What a submit by this thread does when there is no room.
    ///
    /// # Panics
    /// When it might wait on a thread that runs an executor.
    #[track_caller]
    pub(super) fn when_full(&self) -> WhenFull {
        if self.settings.capacity.is_none() || self.is_own_worker() {
            return WhenFull::Exceed;
        }
        refuse_if_entered();
        WhenFull::Wait
    }

    pub(super) fn is_own_worker(&self) -> bool {
        WORKER_OF.get() == Some(self.id)
    }

    /// Queues a job, or fails it when the pool is closed.
    #[inline]
    pub(super) fn push(self: &Arc<Self>, work: Work, when_full: WhenFull) {
        match self.queue.push(work, when_full) {
            Ok(admitted) => self.follow(admitted),
            Err(work) => work.fail(JoinError::Closed),
        }
    }

    /// Does what an admitted job asks for.
    #[inline]
    pub(super) fn follow(self: &Arc<Self>, admitted: Admitted) {
        if admitted == Admitted::StartThread {
            start_thread(self);
        }
    }
}

#[cold]
fn start_thread(shared: &Arc<Shared>) {
    // Relaxed: distinct numbers are all that is asked.
    let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
    let mut builder = thread::Builder::new().name(format!("{}-{number}", shared.settings.name));
    if let Some(bytes) = shared.settings.stack_size {
        builder = builder.stack_size(bytes);
    }
    let for_worker = shared.clone();
    match builder.spawn(move || work(&for_worker)) {
        Ok(thread) => shared.queue.thread_started(thread),
        Err(error) => {
            for work in shared.queue.start_failed() {
                work.fail(JoinError::Start(copy(&error)));
            }
        }
    }
}

/// The same error once more: several jobs may fail for one reason.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The life of one thread.
fn work(shared: &Arc<Shared>) {
    WORKER_OF.set(Some(shared.id));
    leave_cells_to(&shared.queue.depot);
    call(&shared.settings.on_thread_start);
    let mut next = shared.queue.first();
    while let Some(work) = next {
        work.run();
        next = shared.queue.next();
    }
    call(&shared.settings.on_thread_stop);
}

fn call(hook: &Option<Hook>) {
    if let Some(hook) = hook {
        // The panic hook has printed it. The thread is counted on and must go on.
        let _ = catch_unwind(AssertUnwindSafe(|| hook()));
    }
}
