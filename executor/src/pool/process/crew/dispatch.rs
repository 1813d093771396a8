//! Which job goes to which worker, and which comes back from it.
//!
//! ```text
//!             next_job      next_place: idle, else the least busy one
//!   queue ───────────────────────────────────────────> assign ──> worker
//!     ^                                                              |
//!     | put_back, in order (C2)                                      |
//!     +──── reclaim: behind a job that takes long, and overtaken ────|
//!     +──── share: half of the fullest, for one that is idle ────────|
//!     +──── relieve: of a parcel, what has not begun ────────────────+
//! ```
//!
//! A part of `Crew`'s transitions: same state, same lock, same rules (C1 to C6 there).
//! Next: `stopping.rs`.

use super::stopping::is_sooner;
use super::{Crew, Out, Woken};
use crate::error::{Crossing, JoinError};
use crate::pool::process::control::Ticket;
use crate::pool::process::job::{FIRST, Job, Outcome};
use crate::pool::process::member::{PATIENCE, Stage, Stopped};
use crate::pool::process::wire::codec::{carry, new_memory};
use crate::pool::process::wire::{BODY, Payload};
use std::time::{Duration, Instant};

impl Crew {
    /// Gives jobs to workers until there are no jobs or no places.
    pub(super) fn dispatch(&mut self, out: &mut Out) {
        loop {
            if self.queue.is_empty() && !self.idle.is_empty() {
                self.share();
            }
            let Some(ticket) = self.next_place() else {
                return;
            };
            if let Some(job) = self.next_job(out)
                && let Some(job) = self.settle_argument(job, out)
                && let Err(job) = self.assign(ticket, job)
            {
                self.put_back(vec![job]);
            }
        }
    }

    /// Gives a worker a job, or gives the job back.
    pub(super) fn assign(&mut self, ticket: Ticket, job: Job) -> Result<(), Job> {
        let clock = self.clock;
        let member = self.members.get_mut(&ticket);
        let member = member.expect("a place is a member's");
        let (was_idle, order) = (member.is_idle(), job.order);
        member.board.note_lone(self.pending == 1);
        let assigned = member.assign(job, clock);
        self.ring_due |= is_sooner(member.alarm(), self.next_look);
        if assigned.is_ok() && member.board.ring_worker() {
            self.wakes.push(Woken {
                board: member.board.clone(),
                ticket,
                number: member.last_number(),
                order,
            });
        }
        if was_idle {
            self.idle.retain(|idle| *idle != ticket);
            if assigned.is_err() {
                // Its channel is full, or broken, and it has nothing to do that would change that.
                self.leaves(ticket);
            }
        }
        assigned
    }

    /// The first job of the queue that is still wanted.
    pub(super) fn next_job(&mut self, out: &mut Out) -> Option<Job> {
        while let Some(mut job) = self.queue.pop_front() {
            if job.remote.start() {
                return Some(job);
            }
            out.push((job.remote, Outcome::Husk));
        }
        None
    }

    /// A long argument that has waited as bytes is put into memory. There may be no room for it.
    pub(super) fn settle_argument(&mut self, mut job: Job, out: &mut Out) -> Option<Job> {
        if let Payload::Bytes(bytes) = &mut job.argument
            && bytes.len() > BODY
        {
            let bytes = std::mem::take(bytes);
            let mut fresh = || match self.spare() {
                Some(memory) => Ok(Some(memory)),
                None => new_memory(),
            };
            match carry(bytes, &mut fresh) {
                Ok(argument) => job.argument = argument,
                Err(reason) => {
                    let (crossing, reason) = (Crossing::EncodeArgument, reason.into_boxed_str());
                    let failed = JoinError::Codec { crossing, reason };
                    out.push((job.remote, Outcome::Failed(failed)));
                    return None;
                }
            }
        }
        Some(job)
    }

    /// Who gets the next job: an idle worker; or, when all there can be are busy, the least busy.
    pub(super) fn next_place(&self) -> Option<Ticket> {
        if self.queue.is_empty() {
            return None;
        }
        if let Some(ticket) = self.idle.last() {
            return Some(*ticket);
        }
        if self.wants_workers() > 0 || self.count(Stage::Starting) > 0 {
            return None; // One that is coming will take it.
        }
        let with_room = self.members.iter().filter(|(_, member)| member.has_room());
        let least = with_room.min_by_key(|(_, member)| member.load());
        least.map(|(ticket, _)| *ticket)
    }

    /// Takes back the jobs that wait behind another and came before job `order` (C3).
    pub(super) fn reclaim(&mut self, order: u64, now: Instant) {
        let mut back = Vec::new();
        for member in self.members.values_mut() {
            if member.holds_up_one_before(order, now) {
                back.append(&mut member.withdraw_waiting());
            }
        }
        self.put_back(back);
    }

    /// Takes back half of the jobs that wait behind another, where most do: somebody is idle (C3).
    pub(super) fn share(&mut self) {
        let members = self.members.values_mut();
        let Some(most) = members.max_by_key(|member| member.load()) else {
            return;
        };
        let half = most.load().saturating_sub(1).div_ceil(2);
        let back = (0..half).map_while(|_| most.withdraw_last()).collect();
        self.put_back(back);
    }

    /// Jobs that had left the queue go back to where they were: near its front (C2).
    pub(super) fn put_back(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            if job.order == FIRST {
                self.pending -= 1; // A setup is of use to its worker only.
                continue;
            }
            let later = self.queue.iter().position(|other| job.order < other.order);
            self.queue.insert(later.unwrap_or(self.queue.len()), job);
        }
    }

    /// What has not begun of a parcel goes back to where that was; or is over, when the parcel was
    /// stopped, or all that waits.
    pub(super) fn put_back_rest(&mut self, rest: Job, stopped: Option<Stopped>, out: &mut Out) {
        self.pending += 1;
        match stopped.or(self.emptied) {
            None => self.put_back(vec![rest]),
            Some(why) => out.push((rest.remote, Outcome::Failed(self.reason(why)))),
        }
    }

    /// Somebody has waited for a parcel for long: nobody is to wait for the item that takes long but
    /// those who want that one (C3). True when the manager has to act.
    pub(in crate::pool::process) fn relieve(&mut self, out: &mut Out) -> bool {
        self.cut(PATIENCE, out);
        self.dispatch(out);
        self.wants_workers() > 0
    }

    /// Of the parcels that workers have been at for longer than this, what is done is over, and what
    /// has not begun is back in the queue.
    pub(super) fn cut(&mut self, patience: Duration, out: &mut Out) {
        let now = (self.clock)();
        let (mut cuts, mut behind) = (Vec::new(), Vec::new());
        for member in self.members.values_mut() {
            if let Some(cut) = member.cut(patience, now) {
                cuts.push(cut);
                // Or they would overtake the rest.
                behind.append(&mut member.withdraw_waiting());
            }
        }
        self.put_back(behind);
        for (done, rest) in cuts {
            if let Some((remote, _)) = done {
                self.pending += 1;
                // It has all its results: no item gets that error.
                out.push((remote, Outcome::Failed(JoinError::Cancelled)));
            }
            if let Some(rest) = rest {
                self.put_back_rest(rest, None, out);
            }
        }
    }
}
