//! The pool's state: the queue, the workers, and which job goes where.
//!
//! ```text
//!   submit ──> accept ──> queue ──dispatch──> idle worker, else (no more can be made) a busy one
//!                           ^                      |
//!                           |                      | answered ──> out: finish with the answer
//!     bury: untouched jobs  |                      | abort ─────> out: cancelled / kill the worker
//!     rebalance: last job   +──────────────────────+ bury ──────> out: the one job that fell
//!     of a busy worker
//! ```
//!
//! Every function is a transition under the pool's lock. None of them runs user code: jobs that
//! are over are put into `out`, and whoever holds the lock finishes them after letting it go.
//!
//! Owns      the queue and the members. Touched by submitters, aborters and the manager thread.
//! Holds     C1 a job is in exactly one place: queue, one member, or `out`; it reaches `out` once.
//!           C2 when the queue is not empty, no worker is idle. C3 a busy worker is given a second
//!           job only when no further worker can be made, and while it has not begun it, an idle
//!           worker takes it away: no job waits for a long one while somebody has nothing to do.
//!           C4 the death of a worker costs at most the one job it had begun.
//!           C5 jobs that nobody can be made to run are failed, at once and with the reason.
//! Cost      a submit to an idle worker: one lock, one `sendmsg`, no other thread.
//!           Next: `manager.rs`.

use super::control::Ticket;
use super::job::{Job, Outcome, RemoteJob};
use super::member::{Abort, Member, Remains, Stage};
use super::wire::Frame;
use crate::error::{JoinError, WorkerExit};
use crate::task::schedule::TaskId;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

/// Jobs that are over, to be finished when the lock is free.
pub(super) type Out = Vec<(Box<dyn RemoteJob>, Outcome)>;

/// So many workers in a row may die without having begun a job before the jobs that wait are
/// failed: one can be killed by accident, but not so many. (It stops a storm of restarts.)
const STILLBORN: u32 = 8;

/// How long a pool that has workers waits after a fork was refused before it asks for another.
const FORK_PAUSE: Duration = Duration::from_millis(100);

/// How far the pool is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No new jobs; the ones there are, are run.
    Closing,
    /// No workers, no jobs, no manager.
    Ended,
}

/// See the file head.
pub(super) struct Crew {
    pub(super) phase: Phase,
    /// The fork server is gone: the workers there are die with it, and no others come.
    pub(super) orphaned: bool,
    /// The manager's thread has been started.
    pub(super) managed: bool,
    /// Workers that have to be killed; the manager asks the server to.
    pub(super) condemned: Vec<Ticket>,
    limit: usize,
    capacity: Option<usize>,
    /// How many jobs are here: accepted, and not yet in `out`.
    pending: usize,
    queue: VecDeque<Job>,
    members: BTreeMap<Ticket, Member>,
    /// The last to become idle is first: its memory is warm.
    idle: Vec<Ticket>,
    stillborn: u32,
    no_fork_before: Option<Instant>,
}

