//! The pool's state: the queue, the workers, and which job goes where.
//!
//! ```text
//!   submit ──> accept ──> queue ──dispatch──> idle worker, else (no more can be made) a busy one
//!                           ^                      |
//!                           |                      | collect ──> out: finish with the answer
//!     bury: untouched jobs  |                      | abort ─────> out: cancelled / kill the worker
//!     reclaim: a job that   +──────────────────────+ bury ──────> out: the one job that fell
//!     waits behind another
//! ```
//!
//! How workers come and go is in `crew/turnover.rs`, how jobs and workers are stopped in
//! `crew/stopping.rs`. Every function is a transition under the pool's lock. None of them runs user
//! code: jobs that are over are put into `out`, and whoever holds the lock finishes them after
//! letting it go; so does it send the signals that are put into `orders`.
//!
//! Owns      the queue and the members. Touched by submitters, aborters and the manager thread.
//! Holds     C1 a job is in exactly one place: queue, one member, or `out`; it reaches `out` once.
//!           C2 when the queue is not empty, no worker is idle; and it is in the order in which the
//!           jobs were accepted. C3 a busy worker is given jobs in advance only when no further
//!           worker can be made, and gives them back when somebody is idle, or when later jobs are
//!           done before them (of short jobs, for a while): nobody waits behind a long job while
//!           others are served. C4 the death of a
//!           worker costs at most the one job it had begun. C5 jobs that nobody can be made to run
//!           are failed, at once and with the reason. C6 whoever makes an alarm earlier than the
//!           manager's next look wakes the manager (`ring_due`).
//! Cost      a submit to an idle worker: one lock, one system call, no other thread; to one that
//!           is awake, no system call.
//!           Next: `crew/dispatch.rs`.

mod dispatch;
mod stopping;
#[cfg(test)]
mod tests;
mod turnover;

use super::board::Board;
use super::control::Ticket;
use super::job::{Job, Outcome, RemoteJob};
use super::member::{Clock, Heard, Member, Stage, Stopped};
use super::metrics::{ProcessPoolMetrics, ProcessWork, ProcessWorkerMetrics};
use super::policy::Rules;
use super::wire::memory::{Memory, Stock};
use crate::error::JoinError;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Instant;
use stopping::is_sooner;

/// Jobs that are over, to be finished when the lock is free.
pub(super) type Out = Vec<(Box<dyn RemoteJob>, Outcome)>;

/// How far the pool is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No new jobs; the ones there are, are run.
    Closing,
    /// No workers, no jobs, no manager.
    Ended,
}

/// A worker that slept and was given a job.
#[derive(Clone)]
pub(super) struct Woken {
    pub(super) board: Arc<Board>,
    ticket: Ticket,
    /// The job: its number at the worker, and its place in the order.
    pub(super) number: u64,
    order: u64,
}

/// See the file head.
pub(super) struct Crew {
    pub(super) phase: Phase,
    /// The fork server is gone: the workers there are die with it, and no others come.
    pub(super) orphaned: bool,
    /// The queue was emptied for good, and why: what comes back later had been waiting too.
    emptied: Option<Stopped>,
    /// The manager's thread has been started.
    pub(super) managed: bool,
    /// A thread that waits takes the answers in, and not the manager.
    pub(super) is_attended: bool,
    /// Signals that have to be sent when the lock is free: see `take_orders`.
    orders: Vec<(Ticket, libc::c_int)>,
    /// Workers that sleep and have something to do, to be woken when the lock is free.
    pub(super) wakes: Vec<Woken>,
    /// How many threads wait for room, or for the end.
    pub(super) watchers: usize,
    /// Why the pool broke, if it did.
    broken: Option<Box<str>>,
    rules: Rules,
    clock: Clock,
    /// When the manager will look next although nothing happens. None: never.
    next_look: Option<Instant>,
    /// C6: it has to look earlier.
    ring_due: bool,
    /// How many jobs are here: accepted, and not yet in `out`.
    pending: usize,
    /// How many were ever accepted.
    accepted: u64,
    queue: VecDeque<Job>,
    /// Memory of long arguments that has been used, for the next ones.
    stock: Stock,
    members: BTreeMap<Ticket, Member>,
    /// The last to become idle is first: its memory is warm.
    idle: Vec<Ticket>,
    /// How many workers in a row have died before they began a job, while jobs waited.
    stillborn: u32,
    /// How many workers are dead, and what they have done.
    left_workers: u64,
    left: ProcessWork,
    /// Set after a fork was refused.
    no_fork_before: Option<Instant>,
}

