//! The one handle of every mode: await it, join it, abort it, or drop it and let the work run on.
//!
//! The handle is the only reader of the output (I2 in state.rs). Reading it gives up the handle's
//! reference at once, so a joined handle holds no memory of the task.
//!
//! Waiting is one protocol, whatever waits: the waker of an async task, or of a parker when a
//! thread joins, is stored in the cell's join waker field.
//!
//! ```text
//!   poll ── complete? ──yes──> read the output, give up the reference
//!     |
//!     no ── JOIN_WAKER clear:  write the field, set the bit ──> Pending   (or lost the race to
//!     |                                                                   `complete`: read)
//!     └──── JOIN_WAKER set:    same waker? ──> Pending
//!                              another: clear the bit, then as above
//! ```
//!
//! Next: `body.rs`.

use super::cell::{Header, Task};
use super::schedule::TaskId;
use super::word::{Detach, Snapshot};
use crate::block_on::block_on_with;
use crate::budget;
use crate::error::{JoinError, contain};
use crate::park::Vigil;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// The handle of a task, a thread-pool job or a process-pool job.
///
/// It is a future, so `.await` it on any runtime; or [`join`](Self::join) it from a plain thread.
/// Both give `Result<T, JoinError>`.
///
/// # Cancellation
/// Dropping the handle detaches the work, which runs on. [`abort`](Self::abort) stops it as far as
/// its mode can: a task at its next await, a queued job at once, a running thread job not at all,
/// a running process job by force.
///
/// # Panics
/// Polling or joining it again after it gave its result panics.
///
/// # Example
/// ```
/// use tatkal_executor::ThreadPool;
/// let pool = ThreadPool::new(2);
/// let handle = pool.submit(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
#[must_use = "a dropped handle detaches the work; call `detach` to say that this is meant"]
pub struct JoinHandle<T> {
    /// None once the output was read.
    task: Option<Task>,
    _output: PhantomData<T>,
}

// SAFETY: besides atomics, a handle moves a `T` out of the task, so it may change threads when
// `T` may.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: `&JoinHandle` offers `abort` and `is_finished` only, which touch atomics (and the
// scheduler, which is `Sync`).
unsafe impl<T: Send> Sync for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
// The output is never pinned.
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// The task's output is `Result<T, JoinError>`; the caller gives up the handle's reference
    /// and JOIN_INTEREST.
    pub(crate) unsafe fn from_raw(pointer: NonNull<Header>) -> Self {
        Self {
            // SAFETY: by the caller.
            task: Some(unsafe { Task::from_raw(pointer) }),
            _output: PhantomData,
        }
    }

    /// Waits for the result on a plain thread.
    ///
    /// # Errors
    /// See [`JoinError`].
    ///
    /// # Panics
    /// On a thread that runs an executor, unless the work is finished already: `.await` it there.
    #[track_caller]
    pub fn join(mut self) -> Result<T, JoinError> {
        match self.join_until(None) {
            Some(result) => result,
            None => unreachable!("without a deadline there is a result"),
        }
    }

    /// Waits for the result for at most `limit`. `None`: not finished yet, and the handle is as
    /// good as before.
    ///
    /// # Errors
    /// See [`JoinError`].
    ///
    /// # Panics
    /// As [`join`](Self::join), and when the result was taken before.
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Option<Result<T, JoinError>> {
        // Past the end of the clock is no deadline.
        self.join_until(Instant::now().checked_add(limit))
    }

    #[track_caller]
    fn join_until(&mut self, deadline: Option<Instant>) -> Option<Result<T, JoinError>> {
        if self.is_finished() {
            return Some(self.read_output());
        }
        let vigil = self.vigil();
        block_on_with(vigil, Pin::new(self), deadline)
    }

    /// Asks the work to stop, as far as its mode can (see [`JoinHandle`]); does not wait. When
    /// the work finishes first, its result stands.
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            abort(task);
        }
    }

    /// A handle that can only abort, for someone who does not wait for the result.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            task: self.task.clone(),
        }
    }

    /// Is the result there? (Or was it taken?)
    pub fn is_finished(&self) -> bool {
        self.task
            .as_ref()
            .is_none_or(|task| task.header().state.load().is_complete())
    }

    /// Drops the handle and lets the work run on. The same as `drop`, said aloud.
    pub fn detach(self) {}

    /// What a plain thread that waits for this may wait on, if not on a parker.
    pub(crate) fn vigil(&self) -> Option<Box<dyn Vigil>> {
        let task = self.task.as_ref()?;
        // SAFETY: our reference lives through the call.
        unsafe { (task.header().vtable.vigil)(task.as_raw()) }
    }

    /// Has it finished without a value? Only `wait` asks.
    pub(crate) fn is_error(&self) -> bool {
        match &self.task {
            // SAFETY: complete, we are its handle, and the output is unread while `task` is Some.
            Some(task) if task.header().state.load().is_complete() => unsafe {
                (task.header().vtable.is_error)(task.as_raw())
            },
            _ => false,
        }
    }

    /// Names the task; `None` once the result was taken.
    pub(crate) fn id(&self) -> Option<TaskId> {
        let task = self.task.as_ref()?;
        Some(TaskId(task.as_raw().as_ptr() as usize))
    }

    /// Was the result taken?
    pub(crate) fn has_given_result(&self) -> bool {
        self.task.is_none()
    }

    /// Has `waker` called when the work finishes, once. False: it has finished, and `waker` will
    /// not be called. A later call, or a poll, replaces the waker: the one that it replaces is
    /// given back, for its drop is user code, whose panic must not hide the answer.
    pub(crate) fn wake_at_completion(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        match &self.task {
            Some(task) => {
                let state = task.header().state.load();
                if state.is_complete() {
                    return (false, None);
                }
                register(task, state, waker)
            }
            // A handle that has given its result counts as finished, as in `is_finished`.
            None => (false, None),
        }
    }

    /// Takes the output of a complete task and gives up the reference.
    #[track_caller]
    pub(crate) fn read_output(&mut self) -> Result<T, JoinError> {
        let task = self
            .task
            .take()
            .expect("this JoinHandle has already given its result");
        let mut output = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: complete (the callers checked), we are the handle, and `take` above makes this
        // the only read; the type is right by `from_raw`.
        unsafe {
            (task.header().vtable.read_output)(task.as_raw(), output.as_mut_ptr().cast());
            task.drop_last();
            output.assume_init()
        }
    }
}

