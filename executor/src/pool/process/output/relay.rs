//! The relay: reads what all workers of a pool print to one stream, and writes whole lines of it.
//!
//! ```text
//!   one turn:  poll ── for each worker whose pipe has something, or who asks:
//!                        hold ── read ── whole lines ── write, one at a time in the program ──
//!                        nothing kept? release ── was asked? the kept line too, and settle
//! ```
//!
//! Owns      the read ends of the workers' pipes; of each worker the line that has not ended. A source
//!           is served by one thread: the relay's own, or, as long as there is none, the manager's.
//! Holds     R1 what one worker prints comes out in order, once, and in whole lines (`lines.rs`); R2 it
//!           waits for the program's stdout, and holds nothing then but the turn to write there, for
//!           which nobody waits but other relays. R3 what an error keeps from being written is lost,
//!           and the worker is told as early as a pipe can: nobody reads it any more, so the next
//!           print of its jobs fails. R4 a source ends with its pipe: when the worker is dead, and so
//!           is everybody whom its jobs have started. Whoever of these lives on is read until the
//!           pool ends.
//!
//! Not std's stdout lock: a thread that waits for a job may have it. So the program's own long lines
//! and the workers' can still meet in the middle.
//! Next: `../output.rs`.

use super::lines::Lines;
use crate::pool::process::board::Board;
use crate::pool::process::control::Ticket;
use crate::pool::process::sys;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much is read at a time: what a pipe holds.
const PIECE: usize = 64 * 1024;

/// How long a worker may say nothing in the middle of a line on stderr. After that it is a question, or
/// a dot of many, and is shown as it is. (On a machine with too much to do, one that is in the middle of
/// its line may have to wait for a CPU.)
const QUIET: Duration = Duration::from_secs(1);

/// See the file head.
pub(super) struct Relay {
    /// Where it goes: stdout or stderr, by number.
    place: RawFd,
    /// Do jobs wait until it is out?
    is_waited_for: bool,
    /// Wakes the thread: somebody asks, or there is another source.
    bell: OwnedFd,
    sources: Mutex<BTreeMap<Ticket, Arc<Source>>>,
    /// How many bytes were written: whoever waits for the end sees whether it is worth it.
    written: AtomicU64,
    ends: AtomicBool,
    has_ended: AtomicBool,
}

/// One worker's pipe.
pub(super) struct Source {
    ticket: Ticket,
    pipe: OwnedFd,
    board: Arc<Board>,
    /// As `held` in outlet.rs, for the pool.
    holds: AtomicBool,
    /// The worker is dead, and the pool waits for its last words.
    is_parting: AtomicBool,
    lines: Mutex<Lines>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose turn it is to write to stdout, and to stderr: all pools of the program share them.
static TURNS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];

impl Relay {
    pub(super) fn new(place: RawFd, is_waited_for: bool) -> io::Result<Relay> {
        Ok(Relay {
            place,
            is_waited_for,
            bell: sys::eventfd()?,
            sources: Mutex::default(),
            written: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        })
    }

    // ---- by the manager ----------------------------------------------------------------------

    /// A new worker's pipe: where it writes.
    pub(super) fn admit(&self, ticket: Ticket, board: &Arc<Board>) -> io::Result<OwnedFd> {
        let (pipe, theirs) = sys::pipe()?;
        let source = Source {
            ticket,
            pipe,
            board: board.clone(),
            holds: AtomicBool::new(false),
            is_parting: AtomicBool::new(false),
            lines: Mutex::default(),
        };
        lock(&self.sources).insert(ticket, Arc::new(source));
        Ok(theirs)
    }

    /// Another descriptor of the bell.
    pub(super) fn bell_for_worker(&self) -> io::Result<OwnedFd> {
        self.bell.try_clone()
    }

    /// Has the thread look.
    pub(super) fn ring(&self) {
        sys::ring(&self.bell);
    }

