//! The fork server: one thread for life, and all it does is fork and reap.
//!
//! ```text
//!                            +--------------------- server ---------------------+
//!   program's line ─ Attach ─>  clients: a line per pool                        |
//!   pool's line ── Fork ─────>  fork() ────────────────────────────> worker     |
//!               <─ Forked ───|                                          |       |
//!               <─ Exited ───|  waitpid() <── SIGCHLD (a signalfd) ──── dies    |
//!                            +---------------------------------------------------+
//!   end of the program's line: kill and reap every worker, leave
//!   end of a pool's line:      kill that pool's workers
//! ```
//!
//! A process with threads must not fork and go on: some other thread may hold a lock (the
//! allocator's, stdout's) that nobody in the child will ever release. This process has one thread,
//! so its children are whole; and it is small, so that a fork copies few pages however large the
//! program has grown.
//!
//! Owns      the program's line, every pool's line, every worker until it is reaped.
//! Holds     S1 one thread, always; S2 every worker is reaped and its status sent once, to the pool
//!           that asked for it; S3 it never waits for a pool: what a full line does not take waits
//!           in `outbox`; S4 it holds no descriptor of the program's and no end of a worker's channel,
//!           so none stays open because of it; S5 it outlives the program in no case: it
//!           reads the end of the line (and then leaves nothing behind, not even zombies for init
//!           to reap), and should it be unable to, the kernel kills it (PR_SET_PDEATHSIG).
//!           S6 no signal but SIGKILL and SIGSTOP touches it: Ctrl-C and the like are addressed to
//!           the program, and the program decides.
//! Rejected  forking the program again for each worker: it has threads by then. A fresh `exec`: the
//!           jobs' code would have to be found by name. vfork, posix_spawn: they only exec.
//! Source    CPython's Lib/multiprocessing/forkserver.py, which does the same for the same reason;
//!           signalfd(2), prctl(2). Next: `fork_server.rs`.

use super::control::{self, Event, Received, Request, Ticket};
use super::image::Images;
use super::limits::Limits;
use super::panics;
use super::sys;
use super::worker::{self, Post};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What the server is given.
pub(super) struct Charter {
    /// The program's line.
    pub(super) line: OwnedFd,
    pub(super) images: Images,
    /// The pid of the program.
    pub(super) program: libc::pid_t,
    /// See `Post::leave`.
    pub(super) leave: fn(),
}

/// The rest of this process, which was just forked with every signal blocked.
pub(super) fn run(charter: Charter) -> ! {
    // A panic or an error here is the end of every pool: their lines end, and they say so.
    match panics::catch(move || Server::new(charter).map(Server::serve)) {
        Ok(Ok(Role::Worker(post))) => worker::run(post),
        Ok(Ok(Role::Server)) => sys::exit_now(0),
        Ok(Err(_)) | Err(_) => sys::exit_now(worker::BROKEN),
    }
}

/// Who returns from serving: fork is called once and returns twice.
enum Role {
    /// The server, at its end.
    Server,
    /// A new worker. By then the `Server` value was dropped in it, and with that every descriptor
    /// of the server's was closed: one that stayed open would hide the end of somebody's line.
    Worker(Post),
}

struct Server {
    charter: Charter,
    /// Readable when a child has died.
    deaths: OwnedFd,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    // Not a HashMap: see the note on randomness in `worker.rs`.
    workers: BTreeMap<libc::pid_t, Owner>,
}

/// A pool, seen from here.
struct Client {
    line: OwnedFd,
    limits: Limits,
    outbox: VecDeque<(Event, Option<OwnedFd>)>,
}

/// Whose worker it is: which client's, and by what ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner {
    client: u64,
    ticket: Ticket,
}

impl Server {
    fn new(charter: Charter) -> io::Result<Server> {
        sys::die_with_parent(charter.program); // S5
        sys::set_name(c"tatkal-server");
        sys::plug_descriptors(&charter.line)?; // S4
        // A parent that ignored SIGCHLD passed that on, and the kernel would reap in our place.
        sys::set_signal(libc::SIGCHLD, libc::SIG_DFL);
        Ok(Server {
            deaths: sys::child_signals()?,
            charter,
            clients: BTreeMap::new(),
            next_client: 0,
            workers: BTreeMap::new(),
        })
    }

    /// Serves until the program is gone.
    fn serve(mut self) -> Role {
        loop {
            let mut fds = vec![
                sys::interest(&self.charter.line, libc::POLLIN),
                sys::interest(&self.deaths, libc::POLLIN),
            ];
            fds.extend(self.clients.values().map(Client::interest));
            if sys::poll(&mut fds, None).is_err() || !self.hear_program() {
                self.end();
                return Role::Server;
            }
            self.reap();
            // Everyone is asked, ready or not: a look at a quiet line costs less than the table
            // that would say which are ready, and there are as many lines as there are pools.
            for client in self.clients.keys().copied().collect::<Vec<_>>() {
                if let Some(post) = self.hear_client(client) {
                    return Role::Worker(post);
                }
            }
        }
    }

