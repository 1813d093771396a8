//! The life of a worker process: from the fork in the server to `_exit`.
//!
//! ```text
//!   fork ── settle ── claim job n ── run it ── see printed out ── answer n ── ring ──+
//!                    ^   |                                                            |
//!                    +---|------------------ n + 1 <----------------------------------+
//!                        | the board is closed: the pool is done with it
//!                        v
//!                      _exit(0)
//! ```
//!
//! Owns      its mapping of one board, its end of one channel, the writing ends of its stdout and
//!           stderr, and the bells of the pool. Nothing else: the server let go of the rest
//!           (`sys::plug_descriptors`) and drops its own here.
//! Holds     W1 it dies with the server, which dies with the parent, even in the middle of a job:
//!           the kernel's doing (PR_SET_PDEATHSIG), so no job can prevent it by being busy. That
//!           signal is tied to the *thread* that forked; the server has only one.
//!           W2 what a job printed on stdout is out before its result is, the line that has not ended
//!           too: a caller that has the result can rely on it. (Stdout is a pipe to the program, see
//!           `output.rs`; the proof is O1 in `board/outlet.rs`.) W3 it leaves with `_exit`: exit handlers and buffers that were
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

use super::board::bell::NOBODY;
use super::board::scene::{AbortWatch, Step};
use super::board::watch::Habit;
use super::board::{Board, MANAGER, SLOTS, Turn, WAITER};
use super::entry::{Entry, Reply};
use super::image::Images;
use super::limits::Limits;
use super::panics;
use super::sys;
use super::wire::arrival::Views;
use super::wire::codec::{Arrived, new_memory};
use super::wire::memory::{IDLE, Memory, STOCK_FILES, Stock};
use super::wire::{BODY, Kind, Payload};
use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Exit code of a worker that could not begin, or whose board holds nonsense: EX_SOFTWARE.
pub(super) const BROKEN: libc::c_int = 70;

/// What a worker is given.
pub(super) struct Post {
    /// Brings and takes the descriptors of long payloads. When it ends, the pool ends us.
    pub(super) channel: OwnedFd,
    pub(super) board: OwnedFd,
    /// Ends its sleep.
    pub(super) pillow: OwnedFd,
    /// Wakes the pool's manager.
    pub(super) bell: OwnedFd,
    /// Wakes a thread of the program that waits for a job.
    pub(super) waiter: OwnedFd,
    /// Wakes the one that passes on what jobs print.
    pub(super) relay: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) images: Images,
    pub(super) limits: Limits,
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
        settle(&post)?;
        work(post)
    });
    flush_stdout();
    sys::flush_c();
    leave();
    sys::exit_now(match code {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => BROKEN,
    })
}

/// Becomes a process of its own. Every signal is blocked until the last line.
fn settle(post: &Post) -> io::Result<()> {
    sys::die_with_parent(post.server); // W1
    sys::put_in_place(&post.stdout, libc::STDOUT_FILENO)?;
    sys::put_in_place(&post.stderr, libc::STDERR_FILENO)?;
    sys::buffer_c_lines(); // as it would on a terminal
    sys::set_name(c"tatkal-worker");
    sys::reset_signal_handlers();
    sys::set_signal(libc::SIGCHLD, libc::SIG_DFL); // or a job could not wait for its own children
    sys::set_signal(libc::SIGINT, libc::SIG_IGN); // W4
    sys::unblock_signals();
    panics::silence_caught();
    Ok(())
}

/// Runs jobs until the board is closed and empty.
fn work(post: Post) -> io::Result<()> {
    let board = Board::open(&post.board, post.pillow)?;
    drop((post.board, post.stderr));
    let desk = Desk {
        board,
        habit: Habit::new(),
        channel: post.channel,
        bell: post.bell,
        waiter: post.waiter,
        relay: post.relay,
        stdout: post.stdout,
        images: post.images,
        limits: post.limits,
        views: RefCell::new(match post.limits.has_memory() {
            true => Views::none(),
            false => Views::default(),
        }),
        lent: RefCell::default(),
        stock: RefCell::new(Stock::new(!post.limits.has_memory())),
    };
    // Before there is a limit to reach.
    let _watch = post
        .limits
        .has_memory()
        .then(|| AbortWatch::new(desk.board.scene()));
    post.limits.begin();
    let mut number = 1;
    loop {
        // Before the look: what was offered before the close is still run.
        let closed = desk.board.is_closed();
        match desk.board.next(number) {
            Turn::Mine { entry, length } => desk.run_job(number, entry, length)?,
            Turn::Over => {}
            // A job wrote where it should not have. The pool gives what is here to another worker.
            Turn::Nonsense => return Err(io::Error::other("nonsense on the board")),
            Turn::Nothing if closed => return Ok(()),
            Turn::Nothing => {
                desk.sleep(number);
                continue;
            }
        }
        number += 1;
    }
}

