//! The manager: the one thread of a pool, between the submitters and the workers.
//!
//! ```text
//!        submit ──(lock)──> crew ──── board ──────────────────> worker     no thread between
//!                            ^  ^                                 |
//!                     bell   |  | collect, arrived, bury          | answer, bell
//!   submit, abort ──────> manager <───────────────────────────────+
//!                            |  ^
//!                     Fork   v  | Forked, Exited
//!                          fork server
//!
//!   one turn:  see off the dead ── arrange (make workers, dismiss) ── collect answers, arm the bells
//!              ── poll ── hear the server ── note whose channel has ended, who is dead, who prints
//! ```
//!
//! Owns      the pool's line to the fork server, and looks after each worker's process and channel.
//!           It never waits to send, so that nothing a worker does can stop it.
//! Holds     A1 user code (a decoder, a waker) runs with no lock held, after the next job is on its
//!           way to the worker; A2 a worker is buried once it is dead *and* everything it answered
//!           is taken in, so an answer that was finished counts even when its worker died just
//!           after; A3 the reason is told truly: the process itself says that it is dead, the server
//!           says how. (A channel's end says only that its worker is of no more use: a job can close
//!           it, and a child of the job's can hold it open.) A4 the manager sleeps only after it has
//!           armed every board's bell and then found no answer (B1 in bell.rs): for itself, or for
//!           the thread that attends to them (waiter.rs).
//!           A5 the jobs of a dead worker are told after what it has printed is written, unless the
//!           program's stdout takes too long for that.
//! Cost      per answer: its share of a wake-up and of a lock; answers that arrive together share.
//! Source    CPython's `_ExecutorManagerThread`. Next: `pool.rs`.

use super::board::{Board, MANAGER, WAITER};
use super::control::{self, Event, Received, Request, Ticket};
use super::crew::Crew;
use super::fork_server;
use super::member::Member;
use super::output::{Output, PATIENCE};
use super::shared::Shared;
use super::sys;
use crate::sync::lock;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// See the file head.
pub(super) struct Manager {
    shared: Arc<Shared>,
    /// None once it has ended.
    line: Option<OwnedFd>,
    /// What there is to watch of each worker.
    watched: BTreeMap<Ticket, Watched>,
    output: Output,
    /// The dead whose last words are being written (A5).
    parting: BTreeMap<Ticket, Parting>,
    /// What the line has not taken yet.
    requests: VecDeque<(Request, Vec<OwnedFd>)>,
    next_ticket: Ticket,
}

/// What the manager polls of a worker. `None`: not there yet, or ended.
struct Watched {
    channel: Option<Arc<OwnedFd>>,
    process: Option<Arc<OwnedFd>>,
}

/// A worker that is dead: until when it waits, and its wait status when the server has told it.
struct Parting {
    until: Option<Instant>,
    status: Option<libc::c_int>,
}

impl Manager {
    pub(super) fn new(shared: Arc<Shared>, line: OwnedFd) -> io::Result<Manager> {
        Ok(Manager {
            shared,
            line: Some(line),
            watched: BTreeMap::new(),
            output: Output::new()?,
            parting: BTreeMap::new(),
            requests: VecDeque::new(),
            next_ticket: 1,
        })
    }

