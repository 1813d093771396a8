//! What a scope holds: the members that have arrived in it, their failures, and its body.
//!
//! ```text
//!   inbox: arrived ── take_in ──> set ── a value ──> inbox, for join_next
//!                                  └──── a failure ──> failures; stop: nobody arrives any more,
//!                                                      the members are aborted
//! ```
//!
//! Owns      the members, and what became of those that failed.
//! Holds     once stopped, a member is aborted: those that there are at the stop, and those whose
//!           spawn was under way then, as they are taken in.
//! Next: `task_group.rs`.

use super::failure::Failure;
use super::inbox::{Inbox, Member};
use super::join_set::JoinSet;
use crate::error::{JoinError, contain};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The scope's end of the group. Dropped, it aborts the members.
pub(super) struct Members<T, E> {
    pub(super) inbox: Arc<Inbox<T, E>>,
    set: JoinSet<Result<T, E>>,
    pub(super) failures: Vec<Failure<E>>,
    /// Has something failed? Then no member is spawned any more, and those that there are end.
    pub(super) stopped: bool,
    /// A buffer, empty between turns.
    arrived: Vec<Member<T, E>>,
}

impl<T, E> Members<T, E> {
    pub(super) fn new() -> Self {
        Self {
            inbox: Arc::new(Inbox::new()),
            set: JoinSet::new(),
            failures: Vec::new(),
            stopped: false,
            arrived: Vec::new(),
        }
    }

    /// Those that have arrived, and the results of those that have ended.
    pub(super) fn take_in(&mut self, cx: &mut Context<'_>) {
        self.inbox.swap_arrived(&mut self.arrived);
        for member in self.arrived.drain(..) {
            if self.stopped {
                // Its spawn was under way when the group stopped.
                member.abort();
            }
            self.set.insert(member);
        }
        while let Poll::Ready(Some(result)) = self.set.poll_join_next(cx) {
            let value = match result {
                Ok(Ok(value)) => Some(value),
                Ok(Err(error)) => {
                    self.fail(Failure::Returned(error));
                    None
                }
                Err(JoinError::Cancelled) => None,
                Err(error) => {
                    self.fail(Failure::Lost(error));
                    None
                }
            };
            self.inbox.leave(value);
        }
    }

    pub(super) fn fail(&mut self, failure: Failure<E>) {
        self.failures.push(failure);
        self.stop();
    }

    pub(super) fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.inbox.stop();
            self.set.abort_all();
        }
    }
}

impl<T, E> Drop for Members<T, E> {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send>;

/// Polls the body, if it has not ended, and drops it when it has.
pub(super) fn poll_body<F: Future>(
    mut body: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Result<Option<F::Output>, Payload> {
    catch_unwind(AssertUnwindSafe(|| {
        let Some(Poll::Ready(output)) = body.as_mut().as_pin_mut().map(|body| body.poll(cx)) else {
            return None;
        };
        body.set(None);
        Some(output)
    }))
}

/// Drops the body. The first panic is the one that the scope passes on.
pub(super) fn drop_body<F>(mut body: Pin<&mut Option<F>>, panic: &mut Option<Payload>) {
    let dropped = catch_unwind(AssertUnwindSafe(|| body.set(None)));
    if let Err(payload) = dropped {
        match panic {
            None => *panic = Some(payload),
            Some(_) => contain(|| drop(payload)),
        }
    }
}
