//! A long payload: a file in memory, handed from process to process by its descriptor.
//!
//! ```text
//!   sender: write ──> memfd ── sendmsg(number, descriptor) ──> receiver: read
//! ```
//!
//! The message goes over the worker's channel (a SOCK_SEQPACKET socketpair) *before* the job's
//! word is set, so whoever sees the word finds the message. Messages of jobs that were taken back
//! stay in the socket; the receiver passes over them.
//!
//! Owns      the descriptor. Receiver and sender copy with read and write and map nothing: pages
//!           that another process can change are never behind a Rust reference, and no length that
//!           another process states is believed before the kernel has confirmed it.
//!           A sender uses a file again only when the receiver has said that it has read it.
//! Cost      six system calls and two copies.
//!           Next: `bell.rs`.

use super::sys;
use super::wire::MAX_PAYLOAD;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages of jobs that were taken back that a receiver passes over before it takes the sender
/// for mad. The channel's socket buffer does not hold as many.
const STALE_MESSAGES: usize = 4096;

/// Files up to here are kept to be used again: their pages are there, and taking new ones from the
/// system costs more than the copying (a MiB in a new file 200 us, in a used one 80).
const KEEP: usize = 8 * 1024 * 1024;

/// How many.
const SPARES: usize = 2;

/// So many may exist in a process until [`Memory::may_wait`] says no: each is a descriptor, and of
/// those the program has a thousand, as a rule, and other uses for them.
const WAITING: usize = 128;

/// How many exist.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// See the file head.
#[derive(Debug)]
pub(super) struct Memory {
    file: File,
    length: usize,
}

impl Memory {
    /// An empty one.
    pub(super) fn new() -> io::Result<Memory> {
        Ok(Memory::of(sys::memory(c"tatkal-payload")?, 0))
    }

    fn of(file: OwnedFd, length: usize) -> Memory {
        // Relaxed, as everywhere: it is a number, and near enough.
        COUNT.fetch_add(1, Ordering::Relaxed);
        let file = File::from(file);
        Memory { file, length }
    }

    /// May one more be made for a job that only waits? Otherwise it is made when its turn comes.
    pub(super) fn may_wait() -> bool {
        COUNT.load(Ordering::Relaxed) < WAITING
    }

    /// Replaces what is in it by these bytes, one part after the other.
    pub(super) fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.length = 0;
        for part in parts {
            self.file.write_all_at(part, self.length as u64)?;
            self.length += part.len();
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// A copy of the bytes from `from` on.
    pub(super) fn read(&self, from: usize) -> io::Result<Vec<u8>> {
        let there = self.file.metadata()?.len();
        if self.length > MAX_PAYLOAD || there < self.length as u64 {
            let text = format!("a payload of {} bytes in a file of {there}", self.length);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        sys::read_exact_at(&self.file, self.length.saturating_sub(from), from)
    }

    /// The first bytes; zeros behind the end.
    pub(super) fn read_start(&self, start: &mut [u8]) -> io::Result<()> {
        let length = start.len().min(self.length);
        self.file.read_exact_at(&mut start[..length], 0)
    }

    /// Puts it with the spare ones, if it is worth it.
    pub(super) fn keep<T>(self, spares: &mut Vec<T>, wrap: impl FnOnce(Memory) -> T) {
        if self.length <= KEEP && spares.len() < SPARES {
            spares.push(wrap(self));
        }
    }

    /// Hands a descriptor of it over, for job `number`. Never waits: `WouldBlock`, when the
    /// channel is full.
    pub(super) fn send(&self, channel: &OwnedFd, number: u64, wait: bool) -> io::Result<()> {
        let number = number.to_ne_bytes();
        sys::send(
            channel,
            &[IoSlice::new(&number)],
            &[self.file.as_fd()],
            wait,
        )?;
        Ok(())
    }

    /// Takes what was handed over for job `number`, without waiting: it is there.
    pub(super) fn receive(channel: &OwnedFd, number: u64, length: usize) -> io::Result<Memory> {
        let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "no such payload");
        for _ in 0..STALE_MESSAGES {
            let mut bytes = [0; 8];
            let (count, fds) = sys::receive_with_fds(channel, &mut bytes)?;
            if count != bytes.len() {
                return Err(nonsense());
            }
            if u64::from_ne_bytes(bytes) == number {
                // Without its descriptor: we have too many open.
                let file = fds
                    .into_iter()
                    .next()
                    .ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
                return Ok(Memory::of(file, length));
            }
        }
        Err(nonsense())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(bytes: &[u8]) -> Memory {
        let mut memory = Memory::new().unwrap();
        memory.write(&[bytes]).unwrap();
        memory
    }

    #[test]
    fn a_payload_crosses_and_stale_ones_are_passed_over() {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        for number in 1..=3_u64 {
            let bytes = vec![number as u8; 100_000];
            holding(&bytes).send(&ours, number, false).unwrap();
        }
        let third = Memory::receive(&theirs, 3, 100_000).unwrap();
        assert_eq!(third.read(0).unwrap(), vec![3; 100_000]);
        assert_eq!(
            Memory::receive(&theirs, 4, 1).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_length_that_the_file_does_not_have_is_refused_before_it_is_allocated() {
        let mut memory = holding(b"short");
        for length in [6, MAX_PAYLOAD, MAX_PAYLOAD + 1, usize::MAX] {
            memory.length = length;
            assert_eq!(
                memory.read(0).unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }
}
