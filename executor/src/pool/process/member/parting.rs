//! How jobs leave a worker without an answer: taken back, stopped, or left behind by the dead.
//!
//! ```text
//!   not begun ── withdraw ──> back to the queue, or over (the board decides which of the two wins)
//!   begun ────── stop ──────> the worker has to die ──> die ── Stopped
//!                                                        |──── Untouched, Rest: run by others
//!   the worker dies of itself ───────────────────────────+──── Fallen: waits for the reason, and is
//!                                                              told by `remains`
//! ```
//!
//! A part of `Member`: same state, same rules (M1 to M3 there). Next: `../crew.rs`.

use super::{Assigned, MOMENT, Member, Stage};
use crate::pool::process::board::Look;
use crate::pool::process::job::{Done, Job, RemoteJob};
use crate::task::schedule::TaskId;
use std::time::{Duration, Instant};

/// Why a job that runs was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool::process) enum Stopped {
    /// By its handle, or with the whole pool.
    Aborted,
    /// Its time was up.
    TimedOut,
    /// The pool broke.
    Broken,
}

/// What became of a job whose worker is dead.
pub(in crate::pool::process) enum Remains {
    /// It was stopped, which is why the worker is dead.
    Stopped(Box<dyn RemoteJob>, Stopped),
    /// The worker died while running it.
    Fallen(Job),
    /// And when that was a parcel: what has not begun of it.
    Rest(Job),
    /// It never began.
    Untouched(Job),
}

/// What an attempt to stop a job found.
pub(in crate::pool::process) enum Stop {
    /// No such job here.
    Unknown,
    /// It is done, and its answer on the way. Some of the jobs behind it are back.
    Done(Vec<Job>),
    /// It had not begun, and will not.
    Withdrawn(Box<dyn RemoteJob>),
    /// It is running: the worker has to be killed. The jobs behind it are back.
    Running(Vec<Job>),
}
impl Member {
    /// Takes back the last job, if there is one to spare and it has not begun.
    pub(in crate::pool::process) fn withdraw_last(&mut self) -> Option<Job> {
        let last = self.jobs.len().checked_sub(1)?;
        if last == 0 || self.jobs[last].stopped.is_some() {
            return None;
        }
        self.withdraw(last)
    }

    /// Takes back all jobs behind the front one that have not begun.
    pub(in crate::pool::process) fn withdraw_waiting(&mut self) -> Vec<Job> {
        std::iter::from_fn(|| self.withdraw_last()).collect()
    }

    /// Takes job `index` back if it has not begun.
    fn withdraw(&mut self, index: usize) -> Option<Job> {
        if !self.board.withdraw(self.jobs[index].number) {
            return None;
        }
        let job = self.jobs.remove(index)?;
        self.slow = !self.jobs.is_empty();
        Some(job.into_job())
    }

    /// When it has been at a parcel for longer than `patience`, that is left with the one item that
    /// runs. What is done of it is over, and what has not begun is a job of its own.
    pub(in crate::pool::process) fn cut(
        &mut self,
        patience: Duration,
        now: Instant,
    ) -> Option<(Option<Done>, Option<Job>)> {
        if self.is_dead || now.duration_since(self.front_since) < patience {
            return None;
        }
        // Not always the front one: that may be answered, and not heard yet.
        let tray = &self.board.scene().tray;
        let mut jobs = self.jobs.iter_mut().filter(|job| job.stopped.is_none());
        let (begun, job) = jobs.find_map(|job| Some((tray.cut(job.number)?, job)))?;
        let rest = job.split(begun);
        let done = job.remote.release(tray.left(job.number));
        if let Some((_, items)) = &done {
            self.work.add(*items, 0, 0);
        }
        Some((done, rest))
    }

    /// The front job's time is up. One that has not begun has its time again (M3); but when the
    /// worker is stuck it goes back, and so do the others.
    pub(in crate::pool::process) fn time_out(&mut self, now: Instant) -> Stop {
        let stuck_at = self.stuck_at.filter(|at| now < *at);
        if stuck_at.is_some() && !self.board.was_begun(self.timed) {
            // At least a moment, or a limit of zero would be looked at again and again.
            let again = self.timeout().unwrap_or_default().max(MOMENT);
            let times = [now.checked_add(again), stuck_at];
            self.deadline = times.into_iter().flatten().min();
            return Stop::Unknown;
        }
        self.deadline = None;
        match self.withdraw(0) {
            Some(job) => {
                self.stage = Stage::Leaving;
                let mut back = vec![job];
                for behind in (0..self.jobs.len()).rev() {
                    back.extend(self.withdraw(behind));
                }
                Stop::Running(back)
            }
            None => self.stop_begun(0, Stopped::TimedOut),
        }
    }

