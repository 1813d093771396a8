//! A long payload, by its sender: a file in memory, handed from process to process by its descriptor.
//!
//! ```text
//!   sender: append ──> memfd ── sendmsg(number, name, descriptor) ──> receiver: see `arrival.rs`
//!              ^                                                          |
//!              +───── Stock <────── the receiver has read it <────────────+
//! ```
//!
//! The message goes over the worker's channel (a SOCK_SEQPACKET socketpair) *before* the job's
//! word is set, so whoever sees the word finds the message. Messages of jobs that were taken back
//! stay in the socket; the receiver passes over them.
//!
//! A file is used again when its receiver has said that it has read it, because its pages are there:
//! taking new ones from the system costs three times the copying. From then on both sides map it
//! (`view.rs`), the receiver by the name that comes with the descriptor. What is not used for a
//! while is given back.
//!
//! Owns      the descriptor, and the spare files. A receiver can write to the file as well: one that
//!           does, out of its turn, damages what it or a worker after it reads. That is bytes, which
//!           are copied before anything believes them; nobody's memory is at stake. (`SharedBytes`
//!           are files that nobody can write to.)
//! Holds     the file cannot be made shorter (V1 in view.rs), nor be sealed by its receiver.
//! Cost      a new file: eight system calls in all, two copies, and a page of the system's for each
//!           of its own. A used one: three (a message there, and its descriptor to close) and two
//!           copies.
//! Rejected  the receiver copies right out of the sender's memory (process_vm_readv: one copy less):
//!           an answer would be lost with its worker, though it was whole. Passing a name without a
//!           descriptor (no message at all, 5 us of 300): who has what would have to be kept account
//!           of, through jobs that are taken back.
//!           Next: `arrival.rs`.

use super::sys;
use super::view::View;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A stock holds no more bytes than this: two results of 32 MiB, or one of 64, and a little.
const STOCK_BYTES: usize = 64 * 1024 * 1024 + 4096;

/// And no more files.
pub(super) const STOCK_FILES: usize = 8;

/// A stock that was not used for so long goes back to the system.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// So many may exist in a process until [`Memory::may_wait`] says no: each is a descriptor, and of
/// those the program has a thousand, as a rule, and other uses for them.
const WAITING: usize = 128;

/// How many files of payloads are open.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The name of the next file.
static NAMES: AtomicU64 = AtomicU64::new(1);

/// A descriptor that is counted.
#[derive(Debug)]
pub(super) struct Counted(File);

impl Counted {
    pub(super) fn new(file: OwnedFd) -> Counted {
        // Relaxed, as everywhere: it is a number, and near enough.
        COUNT.fetch_add(1, Ordering::Relaxed);
        Counted(File::from(file))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the file head.
#[derive(Debug)]
pub(super) struct Memory {
    file: Counted,
    /// Of the payload.
    length: usize,
    /// Of the file: all of it has its pages.
    filled: usize,
    /// What receivers know it by. 0: they need not, it has not been used before.
    name: u64,
    view: Option<View>,
}

impl Memory {
    /// An empty one.
    pub(super) fn new() -> io::Result<Memory> {
        let file = sys::memory(c"tatkal-payload")?;
        sys::seal(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL)?;
        Ok(Memory {
            file: Counted::new(file),
            length: 0,
            filled: 0,
            name: 0,
            view: None,
        })
    }

    /// May one more be made for a job that only waits? Otherwise it is made when its turn comes.
    pub(super) fn may_wait() -> bool {
        COUNT.load(Ordering::Relaxed) < WAITING
    }

    /// It will be written anew, and was used before: from now on it is mapped, if it `may_be`.
    fn reuse(&mut self, may_be: bool) {
        self.length = 0;
        if may_be && self.name == 0 {
            // Relaxed: any number that no other file has.
            self.name = NAMES.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds bytes to what is in it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        let viewed = self.view.as_ref().map_or(0, View::len);
        // Mapped as a whole, and only what has pages: a page fault costs more than a write does.
        if self.name != 0 && viewed < end && end <= self.filled {
            self.view = View::to_write(self.file.file(), self.filled).ok();
        }
        for piece in sys::pieces(bytes) {
            match &mut self.view {
                Some(view) if end <= view.len() => view.copy_in(self.length, piece),
                _ => self.file.file().write_all_at(piece, self.length as u64)?,
            }
            self.length += piece.len();
        }
        self.filled = self.filled.max(end);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Hands a descriptor of it over, for job `number`. Never waits: `WouldBlock`, when the
    /// channel is full.
    pub(super) fn send(&self, channel: &OwnedFd, number: u64, wait: bool) -> io::Result<()> {
        let message = [number.to_ne_bytes(), self.name.to_ne_bytes()];
        let message = IoSlice::new(message.as_flattened());
        sys::send(channel, &[message], &[self.file.file().as_fd()], wait)?;
        Ok(())
    }

    /// Its receiver has read it, and it is not wanted any more. A receiver may still have it mapped.
    fn give_back(self) {
        if self.name != 0 {
            sys::empty(self.file.file(), self.filled);
        }
    }
}

/// Files to be used again.
#[derive(Debug)]
pub(super) struct Stock {
    files: Vec<Memory>,
    bytes: usize,
    /// May they be mapped? Not where address space is limited: that is for the jobs.
    maps: bool,
    /// When it was last added to.
    since: Instant,
}

impl Stock {
    pub(super) fn new(maps: bool) -> Stock {
        Stock {
            files: Vec::new(),
            bytes: 0,
            maps,
            since: Instant::now(),
        }
    }

    /// One that was used before: the last one.
    pub(super) fn take(&mut self) -> Option<Memory> {
        let mut memory = self.files.pop()?;
        self.bytes -= memory.filled;
        memory.reuse(self.maps);
        Some(memory)
    }

    /// One that its receiver has read.
    pub(super) fn put(&mut self, memory: Memory, now: Instant) {
        self.since = now;
        match self.files.len() < STOCK_FILES && self.bytes + memory.filled <= STOCK_BYTES {
            true => {
                self.bytes += memory.filled;
                self.files.push(memory);
            }
            false => memory.give_back(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// When it is to be looked at next: it may be idle then.
    pub(super) fn alarm(&self) -> Option<Instant> {
        (!self.is_empty()).then(|| self.since + IDLE)
    }

    /// Takes out what was not used for a while, to be dropped where nobody waits for that.
    pub(super) fn take_idle(&mut self, now: Instant) -> Option<Stock> {
        let idle = self.alarm().is_some_and(|alarm| alarm <= now);
        idle.then(|| std::mem::replace(self, Stock::new(self.maps)))
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.files.drain(..).for_each(Memory::give_back);
    }
}
