//! The life of a worker process: from the fork in the server to `_exit`.
//!
//! ```text
//!   fork ── settle ── read a frame ── claim it ── run the job ── flush stdout ── reply ──+
//!                       ^   |                                                            |
//!                       +---|------------------------------------------------------------+
//!                           | end of the channel: the pool is done with it, or gone
//!                           v
//!                         _exit(0)
//! ```
//!
//! Owns      its end of one channel, and its mapping of one ledger. Nothing else of the parent's:
//!           the server let go of the rest (`sys::plug_descriptors`) and drops its own here.
//! Holds     W1 it dies with the server, which dies with the parent, even in the middle of a job:
//!           the kernel's doing (PR_SET_PDEATHSIG), so no job can prevent it by being busy. That
//!           signal is tied to the *thread* that forked; the server has only one.
//!           W2 what a job printed is out before its result is: a caller that has the result can
//!           rely on the line. W3 it leaves with `_exit`: exit handlers and buffers that were
//!           inherited belong to the parent, and would run or print a second time.
//!           W4 Ctrl-C reaches the whole foreground group, so SIGINT is ignored here: what it
//!           means is decided by the parent alone.
//!           W5 jobs run on the main thread, one at a time, in the order sent.
//!
//! Randomness: a generator that was seeded before the server started would give every worker the
//! same numbers. Started as the first line of `main`, the server has none, so every worker's
//! generators (std's hash keys, `rand::rng()`) are seeded by itself at first use. For that reason
//! the server must not create a `HashMap`.
//!
//! Next: `server.rs`.

use super::entry::{Entry, Reply};
use super::image::Images;
use super::ledger::Ledger;
use super::panics;
use super::sys;
use super::wire::{Frame, FrameReader, Header, Kind};
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;

/// Exit code of a worker that could not begin, or whose channel brought nonsense: EX_SOFTWARE.
pub(super) const BROKEN: libc::c_int = 70;

/// What a worker is given.
pub(super) struct Post {
    pub(super) channel: OwnedFd,
    pub(super) ledger: OwnedFd,
    pub(super) images: Images,
    /// The pid of the server: with it gone, so is this process.
    pub(super) server: libc::pid_t,
    /// Called before it leaves: ends the fork server that a job may have started in here.
    pub(super) leave: fn(),
}

/// The rest of this process.
pub(super) fn run(post: Post) -> ! {
    let leave = post.leave;
    // A panic that gets this far is a bug of ours; unwinding out of here would run the parent's
    // code a second time.
    let code = panics::catch(move || {
        settle(post.server);
        work(post)
    });
    flush_stdout();
    leave();
    sys::exit_now(match code {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => BROKEN,
    })
}

/// Becomes a process of its own. Every signal is blocked until the last line.
fn settle(server: libc::pid_t) {
    sys::die_with_parent(server); // W1
    sys::set_name(c"tatkal-worker");
    sys::reset_signal_handlers();
    sys::set_signal(libc::SIGCHLD, libc::SIG_DFL); // or a job could not wait for its own children
    sys::set_signal(libc::SIGINT, libc::SIG_IGN); // W4
    sys::unblock_signals();
    panics::silence_caught();
}

/// Runs jobs until the channel ends.
fn work(post: Post) -> io::Result<()> {
    let ledger = Ledger::open(&post.ledger)?;
    drop(post.ledger);
    let mut reader = FrameReader::new();
    while let Some(frame) = next_frame(&post.channel, &mut reader)? {
        if !ledger.claim(frame.header.number) {
            continue; // The pool took it back.
        }
        let reply = match Entry::at(frame.header.entry, &post.images) {
            Some(entry) if frame.header.kind == Kind::Job => entry.run(&frame.payload),
            _ => Reply::unknown_entry(),
        };
        flush_stdout(); // W2
        send(&post.channel, frame.header.number, &reply)?;
    }
    Ok(())
}

/// Waits for the next job; `None` when there will be none.
fn next_frame(channel: &OwnedFd, reader: &mut FrameReader) -> io::Result<Option<Frame>> {
    loop {
        match reader.next() {
            Ok(Some(frame)) => return Ok(Some(frame)),
            Ok(None) => {}
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        match sys::receive(channel, reader.space(), true)? {
            0 => return Ok(None),
            count => reader.filled(count),
        }
    }
}

/// Sends a reply, waiting for room as often as need be: the pool is always reading.
fn send(channel: &OwnedFd, number: u64, reply: &Reply) -> io::Result<()> {
    let header = Header {
        kind: reply.kind,
        number,
        entry: 0,
    };
    let header = header.encode(reply.payload.len());
    let mut parts = [IoSlice::new(&header), IoSlice::new(&reply.payload)];
    let mut parts = &mut parts[..];
    while !parts.is_empty() {
        let sent = sys::send(channel, parts, &[], true)?;
        IoSlice::advance_slices(&mut parts, sent);
    }
    Ok(())
}

/// Writes out what a job left in the buffer. Nobody to tell when it fails: the reader is gone.
fn flush_stdout() {
    let _ = io::stdout().flush();
}