    /// Until the pool is closed, its jobs are done and its workers are gone.
    pub(super) fn run(mut self) {
        while let Some(wake_at) = self.arrange() {
            let parting = self.parting.values().filter_map(|it| it.until);
            let wake_at = parting.chain(wake_at).min();
            let tickets: Vec<Ticket> = self.watched.keys().copied().collect();
            let mut fds = self.interests();
            let limit = match self.collect() {
                true => Some(Duration::ZERO), // and then another look
                false => wake_at.map(|at| at.saturating_duration_since(Instant::now())),
            };
            if sys::poll(&mut fds, limit).is_err() {
                continue; // Out of memory in the kernel: there is nothing better than to try again.
            }
            self.output
                .hear(&fds[FIXED + 2 * tickets.len()..], &self.shared);
            let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.revents != 0);
            if ready(0) {
                self.shared.silence();
            }
            if ready(1) {
                self.hear_server();
            }
            for (index, ticket) in tickets.into_iter().enumerate() {
                if ready(2 * index + FIXED) {
                    self.lose_channel(ticket);
                }
                if ready(2 * index + FIXED + 1) {
                    self.lose_process(ticket);
                }
            }
        }
    }

    /// Bell, line, every worker's channel and process, in the order of the workers, and what they print.
    fn interests(&self) -> Vec<libc::pollfd> {
        let mut fds = vec![self.shared.bell_interest()];
        fds.push(match &self.line {
            Some(line) if self.requests.is_empty() => sys::interest(line, libc::POLLIN),
            Some(line) => sys::interest(line, libc::POLLIN | libc::POLLOUT),
            None => NOTHING,
        });
        for Watched { channel, process } in self.watched.values() {
            let interest = |fd: &Option<Arc<OwnedFd>>, events| {
                fd.as_ref()
                    .map_or(NOTHING, |fd| sys::interest(&**fd, events))
            };
            // Only the channel's end matters: what comes over it is taken when its answer is.
            fds.push(interest(channel, libc::POLLRDHUP));
            fds.push(interest(process, libc::POLLIN));
        }
        fds.extend(self.output.interests());
        fds
    }

    /// Takes in the answers that are there. True when there were any; else every bell is armed.
    fn collect(&self) -> bool {
        self.shared.change(|crew, out| {
            crew.collect(out);
            if out.is_empty() {
                // A new worker's board is armed for the manager, whoever attends: then this was
                // its first answer, and the next one is for the thread that waits.
                crew.arm(if crew.is_attended { WAITER } else { MANAGER });
                crew.collect(out); // A4
            }
            !out.is_empty()
        })
    }

    // ---- arrange ----------------------------------------------------------------------------

    /// Does what the crew asks for. Returns when to look again at the latest; `None` at the end.
    fn arrange(&mut self) -> Option<Option<Instant>> {
        self.see_off_all();
        self.shared.change(|crew, out| {
            crew.ring_alarms(out);
            crew.end_pause(out);
        });
        let mut crew = lock(&self.shared.crew);
        if crew.is_done() {
            if crew.is_empty() {
                drop(crew);
                self.output.end(&self.shared);
                self.shared.see_handles_told();
                self.shared.end();
                return None;
            }
            crew.dismiss_all();
        }
        let wanted = crew.wants_workers();
        let idle = crew.take_idle_stock();
        drop(crew);
        drop(idle); // system calls, for many pages
        for _ in 0..wanted {
            self.hire();
        }
        self.send_requests();
        // Only now: a worker that could not be asked for makes a pause that has an end.
        Some(lock(&self.shared.crew).plan_look())
    }

    /// Asks for one more worker.
    fn hire(&mut self) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (member, channel, fds) = match self.furnish(ticket) {
            Ok(parts) => parts,
            Err(error) => {
                return self
                    .shared
                    .change(|crew, out| crew.refused(None, &error, out));
            }
        };
        let (channel, process) = (Some(channel), None);
        self.watched.insert(ticket, Watched { channel, process });
        self.shared.change(|crew, _| crew.expect(ticket, member));
        self.requests.push_back((Request::Fork(ticket), fds));
    }

    /// What a worker needs: here, and there.
    fn furnish(&self, ticket: Ticket) -> io::Result<(Member, Arc<OwnedFd>, Vec<OwnedFd>)> {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET)?;
        let (mut board, page) = Board::create()?;
        if self.shared.account.is_some() {
            board.measure();
        }
        let (channel, board) = (Arc::new(ours), Arc::new(board));
        let mut fds = vec![theirs];
        fds.extend(page);
        fds.extend(self.shared.bells_for_worker()?);
        fds.extend(self.output.furnish(ticket, &board)?);
        let mut member = Member::new(channel.clone(), board);
        let initializer = lock(&self.shared.crew).initializer();
        if let Some(initializer) = initializer {
            member.setup = Some(initializer.job(&self.shared, ticket)?);
        }
        Ok((member, channel, fds))
    }

    /// Sends what the line takes.
    fn send_requests(&mut self) {
        let Some(line) = &self.line else {
            return self.requests.clear();
        };
        while let Some((request, fds)) = self.requests.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match (control::send(line, *request, &fds), *request) {
                (Ok(()), _) => {}
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The line has ended: what follows from that is up to `lose_server`.
                (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {}
                (Err(error), Request::Fork(ticket)) => {
                    self.watched.remove(&ticket);
                    self.shared
                        .change(|crew, out| crew.refused(Some(ticket), &error, out));
                }
                (Err(_), _) => {}
            }
            self.requests.pop_front();
        }
    }

    // ---- hear -------------------------------------------------------------------------------

    fn hear_server(&mut self) {
        while let Some(line) = &self.line {
            match control::receive(line) {
                Received::Message(Event::Forked(ticket, pid), fds) => {
                    self.welcome(ticket, pid.unsigned_abs(), fds);
                }
                Received::Message(Event::ForkFailed(ticket, errno), _) => {
                    self.refuse(ticket, errno);
                }
                Received::Message(Event::Exited(ticket, status, cpu_ns), _) => {
                    let cpu_time = Duration::from_nanos(cpu_ns);
                    self.shared
                        .change(|crew, _| crew.has_used(ticket, cpu_time));
                    self.part(ticket, Some(status));
                }
                Received::Nothing => return,
                Received::End => self.lose_server(),
            }
        }
    }

    fn welcome(&mut self, ticket: Ticket, pid: u32, fds: Vec<OwnedFd>) {
        let Some(process) = fds.into_iter().next().map(Arc::new) else {
            return self.refuse(ticket, libc::EMFILE); // We have too many open.
        };
        if let Some(watched) = self.watched.get_mut(&ticket) {
            watched.process = Some(process.clone());
        }
        let theirs = Some(process.clone());
        let transition = |crew: &mut Crew, out: &mut _| crew.arrived(ticket, pid, theirs, out);
        if !self.shared.change(transition) {
            sys::signal(&process, libc::SIGKILL); // It came too late.
        }
    }

    fn refuse(&mut self, ticket: Ticket, errno: libc::c_int) {
        self.watched.remove(&ticket);
        let error = io::Error::from_raw_os_error(errno);
        self.shared
            .change(|crew, out| crew.refused(Some(ticket), &error, out));
    }

    /// The line has ended. From here on nobody tells how a worker died; those that are dead already
    /// were waiting for the server's word, and wait no longer.
    fn lose_server(&mut self) {
        self.line = None;
        fork_server::note_end();
        self.shared.change(Crew::orphan);
        let mut crew = lock(&self.shared.crew);
        let members = crew.members();
        let members: Vec<_> = members
            .map(|(ticket, member)| (ticket, member.is_dead))
            .collect();
        drop(crew);
        self.watched
            .retain(|ticket, _| members.iter().any(|(member, _)| member == ticket));
        for (ticket, is_dead) in members {
            if is_dead {
                self.bury(ticket, None);
            }
        }
    }

    fn bury(&mut self, ticket: Ticket, status: Option<libc::c_int>) {
        self.watched.remove(&ticket);
        self.shared.change(|crew, out| {
            crew.collect(out); // A2
            crew.bury(ticket, status, out);
        });
    }

    /// The channel of a worker has ended: it is dead, or the kill sees to it that it is.
    fn lose_channel(&mut self, ticket: Ticket) {
        if let Some(watched) = self.watched.get_mut(&ticket) {
            watched.channel = None;
            self.shared.change(|crew, _| crew.leaves(ticket));
        }
    }

    /// A worker is dead.
    fn lose_process(&mut self, ticket: Ticket) {
        if let Some(watched) = self.watched.get_mut(&ticket) {
            *watched = Watched {
                channel: None,
                process: None,
            };
            self.part(ticket, None);
        }
    }

    /// A worker is dead, and the server may have told how: that counts when its last words are written
    /// (A5).
    fn part(&mut self, ticket: Ticket, status: Option<libc::c_int>) {
        if let Some(parting) = self.parting.get_mut(&ticket) {
            parting.status = parting.status.or(status);
        } else if self.output.is_through_with(ticket) {
            self.see_off(ticket, status);
        } else {
            let until = Instant::now().checked_add(PATIENCE);
            self.parting.insert(ticket, Parting { until, status });
        }
    }

    /// Those whose last words are written, or have been waited for long enough.
    fn see_off_all(&mut self) {
        let now = Instant::now();
        let output = &self.output;
        let is_over = |ticket: &Ticket, parting: &mut Parting| {
            output.is_through_with(*ticket) || parting.until.is_some_and(|until| until <= now)
        };
        let over: Vec<_> = self.parting.extract_if(.., is_over).collect();
        for (ticket, Parting { status, .. }) in over {
            self.output.give_up(ticket);
            self.see_off(ticket, status);
        }
    }

    fn see_off(&mut self, ticket: Ticket, status: Option<libc::c_int>) {
        if status.is_some() {
            self.bury(ticket, status);
        } else if self.line.is_none() {
            self.bury(ticket, None); // Nobody will tell how it died.
        } else {
            self.shared.change(|crew, out| {
                crew.collect(out); // A2
                crew.died(ticket, out);
            });
        }
    }
}

/// Bell and line come before the workers' channels in the list for `poll`.
const FIXED: usize = 2;

/// An entry that `poll` passes over.
const NOTHING: libc::pollfd = libc::pollfd {
    fd: -1,
    events: 0,
    revents: 0,
};
