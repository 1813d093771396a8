//! One worker, seen from the pool: its channel, its ledger, and the jobs it has not answered.
//!
//! ```text
//!   jobs:   [ 7 | 8 | 9 | 10 ]        front: the worker is at this one, or will be next
//!             sent^   ^offset         7 and 8 are sent, 9 in part, 10 not at all
//! ```
//!
//! A job stays here, with its argument, until it is answered: should the worker die before it has
//! begun it, another one gets it. A job that was sent can be taken back as long as it has not begun
//! (the ledger decides): it is forgotten here, and the worker, when it comes to the frame, fails to
//! claim it and goes on without an answer.
//!
//! Owns      everything the pool knows of one worker; part of `Crew`, so under the pool's lock.
//! Holds     M1 answers come in the order of the jobs; M2 a frame whose first byte was sent is sent
//!           to its last, or the worker would take the next one's header for payload. So a job that
//!           is taken back when half of it is sent stays as a hole: bytes without a job. (Not for a
//!           worker that is being killed.) M3 two jobs that can still be claimed never share a slot
//!           of the ledger: a number is given out in advance only when fewer than SLOTS have been
//!           since the front one. M4 the front job's time begins when it becomes the front one: from
//!           then on the worker has nothing else to do. So waiting costs a job no time, and a clock
//!           never begins late enough to be noticed. Next: `crew.rs`.

use super::job::{Job, RemoteJob};
use super::ledger::{Ledger, SLOTS};
use super::policy::Policy;
use super::sys;
use super::wire::{HEADER, Header, Kind};
use crate::task::schedule::TaskId;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// How many jobs a worker is given at a time: the one it runs, and one to go on with while the
/// answer to the first is on its way. No more: what waits here cannot be run by another worker
/// without being taken back first.
pub(super) const PIPELINE: usize = 2;

// M3: after a job was taken back, none is given in advance before the next answer, so at most
// PIPELINE numbers are in use and as many are wasted.
const _: () = assert!(2 * PIPELINE <= SLOTS);

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asked for; the server has not answered yet.
    Starting,
    /// It exists and takes jobs.
    Ready,
    /// It gets no more jobs: it was dismissed, or is being killed, or its channel has ended.
    Leaving,
}

/// Tells the time. A function, so that the tests can turn the hands.
pub(super) type Clock = fn() -> Instant;

/// One worker.
pub(super) struct Member {
    pub(super) stage: Stage,
    pub(super) pid: Option<u32>,
    pub(super) channel: Arc<OwnedFd>,
    /// It has closed its end of the channel: nothing can be sent. Reading tells the rest.
    deaf: bool,
    /// It has done at least one job, its setup aside.
    pub(super) has_worked: bool,
    /// What it has to do before it is Ready.
    pub(super) setup: Option<Job>,
    /// How many jobs it may be given yet, those that it has not answered included.
    jobs_left: u64,
    /// When it is to be replaced, though nothing is wrong with it.
    retires_at: Option<Instant>,
    /// A job was taken back from it while it was at another: until it answers, it gets none in
    /// advance. What it had to give back lies in its channel and takes up room there; and M3.
    slow: bool,
    ledger: Ledger,
    jobs: VecDeque<Assigned>,
    /// How many of `jobs` are sent entirely, and how many bytes of the next one are.
    sent: usize,
    offset: usize,
    last_number: u64,
    /// Which job the deadline is of (M4), and the deadline, if that job has one.
    timed: u64,
    deadline: Option<Instant>,
    /// It is leaving, and when it has not left by then it is killed.
    pub(super) kill_at: Option<Instant>,
}

/// A job that was given to a worker.
struct Assigned {
    number: u64,
    /// None: a hole (M2).
    remote: Option<Box<dyn RemoteJob>>,
    order: u64,
    entry: u64,
    argument: Vec<u8>,
    policy: Option<Box<Policy>>,
    /// The worker is being killed because of this job, and why.
    stopped: Option<Stopped>,
}

/// Why a job that runs was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// By its handle, or with the whole pool.
    Aborted,
    /// Its time was up.
    TimedOut,
    /// The pool broke.
    Broken,
}

/// What became of a job whose worker is dead.
pub(super) enum Remains {
    /// It was stopped, which is why the worker is dead.
    Stopped(Box<dyn RemoteJob>, Stopped),
    /// The worker died while running it.
    Fallen(Job),
    /// It never began.
    Untouched(Job),
}

/// What an attempt to stop a job found.
pub(super) enum Stop {
    /// No such job here.
    Unknown,
    /// It is done, and its answer on the way.
    Done,
    /// It had not begun, and will not.
    Withdrawn(Box<dyn RemoteJob>),
    /// It is running: the worker has to be killed. The jobs behind it are back.
    Running(Vec<Job>),
}

