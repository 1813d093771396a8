//! What the state word of a task says, and what each step of its life makes of it: pure functions
//! from a word to (what is to be done, the next word).
//!
//! ```text
//!                  wake                        wake
//!     IDLE ------------------> SCHEDULED ---------------> SCHEDULED|NOTIFIED
//!      ^                       |   |   ^                     |         |
//!      |  transition_to_idle   |   |   +---------------------+         | transition_to_idle:
//!      +-----------------------+   |     transition_to_polling         v stays, and is queued
//!        (the poll is over)        |       (the poll begins)             again
//!                                  |
//!                                  |  complete
//!                                  +-----------> COMPLETE
//! ```
//!
//! SCHEDULED (IDLE is its absence) stays until the poll is over: that a task is being polled nobody
//! is told. To whoever wakes or aborts it is all the same whether the task is queued or in a poll: he
//! leaves a bit behind, and who has the runnable sees to it, before the poll or after it. So a poll
//! begins with a load, unless there are such bits. A wake that the load is too early for costs one
//! poll more than it had to.
//!
//! Two who have to know say it by RUNNING: a job of a pool, once it has begun, is not to be cancelled
//! from outside as long as it runs (`transition_to_running`); and whoever cancels a task without having
//! its runnable keeps others off meanwhile.
//!
//! Owns      seven flags and, above them, the number of references.
//! Holds     I1 at most one `Runnable` exists: whoever sets SCHEDULED makes it, and who polls has it.
//!           I2 only who polls, with the runnable, or who set RUNNING touches the stage (future or
//!              output), until it sets COMPLETE; from then on only the join handle does. Without a
//!              handle the completer drops the output. There are never two of them: RUNNING is set,
//!              by one who finds it clear, by who has the runnable himself; or where there is none;
//!              or on a job, which has it set while it is polled; or at home, by the thread that
//!              polls, between polls.
//!           I3 COMPLETE is final, and RUNNING and COMPLETE exclude each other.
//!           I4 the join handle alone sets JOIN_WAKER and writes the waker field while the bit
//!              is clear. A completer that finds the bit set takes the waker out; the bytes stay
//!              for a handle that compares them, and nobody drops them again.
//!           I5 the cell is freed by whoever takes the count from one to zero.
//!
//! Source    the bits are those of tokio's `runtime/task/state.rs` and async-task's `state.rs`,
//!           with tokio's rule that a woken RUNNING task is rescheduled by its own runner.
//! Next: `state.rs`.

/// Someone says that the stage is his: a job is being run, or a cancellation is under way.
pub(super) const RUNNING: usize = 1 << 0;
/// A `Runnable` exists, or is being run.
pub(super) const SCHEDULED: usize = 1 << 1;
/// The output (or the reason there is none) is stored.
pub(super) const COMPLETE: usize = 1 << 2;
/// `abort` was called, or the runtime shuts down.
pub(super) const CANCELLED: usize = 1 << 3;
/// The join handle exists and wants the output.
pub(super) const JOIN_INTEREST: usize = 1 << 4;
/// The join waker field is set and belongs to the completer.
pub(super) const JOIN_WAKER: usize = 1 << 5;
/// Woken while SCHEDULED: the poll that this stands for may have begun already.
pub(super) const NOTIFIED: usize = 1 << 6;
/// One reference.
pub(super) const REFERENCE: usize = 1 << 7;

/// What the word said at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) usize);

/// What whoever wants to poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToRunning {
    /// Poll it.
    Poll,
    /// It was aborted: drop the future and complete it as cancelled.
    Cancel,
    /// It is complete already; the runnable was a husk and its reference is still to be dropped.
    Husk,
}

/// What is to be done when the output is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToComplete {
    /// Nothing: the output is the handle's, and the completer's references are gone with it.
    Done,
    /// The same, but the handle waits: take its waker out and call it, then give them up.
    Wake,
    /// There is no handle: drop the output, then give them up.
    Orphan,
}

/// What is to be done after a poll that returned `Pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToIdle {
    /// Nothing: it sleeps. The runner's reference is gone.
    Idle,
    /// It sleeps, the runner's reference was the last one: free the cell.
    Free,
    /// It was woken during the poll: schedule it again (the reference goes into the runnable).
    Reschedule,
    /// It was aborted during the poll: RUNNING is the caller's, drop the future and complete it.
    Cancel,
}

/// What a wake has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Nothing: complete, or queued already, or the runner will see to it.
    Nothing,
    /// Schedule it: the caller holds the new runnable's reference.
    Schedule,
    /// (by value only) nothing to wake and the last reference: free the cell.
    Free,
}

