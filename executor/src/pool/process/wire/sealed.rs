//! A file in memory that nobody can change any more, mapped: bytes behind a plain reference, that
//! another process has written and a third one may have as well.
//!
//! ```text
//!   memfd ── written ── F_SEAL_WRITE, F_SEAL_SHRINK ── mmap(PROT_READ, MAP_PRIVATE) ──> &[u8]
//!                              ^                              ^
//!                 whoever wrote it; fails while      whoever has a descriptor, once it has
//!                 anybody can write through a        seen the seals for itself
//!                 mapping of it
//! ```
//!
//! # Why a reference to it is sound
//! A `&[u8]` promises that the bytes stay as they are and where they are. The file's bytes can be
//! changed by write(2), by a shared mapping that may be written to, by punching a hole, and taken away
//! by making it shorter. F_SEAL_WRITE refuses the first three, for every descriptor of the file there
//! is or will be, whoever holds it (a descriptor that is opened anew through /proc too), and it is
//! granted only when no such mapping exists. F_SEAL_SHRINK refuses the last. A seal is never taken
//! off. So it does not matter what the worker that wrote it does next: keep the descriptor, run
//! wild, die. A receiver does not believe that the seals are there, it looks (`open`); and only
//! after that it looks at the length, which cannot become less any more.
//!
//! Owns      the mapping; and a descriptor, by which it can go on to another process. The mapping does
//!           not need that, so when there are many, it is closed.
//! Holds     Z1 while there is a `Sealed`, its file is sealed against writing and shrinking, and its
//!           first `length` bytes are there and are mapped.
//! Cost      the file's pages are new from the system every time, since a seal cannot be taken off:
//!           a MiB 195 us to write (40 for memory that is used again), 400 when it is
//!           filled in place (a page fault for each page), and 2 us for its seals. To
//!           receive it: five system calls, and a page fault for every 16 pages that are looked at
//!           (a MiB 37 us; 64 MiB 2.3 ms).
//! Rejected  F_SEAL_FUTURE_WRITE, which leaves the writer the mapping that it has: it could change
//!           what others look at. Without any seal, by agreement: a job in safe code can open
//!           /proc/self/fd/7 and write. A private mapping of an unsealed file: a page that was not
//!           copied yet shows what is written to the file.
//! Source    memfd_create(2), F_ADD_SEALS in fcntl(2). Next: `shared_bytes.rs`.

use super::counted::Counted;
use crate::pool::process::sys::{self, Access};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

/// What nobody can do any more.
const ALL: libc::c_int =
    libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// What soundness needs of that.
const NEEDED: libc::c_int = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK;

/// See the file head.
#[derive(Debug)]
pub(in crate::pool::process) struct Sealed {
    file: Option<Counted>,
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Sealed {}
// SAFETY: nobody can change the bytes (Z1).
unsafe impl Sync for Sealed {}

impl Sealed {
    /// A new file with these bytes, at least one.
    pub(in crate::pool::process) fn of(bytes: &[u8]) -> io::Result<Sealed> {
        let file = sys::memory(c"tatkal-shared")?;
        let file = Counted::new(file);
        let mut at = 0;
        for piece in sys::pieces(bytes) {
            file.file().write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Sealed::seal(file, bytes.len()).map_err(|_| io::ErrorKind::ResourceBusy.into())
    }

    /// A new file of `length` bytes (zeros, and at least one) that `fill` writes where they are. An
    /// error: `fill` was not called. When the system will not seal the file (it may be that a device
    /// still has its pages), they are there as a vector.
    pub(in crate::pool::process) fn filled(
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<Result<Sealed, Vec<u8>>> {
        let file = Counted::new(sys::memory(c"tatkal-shared")?);
        // With all its pages: when there is no memory for them, this is where it is told, and not by
        // a signal in the middle of `fill`.
        sys::allocate(file.file(), length)?;
        let start = sys::map_shared(file.file(), length)?;
        let space = Space { start, length };
        // SAFETY: mapped, of this length, until `space` is dropped. Nobody else knows the descriptor
        // or the address. Any bytes are valid.
        fill(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length) });
        drop(space);
        Ok(Sealed::seal(file, length).map_err(|file| {
            let bytes = sys::read_exact_at(file.file(), length, 0);
            bytes.expect("memory for what was written")
        }))
    }

    fn seal(file: Counted, length: usize) -> Result<Sealed, Counted> {
        match sys::seal(file.file(), ALL) {
            Ok(()) => Sealed::open(file, length),
            Err(_) => Err(file),
        }
    }