impl Member {
    pub(super) fn new(channel: Arc<OwnedFd>, ledger: Ledger) -> Member {
        Member {
            stage: Stage::Starting,
            pid: None,
            channel,
            deaf: false,
            has_worked: false,
            setup: None,
            jobs_left: u64::MAX,
            retires_at: None,
            slow: false,
            ledger,
            jobs: VecDeque::new(),
            sent: 0,
            offset: 0,
            last_number: 0,
            timed: 0,
            deadline: None,
            kill_at: None,
        }
    }

    /// It takes jobs from now on, so many and until then.
    pub(super) fn engage(&mut self, jobs: Option<u64>, until: Option<Instant>) {
        self.stage = Stage::Ready;
        self.jobs_left = jobs.unwrap_or(u64::MAX);
        self.retires_at = until;
    }

    /// Has it stayed as long as was agreed?
    pub(super) fn is_spent(&self) -> bool {
        self.jobs_left == 0
    }

    /// Its time is over; the jobs that it has been given it may still do.
    pub(super) fn retire(&mut self) {
        self.jobs_left = 0;
        self.retires_at = None;
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn is_due_to_retire(&self, now: Instant) -> bool {
        self.stage == Stage::Ready && self.retires_at.is_some_and(|at| at <= now)
    }

    /// Has it nothing to do?
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many jobs it has not answered.
    pub(super) fn load(&self) -> usize {
        self.jobs.len()
    }

    /// Could it be given another job?
    pub(super) fn has_room(&self) -> bool {
        let given = self.jobs.len();
        let may = given < PIPELINE && (given as u64) < self.jobs_left;
        may && self.stage == Stage::Ready && !self.slow
    }

    /// Has it a job that waits behind another, and that came before job `order`?
    pub(super) fn holds_up_one_before(&self, order: u64) -> bool {
        self.jobs.len() > 1 && self.jobs.back().is_some_and(|last| last.order < order)
    }

    /// Gives it a job.
    pub(super) fn assign(&mut self, job: Job, clock: Clock) {
        self.last_number += 1;
        let in_use = |front: &Assigned| self.last_number - front.number;
        debug_assert!(self.jobs.front().map_or(0, in_use) < SLOTS as u64, "M3");
        self.ledger.offer(self.last_number);
        self.jobs.push_back(Assigned {
            number: self.last_number,
            remote: Some(job.remote),
            order: job.order,
            entry: job.entry,
            argument: job.argument,
            policy: job.policy,
            stopped: None,
        });
        self.flush();
        self.start_clock(clock);
    }

    /// M4: after every change of `jobs`.
    pub(super) fn start_clock(&mut self, clock: Clock) {
        let front = self.jobs.front();
        let number = front.map_or(0, |job| job.number);
        if number != self.timed {
            self.timed = number;
            let policy = front.filter(|job| job.remote.is_some());
            let policy = policy.and_then(|job| job.policy.as_deref());
            let timeout = policy.and_then(|policy| policy.terms.timeout);
            self.deadline = timeout.and_then(|timeout| clock().checked_add(timeout));
        }
    }

    /// When something has to be done about it although nothing happens.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match self.stage {
            Stage::Leaving => self.kill_at,
            Stage::Starting => self.deadline,
            Stage::Ready => [self.deadline, self.retires_at].into_iter().flatten().min(),
        }
    }

    /// Is there something to send when the channel takes it?
    pub(super) fn wants_to_send(&self) -> bool {
        self.sent < self.jobs.len() && !self.deaf && self.stage != Stage::Leaving
    }

    /// Sends what the channel takes. A broken channel is noticed where it is read.
    pub(super) fn flush(&mut self) {
        while self.wants_to_send() {
            let job = &self.jobs[self.sent];
            let header = Header {
                kind: Kind::Job,
                number: job.number,
                entry: job.entry,
            };
            let header = header.encode(job.argument.len());
            let mut parts = [IoSlice::new(&header), IoSlice::new(&job.argument)];
            let mut parts = &mut parts[..];
            IoSlice::advance_slices(&mut parts, self.offset);
            match sys::send(&self.channel, parts, &[], false) {
                Ok(count) => self.offset += count,
                Err(error) => {
                    self.deaf |= error.kind() != io::ErrorKind::WouldBlock;
                    return;
                }
            }
            if self.offset == HEADER + self.jobs[self.sent].argument.len() {
                self.offset = 0;
                if self.jobs[self.sent].remote.is_some() {
                    self.sent += 1;
                } else {
                    self.jobs.remove(self.sent); // A hole, filled.
                }
            }
        }
    }

    /// It answered job `number`: the job, and its place in the order. `None`: that is not the job
    /// it was at (M1), so it cannot be trusted further.
    pub(super) fn answered(&mut self, number: u64) -> Option<(Box<dyn RemoteJob>, u64)> {
        if self.sent == 0 || self.jobs[0].number != number {
            return None;
        }
        self.sent -= 1;
        self.slow = false;
        if self.stage != Stage::Starting {
            self.has_worked = true;
            self.jobs_left = self.jobs_left.saturating_sub(1);
        }
        let job = self.jobs.pop_front()?;
        Some((job.remote?, job.order))
    }

    /// Takes back the last job, if there is one to spare and it has not begun.
    pub(super) fn withdraw_last(&mut self) -> Option<Job> {
        let last = self.jobs.len().checked_sub(1)?;
        if last == 0 || self.is_half_sent(last) || self.jobs[last].stopped.is_some() {
            return None;
        }
        self.withdraw(last)
    }

    /// Takes job `index` back if it has not begun.
    fn withdraw(&mut self, index: usize) -> Option<Job> {
        if !self.ledger.withdraw(self.jobs[index].number) {
            return None;
        }
        let job = self.jobs.remove(index)?;
        if index < self.sent {
            self.sent -= 1;
        }
        self.slow = !self.jobs.is_empty();
        job.into_job()
    }

    fn is_half_sent(&self, index: usize) -> bool {
        index == self.sent && self.offset > 0
    }

    /// It reads the end of its channel when it has done what is in there, and leaves.
    pub(super) fn dismiss(&mut self) {
        self.stage = Stage::Leaving;
        sys::shutdown_write(&self.channel);
    }

    /// The jobs here, by name.
    pub(super) fn ids(&self) -> impl Iterator<Item = TaskId> {
        let remotes = self.jobs.iter().filter_map(|job| job.remote.as_ref());
        remotes.map(|remote| remote.id())
    }

    /// The front job's time is up. One that has not begun although the worker had nothing else to
    /// do goes back with the others: the fault is the worker's.
    pub(super) fn time_out(&mut self) -> Stop {
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
    pub(super) fn stop(&mut self, id: TaskId, why: Stopped) -> Stop {
        let is_it = |job: &Assigned| job.remote.as_ref().is_some_and(|remote| remote.id() == id);
        let Some(index) = self.jobs.iter().position(is_it) else {
            return Stop::Unknown;
        };
        if self.is_half_sent(index) && self.stage != Stage::Leaving {
            // Half a frame cannot have been claimed. It becomes a hole (M2).
            self.ledger.withdraw(self.jobs[index].number);
            self.slow = true;
            if index == 0 {
                self.deadline = None;
            }
            return match self.jobs[index].remote.take() {
                Some(remote) => Stop::Withdrawn(remote),
                None => Stop::Unknown,
            };
        }
        if let Some(job) = self.withdraw(index) {
            return Stop::Withdrawn(job.remote);
        }
        self.stop_begun(index, why)
    }

    fn stop_begun(&mut self, index: usize, why: Stopped) -> Stop {
        // The jobs behind it come back *before* the kill, or the worker could begin
        // one of them and take it along. If it has begun the next one already, this one is done:
        // its answer is on the way, and counts.
        let mut back = Vec::new();
        let next = index + 1;
        if self.jobs.get(next).is_some_and(|job| job.remote.is_some()) && !self.is_half_sent(next) {
            match self.withdraw(next) {
                Some(job) => back.push(job),
                None => return Stop::Done,
            }
        }
        self.stage = Stage::Leaving;
        self.jobs[index].stopped.get_or_insert(why);
        for behind in (next..self.jobs.len()).rev() {
            back.extend(self.withdraw(behind));
        }
        Stop::Running(back)
    }

    /// It is dead, and everything it sent has been read: what becomes of its jobs, in order.
    pub(super) fn remains(mut self) -> Vec<Remains> {
        let mut remains = Vec::new();
        for job in self.jobs.drain(..) {
            let claimed = self.ledger.was_claimed(job.number);
            let stopped = job.stopped;
            let Some(job) = job.into_job() else { continue };
            remains.push(match (stopped, claimed) {
                (Some(why), _) => Remains::Stopped(job.remote, why),
                (None, true) => Remains::Fallen(job),
                (None, false) => Remains::Untouched(job),
            });
        }
        remains
    }
}

impl Assigned {
    /// None for a hole.
    fn into_job(self) -> Option<Job> {
        Some(Job {
            remote: self.remote?,
            order: self.order,
            entry: self.entry,
            argument: self.argument,
            policy: self.policy,
        })
    }
}