/// What the worker works with.
struct Desk {
    board: Board,
    habit: Habit,
    channel: OwnedFd,
    bell: OwnedFd,
    waiter: OwnedFd,
    relay: OwnedFd,
    /// Where stdout leads to, whatever a job does with that.
    stdout: OwnedFd,
    images: Images,
    limits: Limits,
    /// The files of long arguments.
    views: RefCell<Views>,
    /// And of long results, each with the number of the job whose result it was: to be used again
    /// when the pool has read that.
    lent: RefCell<Vec<(u64, Box<Memory>)>>,
    stock: RefCell<Stock>,
}

impl Desk {
    /// Runs a job that was claimed, and answers it.
    fn run_job(&self, number: u64, entry: u64, length: usize) -> io::Result<()> {
        self.limits.before_job();
        self.board.scene().tray.begin(number);
        let begin = Instant::now();
        self.habit.begin(begin);
        let board = &self.board;
        let mut fresh = || match self.take_spare() {
            Some(memory) => Ok(Some(memory)),
            None => new_memory(),
        };
        let mut run = |argument: Arrived<'_>| match Entry::at(entry, &self.images) {
            Some(entry) => entry.run(argument, board.scene(), &mut fresh),
            None => Reply::unknown_entry(),
        };
        let reply = match length <= BODY {
            true => run(Arrived::Bytes(board.argument(number, length))),
            false => {
                let mut views = self.views.borrow_mut();
                let arrival = views.receive(&self.channel, number, length)?;
                drop(views);
                run(Arrived::Memory(&arrival))
            }
        };
        let end = Instant::now();
        self.habit.end(end);
        let took = end.duration_since(begin);
        self.board.scene().enter(Step::Between);
        self.see_printed_out(); // W2
        let Reply { kind, payload } = self.hand_over(number, reply);
        let whom = self.board.answer(number, kind, &payload, took);
        match whom {
            MANAGER => sys::ring(&self.bell),
            WAITER => sys::ring(&self.waiter),
            NOBODY => {}
            _ => return Err(io::Error::other("nonsense in a bell")),
        }
        if let Payload::Memory(mut memory) = payload {
            drop(memory.take_out_along());
            memory.lend();
            let mut lent = self.lent.borrow_mut();
            // Later, the slot will not tell any more.
            lent.retain(|(older, _)| older + SLOTS as u64 > number);
            let there = lent.iter().map(|(_, memory)| memory.size()).sum();
            if lent.len() < STOCK_FILES && self.stock.borrow().has_room(there, memory.size()) {
                lent.push((number, memory));
            }
        }
        Ok(())
    }

    /// Everything that was printed is written by the program when this returns.
    fn see_printed_out(&self) {
        flush_stdout();
        self.board.see_out(&self.stdout, || sys::ring(&self.relay));
    }

    /// A file to be used again, if there is one.
    fn take_spare(&self) -> Option<Box<Memory>> {
        self.take_back();
        self.stock.borrow_mut().take()
    }

    /// Puts what the pool has read with the stock.
    fn take_back(&self) {
        let mut lent = self.lent.borrow_mut();
        let read = lent.extract_if(.., |(number, _)| self.board.is_read(*number));
        for (_, memory) in read {
            drop(self.stock.borrow_mut().put(memory, Instant::now()));
        }
    }

    /// Sleeps until job `number` may be there, or first looks on for a moment. After a while of that, the stock goes back to the
    /// system.
    fn sleep(&self, number: u64) {
        if self.habit.take() {
            return self.board.look_on(number);
        }
        let has_files = !self.lent.borrow().is_empty() || !self.stock.borrow().is_empty();
        self.board.sleep(number, has_files.then_some(IDLE));
        if has_files {
            self.take_back();
            drop(self.stock.borrow_mut().take_idle(Instant::now()));
        }
    }

    /// Hands the memory of a long result over. When that fails, the failure is the answer.
    fn hand_over(&self, number: u64, reply: Reply) -> Reply {
        if let Payload::Memory(memory) = &reply.payload
            // Waits for room, if need be: the pool takes answers in without waiting for us.
            && let Err(error) = memory.send(&self.channel, number, true)
        {
            let text = format!("no room for {} bytes: {error}", memory.len());
            return Reply {
                kind: Kind::BadResult,
                payload: Payload::Bytes(text.into_bytes()),
            };
        }
        reply
    }
}

/// Writes out what a job left in the buffer. Nobody to tell when it fails: the reader is gone.
fn flush_stdout() {
    let _ = io::stdout().flush();
}
