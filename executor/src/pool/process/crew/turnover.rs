//! Workers come and go: asked for, arrived or refused, leaving, dead; and the end of the pool.
//!
//! ```text
//!   wants_workers ──> expect ──> arrived ──> leaves (its channel ended, it is being killed,
//!                        |          |               or dismissed)      v
//!                        v          +────────────────────────────────> died ──> bury
//!                     refused      setup (if there is one) ──> set_up, or the pool breaks
//! ```
//!
//! A part of `Crew`'s transitions: same state, same lock, same rules (C1 to C6 there).
//! Next: `../waiter.rs`.

use super::{Crew, Out, Phase};
use crate::error::{JoinError, Limit, WorkerExit};
use crate::pool::process::control::Ticket;
use crate::pool::process::fork_server;
use crate::pool::process::job::{Job, Outcome, copy_of_io};
use crate::pool::process::member::{Member, Remains, Stage, Stopped};
use crate::pool::process::policy::{Initializer, OnDeath};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// So many workers in a row may die without having begun a job before the jobs that wait are
/// failed: one can be killed by accident, but not so many. (It stops a storm of restarts.)
const STILLBORN: u32 = 8;

/// How long a pool that has workers waits after a fork was refused before it asks for another.
const FORK_PAUSE: Duration = Duration::from_millis(100);

/// How long the server may take to tell how a worker died before that is taken for unknown. It needs
/// a moment; more means that somebody stopped it.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

impl Crew {
    /// How many workers to make now.
    pub(in crate::pool::process) fn wants_workers(&self) -> usize {
        if self.orphaned || self.no_fork_before.is_some() {
            return 0;
        }
        let (starting, ready) = (self.count(Stage::Starting), self.count(Stage::Ready));
        let places = self.rules.workers.saturating_sub(starting + ready);
        self.queue.len().saturating_sub(starting).min(places)
    }

    /// Is the pause over that follows on a refused fork? Then there may be more workers now, and
    /// what waits behind another job meanwhile waits for them (C3).
    pub(in crate::pool::process) fn end_pause(&mut self, out: &mut Out) {
        let now = (self.clock)();
        if self.no_fork_before.is_some_and(|end| end <= now) {
            self.no_fork_before = None;
            let members = self.members.values_mut();
            let behind = members.flat_map(Member::withdraw_waiting).collect();
            self.put_back(behind);
            self.dispatch(out);
        }
    }

    pub(super) fn count(&self, stage: Stage) -> usize {
        self.members
            .values()
            .filter(|member| member.stage == stage)
            .count()
    }

    pub(in crate::pool::process) fn members(
        &mut self,
    ) -> impl Iterator<Item = (Ticket, &mut Member)> {
        self.members
            .iter_mut()
            .map(|(ticket, member)| (*ticket, member))
    }

    pub(in crate::pool::process) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A worker was asked for. (Whom its board is armed for, the manager sees to before it sleeps.)
    pub(in crate::pool::process) fn expect(&mut self, ticket: Ticket, member: Member) {
        self.members.insert(ticket, member);
    }

    /// A worker exists. False: nobody waits for it any more.
    pub(in crate::pool::process) fn arrived(
        &mut self,
        ticket: Ticket,
        pid: u32,
        process: Option<Arc<OwnedFd>>,
        out: &mut Out,
    ) -> bool {
        let Some(member) = self.members.get_mut(&ticket) else {
            return false;
        };
        member.pid = Some(pid);
        member.process = process;
        if member.stage == Stage::Starting {
            match member.setup.take() {
                Some(setup) => {
                    self.pending += 1;
                    if let Err(setup) = self.assign(ticket, setup) {
                        let full = JoinError::Start(io::Error::other("its channel is full"));
                        out.push((setup.remote, Outcome::Failed(full)));
                    }
                }
                None => self.engage(ticket),
            }
        }
        self.heed_alarm(ticket);
        self.dispatch(out);
        true
    }