/// What an abort has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    /// Nothing: complete, aborted before, or a task that is queued or polled (its runner will see the
    /// bit).
    Nothing,
    /// It sleeps: a runnable was made (with its reference) that will find it cancelled.
    Schedule,
    /// It says that it is being run: tell the scheduler, which may have means.
    Running,
    /// The caller now holds RUNNING: drop the future and complete it here.
    InPlace,
}

/// What a join handle that goes has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detach {
    /// The output is there: drop it, then give the reference up.
    Output,
    /// The handle's waker is there: drop it, then give the reference up.
    Waker,
    /// Nothing: the reference is gone as well.
    Gone,
    /// The same, and it was the last one: free the cell.
    Free,
}

/// What a shutdown has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// Nothing: complete, or whoever has its runnable will cancel it.
    Nothing,
    /// The caller now holds RUNNING: drop the future and complete it. If there is a runnable, it is a
    /// husk from now on.
    Cancel,
}

impl Snapshot {
    /// A new task: queued, with its handle; `references` counts runnable, handle and live list.
    pub(crate) const fn new(references: usize) -> Self {
        Self(SCHEDULED | JOIN_INTEREST | (references * REFERENCE))
    }

    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    pub(crate) fn is_scheduled(self) -> bool {
        self.0 & SCHEDULED != 0
    }

