//! The state word of a task, shared: each transition of `word.rs` applied by one atomic operation.
//!
//! Owns      one `AtomicUsize`.
//! Holds     the invariants of `word.rs`, and that what its holder did before a transition is seen
//!           by whoever the transition hands the task to.
//!
//! | operation                       | ordering | pairs with                                    |
//! |---------------------------------|----------|-----------------------------------------------|
//! | wake (SCHEDULED, NOTIFIED)      | AcqRel   | to_polling: what was done before the wake is  |
//! |                                 |          | seen by the poll it causes, also when the bit |
//! |                                 |          | was already set (read-modify-write always)    |
//! | to_polling, to_running          | AcqRel   | the last owner's to_idle: the stage's bytes   |
//! | to_polling, nothing to write    | Acquire  | the wake that set SCHEDULED, and through it   |
//! |                                 |          | the last owner's to_idle                      |
//! | to_idle, nothing to write       | Acquire  | the wake that left NOTIFIED. (The stage's     |
//! |                                 |          | bytes go with the runnable, by its queue.)    |
//! | to_idle, complete               | AcqRel   | the next owner; the handle's read of output   |
//! | set/clear JOIN_WAKER            | AcqRel   | complete: the waker's bytes                   |
//! | add a reference                 | Relaxed  | made from one that exists; orders nothing     |
//! | drop a reference                | AcqRel   | all other drops: uses happen before the free  |
//! | drop the last ones              | Acquire  | the same: a load that finds nobody else       |
//! | to_running, complete, alone     | Acquire, | the same; then a store, which nobody sees     |
//! |                                 | Relaxed  | who does not get a reference of us            |
//!
//! Everything that is weaker than AcqRel is said at the operation. On x86-64 a locked instruction
//! is a full barrier whatever the ordering, so the orderings cost nothing here; the number of
//! locked instructions does. A task that is spawned, run once and then joined takes one, complete; a
//! handle that waits for it two more, for its waker and for the reference with which the completer
//! calls it. One that is dropped before that takes one,
//! and leaves the completer alone with the task: no locked instruction to complete and free it, and
//! none to begin a job, which no list holds.
//!
//! Next: `depot.rs`.

use super::word::{
    Abort, Detach, REFERENCE, Shutdown, Snapshot, ToComplete, ToIdle, ToRunning, Wake,
};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Past this many references something leaks them in a loop. Half the range, so that threads
/// racing past the check cannot overflow the count before one of them aborts.
const MAX_REFERENCES: usize = usize::MAX >> 1;

/// The state word of one task.
#[derive(Debug)]
pub(crate) struct State {
    word: AtomicUsize,
}

impl State {
    pub(crate) fn new(initial: Snapshot) -> Self {
        Self {
            word: AtomicUsize::new(initial.0),
        }
    }

    /// Acquire: what is read under the flags happened before them.
    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Applies a pure transition. AcqRel both ways: see the table in the file head.
    #[inline]
    fn apply<A>(&self, transition: impl Fn(Snapshot) -> (A, Snapshot)) -> A {
        // Relaxed: only a guess for the compare-exchange, which then orders.
        let current = Snapshot(self.word.load(Ordering::Relaxed));
        self.apply_to(current, transition)
    }

    /// As `apply`, by who has looked already.
    #[inline]
    fn apply_to<A>(
        &self,
        mut current: Snapshot,
        transition: impl Fn(Snapshot) -> (A, Snapshot),
    ) -> A {
        loop {
            let (action, next) = transition(current);
            // Also when `next == current`: a wake must be ordered before the poll it asks for.
            match self.word.compare_exchange_weak(
                current.0,
                next.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return action,
                Err(seen) => current = Snapshot(seen),
            }
        }
    }

