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

use super::counted::Counted;
use super::sealed::Sealed;
use super::shared_bytes::SharedBytes;
use super::view::View;
use crate::pool::process::sys;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A stock holds no more bytes than this: two results of 32 MiB, or one of 64, and a little.
const STOCK_BYTES: usize = 64 * 1024 * 1024 + 4096;

/// And no more files.
pub(in crate::pool::process) const STOCK_FILES: usize = 8;

/// A stock that was not used for so long goes back to the system.
pub(in crate::pool::process) const IDLE: Duration = Duration::from_secs(1);

/// The name of the next file.
static NAMES: AtomicU64 = AtomicU64::new(1);

/// How many pieces may go along with a payload: one message takes all.
pub(in crate::pool::process) const ALONG: usize = sys::FDS_PER_MESSAGE - 1;

/// What goes along with a payload: pieces of it that are files of their own.
#[derive(Debug, Default)]
pub(in crate::pool::process) struct Along(Vec<(Arc<Sealed>, Place)>);

/// Which piece, as it stands in the message.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Where in the payload it belongs: behind so many bytes of the memory.
    at: usize,
    /// Where in its file it begins and ends.
    start: usize,
    end: usize,
}

impl Along {
    pub(in crate::pool::process) fn len(&self) -> usize {
        let lengths = self.0.iter().map(|(_, place)| place.end - place.start);
        lengths.sum()
    }
}

/// Where a long payload goes: an empty file in memory, or one that was used before. None: nowhere
/// yet, it stays as bytes.
pub(in crate::pool::process) type Fresh<'stock> =
    dyn FnMut() -> io::Result<Option<Box<Memory>>> + 'stock;

/// For those who always take a new one.
pub(in crate::pool::process) fn new_memory() -> io::Result<Option<Box<Memory>>> {
    Memory::new().map(Some)
}

/// A message's words: the job's number, the memory's name, and three for each piece that goes along.
pub(in crate::pool::process) type Words = [[u8; 8]; 2 + 3 * ALONG];

/// See the file head.
#[derive(Debug)]
pub(in crate::pool::process) struct Memory {
    file: Counted,
    /// Of what is in it.
    length: usize,
    /// What goes along: not written here, but handed over with it.
    along: Along,
    /// Of the file: all of it has its pages.
    filled: usize,
    /// What receivers know it by. 0: they need not, it has not been used before.
    name: u64,
    view: Option<View>,
    is_lent: bool,
}

impl Memory {
    /// An empty one.
    pub(in crate::pool::process) fn new() -> io::Result<Box<Memory>> {
        let file = sys::memory(c"tatkal-payload")?;
        sys::seal(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL)?;
        Ok(Box::new(Memory {
            file: Counted::new(file),
            length: 0,
            along: Along::default(),
            filled: 0,
            name: 0,
            view: None,
            is_lent: false,
        }))
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
    pub(in crate::pool::process) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
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

    /// Has these bytes go along in their own file, as if they were appended. False: they cannot.
    pub(in crate::pool::process) fn take_along(&mut self, bytes: &SharedBytes) -> bool {
        if self.along.0.len() == ALONG {
            return false;
        }
        let Some((file, start)) = bytes.file() else {
            return false;
        };
        let place = Place {
            at: self.length,
            start,
            end: start + bytes.len(),
        };
        self.along.0.push((file, place));
        true
    }

    /// Of the payload, with what goes along.
    pub(in crate::pool::process) fn len(&self) -> usize {
        self.length + self.along.len()
    }

    /// Takes out what goes along, when its receiver has it: to be dropped where nobody waits for
    /// that.
    pub(in crate::pool::process) fn take_out_along(&mut self) -> Along {
        std::mem::take(&mut self.along)
    }

    /// Hands a descriptor of it over, for job `number`, and those of what goes along. Never waits:
    /// `WouldBlock`, when the channel is full.
    pub(in crate::pool::process) fn send(
        &self,
        channel: &OwnedFd,
        number: u64,
        wait: bool,
    ) -> io::Result<()> {
        let mut words: Words = [[0; 8]; _];
        let mut count = 2;
        words[0] = number.to_ne_bytes();
        words[1] = self.name.to_ne_bytes();
        let mut fds = [self.file.file().as_fd(); 1 + ALONG];
        for (index, (file, place)) in self.along.0.iter().enumerate() {
            // It has one, or it would not go along.
            fds[1 + index] = file.file().ok_or(io::ErrorKind::InvalidInput)?.as_fd();
            for word in [place.at, place.start, place.end] {
                words[count] = (word as u64).to_ne_bytes();
                count += 1;
            }
        }
        let message = IoSlice::new(words[..count].as_flattened());
        sys::send(channel, &[message], &fds[..1 + self.along.0.len()], wait)?;
        Ok(())
    }

    /// It may be dropped before its receiver has read it. Until it is put with the stock.
    pub(in crate::pool::process) fn lend(&mut self) {
        self.is_lent = true;
    }

    /// How much of the system's memory it has.
    pub(in crate::pool::process) fn size(&self) -> usize {
        self.filled
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Receivers may have it mapped, and would keep its pages.
        if self.name != 0 && !self.is_lent {
            sys::empty(self.file.file(), self.filled);
        }
    }
}

/// Files to be used again.
#[derive(Debug)]
pub(in crate::pool::process) struct Stock {
    // Boxed, as everywhere: a job carries its argument about.
    #[allow(clippy::vec_box)]
    files: Vec<Box<Memory>>,
    bytes: usize,
    /// May they be mapped? Not where address space is limited: that is for the jobs.
    maps: bool,
    /// When it was last added to.
    since: Instant,
}

impl Stock {
    pub(in crate::pool::process) fn new(maps: bool) -> Stock {
        Stock {
            files: Vec::new(),
            bytes: 0,
            maps,
            since: Instant::now(),
        }
    }

    /// One that was used before: the last one.
    pub(in crate::pool::process) fn take(&mut self) -> Option<Box<Memory>> {
        let mut memory = self.files.pop()?;
        self.bytes -= memory.filled;
        memory.reuse(self.maps);
        Some(memory)
    }

    /// One that its receiver has read. Returns it if there is no place for it, to be dropped where
    /// nobody waits for that: its pages go back to the system.
    pub(in crate::pool::process) fn put(
        &mut self,
        mut memory: Box<Memory>,
        now: Instant,
    ) -> Option<Box<Memory>> {
        debug_assert!(memory.along.0.is_empty());
        self.since = now;
        memory.is_lent = false;
        if !self.has_room(0, memory.filled) {
            return Some(memory);
        }
        self.bytes += memory.filled;
        self.files.push(memory);
        None
    }

    /// Is there room for so many bytes more, and for so many that will come as well?
    pub(in crate::pool::process) fn has_room(&self, to_come: usize, more: usize) -> bool {
        self.files.len() < STOCK_FILES && self.bytes + to_come + more <= STOCK_BYTES
    }

    pub(in crate::pool::process) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// When it is to be looked at next: it may be idle then.
    pub(in crate::pool::process) fn alarm(&self) -> Option<Instant> {
        (!self.is_empty()).then(|| self.since + IDLE)
    }

    /// Takes out what was not used for a while, to be dropped where nobody waits for that.
    pub(in crate::pool::process) fn take_idle(&mut self, now: Instant) -> Option<Stock> {
        let idle = self.alarm().is_some_and(|alarm| alarm <= now);
        idle.then(|| std::mem::replace(self, Stock::new(self.maps)))
    }
}