    pub(crate) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }

    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    pub(crate) fn has_join_interest(self) -> bool {
        self.0 & JOIN_INTEREST != 0
    }

    pub(crate) fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }

    pub(crate) fn references(self) -> usize {
        self.0 / REFERENCE
    }

    fn with(self, bits: usize) -> Self {
        Self(self.0 | bits)
    }

    fn without(self, bits: usize) -> Self {
        Self(self.0 & !bits)
    }

    fn less_one_reference(self) -> Self {
        debug_assert!(self.references() > 0, "{self:?} has no reference to drop");
        Self(self.0 - REFERENCE)
    }

    /// The holder of the runnable wants to poll, or to cancel, and says so by RUNNING.
    pub(super) fn to_running(self) -> (ToRunning, Self) {
        debug_assert!(
            self.is_scheduled(),
            "{self:?}: a runnable without SCHEDULED"
        );
        if self.is_complete() {
            return (ToRunning::Husk, self);
        }
        if self.is_running() {
            // A cancellation in place holds it on another thread and will complete it.
            return (ToRunning::Husk, self);
        }
        let action = if self.is_cancelled() {
            ToRunning::Cancel
        } else {
            ToRunning::Poll
        };
        (action, self.with(RUNNING).without(NOTIFIED))
    }

    /// May the holder of the runnable poll, with nothing to write before?
    pub(super) fn is_to_be_polled(self) -> bool {
        let flags = SCHEDULED | NOTIFIED | RUNNING | COMPLETE | CANCELLED;
        self.0 & flags == SCHEDULED
    }

    /// As `to_running`, but a poll is not said.
    pub(super) fn to_polling(self) -> (ToRunning, Self) {
        match self.to_running() {
            (ToRunning::Poll, _) => (ToRunning::Poll, self.without(NOTIFIED)),
            other => other,
        }
    }

    /// Was it woken during the poll, and there is nothing to write after it?
    pub(super) fn is_to_be_polled_again(self) -> bool {
        self.0 & (NOTIFIED | RUNNING | CANCELLED) == NOTIFIED
    }

    /// The poll returned Pending.
    pub(super) fn to_idle(self) -> (ToIdle, Self) {
        debug_assert!(
            self.is_scheduled() && !self.is_complete(),
            "{self:?} cannot become idle"
        );
        if self.is_cancelled() {
            return (ToIdle::Cancel, self.with(RUNNING));
        }
        let next = self.without(RUNNING);
        if self.0 & NOTIFIED != 0 {
            // It stays, for the next poll to take.
            return (ToIdle::Reschedule, next);
        }
        next.without(SCHEDULED).to_rest()
    }

    /// Nothing is left to do but to give the runner's reference up.
    fn to_rest(self) -> (ToIdle, Self) {
        let next = self.less_one_reference();
        if next.references() == 0 {
            (ToIdle::Free, next)
        } else {
            (ToIdle::Idle, next)
        }
    }

    /// The output is stored: RUNNING goes, COMPLETE comes. With a handle that does not wait the
    /// completer's references go in the same step: nothing in the cell is of use to it any more.
    pub(super) fn complete(self, references: usize) -> (ToComplete, Self) {
        debug_assert!(
            (self.is_running() || self.is_scheduled()) && !self.is_complete(),
            "{self:?} cannot complete"
        );
        let next = self.without(RUNNING).with(COMPLETE);
        if !self.has_join_interest() {
            return (ToComplete::Orphan, next);
        }
        if self.has_join_waker() {
            return (ToComplete::Wake, next);
        }
        debug_assert!(self.references() > references, "{self:?}: no handle's");
        (ToComplete::Done, Self(next.0 - references * REFERENCE))
    }

    /// There is someone already who will poll it or is polling it: what he has to know. Even where
    /// this changes nothing it is written, which orders the wake before the poll.
    fn woken(self) -> Self {
        if self.is_complete() {
            self
        } else if self.is_scheduled() {
            self.with(NOTIFIED)
        } else {
            self.with(SCHEDULED)
        }
    }

    /// A waker is called and consumed.
    pub(super) fn wake_by_value(self) -> (Wake, Self) {
        if self.is_complete() || self.is_scheduled() || self.is_running() {
            let next = self.woken().less_one_reference();
            let action = if next.references() == 0 {
                Wake::Free
            } else {
                Wake::Nothing
            };
            return (action, next);
        }
        // Idle: the waker's reference becomes the runnable's.
        (Wake::Schedule, self.with(SCHEDULED))
    }

    /// A waker is called and stays.
    pub(super) fn wake_by_ref(self) -> (Wake, Self) {
        if self.is_complete() {
            return (Wake::Nothing, self);
        }
        if self.is_scheduled() || self.is_running() {
            return (Wake::Nothing, self.woken());
        }
        (Wake::Schedule, Self(self.with(SCHEDULED).0 + REFERENCE))
    }

    /// `abort()`. `in_place`: may this thread drop a body that is not running?
    pub(super) fn abort(self, in_place: bool) -> (Abort, Self) {
        if self.is_complete() || self.is_cancelled() {
            return (Abort::Nothing, self);
        }
        let next = self.with(CANCELLED);
        if self.is_running() {
            return (Abort::Running, next);
        }
        if in_place {
            // SCHEDULED stays if it is set: the queued runnable becomes a husk.
            return (Abort::InPlace, next.with(RUNNING));
        }
        if self.is_scheduled() {
            return (Abort::Nothing, next);
        }
        (Abort::Schedule, Self(next.with(SCHEDULED).0 + REFERENCE))
    }

    /// The scheduler shuts down, on a thread that may drop futures. `at_home`: it is the thread that
    /// polls, and now it does not.
    pub(super) fn shutdown(self, at_home: bool) -> (Shutdown, Self) {
        let next = self.with(CANCELLED);
        let is_polled = self.is_scheduled() && !at_home; // for all we know
        if self.is_complete() || self.is_running() || is_polled {
            return (Shutdown::Nothing, next);
        }
        (Shutdown::Cancel, next.with(RUNNING))
    }

    /// The join handle wants to hand its waker over. False: complete, read the output instead.
    pub(super) fn set_join_waker(self) -> (bool, Self) {
        debug_assert!(
            self.has_join_interest() && !self.has_join_waker(),
            "{self:?}"
        );
        if self.is_complete() {
            return (false, self);
        }
        (true, self.with(JOIN_WAKER))
    }

    /// The join handle wants its waker field back, to change it. False: complete.
    pub(super) fn unset_join_waker(self) -> (bool, Self) {
        debug_assert!(
            self.has_join_interest() && self.has_join_waker(),
            "{self:?}"
        );
        if self.is_complete() {
            return (false, self);
        }
        (true, self.without(JOIN_WAKER))
    }

    /// The join handle goes.
    pub(super) fn detach(self) -> (Detach, Self) {
        debug_assert!(self.has_join_interest(), "{self:?}");
        if self.is_complete() {
            // The completer saw the interest and left the output to the handle.
            return (Detach::Output, self);
        }
        // The waker field goes back to the handle, which drops what is in it.
        let next = self.without(JOIN_INTEREST | JOIN_WAKER);
        if self.has_join_waker() {
            return (Detach::Waker, next);
        }
        let next = next.less_one_reference();
        if next.references() == 0 {
            (Detach::Free, next)
        } else {
            (Detach::Gone, next)
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flags = [
            (RUNNING, "RUNNING"),
            (SCHEDULED, "SCHEDULED"),
            (COMPLETE, "COMPLETE"),
            (CANCELLED, "CANCELLED"),
            (JOIN_INTEREST, "JOIN_INTEREST"),
            (JOIN_WAKER, "JOIN_WAKER"),
            (NOTIFIED, "NOTIFIED"),
        ];
        let names: Vec<_> = flags
            .iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .map(|f| f.1)
            .collect();
        write!(f, "{} ({} references)", names.join("|"), self.references())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_state_are_named_in_messages() {
        let word = Snapshot::new(2).with(RUNNING | CANCELLED);
        assert_eq!(
            format!("{word:?}"),
            "RUNNING|SCHEDULED|CANCELLED|JOIN_INTEREST (2 references)"
        );
    }
}
