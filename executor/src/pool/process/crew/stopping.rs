//! How jobs and workers are stopped: aborts, time limits, patience, and the whole pool at once.
//!
//! ```text
//!   stop(job) ── queued? ──> out                               cancelled, or whatever the reason
//!       |     ── given to a worker, not begun? ──> out         (the board decides)
//!       |     ── running
//!       v
//!   condemn(worker) ── SIGTERM ── grace ── SIGKILL ──> bury: the job ends with the reason
//!       ^                                   ^
//!       | deadline of the front job         | kill_at
//!       +─────────────── ring_alarms ───────+      <── the manager, when `next_alarm` has come
//! ```
//!
//! SIGTERM first, so that a job that holds something outside of its process (a lock file, children)
//! can make arrangements. A job that comes to its end within the grace has come to its end: its
//! result counts. SIGKILL then leaves no choice.
//!
//! A part of `Crew`'s transitions: same state, same lock, same rules (C1 to C6 there).
//! Next: `turnover.rs`.

use super::{Crew, Out, Phase};
use crate::error::JoinError;
use crate::pool::process::control::Ticket;
use crate::pool::process::job::Outcome;
use crate::pool::process::member::{Member, Stage, Stop, Stopped};
use crate::task::schedule::TaskId;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker that was let go may take to leave before it is killed. It has nothing to do
/// then, so more than a moment means that somebody stopped it.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

impl Crew {
    /// Stops a job, and what was split off it. True when the manager has to act.
    pub(in crate::pool::process) fn abort(&mut self, id: TaskId, out: &mut Out) -> bool {
        let parts = self.parts_of(id);
        parts.into_iter().fold(false, |acts, id| {
            self.stop(id, Stopped::Aborted, out) | acts
        })
    }

    /// A job and what was split off it, and off that, and so on, though some in between may be over:
    /// all have its place in the order. What has not begun is first: when a worker becomes free, it
    /// finds nothing left to start.
    fn parts_of(&self, id: TaskId) -> Vec<TaskId> {
        let queued = self.queue.iter().find(|job| job.remote.id() == id);
        let given = || self.members.values().find_map(|member| member.order_of(id));
        let Some(order) = queued.map(|job| job.order).or_else(given) else {
            return Vec::new();
        };
        let queued = self.queue.iter().filter(|job| job.order == order);
        let queued = queued.map(|job| (false, job.remote.id()));
        let given = self.members.values().flat_map(|member| member.parts(order));
        let mut parts: Vec<_> = queued.chain(given).collect();
        parts.sort_by_key(|(has_begun, _)| *has_begun);
        parts.into_iter().map(|(_, id)| id).collect()
    }

    fn stop(&mut self, id: TaskId, why: Stopped, out: &mut Out) -> bool {
        if let Some(index) = self.queue.iter().position(|job| job.remote.id() == id) {
            let job = self.queue.remove(index).expect("just found");
            out.push((job.remote, Outcome::Failed(self.reason(why))));
            return false;
        }
        let mut members = self.members.iter_mut();
        let found = members.find_map(|(ticket, member)| match member.stop(id, why) {
            Stop::Unknown => None,
            stop => Some((*ticket, stop)),
        });
        found.is_some_and(|(ticket, stop)| self.follow(ticket, stop, why, out))
    }

    /// What follows from what was found at a worker. True when the manager has to act.
    fn follow(&mut self, ticket: Ticket, stop: Stop, why: Stopped, out: &mut Out) -> bool {
        match stop {
            Stop::Unknown => return false,
            Stop::Done(back) => self.put_back(back),
            Stop::Withdrawn(remote) => {
                out.push((remote, Outcome::Failed(self.reason(why))));
                if let Some(member) = self.members.get_mut(&ticket) {
                    member.start_clock(self.clock);
                }
                self.heed_alarm(ticket);
                self.note_if_idle(ticket);
            }
            Stop::Running(back) => {
                self.condemn(ticket, self.rules.grace);
                self.put_back(back);
            }
        }
        self.dispatch(out);
        true
    }

    /// What the handle of a job is told that was stopped.
    pub(super) fn reason(&self, why: Stopped) -> JoinError {
        match why {
            Stopped::Aborted => JoinError::Cancelled,
            Stopped::TimedOut => JoinError::TimedOut,
            Stopped::Broken => self.closed(),
        }
    }

    /// Ends a worker by force: SIGTERM, and SIGKILL when the grace is over.
    pub(super) fn condemn(&mut self, ticket: Ticket, grace: Duration) {
        let Some(member) = self.members.get_mut(&ticket) else {
            return;
        };
        member.stage = Stage::Leaving;
        let told = member.kill_at.is_some();
        self.idle.retain(|idle| *idle != ticket);
        if grace.is_zero() {
            self.orders.push((ticket, libc::SIGKILL));
            self.kill_after(ticket, LEAVE_PATIENCE); // again, should that be lost
        } else {
            if !told {
                self.orders.push((ticket, libc::SIGTERM));
            }
            self.kill_after(ticket, grace);
        }
    }

    /// A worker gets no more jobs: its channel has ended, or it talks nonsense.
    pub(in crate::pool::process) fn leaves(&mut self, ticket: Ticket) {
        // Unless it was told to leave, and is just doing that.
        if self
            .members
            .get(&ticket)
            .is_some_and(|member| member.kill_at.is_none())
        {
            self.condemn(ticket, Duration::ZERO);
        }
    }