    /// From now on it takes jobs. (Its age counts from here, or a long setup could make it retire
    /// before it has done anything, again and again.)
    fn engage(&mut self, ticket: Ticket) {
        let age = self.rules.max_age;
        let until = age.and_then(|age| (self.clock)().checked_add(age));
        if let Some(member) = self.members.get_mut(&ticket) {
            member.engage(self.rules.max_jobs, until);
        }
        self.heed_alarm(ticket);
        self.note_if_idle(ticket);
    }

    /// A worker's setup has ended.
    pub(in crate::pool::process) fn set_up(
        &mut self,
        ticket: Ticket,
        result: Result<(), JoinError>,
        out: &mut Out,
    ) {
        if let Err(error) = result {
            if !self.orphaned && self.broken.is_none() {
                self.break_pool(format!("a worker could not be set up: {error}"), out);
            }
            return;
        }
        let starting = |member: &Member| member.stage == Stage::Starting;
        if self.members.get(&ticket).is_some_and(starting) {
            self.engage(ticket);
            self.dispatch(out);
        }
    }

    pub(in crate::pool::process) fn initializer(&self) -> Option<Initializer> {
        self.rules.initializer.clone()
    }

    /// A worker could not be made. If there is none at all, whoever waits waits in vain (C5).
    pub(in crate::pool::process) fn refused(
        &mut self,
        ticket: Option<Ticket>,
        error: &io::Error,
        out: &mut Out,
    ) {
        let member = ticket.and_then(|ticket| self.members.remove(&ticket));
        // It may exist, and have come without a descriptor: then it leaves.
        member.inspect(|member| member.board.close());
        if self.count(Stage::Starting) + self.count(Stage::Ready) == 0 {
            self.fail_queue(out, || JoinError::Start(copy_of_io(error)));
        } else {
            self.no_fork_before = (self.clock)().checked_add(FORK_PAUSE);
            self.dispatch(out);
        }
    }

    /// What a worker that is dead has used: before it is buried.
    pub(in crate::pool::process) fn has_used(&mut self, ticket: Ticket, cpu_time: Duration) {
        if let Some(member) = self.members.get_mut(&ticket) {
            member.work.cpu_time = cpu_time;
        }
    }

    /// A worker is dead, and everything it answered has been taken in. How it died, the server will
    /// say: only the job that it fell in waits for that.
    pub(in crate::pool::process) fn died(&mut self, ticket: Ticket, out: &mut Out) {
        let until = (self.clock)().checked_add(STATUS_PATIENCE);
        let Some(member) = self.members.get_mut(&ticket) else {
            return;
        };
        self.idle.retain(|idle| *idle != ticket);
        let remains = member.die(until);
        self.heed_alarm(ticket);
        for remains in remains {
            match remains {
                Remains::Untouched(job) => self.put_back(vec![job]),
                Remains::Rest(job) => self.put_back_rest(job, None, out),
                Remains::Stopped(remote, why) => {
                    out.push((remote, Outcome::Failed(self.reason(why))));
                }
                Remains::Fallen(_) => unreachable!("it waits for the status"),
            }
        }
        self.dispatch(out);
    }

    /// A worker is dead, and everything it answered has been taken in (C4). Its wait status, if anybody
    /// knows it.
    pub(in crate::pool::process) fn bury(
        &mut self,
        ticket: Ticket,
        status: Option<libc::c_int>,
        out: &mut Out,
    ) {
        let Some(mut member) = self.members.remove(&ticket) else {
            return;
        };
        self.idle.retain(|idle| *idle != ticket);
        let exit = self.exit_of(&member, status);
        let mut has_worked = member.has_worked;
        let mut untouched = Vec::new();
        let mut breaks = false;
        let remains = member.remains();
        self.left_workers += 1;
        self.left = [self.left, member.work].into_iter().sum();
        for remains in remains {
            has_worked |= !matches!(remains, Remains::Untouched(_));
            match remains {
                Remains::Untouched(job) => untouched.push(job),
                Remains::Stopped(remote, why) => {
                    out.push((remote, Outcome::Failed(self.reason(why))));
                }
                Remains::Fallen(job) => match judge(job, exit) {
                    Verdict::Again(job) => untouched.push(job),
                    Verdict::Failed(job, error, verdict) => {
                        breaks |= verdict;
                        out.push((job.remote, Outcome::Failed(error)));
                    }
                },
                Remains::Rest(job) => self.put_back_rest(job, None, out),
            }
        }
        self.put_back(untouched);
        if breaks {
            self.break_pool(
                format!("a job that must not end its worker did: {exit}"),
                out,
            );
        }
        self.stillborn = match self.queue.is_empty() || has_worked {
            true => 0,
            false => self.stillborn + 1,
        };
        if self.orphaned {
            self.fail_queue(out, || JoinError::Start(fork_server::gone()));
        } else if self.stillborn >= STILLBORN {
            self.stillborn = 0;
            let text = format!("the workers die before they begin a job: {exit}");
            self.fail_queue(out, || JoinError::Start(io::Error::other(text.clone())));
        }
        self.dispatch(out);
    }