    /// As `apply`, by who owns `references` of the task's references.
    #[inline]
    fn apply_by_owner<A>(
        &self,
        references: usize,
        transition: impl Fn(Snapshot) -> (A, Snapshot),
    ) -> A {
        // Acquire: pairs with the drops of the others.
        let current = self.load();
        if current.references() != references {
            return self.apply_to(current, transition);
        }
        // Nobody else is left, and references are made of references: nobody comes. So nobody
        // sees or changes the word before we hand one on, and a store does for a locked instruction.
        let (action, next) = transition(current);
        // Relaxed: whoever gets a reference of us gets it with the order in which we made it.
        self.word.store(next.0, Ordering::Relaxed);
        action
    }

    /// To poll, or to cancel, with RUNNING said.
    #[inline]
    pub(crate) fn transition_to_running(&self) -> ToRunning {
        self.apply_by_owner(1, Snapshot::to_running)
    }

    /// To poll, without a word.
    #[inline]
    pub(crate) fn transition_to_polling(&self) -> ToRunning {
        // Acquire: pairs with the wake that set SCHEDULED. A wake or an abort that we do not see yet
        // finds SCHEDULED set, and leaves a bit for `transition_to_idle`.
        let current = self.load();
        if current.is_to_be_polled() {
            return ToRunning::Poll;
        }
        self.apply_to(current, Snapshot::to_polling)
    }

    #[inline]
    pub(crate) fn transition_to_idle(&self) -> ToIdle {
        // Acquire: pairs with the wake. NOTIFIED stays, for the next `to_polling` to take.
        let current = self.load();
        if current.is_to_be_polled_again() {
            return ToIdle::Reschedule;
        }
        self.apply_to(current, Snapshot::to_idle)
    }

    #[inline]
    pub(crate) fn wake_by_value(&self) -> Wake {
        self.apply(Snapshot::wake_by_value)
    }

    #[inline]
    pub(crate) fn wake_by_ref(&self) -> Wake {
        let action = self.apply(Snapshot::wake_by_ref);
        if action == Wake::Schedule {
            self.check_references();
        }
        action
    }

    pub(crate) fn abort(&self, in_place: bool) -> Abort {
        self.apply(|state| state.abort(in_place))
    }

    pub(crate) fn transition_to_shutdown(&self, at_home: bool) -> Shutdown {
        self.apply(|state| state.shutdown(at_home))
    }

    /// Call when the output is stored. `references`: how many the caller gives up.
    #[inline]
    pub(crate) fn transition_to_complete(&self, references: usize) -> ToComplete {
        self.apply_by_owner(references, |state| state.complete(references))
    }

    pub(crate) fn set_join_waker(&self) -> bool {
        self.apply(Snapshot::set_join_waker)
    }

    pub(crate) fn unset_join_waker(&self) -> bool {
        self.apply(Snapshot::unset_join_waker)
    }

    #[inline]
    pub(crate) fn detach(&self) -> Detach {
        self.apply(Snapshot::detach)
    }

    /// One more reference, made from an existing one.
    #[inline]
    pub(crate) fn add_reference(&self) {
        // Relaxed: the existing reference keeps the cell alive; nothing is published.
        let before = self.word.fetch_add(REFERENCE, Ordering::Relaxed);
        if before > MAX_REFERENCES {
            std::process::abort();
        }
    }

    fn check_references(&self) {
        // Relaxed: a bound on a runaway count, nothing is read under it.
        if self.word.load(Ordering::Relaxed) > MAX_REFERENCES {
            std::process::abort();
        }
    }

    /// `count` references less, most likely the last. True: they were, free the cell.
    #[inline]
    pub(crate) fn drop_last_references(&self, count: usize) -> bool {
        // Acquire: pairs with the drops of the others. Nobody is left to change the word, so a load
        // does for a locked instruction.
        self.load().references() == count || self.drop_references(count)
    }

    /// `count` references less. True: they were the last, free the cell.
    #[inline]
    pub(crate) fn drop_references(&self, count: usize) -> bool {
        // AcqRel: every use through another reference happens before the free.
        let before = Snapshot(self.word.fetch_sub(count * REFERENCE, Ordering::AcqRel));
        debug_assert!(
            before.references() >= count,
            "{before:?} loses {count} references"
        );
        before.references() == count
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
