//! What workers print: how it gets to the program's stdout and stderr, in whole lines.
//!
//! ```text
//!   worker:   println! ──> its stdout: a pipe ──+
//!   worker:   println! ──> its stdout: a pipe ──+──> relay: whole lines ──> the program's stdout
//!                                                       |
//!   manager:  who is dead? ── is all out that it printed? ──+── then its jobs are told
//! ```
//!
//! A line is whole when one process has it in one piece before anybody else writes. The worker cannot be
//! that: std gives out a line that is longer than its buffer in parts, and nothing tells when it begins
//! one. So the program is.
//!
//! Until a worker prints for the first time, the manager watches the pipes. Then the relay gets a thread,
//! which waits for the program's stdout as long as that takes; nobody else does but the workers that
//! print. There is a relay for stdout and one for stderr, so neither waits for the other; but when both
//! lead to the same file (a terminal, `2>&1`) workers have one pipe for both, and what they print there
//! stays in order.
//!
//! Owns      the relays of a pool, and their threads. Used by the manager only.
//! Holds     P1 nothing that a stdout or a worker does can stop the manager: it waits for what the dead
//!           have left PATIENCE at most, and for the end as long as something is written within that.
//!           (Only when the system gives no thread it has to write by itself.)
//! Cost      a worker: two pipes, with an end of each in the program. A silent job: one system call (its
//!           look at its pipe). A job that prints: a wake-up of the relay, and one of the worker.
//! Measured  a job that prints a line, there and back: 11 us; 4 when workers wrote to stdout themselves. One
//!           that prints nothing: the look at the pipe is 0.2 us of 3.4 (one CPU). Starting a worker: no
//!           difference.
//! Rejected  - the worker writes to stdout under a lock of all workers: no moment to take it (above), and
//!             whoever is killed under it holds it for ever.
//!           - a thread in the worker that reads its pipe: what is in there is lost with the process;
//!             and a job must find a process with one thread, or it cannot fork.
//!           - a file in memory in place of the pipe: nobody is woken when something is there, and
//!             nobody waits when there is too much.
//!           - passing on after each job: a long job's lines come when it is over.
//!           - the manager as the relay: it would wait for stdout, and with it every job.
//!           - one relay of the program for all pools: it would need a begin and an end of its own, for
//!             one lock less.
//!           Next: `manager.rs`.

mod lines;
mod relay;
#[cfg(test)]
mod tests;

use super::board::Board;
use super::control::Ticket;
use super::shared::Shared;
use super::sys;
use relay::Relay;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long a stdout that takes nothing is waited for, where something else waits meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

/// See the file head.
pub(super) struct Output {
    streams: Vec<Stream>,
}

struct Stream {
    relay: Arc<Relay>,
    /// None: nobody has printed yet (or the system gives no thread).
    thread: Option<thread::JoinHandle<()>>,
}

impl Output {
    pub(super) fn new() -> io::Result<Output> {
        let stream = |place, is_waited_for| {
            let relay = Arc::new(Relay::new(place, is_waited_for)?);
            let thread = None;
            io::Result::Ok(Stream { relay, thread })
        };
        let mut streams = vec![stream(libc::STDOUT_FILENO, true)?];
        if !sys::are_same(libc::STDOUT_FILENO, libc::STDERR_FILENO) {
            streams.push(stream(libc::STDERR_FILENO, false)?);
        }
        Ok(Output { streams })
    }

    /// What a new worker needs: the bell of the relay, its stdout and its stderr. (When it is not made,
    /// its pipes end with these.)
    pub(super) fn furnish(&self, ticket: Ticket, board: &Arc<Board>) -> io::Result<[OwnedFd; 3]> {
        let bell = self.streams[0].relay.bell_for_worker()?;
        let stdout = self.streams[0].relay.admit(ticket, board)?;
        let stderr = match self.streams.get(1) {
            Some(stderr) => stderr.relay.admit(ticket, board)?,
            None => stdout.try_clone()?,
        };
        let served = self.streams.iter().filter(|it| it.thread.is_some());
        served.for_each(|it| it.relay.ring()); // there is another one to watch
        Ok([bell, stdout, stderr])
    }

    /// What the manager has to watch for us.
    pub(super) fn interests(&self) -> Vec<libc::pollfd> {
        let silent = self.streams.iter().filter(|it| it.thread.is_none());
        let fds = silent.map(|it| it.relay.interests(&it.relay.sources()));
        fds.flatten().collect()
    }

    /// What came of that. (Nobody changes the sources of a relay without a thread meanwhile.)
    pub(super) fn hear(&mut self, mut fds: &[libc::pollfd], shared: &Arc<Shared>) {
        for stream in self.streams.iter_mut().filter(|it| it.thread.is_none()) {
            let sources = stream.relay.sources();
            let ours = fds.split_off(..sources.len() + 1).unwrap_or_default();
            let prints = |fd: &libc::pollfd| fd.revents & libc::POLLIN != 0;
            if ours.iter().skip(1).any(prints) {
                stream.start(shared);
            }
            if stream.thread.is_none() && ours.iter().any(|fd| fd.revents != 0) {
                // Pipes that have ended; or else there is no thread, and it is done here.
                stream.relay.turn(&sources, ours, &|| {});
            }
        }
    }

    /// Is everything written that this worker, which is dead, has printed? If not, the manager's bell
    /// is rung when it may be.
    pub(super) fn is_through_with(&self, ticket: Ticket) -> bool {
        // Both are asked.
        let through = self
            .streams
            .iter()
            .map(|it| it.relay.is_through_with(ticket));
        through.fold(true, |all, through| all & through)
    }

    /// The dead worker's last words are waited for no longer.
    pub(super) fn give_up(&self, ticket: Ticket) {
        self.streams.iter().for_each(|it| it.relay.give_up(ticket));
    }

    /// When all workers are gone: what is there is written, and the threads end. Where stdout takes
    /// nothing, they do so when it does.
    pub(super) fn end(&mut self, shared: &Arc<Shared>) {
        for stream in &mut self.streams {
            if stream.thread.is_none() && stream.relay.has_work() {
                stream.start(shared);
            }
            match stream.thread.take() {
                Some(thread) => {
                    stream.relay.end();
                    stream.see_out(thread, shared);
                }
                None if stream.relay.has_work() => stream.relay.finish(&|| {}),
                None => stream.relay.let_go(),
            }
        }
    }
}

impl Stream {
    /// Starts the thread. The system may give none: then it is tried again with the next line, and this
    /// thread writes until then. (From then on it is not to die of a broken stdout.)
    fn start(&mut self, shared: &Arc<Shared>) {
        let relay = self.relay.clone();
        // Weak: should stdout never take anything again, that is no reason to keep a pool.
        let shared = Arc::downgrade(shared);
        let tell = move || {
            if let Some(shared) = shared.upgrade() {
                shared.ring();
            }
        };
        let thread = thread::Builder::new().name("tatkal-output".to_owned());
        self.thread = thread.spawn(move || relay.run(&tell)).ok();
        if self.thread.is_none() {
            sys::block_signals();
        }
    }

    /// Waits for the end, as long as something is written.
    fn see_out(&self, thread: thread::JoinHandle<()>, shared: &Shared) {
        let mut written = self.relay.written();
        while !self.relay.has_ended() {
            let rung = sys::poll(&mut [shared.bell_interest()], Some(PATIENCE));
            shared.silence();
            let now = self.relay.written();
            if rung.is_ok_and(|rung| rung == 0) && std::mem::replace(&mut written, now) == now {
                return;
            }
        }
        let _ = thread.join();
    }
}