impl Crew {
    pub(super) fn new(limit: usize, capacity: Option<usize>) -> Crew {
        Crew {
            phase: Phase::Open,
            orphaned: false,
            managed: false,
            condemned: Vec::new(),
            limit,
            capacity,
            pending: 0,
            queue: VecDeque::new(),
            members: BTreeMap::new(),
            idle: Vec::new(),
            stillborn: 0,
            no_fork_before: None,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many jobs are here that no worker is at.
    pub(super) fn waiting(&self) -> usize {
        let working = self.members.values().filter(|member| !member.is_idle());
        self.pending.saturating_sub(working.count())
    }

    /// May another job come in? With every worker at work, `capacity` more may wait.
    pub(super) fn has_room(&self) -> bool {
        let room = |capacity: usize| self.pending < capacity.saturating_add(self.limit);
        self.capacity.is_none_or(room)
    }

    /// Is `submit` to wait when there is no room?
    pub(super) fn is_bounded(&self) -> bool {
        self.capacity.is_some()
    }

    /// Jobs that are over were taken out of here.
    pub(super) fn left(&mut self, jobs: usize) {
        self.pending -= jobs;
    }

    /// The workers that exist and are not on their way out.
    pub(super) fn pids(&self) -> Vec<u32> {
        let here = self
            .members
            .values()
            .filter(|member| member.stage == Stage::Ready);
        here.filter_map(|member| member.pid).collect()
    }

    // ---- jobs -------------------------------------------------------------------------------

    /// A new job. True when the manager has to act: to make a worker, or to send the rest.
    pub(super) fn accept(&mut self, job: Job, out: &mut Out) -> bool {
        let first = self.queue.is_empty();
        self.pending += 1;
        self.queue.push_back(job);
        // With others waiting already, there is no place for this one either (C2, C3).
        if first || !self.idle.is_empty() {
            self.dispatch(out);
        }
        self.wants_workers() > 0 || self.members.values().any(Member::wants_to_send)
    }

    /// Gives jobs to workers until there are no jobs or no places.
    fn dispatch(&mut self, out: &mut Out) {
        while let Some(ticket) = self.next_place() {
            let Some(job) = self.next_job(out) else { break };
            self.idle.retain(|idle| *idle != ticket);
            let member = self
                .members
                .get_mut(&ticket)
                .expect("a place is a member's");
            member.assign(job);
        }
        self.rebalance();
    }

    /// The first job of the queue that is still wanted.
    fn next_job(&mut self, out: &mut Out) -> Option<Job> {
        while let Some(mut job) = self.queue.pop_front() {
            if job.remote.start() {
                return Some(job);
            }
            out.push((job.remote, Outcome::Husk));
        }
        None
    }

    /// Who gets the next job: an idle worker; or, when all there can be are busy, the least busy.
    fn next_place(&self) -> Option<Ticket> {
        if self.queue.is_empty() {
            return None;
        }
        if let Some(ticket) = self.idle.last() {
            return Some(*ticket);
        }
        let may_grow = !self.orphaned && self.no_fork_before.is_none();
        if may_grow && self.count(Stage::Starting) + self.count(Stage::Ready) < self.limit
            || self.count(Stage::Starting) > 0
        {
            return None; // One that is coming will take it.
        }
        let with_room = self.members.iter().filter(|(_, member)| member.has_room());
        let least = with_room.min_by_key(|(_, member)| member.load());
        least.map(|(ticket, _)| *ticket)
    }

    /// While somebody is idle and the queue is empty: second jobs of the busy go to the idle (C3).
    fn rebalance(&mut self) {
        while let Some(ticket) = self.idle.last().copied() {
            let Some(job) = self.members.values_mut().find_map(Member::withdraw_last) else {
                return;
            };
            self.idle.pop();
            let member = self.members.get_mut(&ticket).expect("idle is a member's");
            member.assign(job);
        }
    }

    /// A worker answered. False when it answered what it was not asked: it has to go.
    pub(super) fn answered(&mut self, ticket: Ticket, frame: Frame, out: &mut Out) -> bool {
        let Some(member) = self.members.get_mut(&ticket) else {
            return false;
        };
        let Some(remote) = member.answered(frame.header.number) else {
            return false;
        };
        out.push((remote, Outcome::Answer(frame)));
        self.stillborn = 0;
        self.note_if_idle(ticket);
        self.dispatch(out);
        true
    }

    /// The channel of a worker takes more.
    pub(super) fn flush(&mut self, ticket: Ticket, out: &mut Out) {
        if let Some(member) = self.members.get_mut(&ticket) {
            member.flush();
            self.note_if_idle(ticket);
            self.dispatch(out);
        }
    }

    /// Puts a worker on the list of those that wait for a job, if it is one.
    fn note_if_idle(&mut self, ticket: Ticket) {
        let member = self.members.get(&ticket);
        let idle = member.is_some_and(|member| member.stage == Stage::Ready && member.is_idle());
        if idle && !self.idle.contains(&ticket) {
            self.idle.push(ticket);
        }
    }

    /// Aborts a job that has left the queue at least once. True when the manager has to act.
    pub(super) fn abort(&mut self, id: TaskId, out: &mut Out) -> bool {
        let cancelled = || Outcome::Failed(JoinError::Cancelled);
        if let Some(index) = self.queue.iter().position(|job| job.remote.id() == id) {
            let job = self.queue.remove(index).expect("just found");
            out.push((job.remote, cancelled()));
            return false;
        }
        for (ticket, member) in &mut self.members {
            match member.abort(id) {
                Abort::Unknown => continue,
                Abort::Withdrawn(remote) => {
                    out.push((remote, cancelled()));
                    let ticket = *ticket;
                    self.note_if_idle(ticket);
                }
                Abort::Running(back) => {
                    let ticket = *ticket;
                    self.condemned.push(ticket);
                    self.idle.retain(|idle| *idle != ticket);
                    self.put_back(back);
                }
            }
            self.dispatch(out);
            return true;
        }
        false
    }

    /// Jobs that had left the queue go to its front, in their order.
    fn put_back(&mut self, jobs: Vec<Job>) {
        for job in jobs.into_iter().rev() {
            self.queue.push_front(job);
        }
    }

    // ---- workers ----------------------------------------------------------------------------

    /// How many workers to make now.
    pub(super) fn wants_workers(&self) -> usize {
        if self.orphaned || self.no_fork_before.is_some() {
            return 0;
        }
        let (starting, ready) = (self.count(Stage::Starting), self.count(Stage::Ready));
        let places = self.limit.saturating_sub(starting + ready);
        self.queue.len().saturating_sub(starting).min(places)
    }

    /// When to look at `wants_workers` again although nothing happened.
    pub(super) fn pause_ends(&mut self, now: Instant) -> Option<Instant> {
        self.no_fork_before = self.no_fork_before.filter(|end| now < *end);
        self.no_fork_before
    }

    fn count(&self, stage: Stage) -> usize {
        self.members
            .values()
            .filter(|member| member.stage == stage)
            .count()
    }

    pub(super) fn members(&mut self) -> impl Iterator<Item = (Ticket, &mut Member)> {
        self.members
            .iter_mut()
            .map(|(ticket, member)| (*ticket, member))
    }

    /// Has the channel of this worker to be watched for room?
    pub(super) fn wants_to_send(&self, ticket: Ticket) -> bool {
        self.members.get(&ticket).is_some_and(Member::wants_to_send)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A worker was asked for.
    pub(super) fn expect(&mut self, ticket: Ticket, member: Member) {
        self.members.insert(ticket, member);
    }

    /// A worker exists.
    pub(super) fn arrived(&mut self, ticket: Ticket, pid: u32, out: &mut Out) {
        if let Some(member) = self.members.get_mut(&ticket) {
            member.pid = Some(pid);
            if member.stage == Stage::Starting {
                member.stage = Stage::Ready;
            }
            self.note_if_idle(ticket);
            self.dispatch(out);
        }
    }

    /// A worker could not be made. If there is none at all, whoever waits waits in vain (C5).
    pub(super) fn refused(&mut self, ticket: Option<Ticket>, error: &io::Error, out: &mut Out) {
        if let Some(ticket) = ticket {
            self.members.remove(&ticket);
        }
        if self.count(Stage::Starting) + self.count(Stage::Ready) == 0 {
            self.fail_queue(out, || copy_of(error));
        } else {
            self.no_fork_before = Instant::now().checked_add(FORK_PAUSE);
            self.dispatch(out);
        }
    }

    /// A worker gets no more jobs: its channel has ended, or it talks nonsense.
    pub(super) fn leaves(&mut self, ticket: Ticket) {
        if let Some(member) = self.members.get_mut(&ticket) {
            member.stage = Stage::Leaving;
            self.idle.retain(|idle| *idle != ticket);
            self.condemned.push(ticket);
        }
    }

    /// A worker is dead, and everything it sent has been read (C4). How it died, if that is known.
    pub(super) fn bury(&mut self, ticket: Ticket, exit: Exit, out: &mut Out) {
        let Some(member) = self.members.remove(&ticket) else {
            return;
        };
        self.idle.retain(|idle| *idle != ticket);
        let exit = WorkerExit {
            pid: member.pid.unwrap_or(0),
            signal: exit.signal,
            code: exit.code,
        };
        let asked_to_go = member.stage == Stage::Leaving && self.phase != Phase::Open;
        let mut has_worked = member.has_worked || asked_to_go;
        let mut untouched = Vec::new();
        for remains in member.remains() {
            match remains {
                Remains::Aborted(remote) => {
                    has_worked = true;
                    out.push((remote, Outcome::Failed(JoinError::Cancelled)));
                }
                Remains::Fallen(remote) => {
                    has_worked = true;
                    out.push((remote, Outcome::Failed(JoinError::WorkerDied(exit))));
                }
                Remains::Untouched(job) => untouched.push(job),
            }
        }
        self.put_back(untouched);
        self.stillborn = if has_worked { 0 } else { self.stillborn + 1 };
        if self.orphaned {
            self.fail_queue(out, super::fork_server::gone);
        } else if self.stillborn >= STILLBORN {
            self.stillborn = 0;
            self.fail_queue(out, || {
                io::Error::other(format!("the workers die before they begin a job: {exit}"))
            });
        }
        self.dispatch(out);
    }

    /// The line to the fork server has ended (C5). Workers that run die too, each by itself.
    pub(super) fn orphan(&mut self, out: &mut Out) {
        self.orphaned = true;
        self.members
            .retain(|_, member| member.stage != Stage::Starting);
        self.fail_queue(out, super::fork_server::gone);
    }

    // ---- the end ----------------------------------------------------------------------------

    /// No more jobs. With `cancel_queued` those in the queue are over too.
    pub(super) fn close(&mut self, cancel_queued: bool, out: &mut Out) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        if cancel_queued {
            // The second jobs of busy workers have not begun either.
            let members = self.members.values_mut();
            let second: Vec<Job> = members.filter_map(Member::withdraw_last).collect();
            self.queue.extend(second);
            for job in self.queue.drain(..) {
                out.push((job.remote, Outcome::Failed(JoinError::Cancelled)));
            }
        }
    }

    /// Closing, and nothing left to run: the workers can be dismissed.
    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Closing
            && self.queue.is_empty()
            && self.members.values().all(Member::is_idle)
    }

    fn fail_queue(&mut self, out: &mut Out, error: impl Fn() -> io::Error) {
        for job in self.queue.drain(..) {
            out.push((job.remote, Outcome::Failed(JoinError::Start(error()))));
        }
    }
}

/// How a process ended, as `waitpid` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) signal: Option<i32>,
    pub(super) code: Option<i32>,
}

impl Exit {
    pub(super) fn of_status(status: libc::c_int) -> Exit {
        Exit {
            signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
            code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        }
    }
}

/// An error for each of many: `io::Error` cannot be cloned.
fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