    /// How a worker ended, as `waitpid` tells it.
    fn exit_of(&self, member: &Member, status: Option<libc::c_int>) -> WorkerExit {
        let told = |is_so: fn(libc::c_int) -> bool, which: fn(libc::c_int) -> libc::c_int| {
            status.filter(|status| is_so(*status)).map(which)
        };
        let signal = told(
            |status| libc::WIFSIGNALED(status),
            |status| libc::WTERMSIG(status),
        );
        let has_cpu_limit = self.rules.limits.cpu_s != u64::MAX;
        WorkerExit {
            pid: member.pid.unwrap_or(0),
            signal,
            code: told(
                |status| libc::WIFEXITED(status),
                |status| libc::WEXITSTATUS(status),
            ),
            limit: match signal {
                Some(libc::SIGXCPU) if has_cpu_limit => Some(Limit::CpuTime),
                Some(libc::SIGABRT) => member.board.scene().limit(),
                _ => None,
            },
            crossing: member.board.scene().crossing(),
        }
    }

    /// The line to the fork server has ended (C5). Workers that run die too, each by itself.
    pub(in crate::pool::process) fn orphan(&mut self, out: &mut Out) {
        self.orphaned = true;
        self.members
            .retain(|_, member| member.stage != Stage::Starting || member.pid.is_some());
        self.fail_queue(out, || JoinError::Start(fork_server::gone()));
    }

    /// No more jobs. With `cancel_queued` those in the queue are over too.
    pub(in crate::pool::process) fn close(&mut self, cancel_queued: bool, out: &mut Out) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        if cancel_queued {
            // Those that wait behind another at a worker have not begun either.
            let members = self.members.values_mut();
            let behind: Vec<Job> = members.flat_map(Member::withdraw_waiting).collect();
            self.put_back(behind);
            // Nor have those of a parcel that a worker is in the middle of.
            self.emptied = Some(Stopped::Aborted);
            self.cut(Duration::ZERO, out);
            self.fail_queue(out, || JoinError::Cancelled);
        }
    }

    /// Closing, and nothing left to run: the workers can be dismissed.
    pub(in crate::pool::process) fn is_done(&self) -> bool {
        self.phase == Phase::Closing
            && self.queue.is_empty()
            && self.members.values().all(Member::is_idle)
    }
}

/// What becomes of a job that cost a worker.
enum Verdict {
    /// Another worker runs it.
    Again(Job),
    /// It is over. True: and so is the pool.
    Failed(Job, JoinError, bool),
}

fn judge(mut job: Job, exit: WorkerExit) -> Verdict {
    let died = JoinError::WorkerDied(exit);
    let Some(policy) = &mut job.policy else {
        return Verdict::Failed(job, died, false);
    };
    match policy.terms.on_death {
        OnDeath::FailJob => Verdict::Failed(job, died, false),
        OnDeath::BreakPool => Verdict::Failed(job, died, true),
        OnDeath::Retry(more) => {
            policy.deaths.push(exit);
            if policy.deaths.len() <= more as usize {
                return Verdict::Again(job);
            }
            let deaths = std::mem::take(&mut policy.deaths);
            Verdict::Failed(job, JoinError::Quarantined(deaths.into()), false)
        }
    }
}
