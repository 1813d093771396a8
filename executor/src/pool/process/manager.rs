//! The manager: the one thread of a pool, between the submitters and the workers.
//!
//! ```text
//!        submit ──(lock)──> crew ──── sendmsg ────────────────> worker     no thread between
//!                            ^  ^                                 |
//!                     bell   |  | answered, arrived, bury         | answer
//!   submit, abort ──────> manager <───────────────────────────────+
//!                            |  ^
//!               Fork, Kill   v  | Forked, Exited
//!                          fork server
//!
//!   one turn:  arrange (make workers, kill, dismiss) ── poll ── hear the server ── hear workers
//! ```
//!
//! Owns      the pool's line to the fork server, and for each worker the reading half of its
//!           channel. Reads all the time and never waits to send, so the two directions of a
//!           channel cannot block each other, however full they are.
//! Holds     A1 user code (a decoder, a waker) runs with no lock held, after the next job is on its
//!           way to the worker; A2 a worker is buried once it is dead *and* everything it sent is
//!           read, so an answer that was finished counts even when its worker died just after;
//!           A3 the reason is told truly: a channel's end says that it died, the server says how.
//! Cost      per answer: a poll, a recv, and one lock; answers that arrive together share them.
//! Source    CPython's `_ExecutorManagerThread`. Next: `pool.rs`.

use super::control::{self, Event, Received, Request, Ticket};
use super::crew::{Crew, Phase};
use super::fork_server;
use super::ledger::Ledger;
use super::member::Member;
use super::shared::Shared;
use super::sys;
use super::wire::{Frame, FrameReader};
use crate::sync::lock;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// See the file head.
pub(super) struct Manager {
    shared: Arc<Shared>,
    /// None once it has ended.
    line: Option<OwnedFd>,
    inboxes: BTreeMap<Ticket, Inbox>,
    /// What the line has not taken yet.
    requests: VecDeque<(Request, Vec<OwnedFd>)>,
    next_ticket: Ticket,
}

/// The reading half of a worker's channel.
struct Inbox {
    channel: Arc<OwnedFd>,
    reader: FrameReader,
}

impl Manager {
    pub(super) fn new(shared: Arc<Shared>, line: OwnedFd) -> Manager {
        Manager {
            shared,
            line: Some(line),
            inboxes: BTreeMap::new(),
            requests: VecDeque::new(),
            next_ticket: 1,
        }
    }

