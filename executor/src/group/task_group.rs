//! TaskGroup: a scope that waits for all that was spawned in it, and cancels it when a part fails.
//!
//! ```text
//!   scope ── polls ──> body ──── spawn ────────────────┐
//!     │  ^ join_next: values │                         v
//!     │  └───────────────────┴─────────────────────  inbox
//!     v                                                ^
//!   JoinSet: members ── spawn, by a GroupSpawner ──────┘
//!
//!   one poll of the scope:  take in what arrived and what ended, poll the body, take in again;
//!                           a failure: drop the body, abort the members;   then rest
//! ```
//!
//! Owns      the future of `scope` owns body and members; group and spawners share the inbox.
//! Holds     nothing outlives a scope that is awaited to its end: G1 and G2 of `inbox.rs`.
//! Cost      that of a `JoinSet`, and two short locks a member.
//! Rejected  a `join` at the end instead of a scope: between the spawns and the join nobody hears
//!           of a failure. Borrowed data, as in `ThreadPool::scope`: a future can be forgotten at
//!           any await, and then nobody waits for those who borrow.
//! Source    asyncio.TaskGroup and Trio's nurseries, seen from outside. Next: `../pool/`.

use super::failure::{Failure, GroupError};
use super::inbox::{Inbox, Rest};
use super::members::{Members, drop_body, poll_body};
use crate::error::contain;
use crate::scheduler::{spawn, spawn_local};
use crate::task::join::{AbortHandle, JoinHandle};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// What the body of a [`scope`](Self::scope) spawns its members with, and takes their values from.
///
/// The members of a group give `Result<T, E>`. They may be tasks, thread jobs and process jobs.
///
/// # Example
/// ```
/// use tatkal_executor::{LocalExecutor, TaskGroup};
/// let sum = LocalExecutor::default().block_on(TaskGroup::scope(async |mut group| {
///     for text in ["1", "20", "300"] {
///         group.spawn(async move { text.parse::<u32>() });
///     }
///     let mut sum = 0;
///     while let Some(number) = group.join_next().await {
///         sum += number; // in any order
///     }
///     Ok(sum)
/// }));
/// assert_eq!(sum.unwrap(), 321);
/// ```
pub struct TaskGroup<T, E> {
    spawner: GroupSpawner<T, E>,
}

/// Spawns members from elsewhere than the body: from other members, say. It can be cloned and
/// sent.
pub struct GroupSpawner<T, E> {
    inbox: Arc<Inbox<T, E>>,
}

impl<T, E> TaskGroup<T, E> {
    /// Runs `body`, and waits for all that is spawned in the group it is given.
    ///
    /// The first failure (of a member: an error it returns, a panic, a dead worker; or an error
    /// that `body` returns) cancels the rest: `body` is dropped at the await it is in, the members
    /// are aborted, and the scope waits until they have ended. A task ends at its next await; a
    /// running thread job cannot be stopped, and is waited for. A member that was cancelled has
    /// not failed, and gives no value.
    ///
    /// Nothing outlives the group that way, unless the scope itself is dropped: see below.
    ///
    /// # Errors
    /// All failures, the first one first.
    ///
    /// # Panics
    /// When `body` does, after the members have ended. (Panics of members are failures.)
    ///
    /// # Cancellation
    /// Dropping the scope drops `body` and aborts the members, and waits for nothing: those that
    /// are being run at that moment end soon after. That is why members cannot borrow.
    ///
    /// # Example
    /// ```
    /// use tatkal_executor::{Failure, LocalExecutor, TaskGroup, yield_now};
    /// let failed = LocalExecutor::default().block_on(TaskGroup::scope(async |group| {
    ///     group.spawn(async {
    ///         loop {
    ///             yield_now().await; // cancelled here
    ///         }
    ///     });
    ///     group.spawn(async { Err::<(), _>("no route") });
    ///     Ok(())
    /// }));
    /// let failure = failed.unwrap_err().into_first();
    /// assert!(matches!(failure, Failure::Returned("no route")));
    /// ```
    pub async fn scope<B, F, R>(body: B) -> Result<R, GroupError<E>>
    where
        B: FnOnce(TaskGroup<T, E>) -> F,
        F: Future<Output = Result<R, E>>,
    {
        let mut members = Members::new();
        let group = TaskGroup {
            spawner: GroupSpawner {
                inbox: members.inbox.clone(),
            },
        };
        // The call of the closure is a part of the body: its panic, too, waits for the members.
        let mut body = pin!(Some(async { body(group).await }));
        let mut result = None;
        let mut panic = None;
        poll_fn(|cx| {
            members.inbox.awake();
            loop {
                members.take_in(cx);
                if !members.stopped {
                    match poll_body(body.as_mut(), cx) {
                        Ok(Some(Ok(value))) => result = Some(value),
                        Ok(Some(Err(error))) => members.fail(Failure::Returned(error)),
                        Ok(None) => {}
                        Err(payload) => {
                            panic = Some(payload);
                            members.stop();
                        }
                    }
                    members.take_in(cx);
                }
                if members.stopped {
                    drop_body(body.as_mut(), &mut panic);
                }
                members.inbox.wake_next();
                match members.inbox.rest(body.is_none(), cx) {
                    Rest::Sleep => return Poll::Pending,
                    Rest::Look => {}
                    Rest::Over => return Poll::Ready(()),
                }
            }
        })
        .await;
        let failures = mem::take(&mut members.failures);
        if let Some(payload) = panic {
            contain(|| drop((failures, result)));
            resume_unwind(payload);
        }
        match GroupError::from_failures(failures) {
            Some(error) => Err(error),
            None => Ok(result.expect("a body that neither failed nor panicked has a result")),
        }
    }