/// Aborts a task or a job without being able to wait for it. Any number may exist.
///
/// # Example
/// ```
/// let pool = tatkal_executor::ThreadPool::new(1);
/// let handle = pool.submit(|| "result");
/// let abort = handle.abort_handle();
/// let _ = handle.join();
/// abort.abort(); // too late: nothing happens
/// assert!(abort.is_finished());
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    task: Option<Task>,
}

impl AbortHandle {
    /// The handle of what was never spawned.
    pub(crate) fn of_nothing() -> Self {
        Self { task: None }
    }

    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            abort(task);
        }
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.task
            .as_ref()
            .is_none_or(|task| task.header().state.load().is_complete())
    }
}

fn abort(task: &Task) {
    // SAFETY: our reference lives through the call.
    unsafe { (task.header().vtable.abort)(task.as_raw()) }
}

/// True when `waker` will be called at completion; false when the task is complete. And the waker
/// that was there before.
fn register(task: &Task, state: Snapshot, waker: &Waker) -> (bool, Option<Waker>) {
    let header = task.header();
    let field = &header.join_waker;
    if state.has_join_waker() {
        // SAFETY: I4: while the bit is set everyone only reads the field.
        let same = field.with(|stored| unsafe { &*stored }.as_ref().unwrap().will_wake(waker));
        if same {
            return (true, None);
        }
        if !header.state.unset_join_waker() {
            return (false, None);
        }
    }
    // Clone before the write: it is user code, and may panic.
    let new = Some(waker.clone());
    // SAFETY: I4: the bit is clear and only the handle sets it, so the field is ours.
    let old = field.with_mut(|stored| unsafe { stored.replace(new) });
    (header.state.set_join_waker(), old)
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// (3) Stores the waker in the task, whose completion calls it.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            !self.has_given_result(),
            "JoinHandle polled after it gave its result"
        );
        ready!(budget::poll_proceed(cx));
        let (waits, replaced) = self.wake_at_completion(cx.waker());
        drop(replaced);
        if waits {
            return Poll::Pending;
        }
        budget::spend();
        Poll::Ready(self.read_output())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        match task.header().state.detach() {
            // Our reference went with the bits of the handle.
            Detach::Gone => _ = task.into_raw(),
            Detach::Free => {
                let pointer = task.into_raw();
                // SAFETY: our reference went with the bits of the handle, and was the last.
                unsafe { (pointer.as_ref().vtable.free)(pointer) }
            }
            left => drop_what_is_left(&task, left),
        }
    }
}

/// What is left to a handle that goes is user code: the output, or the waker of its last poll.
#[cold]
fn drop_what_is_left(task: &Task, left: Detach) {
    let header = task.header();
    let dropped = if left == Detach::Output {
        // SAFETY: complete, and the output was unread while the handle had its task: ours to drop.
        catch_unwind(AssertUnwindSafe(|| unsafe {
            (header.vtable.drop_output)(task.as_raw());
        }))
    } else {
        // SAFETY: I4: the bits are clear, so the field is ours, for the last time.
        let waker = header
            .join_waker
            .with_mut(|stored| unsafe { stored.replace(None) });
        catch_unwind(AssertUnwindSafe(|| drop(waker)))
    };
    match dropped {
        Ok(()) => {}
        // The handle may be dropped by an unwinding thread: a second panic would abort.
        Err(panic) if std::thread::panicking() => contain(|| drop(panic)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}