impl Crew {
    pub(super) fn new(rules: Rules) -> Crew {
        Crew {
            phase: Phase::Open,
            orphaned: false,
            emptied: None,
            managed: false,
            is_attended: false,
            orders: Vec::new(),
            wakes: Vec::new(),
            watchers: 0,
            broken: None,
            rules,
            clock: Instant::now,
            next_look: None,
            ring_due: false,
            pending: 0,
            accepted: 0,
            queue: VecDeque::new(),
            stock: Stock::new(true),
            members: BTreeMap::new(),
            idle: Vec::new(),
            stillborn: 0,
            left_workers: 0,
            left: ProcessWork::default(),
            no_fork_before: None,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.rules.workers
    }

    /// Has its user ended it? (It may have broken, and then it is the drop that waits for its end.)
    pub(super) fn was_told_to_end(&self) -> bool {
        self.phase != Phase::Open && self.broken.is_none()
    }

    /// Why no job is accepted, now that the pool is not open.
    pub(super) fn closed(&self) -> JoinError {
        match &self.broken {
            Some(reason) => JoinError::Broken(reason.clone()),
            None => JoinError::Closed,
        }
    }

    /// How many jobs are here that no worker is at.
    pub(super) fn waiting(&self) -> usize {
        let working = self.members.values().filter(|member| !member.is_idle());
        self.pending.saturating_sub(working.count())
    }

    /// May another job come in? With every worker at work, `capacity` more may wait.
    pub(super) fn has_room(&self) -> bool {
        let setups = || {
            let starting = |member: &&Member| member.stage == Stage::Starting;
            let starting = self.members.values().filter(starting);
            starting.map(Member::load).sum::<usize>()
        };
        let room =
            |capacity: usize| self.pending - setups() < capacity.saturating_add(self.rules.workers);
        self.rules.capacity.is_none_or(room)
    }

    /// Is `submit` to wait when there is no room?
    pub(super) fn is_bounded(&self) -> bool {
        self.rules.capacity.is_some()
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
            .filter(|member| member.stage != Stage::Leaving);
        here.filter_map(|member| member.pid).collect()
    }

    pub(super) fn measures(&self) -> bool {
        self.rules.measure
    }

    /// What is known here of what was done: the processes themselves are not looked at.
    pub(super) fn metrics(&self) -> ProcessPoolMetrics {
        let worker = |member: &Member| {
            Some(ProcessWorkerMetrics {
                pid: member.pid?,
                work: member.work,
                ..Default::default()
            })
        };
        ProcessPoolMetrics {
            workers: self.members.values().filter_map(worker).collect(),
            left_workers: self.left_workers,
            left: self.left,
            phases: None,
        }
    }

    /// A new job. True when the manager has to act: to make a worker. And the
    /// worker that has to be woken for it, whose bell is quiet then: see `Shared::accept`.
    pub(super) fn accept(&mut self, mut job: Job, out: &mut Out) -> (bool, Option<Woken>) {
        let first = self.queue.is_empty();
        self.pending += 1;
        self.accepted += 1;
        job.order = self.accepted;
        self.queue.push_back(job);
        // With others waiting already, there is no place for this one either (C2, C3).
        if first || !self.idle.is_empty() {
            self.dispatch(out);
        }
        let act = self.wants_workers() > 0;
        (act, self.hush_for_last(out))
    }

    /// The worker that will be woken for the job that came last: its bell is quiet from here on. Not
    /// when a thread attends, which has armed the bells for itself; nor when user code (in `out`)
    /// comes first, which may take long.
    fn hush_for_last(&self, out: &Out) -> Option<Woken> {
        let mut wakes = self.wakes.iter();
        let woken = wakes.find(|woken| woken.order == self.accepted)?;
        if self.is_attended || !out.is_empty() {
            return None;
        }
        woken.board.disarm();
        Some(woken.clone())
    }

    /// Takes in what the workers have answered.
    pub(super) fn collect(&mut self, out: &mut Out) {
        self.collect_from(.., u64::MAX, out);
    }

    /// Takes in the answer of the job for which this worker was woken: no other's, which would run
    /// other people's code in the thread that has submitted this one.
    pub(super) fn collect_own(&mut self, woken: &Woken, out: &mut Out) {
        let ticket = woken.ticket;
        self.collect_from(ticket..=ticket, woken.number, out);
        let member = self.members.get(&ticket);
        self.ring_due |= member.is_some_and(Member::has_answered); // the manager takes the rest
    }

    /// From these workers, up to the job of this number.
    fn collect_from(&mut self, which: impl RangeBounds<Ticket>, last: u64, out: &mut Out) {
        let now = (self.clock)();
        let mut latest = None;
        let mut mad = Vec::new();
        let mut spent = Vec::new();
        let mut rests = Vec::new();
        for (ticket, member) in self.members.range_mut(which) {
            let load = member.load();
            while member.front().is_some_and(|front| front <= last)
                && let Some(heard) = member.hear(now, self.clock, &mut self.stock)
            {
                match heard {
                    Heard::Answer {
                        remote,
                        order,
                        answer,
                        rest,
                    } => {
                        out.push((remote, Outcome::Answer(answer)));
                        rests.extend(rest);
                        latest = latest.max(Some(order));
                    }
                    Heard::Nonsense => {
                        member.is_mad = true;
                        mad.push(*ticket);
                        break;
                    }
                }
            }
            if member.load() == load {
                continue;
            }
            member.start_clock(self.clock);
            if member.has_worked {
                self.stillborn = 0;
            }
            self.ring_due |= is_sooner(member.alarm(), self.next_look);
            if member.is_idle() && member.stage == Stage::Ready {
                match member.is_spent() {
                    true => spent.push(*ticket),
                    false => self.idle.push(*ticket),
                }
            }
        }
        self.ring_due |= !mad.is_empty();
        mad.into_iter().for_each(|ticket| self.leaves(ticket));
        spent
            .into_iter()
            .for_each(|ticket| self.retire_if_spent(ticket));
        self.ring_due |= is_sooner(self.stock.alarm(), self.next_look);
        for (rest, stopped) in rests {
            self.put_back_rest(rest, stopped, out);
        }
        if let Some(order) = latest {
            // It may not be the manager who sees that the last job is done.
            self.ring_due |= self.phase == Phase::Closing;
            // Usually nobody is overtaken: this only looks.
            self.reclaim(order, now);
            self.dispatch(out);
        }
    }

    /// Memory for a long argument, if there is some that has been used before.
    pub(super) fn spare(&mut self) -> Option<Box<Memory>> {
        self.stock.take()
    }

    /// The files for long arguments, when they were not used for a while: to be dropped where nobody
    /// waits for that.
    pub(super) fn take_idle_stock(&mut self) -> Option<Stock> {
        self.stock.take_idle((self.clock)())
    }

    /// The one job that is here, if it is worth looking on until it is answered: where it is.
    pub(super) fn lone_quick_job(&self) -> Option<(Arc<Board>, u64)> {
        if self.pending != 1 {
            return None;
        }
        let member = self.members.values().find(|member| !member.is_idle())?;
        let worth = member.is_quick() && member.board.worker_is_elsewhere();
        worth.then(|| member.board.clone()).zip(member.front())
    }

    /// `who` is to be told of the next answer of every worker.
    pub(super) fn arm(&self, who: u32) {
        self.members
            .values()
            .for_each(|member| member.board.arm(who));
    }

    /// Puts a worker on the list of those that wait for a job, if it is one.
    fn note_if_idle(&mut self, ticket: Ticket) {
        let member = self.members.get(&ticket);
        let idle = member.is_some_and(|member| member.stage == Stage::Ready && member.is_idle());
        if idle && !self.idle.contains(&ticket) {
            self.idle.push(ticket);
        }
    }

    /// Is anything agreed that is counted by jobs?
    pub(super) fn counts_jobs(&self) -> bool {
        self.rules.max_jobs.is_some() || self.rules.limits.cpu_s != u64::MAX
    }

    /// Jobs that wait are over, with an error for each.
    fn fail_queue(&mut self, out: &mut Out, error: impl Fn() -> JoinError) {
        let failed = |job: Job| (job.remote, Outcome::Failed(error()));
        out.extend(self.queue.drain(..).map(failed));
    }
}