    /// New pools. False when the program is gone.
    fn hear_program(&mut self) -> bool {
        loop {
            match control::receive(&self.charter.line) {
                Received::Message(Request::Attach, mut fds) => {
                    // Without its descriptor (we have too many open) the pool's line just ends.
                    if let Some(line) = fds.pop() {
                        let outbox = VecDeque::new();
                        let limits = Limits::NONE;
                        let client = Client {
                            line,
                            limits,
                            outbox,
                        };
                        self.clients.insert(self.next_client, client);
                        self.next_client += 1;
                    }
                }
                Received::Message(..) => {}
                Received::Nothing => return true,
                Received::End => return false,
            }
        }
    }

    /// A pool's requests, and what we still owe it. In a new worker: what to do there.
    fn hear_client(&mut self, id: u64) -> Option<Post> {
        loop {
            let client = self.clients.get_mut(&id)?;
            client.flush();
            match control::receive(&client.line) {
                Received::Message(Request::Fork(ticket), fds) => {
                    let post = self.fork(Owner { client: id, ticket }, fds);
                    if post.is_some() {
                        return post;
                    }
                }
                Received::Message(Request::Limit(limits), _) => client.limits = limits,
                Received::Message(Request::Attach, _) => {}
                Received::Nothing => return None,
                Received::End => {
                    self.clients.remove(&id);
                    self.kill(libc::SIGKILL, |owner| owner.client == id);
                }
            }
        }
    }

    /// Makes a worker. In it, and only there, the answer is `Some`.
    fn fork(&mut self, owner: Owner, fds: Vec<OwnedFd>) -> Option<Post> {
        let Ok([channel, board, pillow, bell, waiter, relay, stdout, stderr]) =
            <[OwnedFd; 8]>::try_from(fds)
        else {
            // recvmsg drops the descriptors for which there is no room in our table.
            self.tell(
                owner.client,
                Event::ForkFailed(owner.ticket, libc::EMFILE),
                None,
            );
            return None;
        };
        let client = self.clients.get(&owner.client);
        let post = Post {
            limits: client.map_or(Limits::NONE, |client| client.limits),
            channel,
            board,
            pillow,
            bell,
            waiter,
            relay,
            stdout,
            stderr,
            images: self.charter.images.clone(),
            server: sys::own_pid(),
            leave: self.charter.leave,
        };
        // SAFETY: one thread (S1), so the child is whole and may run anything.
        let made = match unsafe { libc::fork() } {
            0 => return Some(post),
            -1 => Err(io::Error::last_os_error()),
            pid => sys::process_descriptor(pid)
                .map(|process| (pid, process))
                .inspect_err(|_| {
                    sys::kill(pid, libc::SIGKILL);
                    let _ = sys::wait_for_child(pid, true);
                }),
        };
        match made {
            Ok((pid, process)) => {
                self.workers.insert(pid, owner);
                let event = Event::Forked(owner.ticket, pid);
                self.tell(owner.client, event, Some(process));
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                self.tell(owner.client, Event::ForkFailed(owner.ticket, errno), None);
            }
        }
        None
    }

    fn kill(&self, signal: libc::c_int, which: impl Fn(&Owner) -> bool) {
        for (pid, _) in self.workers.iter().filter(|(_, owner)| which(owner)) {
            sys::kill(*pid, signal);
        }
    }

    /// Reaps whoever has died and tells their pools (S2).
    fn reap(&mut self) {
        sys::drain(&self.deaths); // before the look: a death after it rings again
        while let Ok((pid @ 1.., status, cpu_time)) = sys::wait_for_child(-1, false) {
            if let Some(owner) = self.workers.remove(&pid) {
                let cpu_ns = u64::try_from(cpu_time.as_nanos()).unwrap_or(u64::MAX);
                let event = Event::Exited(owner.ticket, status, cpu_ns);
                self.tell(owner.client, event, None);
            }
        }
    }

    fn tell(&mut self, client: u64, event: Event, process: Option<OwnedFd>) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.outbox.push_back((event, process));
            client.flush();
        }
    }

    /// The program is gone: takes every worker along.
    fn end(&self) {
        self.kill(libc::SIGKILL, |_| true);
        for pid in self.workers.keys() {
            let _ = sys::wait_for_child(*pid, true);
        }
    }
}

impl Client {
    fn interest(&self) -> libc::pollfd {
        let output = if self.outbox.is_empty() {
            0
        } else {
            libc::POLLOUT
        };
        sys::interest(&self.line, libc::POLLIN | output)
    }

    /// Sends what the line takes (S3). A line that has ended is noticed by the next receive.
    fn flush(&mut self) {
        while let Some((event, process)) = self.outbox.front() {
            let fds: Vec<_> = process.iter().map(AsFd::as_fd).collect();
            if control::send(&self.line, *event, &fds).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }
}
