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
//!           since the front one. Next: `crew.rs`.

use super::job::{Job, RemoteJob};
use super::ledger::{Ledger, SLOTS};
use super::sys;
use super::wire::{HEADER, Header, Kind};
use crate::task::schedule::TaskId;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;

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

/// One worker.
pub(super) struct Member {
    pub(super) stage: Stage,
    pub(super) pid: Option<u32>,
    pub(super) channel: Arc<OwnedFd>,
    /// It has closed its end of the channel: nothing can be sent. Reading tells the rest.
    deaf: bool,
    /// It has begun at least one job.
    pub(super) has_worked: bool,
    /// A job was taken back from it while it was at another: until it answers, it gets none in
    /// advance. What it had to give back lies in its channel and takes up room there; and M3.
    slow: bool,
    ledger: Ledger,
    jobs: VecDeque<Assigned>,
    /// How many of `jobs` are sent entirely, and how many bytes of the next one are.
    sent: usize,
    offset: usize,
    last_number: u64,
}

/// A job that was given to a worker.
struct Assigned {
    number: u64,
    /// None: a hole (M2).
    remote: Option<Box<dyn RemoteJob>>,
    order: u64,
    entry: u64,
    argument: Vec<u8>,
    /// The worker is being killed because of this job.
    aborted: bool,
}

/// What became of a job whose worker is dead.
pub(super) enum Remains {
    /// It was aborted, which is why the worker is dead.
    Aborted(Box<dyn RemoteJob>),
    /// The worker died while running it.
    Fallen(Box<dyn RemoteJob>),
    /// It never began.
    Untouched(Job),
}

/// What an abort found.
pub(super) enum Abort {
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
            slow: false,
            ledger,
            jobs: VecDeque::new(),
            sent: 0,
            offset: 0,
            last_number: 0,
        }
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
        self.stage == Stage::Ready && self.jobs.len() < PIPELINE && !self.slow
    }

    /// Has it a job that waits behind another, and that came before job `order`?
    pub(super) fn holds_up_one_before(&self, order: u64) -> bool {
        self.jobs.len() > 1 && self.jobs.back().is_some_and(|last| last.order < order)
    }

    /// Gives it a job.
    pub(super) fn assign(&mut self, job: Job) {
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
            aborted: false,
        });
        self.flush();
    }

    /// Is there something to send when the channel takes it?
    pub(super) fn wants_to_send(&self) -> bool {
        self.sent < self.jobs.len() && !self.deaf && self.stage == Stage::Ready
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
        self.has_worked = true;
        self.slow = false;
        let job = self.jobs.pop_front()?;
        Some((job.remote?, job.order))
    }

    /// Takes back the last job, if there is one to spare and it has not begun.
    pub(super) fn withdraw_last(&mut self) -> Option<Job> {
        let last = self.jobs.len().checked_sub(1)?;
        if last == 0 || self.is_half_sent(last) || self.jobs[last].aborted {
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
        Some(Job {
            remote: job.remote?,
            order: job.order,
            entry: job.entry,
            argument: job.argument,
        })
    }

    fn is_half_sent(&self, index: usize) -> bool {
        index == self.sent && self.offset > 0
    }

    /// Aborts a job of this worker.
    pub(super) fn abort(&mut self, id: TaskId) -> Abort {
        let is_it = |job: &Assigned| job.remote.as_ref().is_some_and(|remote| remote.id() == id);
        let Some(index) = self.jobs.iter().position(is_it) else {
            return Abort::Unknown;
        };
        if self.is_half_sent(index) && self.stage == Stage::Ready {
            // Half a frame cannot have been claimed. It becomes a hole (M2).
            self.ledger.withdraw(self.jobs[index].number);
            self.slow = true;
            return match self.jobs[index].remote.take() {
                Some(remote) => Abort::Withdrawn(remote),
                None => Abort::Unknown,
            };
        }
        if let Some(job) = self.withdraw(index) {
            return Abort::Withdrawn(job.remote);
        }
        // It has begun. The jobs behind it come back *before* the kill, or the worker could begin
        // one of them and take it along. If it has begun the next one already, this one is done:
        // its answer is on the way, and counts.
        let mut back = Vec::new();
        let next = index + 1;
        if self.jobs.get(next).is_some_and(|job| job.remote.is_some()) && !self.is_half_sent(next) {
            match self.withdraw(next) {
                Some(job) => back.push(job),
                None => return Abort::Done,
            }
        }
        self.stage = Stage::Leaving;
        self.jobs[index].aborted = true;
        for behind in (next..self.jobs.len()).rev() {
            back.extend(self.withdraw(behind));
        }
        Abort::Running(back)
    }

    /// It is dead, and everything it sent has been read: what becomes of its jobs, in order.
    pub(super) fn remains(mut self) -> Vec<Remains> {
        let mut remains = Vec::new();
        for job in self.jobs.drain(..) {
            let claimed = self.ledger.was_claimed(job.number);
            let Some(remote) = job.remote else { continue };
            remains.push(if job.aborted {
                Remains::Aborted(remote)
            } else if claimed {
                Remains::Fallen(remote)
            } else {
                Remains::Untouched(Job {
                    remote,
                    order: job.order,
                    entry: job.entry,
                    argument: job.argument,
                })
            });
        }
        remains
    }
}
