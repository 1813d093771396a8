//! The inbox of a task group: what the scope shares with those who spawn and those who take values.
//!
//! ```text
//!   spawn: reserve ──> Place ──fill(handle)──> arrived ── swap ──> the scope
//!                        └──dropped: the spawn panicked
//!   the scope: leave(value) ──> values ──> poll_next: the body
//!
//!   Open ── stop ──> Stopping ── no member left ──> Over <── close: the scope was dropped
//!     └──── body done, no member left ───────────────^
//! ```
//!
//! Owns      counts and queues under one lock. No user code runs under it: wakers are cloned before
//!           it, called and dropped after it, and so are handles and values.
//! Holds     G1 what is spawned is a member from before its spawn, so the scope cannot end between
//!              the two; G2 a member leaves when the scope has taken its result: its future is
//!              gone by then; G3 no lost wake-up: whoever brings something takes the waker out in
//!              the same critical section, and a waker is stored only in one that found nothing.
//! Next: `members.rs`.

use crate::error::contain;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::task::join::JoinHandle;
use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, Waker};

/// See the file head. `T` and `E` are what members give.
pub(super) struct Inbox<T, E> {
    state: Mutex<State<T, E>>,
}

/// A member as the scope gets it.
pub(super) type Member<T, E> = JoinHandle<Result<T, E>>;

struct State<T, E> {
    stage: Stage,
    /// Those that have not left.
    members: usize,
    arrived: Vec<Member<T, E>>,
    values: VecDeque<T>,
    /// False: nobody is there to ask for values, so they are dropped.
    values_wanted: bool,
    scope: Option<Waker>,
    next: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// No new members.
    Stopping,
    /// The scope is gone.
    Over,
}

/// What the scope does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Sleep: its waker is stored.
    Sleep,
    /// Look again: members have arrived.
    Look,
    /// End: no member is left, and none will come.
    Over,
}

impl<T, E> Inbox<T, E> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Open,
                members: 0,
                arrived: Vec::new(),
                values: VecDeque::new(),
                values_wanted: true,
                scope: None,
                next: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        lock(&self.state)
    }

    /// G1: a place for a member that is about to be spawned; `None` when the group takes none.
    pub(super) fn reserve(&self) -> Option<Place<'_, T, E>> {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return None;
        }
        state.members += 1;
        Some(Place { inbox: self })
    }

    /// How many members have not left.
    pub(super) fn members(&self) -> usize {
        self.lock().members
    }

    /// The scope is awake: nobody needs to wake it.
    pub(super) fn awake(&self) {
        let waker = self.lock().scope.take();
        drop(waker);
    }

    /// Gives what has arrived for an empty list.
    pub(super) fn swap_arrived(&self, empty: &mut Vec<Member<T, E>>) {
        mem::swap(&mut self.lock().arrived, empty);
    }

    /// G2: a member has left, perhaps with a value.
    pub(super) fn leave(&self, value: Option<T>) {
        let mut state = self.lock();
        state.members -= 1;
        let unwanted = match value {
            Some(value) if state.values_wanted => {
                state.values.push_back(value);
                None
            }
            other => other,
        };
        drop(state);
        drop(unwanted);
    }

    /// Wakes who waits for a value, if there is an answer now. Not done in `leave`: the one who
    /// waits is mostly the body, which the scope polls anyway before it comes here.
    pub(super) fn wake_next(&self) {
        let waker = {
            let mut state = self.lock();
            match state.has_answer() {
                true => state.next.take(),
                false => None,
            }
        };
        wake(waker);
    }

    /// No new members from now on.
    pub(super) fn stop(&self) {
        self.lock().stage = Stage::Stopping;
    }

    /// What the scope does now that it has nothing to do. `body_ended`: nobody but members spawns.
    pub(super) fn rest(&self, body_ended: bool, cx: &Context<'_>) -> Rest {
        let mut waker = Some(cx.waker().clone());
        let rest = {
            let mut state = self.lock();
            if !state.arrived.is_empty() {
                Rest::Look
            } else if body_ended && state.members == 0 {
                state.stage = Stage::Over;
                Rest::Over
            } else {
                mem::swap(&mut state.scope, &mut waker);
                Rest::Sleep
            }
        };
        drop(waker);
        rest
    }

    /// The scope is gone, early or at its end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.stage = Stage::Over;
        let arrived = mem::take(&mut state.arrived);
        let values = mem::take(&mut state.values);
        let wakers = (state.scope.take(), state.next.take());
        drop(state);
        for member in &arrived {
            member.abort();
        }
        wake(wakers.1);
        drop((arrived, wakers.0));
        // Nobody asked for them, and perhaps this thread is unwinding.
        contain(|| drop(values));
    }

    /// Nobody will ask for values any more.
    pub(super) fn discard_values(&self) {
        let mut state = self.lock();
        state.values_wanted = false;
        let values = mem::take(&mut state.values);
        drop(state);
        drop(values);
    }

    /// The next value; `None` when no member is left that could give one.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut waker = Some(cx.waker().clone());
        let next = {
            let mut state = self.lock();
            if state.has_answer() {
                waker = state.next.take();
                Poll::Ready(state.values.pop_front())
            } else {
                mem::swap(&mut state.next, &mut waker);
                Poll::Pending
            }
        };
        drop(waker);
        next
    }
}

impl<T, E> State<T, E> {
    /// Need `poll_next` not wait?
    fn has_answer(&self) -> bool {
        !self.values.is_empty() || self.members == 0 || self.stage == Stage::Over
    }
}

/// The place of a member that is being spawned. Dropped unfilled, there is no such member.
pub(super) struct Place<'a, T, E> {
    inbox: &'a Inbox<T, E>,
}

impl<T, E> Place<'_, T, E> {
    /// The member was spawned. Should the scope be gone, it is aborted.
    pub(super) fn fill(self, member: Member<T, E>) {
        let mut state = self.inbox.lock();
        if state.stage == Stage::Over {
            drop(state);
            member.abort();
            drop(member);
            return; // and `self`, of which nobody takes note any more
        }
        state.arrived.push(member);
        let waker = state.scope.take();
        drop(state);
        mem::forget(self);
        wake(waker);
    }
}

impl<T, E> Drop for Place<'_, T, E> {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.members -= 1;
        let scope = state.scope.take();
        let next = match state.has_answer() {
            true => state.next.take(),
            false => None,
        };
        drop(state);
        wake(scope);
        wake(next);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        // Its panic is not for who comes by: he may be unwinding.
        contain(|| waker.wake());
    }
}
