//! A file in memory, mapped: long payloads that come again and again are copied into it and out of it.
//!
//! A file that is used for the second time will be used for the tenth. Mapped at both ends, its
//! bytes cost one `memcpy` on each side, where read and write pay for every page.
//!
//! Owns      the mapping. No reference to its bytes is ever made: another process may be writing to
//!           them, so they are copied in and out like the board's, and are believed only when copied.
//! Holds     V1 the file cannot be made shorter (it is sealed against that, which is looked at, not
//!           believed), so every touch of the mapping is within the file. It is a SIGBUS only where
//!           the file has no page there and the system has no memory for one. Who wrote the file
//!           gave it its pages; but a process that has the descriptor and has gone mad can take them
//!           out again (no seal that leaves the file writable forbids that). Then a touch brings a
//!           page of zeros, or, where memory is strictly accounted and has run out, the signal.
//!           Out of memory, that is what the kernel does to a program's own pages, too: no safe
//!           code can be written against it, and nobody's memory is read or written that is not his.
//! Measured  a MiB, us: memcpy 38, to or from a view 40 and 37, pwrite 68, pread 60; pwrite to a new
//!           file 195; a new mapping at every use 86 with the copy.
//! Cost      a system call, and one page fault for each page (16 at a time when reading), once.
//! Source    mmap(2), memfd_create(2), F_ADD_SEALS in fcntl(2). Next: `sealed.rs`.

use crate::pool::process::sys;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, compiler_fence};

/// See the file head.
#[derive(Debug)]
pub(in crate::pool::process) struct View {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for View {}
// SAFETY: shared use only copies out, of bytes that other processes may change as well.
unsafe impl Sync for View {}

impl View {
    /// To write to: `length` bytes, all of which the file has. Populated, so that writing meets no
    /// page fault.
    pub(in crate::pool::process) fn to_write(file: &File, length: usize) -> io::Result<View> {
        View::new(file, length, sys::Access::Write)
    }

    /// To read at least `needed` bytes: as much of the file as there is, in proportion to that.
    pub(in crate::pool::process) fn to_read(file: &File, needed: usize) -> io::Result<View> {
        let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let length = there.min(needed.next_power_of_two());
        View::new(file, length.max(needed), sys::Access::Read)
    }

    fn new(file: &File, length: usize, access: sys::Access) -> io::Result<View> {
        let sealed = sys::seals(file)? & libc::F_SEAL_SHRINK != 0;
        // V1: the seal first, or the length could still change.
        if !sealed || length == 0 || file.metadata()?.len() < length as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let start = sys::map(file, length, access)?;
        Ok(View { start, length })
    }

    pub(in crate::pool::process) fn len(&self) -> usize {
        self.length
    }

    /// Copies bytes in.
    pub(in crate::pool::process) fn copy_in(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length, "outside of a view");
        // SAFETY: within the mapping (just checked), which `to_write` made: the others have no
        // `&mut`. By V1 it is within the file. No reference is made to the bytes.
        unsafe {
            let place = self.start.as_ptr().add(at);
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// A copy of the bytes from `from` to `end`.
    pub(in crate::pool::process) fn copy_out(
        &self,
        from: usize,
        end: usize,
    ) -> io::Result<Vec<u8>> {
        let length = end.checked_sub(from).expect("a range");
        // SAFETY: `copy_to` writes all of the space.
        unsafe {
            sys::fill_vec(length, |at, space| {
                self.copy_to(from + at, space);
                Ok(())
            })
        }
    }

    /// Copies the bytes from `from` on until `space` is full.
    fn copy_to(&self, from: usize, space: &mut [MaybeUninit<u8>]) {
        assert!(from + space.len() <= self.length, "outside of a view");
        // SAFETY: within the mapping (just checked), which is within the file by V1. Should the sender
        // write now, garbage is copied, and any bytes are valid.
        unsafe {
            let place = self.start.as_ptr().add(from).cast();
            space
                .as_mut_ptr()
                .copy_from_nonoverlapping(place, space.len());
        }
        // The compiler must not look at the original again where the copy is meant.
        compiler_fence(Ordering::SeqCst);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; there are no references to it.
        unsafe { sys::unmap(self.start, self.length) };
    }
}
