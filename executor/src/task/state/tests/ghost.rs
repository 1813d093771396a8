//! A task without memory: its state word, and beside it a count of what really exists. Every step
//! that a holder can take next, and what must hold before each.

use super::super::State;
use crate::task::word::{Abort, Detach, Shutdown, Snapshot, ToComplete, ToIdle, ToRunning, Wake};

/// Enough of each to collide: two wakers can race each other, one more says nothing new.
const MAX_WAKERS: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Runner {
    /// Inside the future's `poll`.
    Polling,
    /// The future goes next, then the output is stored.
    Retiring,
    /// The output is about to be stored. With the reference of the list of live tasks?
    Completing(bool),
    /// COMPLETE is set and the handle woken, or the output dropped; the references go last, with
    /// that of the list?
    Leaving(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Handle {
    /// Not waiting; the join waker field is the handle's.
    Quiet,
    /// Its waker lies in the field.
    Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Future,
    Output,
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ghost {
    pub(super) word: usize,
    pub(super) runnables: u8,
    pub(super) husks: u8,
    pub(super) runner: Option<Runner>,
    pub(super) wakers: u8,
    /// Does the list of live tasks hold its reference?
    pub(super) listed: bool,
    pub(super) handle: Option<Handle>,
    pub(super) aborters: u8,
    pub(super) stage: Stage,
    /// A wake, or an abort, that no poll has answered yet.
    pub(super) owed: bool,
    pub(super) freed: bool,
}

/// What kind of owner the task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) in_place: bool,
    pub(super) listed: bool,
    pub(super) at_home: bool,
}

impl Ghost {
    pub(super) fn new(owner: Owner) -> Self {
        let references = 2 + usize::from(owner.listed);
        Self {
            word: Snapshot::new(references + 1).0,
            runnables: 1,
            husks: 0,
            runner: None,
            wakers: 0,
            listed: owner.listed,
            handle: Some(Handle::Quiet),
            aborters: 1,
            stage: Stage::Future,
            owed: true,
            freed: false,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.word)
    }

    /// Applies a transition of the real state word.
    fn apply<A>(&mut self, transition: impl FnOnce(&State) -> A) -> A {
        assert!(!self.freed, "used after the free: {self:?}");
        let state = State::new(self.snapshot());
        let action = transition(&state);
        self.word = state.load().0;
        action
    }

    fn drop_references(&mut self, count: usize) {
        if self.apply(|state| state.drop_references(count)) {
            self.free();
        }
    }

    fn free(&mut self) {
        assert!(!self.freed);
        if self.snapshot().is_complete() {
            assert_eq!(self.stage, Stage::Empty, "an output leaks: {self:?}");
        } else {
            assert_eq!(self.stage, Stage::Future);
            self.stage = Stage::Empty;
        }
        self.freed = true;
    }

    fn take_output(&mut self) {
        assert_eq!(self.stage, Stage::Output, "{self:?}");
        self.stage = Stage::Empty;
    }

    fn make_runnable(&mut self) {
        assert!(!self.snapshot().is_complete(), "{self:?}");
        self.runnables += 1;
    }

    fn start_running(&mut self, runner: Runner) {
        assert_eq!(self.runner, None, "I2: two owners of RUNNING: {self:?}");
        assert_eq!(self.stage, Stage::Future, "{self:?}");
        self.runner = Some(runner);
    }

    /// I1 to I5, and that nothing that was asked for is forgotten.
    pub(super) fn check(&self, owner: Owner) {
        let word = self.snapshot();
        let holders = self.runnables
            + self.husks
            + match self.runner {
                None => 0,
                Some(Runner::Completing(listed) | Runner::Leaving(listed)) => 1 + u8::from(listed),
                Some(Runner::Polling | Runner::Retiring) => 1,
            }
            + self.wakers
            + u8::from(self.listed)
            + u8::from(self.handle.is_some())
            + self.aborters;
        if self.freed {
            assert_eq!(holders, 0, "I5: freed under a holder: {self:?}");
            return;
        }
        assert_eq!(word.references(), usize::from(holders), "I5: {self:?}");
        assert!(holders > 0, "I5: nobody is left to free it: {self:?}");
        let owns_stage = matches!(
            self.runner,
            Some(Runner::Polling | Runner::Retiring | Runner::Completing(_))
        );
        if owner.in_place {
            assert_eq!(word.is_running(), owns_stage, "I2: {self:?}");
        } else {
            assert!(!word.is_running() || owns_stage, "I2: {self:?}");
            let said = word.is_running() || word.is_scheduled();
            assert!(!owns_stage || said, "I2: {self:?}");
        }
        assert!(!(word.is_running() && word.is_complete()), "I3: {self:?}");
        assert!(self.runnables <= 1, "I1: {self:?}");
        if self.runnables == 1 {
            assert!(word.is_scheduled(), "I1: {self:?}");
        }
        if self.runner == Some(Runner::Polling) {
            assert_eq!(self.runnables, 0, "I1: polled while queued: {self:?}");
        }
        assert_eq!(
            self.stage == Stage::Future,
            !word.is_complete(),
            "the stage needs no tag: {self:?}"
        );
        if !word.is_complete() && !owns_stage {
            assert_eq!(
                self.runnables == 1,
                word.is_scheduled(),
                "a SCHEDULED that nobody will run: {self:?}"
            );
            assert!(!self.owed || self.runnables == 1, "lost wake-up: {self:?}");
        }
        if !word.is_complete() {
            assert_eq!(word.has_join_interest(), self.handle.is_some(), "{self:?}");
        }
        if !word.is_complete() {
            let waiting = self.handle == Some(Handle::Waiting);
            assert_eq!(word.has_join_waker(), waiting, "I4: {self:?}");
        }
    }

    /// Every state that one step of one holder leads to.
    pub(super) fn steps(&self, owner: Owner) -> Vec<(&'static str, Ghost)> {
        let mut next = Vec::new();
        let mut step = |name: &'static str, enabled: bool, change: &dyn Fn(&mut Ghost)| {
            if enabled && !self.freed {
                let mut ghost = *self;
                change(&mut ghost);
                next.push((name, ghost));
            }
        };
        step("a runnable is run", self.runnables > 0, &|g| {
            g.runnables -= 1;
            let transition = if owner.in_place {
                State::transition_to_running
            } else {
                State::transition_to_polling
            };
            match g.apply(transition) {
                ToRunning::Poll => {
                    g.owed = false;
                    g.start_running(Runner::Polling);
                }
                ToRunning::Cancel => g.start_running(Runner::Retiring),
                ToRunning::Husk => g.husks += 1,
            }
        });
        step("a runnable is dropped", self.runnables > 0, &|g| {
            g.runnables -= 1;
            match g.apply(State::transition_to_running) {
                ToRunning::Poll | ToRunning::Cancel => g.start_running(Runner::Retiring),
                ToRunning::Husk => g.husks += 1,
            }
        });
        step("a husk goes", self.husks > 0, &|g| {
            g.husks -= 1;
            g.drop_references(1);
        });
        step(
            "poll: Pending",
            self.runner == Some(Runner::Polling),
            &|g| {
                let action = g.apply(State::transition_to_idle);
                g.runner = None;
                match action {
                    ToIdle::Idle => {}
                    ToIdle::Free => g.free(),
                    ToIdle::Reschedule => g.make_runnable(),
                    ToIdle::Cancel => g.runner = Some(Runner::Retiring),
                }
            },
        );
        step("poll: Ready", self.runner == Some(Runner::Polling), &|g| {
            g.runner = Some(Runner::Retiring);
        });
        step(
            "off the list",
            self.runner == Some(Runner::Retiring),
            &|g| {
                g.runner = Some(Runner::Completing(std::mem::take(&mut g.listed)));
            },
        );
        let completing = match self.runner {
            Some(Runner::Completing(listed)) => Some(listed),
            _ => None,
        };
        step("complete", completing.is_some(), &|g| {
            let listed = completing == Some(true);
            assert_eq!(g.stage, Stage::Future);
            g.stage = Stage::Output;
            let waiting = g.handle == Some(Handle::Waiting);
            let action = g.apply(|state| state.transition_to_complete(1 + usize::from(listed)));
            g.runner = Some(Runner::Leaving(listed));
            match action {
                ToComplete::Done => {
                    assert!(g.handle == Some(Handle::Quiet), "{g:?}");
                    g.runner = None;
                }
                ToComplete::Wake => assert!(waiting, "I4: {g:?}"),
                ToComplete::Orphan => g.take_output(),
            }
        });
        let leaving = match self.runner {
            Some(Runner::Leaving(listed)) => Some(listed),
            _ => None,
        };
        step("leave", leaving.is_some(), &|g| {
            g.runner = None;
            g.drop_references(1 + usize::from(leaving == Some(true)));
        });
        step("leave, most likely as the last", leaving.is_some(), &|g| {
            g.runner = None;
            let references = 1 + usize::from(leaving == Some(true));
            if g.apply(|state| state.drop_last_references(references)) {
                g.free();
            }
        });
        let polling = self.runner == Some(Runner::Polling);
        let has_waker = self.wakers > 0 || polling;
        step(
            "a waker is cloned",
            has_waker && self.wakers < MAX_WAKERS,
            &|g| {
                g.apply(State::add_reference);
                g.wakers += 1;
            },
        );
        step("wake by value", self.wakers > 0, &|g| {
            g.wakers -= 1;
            g.owed |= !g.snapshot().is_complete();
            match g.apply(State::wake_by_value) {
                Wake::Nothing => {}
                Wake::Schedule => g.make_runnable(),
                Wake::Free => g.free(),
            }
        });
        step("wake by reference", has_waker, &|g| {
            g.owed |= !g.snapshot().is_complete();
            match g.apply(State::wake_by_ref) {
                Wake::Nothing => {}
                Wake::Schedule => g.make_runnable(),
                Wake::Free => unreachable!("the waker is still there"),
            }
        });
        step("a waker is dropped", self.wakers > 0, &|g| {
            g.wakers -= 1;
            g.drop_references(1);
        });
        step("abort", self.aborters > 0 || self.handle.is_some(), &|g| {
            g.owed |= !g.snapshot().is_complete();
            let before = g.snapshot();
            match g.apply(|state| state.abort(owner.in_place)) {
                Abort::Nothing => {}
                Abort::Running => assert!(!before.is_cancelled(), "told twice: {g:?}"),
                Abort::Schedule => {
                    assert!(!owner.in_place);
                    g.make_runnable();
                }
                Abort::InPlace => {
                    assert!(owner.in_place);
                    g.apply(State::add_reference);
                    g.start_running(Runner::Retiring);
                }
            }
        });
        step("an abort handle is dropped", self.aborters > 0, &|g| {
            g.aborters -= 1;
            g.drop_references(1);
        });
        // At home the thread is in a task, or shuts down: not both.
        let in_a_task = owner.at_home && self.runner.is_some();
        step("shutdown", self.listed && !in_a_task, &|g| {
            g.listed = false;
            g.owed |= !g.snapshot().is_complete();
            match g.apply(|state| state.transition_to_shutdown(owner.at_home)) {
                Shutdown::Cancel => {
                    assert!(owner.at_home || g.runnables == 0, "{g:?}");
                    g.start_running(Runner::Retiring);
                }
                Shutdown::Nothing => g.drop_references(1),
            }
        });
        let complete = self.snapshot().is_complete();
        step(
            "the output is read",
            self.handle.is_some() && complete,
            &|g| {
                g.handle = None;
                g.take_output();
                if g.apply(|state| state.drop_last_references(1)) {
                    g.free();
                }
            },
        );
        // The word as the handle sees it may be older than the transition: both are tried
        // whether or not the task is complete.
        step(
            "a join waker is set",
            self.handle == Some(Handle::Quiet),
            &|g| {
                let waits = g.apply(State::set_join_waker);
                assert_eq!(waits, !complete, "a handle that waits for nothing: {g:?}");
                g.handle = Some(if waits {
                    Handle::Waiting
                } else {
                    Handle::Quiet
                });
            },
        );
        step(
            "a join waker is taken back",
            self.handle == Some(Handle::Waiting),
            &|g| {
                let taken_back = g.apply(State::unset_join_waker);
                assert_eq!(taken_back, !complete, "{g:?}");
                g.handle = Some(if taken_back {
                    Handle::Quiet
                } else {
                    Handle::Waiting
                });
            },
        );
        step("the handle is dropped", self.handle.is_some(), &|g| {
            g.handle = None;
            match g.apply(State::detach) {
                Detach::Output => g.take_output(),
                Detach::Waker => {}
                Detach::Gone => return,
                Detach::Free => return g.free(),
            }
            g.drop_references(1);
        });
        next
    }
}
