//! Which code is the same on both sides of the fork.
//!
//! A worker is a copy of the process as it was when the fork server started: every program file
//! and library that was loaded then lies at the same address in both, and stays there. Code that
//! was loaded later (a plugin) is not in the workers at all. So the list of what was loaded is
//! written down once, before the fork, and both sides ask the same list: the pool before it sends
//! a job, the worker before it believes an address.
//!
//! Source    dl_iterate_phdr(3). Next: `limits.rs`.

use std::ffi::c_void;
use std::ops::Range;

/// The memory of every program file and library that was loaded at the time of [`Images::now`].
#[derive(Debug, Clone)]
pub(super) struct Images {
    segments: Vec<Range<usize>>,
}

impl Images {
    /// What is loaded now. The program itself comes first, so that the common look-up is short.
    pub(super) fn now() -> Images {
        let mut segments: Vec<Range<usize>> = Vec::new();
        // SAFETY: the callback gets `segments` back as its data, and only during this call.
        unsafe { libc::dl_iterate_phdr(Some(add_segments), (&raw mut segments).cast()) };
        Images { segments }
    }

    /// Are these bytes part of what was loaded?
    pub(super) fn contains(&self, start: usize, length: usize) -> bool {
        let end = start.saturating_add(length);
        let mut segments = self.segments.iter();
        segments.any(|segment| segment.start <= start && end <= segment.end)
    }
}

/// Adds the readable segments of one loaded file.
unsafe extern "C" fn add_segments(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    segments: *mut c_void,
) -> libc::c_int {
    // SAFETY: `info` and the headers it points at are valid during the callback; `segments` is the
    // vector that `now` passed in, and nobody else touches it meanwhile.
    let (info, segments) = unsafe { (&*info, &mut *segments.cast::<Vec<Range<usize>>>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as above; the loader vouches for the count.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0 {
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            segments.push(start..start.saturating_add(header.p_memsz as usize));
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    static IN_THE_PROGRAM: u64 = 7;

    #[test]
    fn the_program_s_own_statics_are_known_and_the_stack_and_heap_are_not() {
        let images = Images::now();
        let (stack, heap) = (7_u64, Box::new(7_u64));
        assert!(images.contains(&raw const IN_THE_PROGRAM as usize, 8));
        assert!(!images.contains(&raw const stack as usize, 8));
        assert!(!images.contains(&raw const *heap as usize, 8));
    }

    #[test]
    fn no_address_overflows() {
        let images = Images::now();
        assert!(!images.contains(0, 8));
        assert!(!images.contains(usize::MAX - 3, 8));
        assert!(!images.contains(&raw const IN_THE_PROGRAM as usize, usize::MAX));
    }
}