    /// Stops a job of this worker.
    pub(in crate::pool::process) fn stop(&mut self, id: TaskId, why: Stopped) -> Stop {
        let is_it = |job: &Assigned| job.remote.id() == id;
        let Some(index) = self.jobs.iter().position(is_it) else {
            return Stop::Unknown;
        };
        match self.withdraw(index) {
            Some(job) => Stop::Withdrawn(job.remote),
            None => self.stop_begun(index, why),
        }
    }

    fn stop_begun(&mut self, index: usize, why: Stopped) -> Stop {
        // The jobs behind it come back *before* the kill, or the worker could begin one of them
        // and take it along: the last first, so that those that are back stay behind the worker.
        // If one of them has begun, this one is done: its answer is on the way, and counts.
        let mut back = Vec::new();
        self.jobs[index].stopped.get_or_insert(why);
        if let Look::Answered { .. } = self.board.look(self.jobs[index].number) {
            return Stop::Done(back);
        }
        while self.jobs.len() > index + 1 {
            match self.withdraw(self.jobs.len() - 1) {
                Some(job) => back.push(job),
                None if self.board.was_begun(self.jobs[self.jobs.len() - 1].number) => {
                    return Stop::Done(back);
                }
                None => break, // The board holds nonsense. Whoever wrote it must not go on.
            }
        }
        self.stage = Stage::Leaving;
        // Within the grace a parcel may come to the end of an item, and not to the next one.
        self.board.scene().tray.cut(self.jobs[index].number);
        Stop::Running(back)
    }

    /// It is dead, and everything it answered has been heard: what becomes of its jobs, but for the
    /// one that it fell in. How it died, the server tells until then.
    pub(in crate::pool::process) fn die(&mut self, until: Option<Instant>) -> Vec<Remains> {
        (self.stage, self.is_dead, self.kill_at) = (Stage::Leaving, true, until);
        let mut remains = Vec::new();
        for (index, mut job) in std::mem::take(&mut self.jobs).into_iter().enumerate() {
            let has_begun = index == 0 && self.is_mad || self.board.was_begun(job.number);
            if !has_begun {
                remains.push(match job.stopped {
                    Some(why) => Remains::Stopped(job.remote, why),
                    None => Remains::Untouched(job.into_job()),
                });
                continue;
            }
            let left = self.board.scene().tray.left(job.number);
            let bytes_out = left.bytes.len();
            let (answered, begun) = job.remote.inherit(left);
            self.work.add(answered, 0, bytes_out);
            match job.stopped {
                Some(why) => {
                    self.has_worked = true;
                    remains.push(Remains::Stopped(job.remote, why));
                }
                None => {
                    remains.extend(job.split(begun).map(Remains::Rest));
                    self.jobs.push_back(job);
                }
            }
        }
        remains
    }

    /// What becomes of the jobs it still has.
    pub(in crate::pool::process) fn remains(&mut self) -> Vec<Remains> {
        let mut remains = match self.is_dead {
            true => Vec::new(),
            false => self.die(None),
        };
        // It may have been stopped since.
        remains.extend(self.jobs.drain(..).map(|job| match job.stopped {
            Some(why) => Remains::Stopped(job.remote, why),
            None => Remains::Fallen(job.into_job()),
        }));
        remains
    }
}

impl Assigned {
    /// Of a parcel: the items behind those that have begun, as a job of their own.
    pub(super) fn split(&mut self, begun: usize) -> Option<Job> {
        let (remote, argument) = self.remote.split(begun, &mut self.argument)?;
        let (order, entry) = (self.order, self.entry);
        Some(Job {
            remote,
            order,
            entry,
            argument,
            policy: None,
        })
    }

    pub(super) fn into_job(self) -> Job {
        Job {
            remote: self.remote,
            order: self.order,
            entry: self.entry,
            argument: self.argument,
            policy: self.policy,
        }
    }
}