    /// Is everything written that this worker, which is dead, has printed? If not, that is done now
    /// (but for what others still print to its pipe), and then the manager is told.
    pub(super) fn is_through_with(&self, ticket: Ticket) -> bool {
        let source = lock(&self.sources).get(&ticket).cloned();
        let Some(source) = source else { return true };
        // Before the looks. A source that goes leaves the map first, and then its thread looks at this.
        // One that stays is rung for, and served once more.
        source.is_parting.store(true, Ordering::Release);
        // The pipe first: see O1 in outlet.rs.
        let is_out = || sys::unread(&source.pipe) == 0 && !source.holds.load(Ordering::Acquire);
        let is_through = is_out() || !lock(&self.sources).contains_key(&ticket);
        match is_through {
            true => source.is_parting.store(false, Ordering::Relaxed),
            false => self.ring(),
        }
        is_through
    }

    /// Nobody waits for the dead worker's last words any more.
    pub(super) fn give_up(&self, ticket: Ticket) {
        if let Some(source) = lock(&self.sources).get(&ticket) {
            source.is_parting.store(false, Ordering::Relaxed);
        }
    }

    /// Is there something to be written?
    pub(super) fn has_work(&self) -> bool {
        let sources = lock(&self.sources);
        let mut sources = sources.values();
        sources.any(|it| it.holds.load(Ordering::Relaxed) || sys::unread(&it.pipe) > 0)
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The next turn is the last one: what is there by then is written.
    pub(super) fn end(&self) {
        self.ends.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn has_ended(&self) -> bool {
        // Acquire: pairs with the Release in `run`.
        self.has_ended.load(Ordering::Acquire)
    }

    // ---- whoever serves ----------------------------------------------------------------------

    /// The thread: until the end.
    pub(super) fn run(&self, tell: &dyn Fn()) {
        // No handler of the program's runs here, and a broken stdout is an error and no signal.
        sys::block_signals();
        while !self.ends.load(Ordering::Acquire) {
            let sources = self.sources();
            let mut fds = self.interests(&sources);
            let quiet_at = sources.iter().filter_map(|it| self.quiet_at(it)).min();
            let limit = quiet_at.map(|at| at.saturating_duration_since(Instant::now()));
            if sys::poll(&mut fds, limit).is_ok() {
                self.turn(&sources, &fds, tell);
            }
        }
        self.finish(tell);
        self.has_ended.store(true, Ordering::Release);
        tell();
    }

    /// All sources, in the order of `interests`.
    pub(super) fn sources(&self) -> Vec<Arc<Source>> {
        lock(&self.sources).values().cloned().collect()
    }

    /// The bell, and then the sources.
    pub(super) fn interests(&self, sources: &[Arc<Source>]) -> Vec<libc::pollfd> {
        let pipes = sources.iter().map(|source| &source.pipe);
        let fds = std::iter::once(&self.bell).chain(pipes);
        fds.map(|fd| sys::interest(fd, libc::POLLIN)).collect()
    }

    /// Serves those who have something to say.
    pub(super) fn turn(&self, sources: &[Arc<Source>], fds: &[libc::pollfd], tell: &dyn Fn()) {
        if fds[0].revents != 0 {
            sys::drain(&self.bell); // before the look: what comes after it rings again
        }
        let now = Instant::now();
        for (source, fd) in sources.iter().zip(&fds[1..]) {
            let is_quiet = self.quiet_at(source).is_some_and(|at| at <= now);
            let is_asked = self.is_waited_for && source.board.outlet().is_asked();
            let all = is_asked || source.is_parting.load(Ordering::Acquire);
            // Quiet it is only when it has nothing to say.
            if all || fd.revents != 0 || is_quiet {
                let all = all || is_quiet && fd.revents == 0;
                self.serve(source, all, tell);
            }
        }
    }

    /// Writes all that is there, and lets go of the pipes.
    pub(super) fn finish(&self, tell: &dyn Fn()) {
        self.sources()
            .iter()
            .for_each(|it| self.serve(it, true, tell));
        self.let_go();
    }

    /// Lets go of all pipes.
    pub(super) fn let_go(&self) {
        self.sources().iter().for_each(|it| self.dismiss(it));
    }

    /// When the line that is kept is shown as it is.
    fn quiet_at(&self, source: &Source) -> Option<Instant> {
        match self.is_waited_for {
            true => None, // until its job is over
            false => Some(lock(&source.lines).since()? + QUIET),
        }
    }

    /// Passes on a piece, or `all` that is there now.
    fn serve(&self, source: &Source, all: bool, tell: &dyn Fn()) {
        let is_asked = source.board.outlet().is_asked(); // before the look at the pipe
        source.hold(self.is_waited_for);
        let mut lines = lock(&source.lines);
        let passed = self.pass_on(source, all, &mut lines);
        let (goes_on, is_empty) = (passed.is_ok_and(|goes_on| goes_on), lines.is_empty());
        drop(lines);
        if !goes_on {
            self.dismiss(source);
        } else if is_empty {
            source.release(self.is_waited_for);
        }
        if self.is_waited_for && all && is_asked && source.board.outlet().settle() {
            source.board.wake_worker();
        }
        // After all that the manager looks at.
        if source.is_parting.load(Ordering::Acquire) {
            tell();
        }
    }

    /// False when the pipe has ended.
    fn pass_on(&self, source: &Source, all: bool, lines: &mut Lines) -> io::Result<bool> {
        let mut give = |bytes: &[u8]| self.write(bytes);
        // No more than that: others may go on printing for ever.
        let mut left = if all { sys::unread(&source.pipe) } else { 0 };
        let mut piece = Vec::new();
        let goes_on = loop {
            piece.clear();
            match sys::read_onto(&mut piece, &source.pipe, PIECE) {
                Ok(0) => break false,
                Ok(count) => {
                    lines.take(&piece, &mut give)?;
                    left = left.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) => return Err(error),
            }
            if left == 0 {
                break true;
            }
        };
        if all || !goes_on {
            lines.give_all(&mut give)?;
        }
        Ok(goes_on)
    }

    /// Lets go of a pipe: whoever still prints to it gets an error.
    fn dismiss(&self, source: &Source) {
        lock(&self.sources).remove(&source.ticket);
        if self.is_waited_for && source.board.outlet().close() {
            source.board.wake_worker();
        }
    }

    /// Writes to the program's stdout, however long that takes. In portions: to whoever waits for the
    /// end a slow reader is not one that has stopped, which a single long write would look like.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _turn = lock(&TURNS[usize::from(self.place == libc::STDERR_FILENO)]);
        while !bytes.is_empty() {
            match sys::write(self.place, portion(bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                }
                // Somebody who shares it wants it so.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let place = sys::interest(&self.place, libc::POLLOUT);
                    let _ = sys::poll(&mut [place], None);
                }
                // As in std: what is printed to a stdout that was closed is for nobody.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is written at a time: as many whole lines as a pipe takes in one piece, whoever else writes to
/// it, or that much of a longer one.
pub(super) fn portion(bytes: &[u8]) -> &[u8] {
    let Some(most) = bytes.get(..libc::PIPE_BUF) else {
        return bytes;
    };
    let end = most.iter().rposition(|byte| *byte == b'\n');
    end.map_or(most, |at| &most[..=at])
}

impl Source {
    fn hold(&self, is_waited_for: bool) {
        // Relaxed: see O1 in outlet.rs.
        self.holds.store(true, Ordering::Relaxed);
        if is_waited_for {
            self.board.outlet().hold();
        }
    }

    fn release(&self, is_waited_for: bool) {
        if is_waited_for {
            self.board.outlet().release();
        }
        self.holds.store(false, Ordering::Release);
    }
}