    /// Until the pool is closed, its jobs are done and its workers are gone.
    pub(super) fn run(mut self) {
        while let Some(wake_at) = self.arrange() {
            let tickets: Vec<Ticket> = self.inboxes.keys().copied().collect();
            let mut fds = self.interests();
            let limit = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
            if sys::poll(&mut fds, limit).is_err() {
                continue; // Out of memory in the kernel: there is nothing better than to try again.
            }
            let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.revents != 0);
            if ready(0) {
                self.shared.silence();
            }
            if ready(1) {
                self.hear_server();
            }
            for (index, ticket) in tickets.into_iter().enumerate() {
                if ready(index + FIXED) {
                    self.hear_worker(ticket, fds[index + FIXED].revents);
                }
            }
        }
    }

    /// Bell, line, and every worker's channel, in the order of the inboxes.
    fn interests(&self) -> Vec<libc::pollfd> {
        let mut fds = vec![self.shared.bell_interest()];
        fds.push(match &self.line {
            Some(line) if self.requests.is_empty() => sys::interest(line, libc::POLLIN),
            Some(line) => sys::interest(line, libc::POLLIN | libc::POLLOUT),
            None => NOTHING,
        });
        let crew = lock(&self.shared.crew);
        for (ticket, inbox) in &self.inboxes {
            let output = if crew.wants_to_send(*ticket) {
                libc::POLLOUT
            } else {
                0
            };
            fds.push(sys::interest(&*inbox.channel, libc::POLLIN | output));
        }
        fds
    }

    // ---- arrange ----------------------------------------------------------------------------

    /// Does what the crew asks for. Returns when to look again at the latest; `None` at the end.
    fn arrange(&mut self) -> Option<Option<Instant>> {
        self.shared.change(Crew::ring_alarms);
        let mut crew = lock(&self.shared.crew);
        if crew.is_done() {
            if crew.is_empty() {
                crew.phase = Phase::Ended;
                drop(crew);
                self.shared.room.notify_all();
                return None;
            }
            crew.dismiss_all();
        }
        let next_look = crew.plan_look(Instant::now());
        let wanted = crew.wants_workers();
        let orders = std::mem::take(&mut crew.orders);
        drop(crew);
        for (ticket, signal) in orders {
            let request = Request::Kill(ticket, signal);
            self.requests.push_back((request, Vec::new()));
        }
        for _ in 0..wanted {
            self.hire();
        }
        self.send_requests();
        Some(next_look)
    }

    /// Asks for one more worker.
    fn hire(&mut self) {
        let parts = sys::socketpair(libc::SOCK_STREAM).and_then(|channel| {
            let (ledger, page) = Ledger::create()?;
            Ok((channel, ledger, page))
        });
        let ((ours, theirs), ledger, page) = match parts {
            Ok(parts) => parts,
            Err(error) => {
                return self
                    .shared
                    .change(|crew, out| crew.refused(None, &error, out));
            }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let channel = Arc::new(ours);
        let mut member = Member::new(channel.clone(), ledger);
        let initializer = lock(&self.shared.crew).initializer();
        member.setup = initializer.map(|initializer| initializer.job(&self.shared, ticket));
        let reader = FrameReader::new();
        self.inboxes.insert(ticket, Inbox { channel, reader });
        self.shared.change(|crew, _| crew.expect(ticket, member));
        let request = (Request::Fork(ticket), vec![theirs, page]);
        self.requests.push_back(request);
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
                    self.inboxes.remove(&ticket);
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
                Received::Message(Event::Forked(ticket, pid), _) => {
                    let pid = pid.unsigned_abs();
                    self.shared
                        .change(|crew, out| crew.arrived(ticket, pid, out));
                }
                Received::Message(Event::ForkFailed(ticket, errno), _) => {
                    self.inboxes.remove(&ticket);
                    let error = io::Error::from_raw_os_error(errno);
                    self.shared
                        .change(|crew, out| crew.refused(Some(ticket), &error, out));
                }
                Received::Message(Event::Exited(ticket, status), _) => {
                    self.read_rest(ticket); // A2
                    self.bury(ticket, Some(status));
                }
                Received::Nothing => return,
                Received::End => self.lose_server(),
            }
        }
    }

    /// The line has ended. From here on a worker is dead when its channel ends; those whose
    /// channel has ended already were waiting for the server's word, and wait no longer.
    fn lose_server(&mut self) {
        self.line = None;
        fork_server::note_end();
        self.shared.change(Crew::orphan);
        let mut crew = lock(&self.shared.crew);
        let members: Vec<Ticket> = crew.members().map(|(ticket, _)| ticket).collect();
        drop(crew);
        self.inboxes.retain(|ticket, _| members.contains(ticket));
        for ticket in members {
            if !self.inboxes.contains_key(&ticket) {
                self.bury(ticket, None);
            }
        }
    }

    fn bury(&mut self, ticket: Ticket, status: Option<libc::c_int>) {
        self.inboxes.remove(&ticket);
        self.shared
            .change(|crew, out| crew.bury(ticket, status, out));
    }

    fn hear_worker(&mut self, ticket: Ticket, revents: libc::c_short) {
        if revents & libc::POLLOUT != 0 {
            self.shared.change(|crew, out| crew.flush(ticket, out));
        }
        if revents & !libc::POLLOUT != 0 && !self.read(ticket) {
            if self.line.is_none() {
                // Nobody will tell how it died.
                self.bury(ticket, None);
            } else if self.inboxes.remove(&ticket).is_some() {
                // The server says when it is dead; the kill sees to it that it is.
                self.shared.change(|crew, _| crew.leaves(ticket));
            }
        }
    }

    /// Everything a dead worker has sent. (Somebody it started may hold its channel open, so the
    /// end of the channel is not waited for.)
    fn read_rest(&mut self, ticket: Ticket) {
        while self.inboxes.contains_key(&ticket) && matches!(self.read_once(ticket), Ok(true)) {}
    }

    /// Reads once. False when there is nothing more to hear from this worker.
    fn read(&mut self, ticket: Ticket) -> bool {
        match self.read_once(ticket) {
            Ok(more) => more,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// One `recv`, and what it completes. `Ok(false)`: the end of the channel, or nonsense.
    fn read_once(&mut self, ticket: Ticket) -> io::Result<bool> {
        let Some(inbox) = self.inboxes.get_mut(&ticket) else {
            return Ok(false);
        };
        match sys::receive(&inbox.channel, inbox.reader.space(), false)? {
            0 => return Ok(false),
            count => inbox.reader.filled(count),
        }
        let mut frames: Vec<Frame> = Vec::new();
        let sound = loop {
            match inbox.reader.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let expected = frames.is_empty()
            || self.shared.change(|crew, out| {
                let mut frames = frames.into_iter();
                frames.all(|frame| crew.answered(ticket, frame, out))
            });
        Ok(sound && expected)
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