    /// A file that was received, which must have `length` bytes, at least one. When it is not sealed,
    /// or cannot be mapped, it is given back: it can only be read.
    pub(in crate::pool::process) fn open(file: Counted, length: usize) -> Result<Sealed, Counted> {
        match Sealed::map(file.file(), length) {
            Ok(start) => Ok(Sealed {
                file: Counted::may_wait().then_some(file),
                start,
                length,
            }),
            Err(_) => Err(file),
        }
    }

    fn map(file: &File, length: usize) -> io::Result<NonNull<u8>> {
        // Z1: the seals first, or the length could still change.
        let sealed = sys::seals(file)? & NEEDED == NEEDED;
        if !sealed || length == 0 || file.metadata()?.len() < length as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        sys::map(file, length, Access::ReadPrivate)
    }

    pub(in crate::pool::process) fn bytes(&self) -> &[u8] {
        // SAFETY: Z1; mapped until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The file, if it can go to another process.
    pub(in crate::pool::process) fn file(&self) -> Option<&File> {
        self.file.as_ref().map(Counted::file)
    }

    /// Where in it do these bytes lie, if they do?
    pub(in crate::pool::process) fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let offset = bytes
            .as_ptr()
            .addr()
            .checked_sub(self.start.as_ptr().addr())?;
        let end = offset.checked_add(bytes.len())?;
        (end <= self.length).then_some(offset)
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; references to the bytes borrow from `self`.
        unsafe { sys::unmap(self.start, self.length) };
    }
}

/// A mapping to write to. Unmapped also when the writer panics.
struct Space {
    start: NonNull<u8>,
    length: usize,
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: mapped by `filled` with this length; its reference has ended.
        unsafe { sys::unmap(self.start, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn whoever_keeps_the_descriptor_can_neither_write_nor_cut_nor_map_to_write() {
        let sealed = Sealed::of(&[7; 100_000]).unwrap();
        let kept = sealed.file().unwrap().try_clone().unwrap();
        let again = format!("/proc/self/fd/{}", kept.as_raw_fd());
        let again = File::options().write(true).open(again);
        for file in [&kept].into_iter().chain(again.as_ref().ok()) {
            assert!(file.write_all_at(b"changed", 10).is_err());
            assert!(file.set_len(10).is_err());
            assert!(file.set_len(200_000).is_err());
            assert!(sys::map(file, 4096, Access::Write).is_err());
            sys::empty(file, 100_000);
        }
        assert!(sealed.bytes() == [7; 100_000]);
    }

    #[test]
    fn what_is_not_sealed_is_not_opened() {
        let unsealed = || {
            let file = Counted::new(sys::memory(c"unsealed").unwrap());
            file.file().write_all_at(&[7; 10_000], 0).unwrap();
            file
        };
        assert!(Sealed::open(unsealed(), 10_000).is_err());
        for half in [libc::F_SEAL_WRITE, libc::F_SEAL_SHRINK] {
            let file = unsealed();
            sys::seal(file.file(), half).unwrap();
            assert!(Sealed::open(file, 10_000).is_err());
        }
        // A mapping that can be written to stands in the way of the seal.
        let file = unsealed();
        let start = sys::map(file.file(), 10_000, Access::Write).unwrap();
        assert!(Sealed::seal(file, 10_000).is_err());
        // SAFETY: just mapped.
        unsafe { sys::unmap(start, 10_000) };
        for wrong in [0, 10_001, usize::MAX] {
            let file = unsealed();
            sys::seal(file.file(), NEEDED).unwrap();
            assert!(Sealed::open(file, wrong).is_err(), "{wrong}");
        }
        let file = unsealed();
        sys::seal(file.file(), NEEDED).unwrap();
        assert!(Sealed::open(file, 10_000).unwrap().bytes() == [7; 10_000]);
    }

    #[test]
    fn it_is_filled_in_place_and_a_panic_leaves_nothing() {
        let sealed = Sealed::filled(50_000, |space| {
            assert!(space.iter().all(|byte| *byte == 0));
            space[49_999] = 9;
        });
        assert_eq!(sealed.unwrap().unwrap().bytes()[49_998..], [0, 9]);
        let panics = || Sealed::filled(10, |_| panic!("in the middle"));
        assert!(std::panic::catch_unwind(panics).is_err());
    }

    #[test]
    fn bytes_are_found_by_their_place() {
        let sealed = Sealed::of(&[7; 10_000]).unwrap();
        let bytes = sealed.bytes();
        assert_eq!(sealed.offset_of(bytes), Some(0));
        assert_eq!(sealed.offset_of(&bytes[9_000..]), Some(9_000));
        assert_eq!(sealed.offset_of(&[7; 100]), None);
    }
}