    /// Spawns a member as [`spawn`](crate::spawn) does. When the group takes no more, because
    /// something has failed, the future is dropped here.
    ///
    /// # Panics
    /// Outside of an executor.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.spawner.spawn(future)
    }

    /// Spawns a member as [`spawn_local`](crate::spawn_local) does; otherwise as
    /// [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside of a one-thread executor.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
        E: 'static,
    {
        self.spawner.spawn_local(future)
    }

    /// Makes a task or a job a member, of whichever mode. When the group takes no more, because
    /// something has failed, it is aborted.
    ///
    /// # Panics
    /// When the handle has given its result already.
    #[track_caller]
    pub fn insert(&self, handle: JoinHandle<Result<T, E>>) -> AbortHandle {
        self.spawner.insert(handle)
    }

    /// For spawning from elsewhere than the body.
    pub fn spawner(&self) -> GroupSpawner<T, E> {
        self.spawner.clone()
    }

    /// The value of the next member that ends; `None` when no member is left. When a member fails
    /// instead, the body ends here.
    ///
    /// Values that nobody asks for are kept until the group is dropped.
    ///
    /// # Cancellation
    /// Safe: a `join_next` that is dropped while it waits has taken nothing.
    pub async fn join_next(&mut self) -> Option<T> {
        poll_fn(|cx| self.spawner.inbox.poll_next(cx)).await
    }

    /// How many members have not ended.
    pub fn len(&self) -> usize {
        self.spawner.inbox.members()
    }

    /// Have all members ended?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, E> GroupSpawner<T, E> {
    /// As [`TaskGroup::spawn`]. After the end of the group the future is dropped here.
    ///
    /// # Panics
    /// Outside of an executor.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.inbox.reserve() {
            Some(place) => {
                let member = spawn(future);
                let abort = member.abort_handle();
                place.fill(member);
                abort
            }
            None => AbortHandle::of_nothing(),
        }
    }

    /// As [`TaskGroup::spawn_local`]. After the end of the group the future is dropped here.
    ///
    /// # Panics
    /// Outside of a one-thread executor.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
        E: 'static,
    {
        match self.inbox.reserve() {
            Some(place) => {
                let member = spawn_local(future);
                let abort = member.abort_handle();
                place.fill(member);
                abort
            }
            None => AbortHandle::of_nothing(),
        }
    }

    /// As [`TaskGroup::insert`]. After the end of the group the work is aborted.
    ///
    /// # Panics
    /// When the handle has given its result already.
    #[track_caller]
    pub fn insert(&self, handle: JoinHandle<Result<T, E>>) -> AbortHandle {
        assert!(
            !handle.has_given_result(),
            "the JoinHandle has already given its result"
        );
        let abort = handle.abort_handle();
        match self.inbox.reserve() {
            Some(place) => place.fill(handle),
            None => abort.abort(),
        }
        abort
    }
}

impl<T, E> Drop for TaskGroup<T, E> {
    fn drop(&mut self) {
        self.spawner.inbox.discard_values();
    }
}

impl<T, E> Clone for GroupSpawner<T, E> {
    fn clone(&self) -> Self {
        Self {
            inbox: self.inbox.clone(),
        }
    }
}

impl<T, E> fmt::Debug for TaskGroup<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for GroupSpawner<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSpawner").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::block_on::block_on;
    use crate::task::promise::{never_scheduled, promise};
    use crate::task::schedule::{Schedule, Scheduled};
    use std::convert::Infallible;

    struct Nobody;
    impl Schedule for Nobody {
        const CANCEL_IN_PLACE: bool = true;
        fn schedule(scheduled: Scheduled<Self>) {
            never_scheduled(scheduled)
        }
    }

    #[test]
    fn loom_a_member_that_comes_at_the_end_is_joined_or_refused() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let (promise, handle) = promise::<Result<(), Infallible>, _>(Nobody);
            let mut other = None;
            // Ends only if no wake-up is lost.
            let scope = TaskGroup::scope(|group| {
                let spawner = group.spawner();
                other = Some(loom::thread::spawn(move || {
                    let abort = spawner.insert(handle);
                    promise.complete(Ok(Ok(())));
                    abort.is_finished()
                }));
                async { Ok(()) }
            });
            block_on(scope).unwrap();
            assert!(other.unwrap().join().unwrap());
        });
    }

    #[test]
    fn loom_the_scope_does_not_end_before_its_members() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let (promise, handle) = promise::<Result<u8, Infallible>, _>(Nobody);
            let mut other = None;
            let scope = TaskGroup::scope(|mut group| {
                group.insert(handle);
                other = Some(loom::thread::spawn(move || promise.complete(Ok(Ok(7)))));
                async move { Ok(group.join_next().await) }
            });
            assert_eq!(block_on(scope).unwrap(), Some(7));
            other.unwrap().join().unwrap();
        });
    }
}
