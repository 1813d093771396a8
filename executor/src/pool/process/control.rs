//! What a pool and the fork server say to each other.
//!
//! ```text
//!   program ── Attach + [pool's line] ──────────────────> server     on the program's one line
//!   pool    ── Limit 64 MiB, no CPU limit ──────────────> server     on the pool's own line
//!   pool    ── Fork 3 + [channel, board, 4 bells, stdout, stderr] ──────> server
//!   pool    <── Forked 3 + [the process] (or ForkFailed 3) server
//!   pool    <── Exited 3, status, CPU time ────────────── server     once per Forked, always
//! ```
//!
//! A line is a SOCK_SEQPACKET socketpair: one message is one packet, never cut and never glued, so
//! that descriptors cannot arrive with the wrong one. A pool names its workers by tickets of its
//! own and never by pid: the kernel gives pids to strangers again. What it needs a name for that the
//! kernel knows, a signal and the news of a death, it does by the descriptor of the process
//! (pidfd_open(2)), which the server has made before anybody could have reaped it. So the server is
//! not asked for them, and it does not matter there whether it has been stopped.
//!
//! Holds     C1 messages of one line arrive in order, so no Exited overtakes its Forked; C2 when one end of a line dies the other end reads its end: there is no other
//!           goodbye. Next: `worker.rs`.

use super::limits::Limits;
use super::sys;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pool's name for one of its workers; never used twice.
pub(super) type Ticket = u64;

/// Four words on the wire: what, whose, and two numbers.
const WORDS: usize = 4;
const BYTES: usize = WORDS * 8;

/// To the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// A pool's line comes with this: listen to it.
    Attach,
    /// What the pool's workers may use. Before its first Fork, if at all.
    Limit(Limits),
    /// Make a worker. What `Post` in worker.rs needs of descriptors comes with this.
    Fork(Ticket),
}

/// From the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The worker exists, with this pid. A descriptor of the process comes with this.
    Forked(Ticket, libc::pid_t),
    /// There is no such worker, for the reason of this errno.
    ForkFailed(Ticket, libc::c_int),
    /// The worker is dead and reaped; its raw wait status, and the CPU time that it used, in
    /// nanoseconds.
    Exited(Ticket, libc::c_int, u64),
}

/// Something that is one packet.
pub(super) trait Message: Copy {
    fn encode(self) -> [u64; WORDS];
    fn decode(words: [u64; WORDS]) -> Option<Self>;
}

impl Message for Request {
    fn encode(self) -> [u64; WORDS] {
        match self {
            Request::Attach => [1, 0, 0, 0],
            Request::Fork(ticket) => [2, ticket, 0, 0],
            Request::Limit(limits) => [3, limits.memory_bytes, limits.cpu_s, 0],
        }
    }

    fn decode(words: [u64; WORDS]) -> Option<Self> {
        match words {
            [1, 0, 0, 0] => Some(Request::Attach),
            [2, ticket, 0, 0] => Some(Request::Fork(ticket)),
            [3, memory_bytes, cpu_s, 0] => Some(Request::Limit(Limits {
                memory_bytes,
                cpu_s,
            })),
            _ => None,
        }
    }
}

impl Message for Event {
    fn encode(self) -> [u64; WORDS] {
        match self {
            Event::Forked(ticket, pid) => [1, ticket, pid as u64, 0],
            Event::ForkFailed(ticket, errno) => [2, ticket, errno as u64, 0],
            Event::Exited(ticket, status, cpu_ns) => [3, ticket, status as u64, cpu_ns],
        }
    }

    fn decode(words: [u64; WORDS]) -> Option<Self> {
        match words {
            [1, ticket, pid, 0] => Some(Event::Forked(ticket, pid as libc::pid_t)),
            [2, ticket, errno, 0] => Some(Event::ForkFailed(ticket, errno as libc::c_int)),
            [3, ticket, status, cpu_ns] => {
                Some(Event::Exited(ticket, status as libc::c_int, cpu_ns))
            }
            _ => None,
        }
    }
}

/// Sends one packet and its descriptors, or says `WouldBlock`. Never waits: the other end may be
/// stopped, and whoever sends has others to serve.
pub(super) fn send<M: Message>(
    line: &OwnedFd,
    message: M,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut bytes = [0; BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(message.encode()) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    sys::send(line, &[IoSlice::new(&bytes)], fds, false).map(drop)
}

/// What a look at a line brought.
#[derive(Debug)]
pub(super) enum Received<M> {
    /// A message and the descriptors that came with it.
    Message(M, Vec<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The other end is gone. (Or talks nonsense, which is as bad.)
    End,
}

/// Takes the next packet, without waiting.
pub(super) fn receive<M: Message>(line: &OwnedFd) -> Received<M> {
    let mut bytes = [0; BYTES];
    match sys::receive_with_fds(line, &mut bytes) {
        Ok((BYTES, fds)) => {
            let word =
                |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
            match M::decode([word(0), word(8), word(16), word(24)]) {
                Some(message) => Received::Message(message, fds),
                None => Received::End,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
        Ok(_) | Err(_) => Received::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::os::fd::AsFd;

    fn crosses<M: Message + PartialEq + Debug>(line: &(OwnedFd, OwnedFd), message: M) {
        send(&line.0, message, &[]).unwrap();
        match receive::<M>(&line.1) {
            Received::Message(received, fds) => assert_eq!((received, fds.len()), (message, 0)),
            other => panic!("{message:?} became {other:?}"),
        }
    }

    #[test]
    fn every_message_arrives_as_it_was_sent() {
        let line = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        crosses(&line, Request::Attach);
        for ticket in [0, 1, u64::MAX] {
            crosses(&line, Request::Fork(ticket));
            crosses(
                &line,
                Request::Limit(Limits {
                    memory_bytes: ticket,
                    cpu_s: 7,
                }),
            );
            crosses(&line, Event::Forked(ticket, libc::pid_t::MAX));
            crosses(&line, Event::ForkFailed(ticket, libc::EAGAIN));
            crosses(&line, Event::Exited(ticket, -1, 0));
            crosses(&line, Event::Exited(ticket, 99 << 8, u64::MAX));
        }
    }

    #[test]
    fn descriptors_arrive_with_their_own_message() {
        let line = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        let (inside, outside) = sys::socketpair(libc::SOCK_STREAM).unwrap();
        send(&line.0, Request::Fork(1), &[]).unwrap();
        send(&line.0, Request::Fork(2), &[inside.as_fd(), line.0.as_fd()]).unwrap();
        drop(inside);
        assert!(
            matches!(receive(&line.1), Received::Message(Request::Fork(1), fds) if fds.is_empty())
        );
        let Received::Message(Request::Fork(2), fds) = receive(&line.1) else {
            panic!("the fork request is lost");
        };
        let [inside, _] = <[OwnedFd; 2]>::try_from(fds).unwrap();
        sys::send(&inside, &[IoSlice::new(b"hi")], &[], true).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(sys::receive_with_fds(&outside, &mut buffer).unwrap().0, 2);
    }

    #[test]
    fn silence_the_end_and_nonsense_are_told_apart() {
        let line = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        assert!(matches!(receive::<Event>(&line.1), Received::Nothing));
        sys::send(&line.0, &[IoSlice::new(b"short")], &[], true).unwrap();
        assert!(matches!(receive::<Event>(&line.1), Received::End));
        drop(line.0);
        assert!(matches!(receive::<Event>(&line.1), Received::End));
    }
}
