//! How a task is made, and what of: a future, or a closure.
//!
//! A new task comes with everything that can hold it: its runnable, its handle and, for a scheduler
//! that lists its tasks, the list's reference. Next: `promise.rs`.

use super::cell::{Cell, Task};
use super::depot::Depot;
use super::join::JoinHandle;
use super::runnable::Runnable;
use super::schedule::Schedule;
use crate::error::JoinError;
use std::pin::Pin;
use std::task::{Context, Poll};

/// (1) A task for a scheduler without a list of live tasks, its memory from the allocator.
pub(crate) fn new_task<F, T, S>(future: F, scheduler: S) -> (Runnable, JoinHandle<T>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    new_task_from(None, future, scheduler)
}

/// (1) As `new_task`, its memory from a depot if there is some.
#[inline]
pub(crate) fn new_task_from<F, T, S>(
    depot: Option<&Depot>,
    future: F,
    scheduler: S,
) -> (Runnable, JoinHandle<T>)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    let pointer = Cell::allocate(future, scheduler, 2, depot);
    // SAFETY: two references were made, and the task is born SCHEDULED.
    unsafe { (Runnable::from_raw(pointer), JoinHandle::from_raw(pointer)) }
}

/// (1) A task for a scheduler that keeps a list of live tasks: the third reference is the list's.
pub(crate) fn new_listed_task<F, T, S>(future: F, scheduler: S) -> (Runnable, JoinHandle<T>, Task)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    new_listed_task_from(None, future, scheduler)
}

/// (1) As `new_listed_task`, its memory from a depot if there is some.
#[inline]
pub(crate) fn new_listed_task_from<F, T, S>(
    depot: Option<&Depot>,
    future: F,
    scheduler: S,
) -> (Runnable, JoinHandle<T>, Task)
where
    F: Future<Output = Result<T, JoinError>>,
    S: Schedule,
{
    let pointer = Cell::allocate(future, scheduler, 3, depot);
    // SAFETY: three references were made, and the task is born SCHEDULED.
    unsafe {
        (
            Runnable::from_raw(pointer),
            JoinHandle::from_raw(pointer),
            Task::from_raw(pointer),
        )
    }
}

/// A user's future as a task body: it cannot fail other than by a panic.
pub(crate) struct Plain<F>(pub(crate) F);

impl<F: Future> Future for Plain<F> {
    type Output = Result<F::Output, JoinError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned with the whole; it is never moved out.
        let future = unsafe { self.map_unchecked_mut(|plain| &mut plain.0) };
        future.poll(cx).map(Ok)
    }
}

/// A closure as a task body: ready at its first poll, which is its only one.
pub(crate) struct Job<C>(Option<C>);

impl<C> Job<C> {
    pub(crate) fn new(closure: C) -> Self {
        Self(Some(closure))
    }
}

// The closure is moved out to be called and never pinned.
impl<C> Unpin for Job<C> {}

impl<C: FnOnce() -> R, R> Future for Job<C> {
    type Output = Result<R, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let closure = self.0.take().expect("a job is polled once");
        Poll::Ready(Ok(closure()))
    }
}