    /// The signals to send now. One to a worker of which the server has not told yet waits for that.
    pub(in crate::pool::process) fn take_orders(&mut self) -> Vec<(Arc<OwnedFd>, libc::c_int)> {
        let mut now = Vec::new();
        if !self.orders.is_empty() {
            self.orders.retain(|(ticket, signal)| {
                let member = self.members.get(ticket);
                let process = member.and_then(|member| member.process.clone());
                now.extend(process.map(|process| (process, *signal)));
                member.is_some_and(|member| member.process.is_none())
            });
        }
        now
    }

    /// Lets a worker go that has nothing to do: it reads that its board is closed.
    pub(super) fn dismiss(&mut self, ticket: Ticket) {
        self.idle.retain(|idle| *idle != ticket);
        if let Some(member) = self.members.get_mut(&ticket) {
            member.dismiss();
        }
        self.kill_after(ticket, LEAVE_PATIENCE);
    }

    /// Lets a worker go that has stayed as long as was agreed, and has nothing left to do.
    pub(super) fn retire_if_spent(&mut self, ticket: Ticket) {
        let is_over =
            |member: &Member| member.stage == Stage::Ready && member.is_spent() && member.is_idle();
        if self.members.get(&ticket).is_some_and(is_over) {
            self.dismiss(ticket);
            self.ring_due = true; // another one may have to be made
        }
    }

    /// Lets all workers go, if it has not been done.
    pub(in crate::pool::process) fn dismiss_all(&mut self) {
        let here = self.members.iter();
        let here = here.filter(|(_, member)| member.stage != Stage::Leaving);
        for ticket in here.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.dismiss(ticket);
        }
    }

    fn kill_after(&mut self, ticket: Ticket, patience: Duration) {
        let kill_at = (self.clock)().checked_add(patience);
        if let Some(member) = self.members.get_mut(&ticket) {
            // An earlier time that was set before stands.
            member.kill_at = [member.kill_at, kill_at].into_iter().flatten().min();
        }
        self.heed_alarm(ticket);
    }

    // ---- alarms -----------------------------------------------------------------------------

    /// C6: after anything that may have given a worker an earlier alarm.
    pub(super) fn heed_alarm(&mut self, ticket: Ticket) {
        let alarm = self.members.get(&ticket).and_then(Member::alarm);
        self.ring_due |= is_sooner(alarm, self.next_look);
    }

    /// C6: has the manager to be woken?
    pub(in crate::pool::process) fn take_ring(&mut self) -> bool {
        std::mem::take(&mut self.ring_due)
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.members.values().filter_map(Member::alarm).min()
    }

    /// By the manager, before it sleeps: when to look again at the latest.
    pub(in crate::pool::process) fn plan_look(&mut self) -> Option<Instant> {
        let times = [self.next_alarm(), self.no_fork_before, self.stock.alarm()];
        self.next_look = times.into_iter().flatten().min();
        self.next_look
    }

    /// By the manager: whose time is up?
    pub(in crate::pool::process) fn ring_alarms(&mut self, out: &mut Out) {
        let now = (self.clock)();
        if self.next_alarm().is_none_or(|alarm| now < alarm) {
            return;
        }
        // Whoever has answered is not late.
        self.collect(out);
        let is_up = |member: &Member| member.alarm().is_some_and(|alarm| alarm <= now);
        let up = self.members.iter().filter(|(_, member)| is_up(member));
        for ticket in up.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&ticket) else {
                continue;
            };
            if member.is_dead || member.pid.is_none() && self.phase == Phase::Closing {
                // The server has been stopped. (Should it still make a worker that was asked for,
                // then the end of the line ends that.)
                self.bury(ticket, None, out);
                continue;
            }
            if member.stage == Stage::Leaving {
                member.kill_at = now.checked_add(LEAVE_PATIENCE);
                self.orders.push((ticket, libc::SIGKILL));
                continue;
            }
            if member.is_due_to_retire(now) {
                member.retire();
            }
            if member.is_late(now) {
                let stop = member.time_out(now);
                self.follow(ticket, stop, Stopped::TimedOut, out);
            }
            self.retire_if_spent(ticket);
        }
    }

    // ---- the whole pool ---------------------------------------------------------------------

    /// Stops everything. The workers are killed when `grace` is over.
    pub(in crate::pool::process) fn stop_all(&mut self, grace: Duration, out: &mut Out) {
        self.end_all(Stopped::Aborted, grace, out);
    }

    /// The pool cannot go on, for this reason.
    pub(super) fn break_pool(&mut self, reason: String, out: &mut Out) {
        self.broken.get_or_insert(reason.into_boxed_str());
        self.end_all(Stopped::Broken, self.rules.grace, out);
    }

    fn end_all(&mut self, why: Stopped, grace: Duration, out: &mut Out) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        self.emptied.get_or_insert(why);
        // The queue first, or what becomes free would take from it.
        let reason = self.reason(why);
        self.fail_queue(out, || match &reason {
            JoinError::Broken(text) => JoinError::Broken(text.clone()),
            _ => JoinError::Cancelled,
        });
        let members: Vec<Ticket> = self.members.keys().copied().collect();
        for ticket in members {
            let ids: Vec<TaskId> = self.members[&ticket].ids().collect();
            for id in ids.into_iter().rev() {
                self.stop(id, why, out);
            }
            let busy = |member: &Member| !member.is_idle();
            if self.members.get(&ticket).is_some_and(busy) {
                self.condemn(ticket, grace);
            }
        }
        debug_assert!(
            self.queue.is_empty(),
            "nothing was behind a job that was stopped last first"
        );
    }

    pub(in crate::pool::process) fn grace(&self) -> Duration {
        self.rules.grace
    }
}

/// Has the manager, who will look at `look`, to look earlier for this alarm?
pub(super) fn is_sooner(alarm: Option<Instant>, look: Option<Instant>) -> bool {
    alarm.is_some_and(|alarm| look.is_none_or(|look| alarm < look))
}
