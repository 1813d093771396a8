//! Memory that is fresh from the system, filled and read without a page fault for every page of it.
//!
//! A long vector is new memory as a rule: an allocator gives long ones back to the system when they
//! are freed, and gets others from it. Its pages come when they are touched, one fault each, and the
//! faults cost more than the copying. So the system is asked for them by the piece, just before the
//! piece is written: the pages that it has zeroed are in the cache then. (And before it is read: a
//! vector of zeros that nobody has touched has no pages either.)
//!
//! Measured  64 MiB copied into new memory, ms: 37 page by page, 23 by pieces of 64 KiB to 1 MiB, 25
//!           all at once, 15 into huge pages; into memory that was there 9. Written to a file from
//!           memory that nobody has touched: 68 page by page, 20 when the pages are asked for.
//! Cost      a look at one page for each piece. Kernels before 5.14 do not know the request; then it
//!           is as slow as it was.
//! Rejected  huge pages (MADV_HUGEPAGE): where memory is in small pieces, the system puts it in order
//!           in the middle of the fault, and that took 150 ms.
//! Source    mincore(2), MADV_POPULATE_WRITE in madvise(2). Next: `pipes.rs`.

use std::io;
use std::mem::MaybeUninit;

/// How much is asked for at a time.
const PIECE: usize = 256 * 1024;

/// What the requests are aligned to. (Where pages are larger the system refuses them.)
const PAGE: usize = 4096;

/// A vector of `length` bytes, filled piece by piece: `fill` is called with the offset of a piece and
/// its space, and has to write all of it.
///
/// # Safety
/// `fill` writes all bytes of the space, or fails.
pub(in crate::pool::process) unsafe fn fill_vec(
    length: usize,
    mut fill: impl FnMut(usize, &mut [MaybeUninit<u8>]) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::<u8>::new();
    bytes.try_reserve_exact(length)?;
    let space = &mut bytes.spare_capacity_mut()[..length];
    for (index, piece) in space.chunks_mut(PIECE).enumerate() {
        let (start, length) = (piece.as_mut_ptr().cast(), piece.len());
        bring_pages(start, length, libc::MADV_POPULATE_WRITE);
        fill(index * PIECE, piece)?;
    }
    // SAFETY: every piece was filled.
    unsafe { bytes.set_len(length) };
    Ok(bytes)
}

/// The bytes, piece by piece, each with its pages brought in.
pub(in crate::pool::process) fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(PIECE).inspect(|piece| {
        let start = piece.as_ptr().cast_mut();
        bring_pages(start, piece.len(), libc::MADV_POPULATE_READ);
    })
}

/// Has the pages of a whole piece brought in, if they are not there.
fn bring_pages(start: *mut u8, length: usize, request: libc::c_int) {
    if length < PIECE {
        return;
    }
    let first = start.addr().next_multiple_of(PAGE);
    let end = (start.addr() + length) & !(PAGE - 1);
    let page = |at: usize| start.with_addr(at).cast::<libc::c_void>();
    let mut is_there = 0_u8;
    // SAFETY: whole pages within the piece, which has many. The first call writes one byte, for one
    // page; the second changes no bytes.
    unsafe {
        if libc::mincore(page(end - PAGE), PAGE, &mut is_there) == 0 && is_there & 1 == 0 {
            libc::madvise(page(first), end - first, request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_vector_is_filled_whole() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5000] {
            let byte = |at: usize| ((at * 31) >> 3) as u8;
            // SAFETY: all is written.
            let filled = unsafe {
                fill_vec(length, |offset, space| {
                    for (at, place) in space.iter_mut().enumerate() {
                        place.write(byte(offset + at));
                    }
                    Ok(())
                })
            };
            let expected: Vec<u8> = (0..length).map(byte).collect();
            assert!(filled.unwrap() == expected, "{length}");
        }
        // SAFETY: it fails.
        let failed = unsafe { fill_vec(10, |_, _| Err(io::ErrorKind::Other.into())) };
        assert!(failed.is_err());
        // SAFETY: it is not called.
        let too_long = unsafe { fill_vec(usize::MAX, |_, _| Ok(())) };
        assert!(too_long.is_err());
    }
    #[test]
    fn pieces_are_the_bytes() {
        for length in [0, 1, PIECE, 2 * PIECE + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert!(pieces(&bytes).collect::<Vec<_>>().concat() == bytes);
        }
    }
    /// How many of the whole pages in there are missing.
    fn missing(start: *const u8, length: usize) -> usize {
        let first = start.addr().next_multiple_of(PAGE);
        let pages = (start.addr() + length - first) / PAGE;
        let mut there = vec![0_u8; pages];
        let first = start.with_addr(first).cast_mut().cast();
        // SAFETY: whole pages that are mapped; one byte for each.
        let answer = unsafe { libc::mincore(first, pages * PAGE, there.as_mut_ptr()) };
        assert_eq!(answer, 0);
        there.iter().filter(|there| **there & 1 == 0).count()
    }

    #[test]
    fn the_pages_of_a_piece_are_there_when_its_turn_comes() {
        let length = 32 << 20; // New from the system, whatever was freed before.
        let fill = |_: usize, space: &mut [MaybeUninit<u8>]| {
            assert_eq!(missing(space.as_ptr().cast(), space.len()), 0);
            space.fill(MaybeUninit::new(1));
            Ok(())
        };
        // SAFETY: all is written.
        drop(unsafe { fill_vec(length, fill) }.unwrap());
        let zeros = vec![0_u8; length];
        assert!(missing(zeros.as_ptr(), length) > length / PAGE / 2);
        for piece in pieces(&zeros) {
            assert_eq!(missing(piece.as_ptr(), piece.len()), 0);
        }
    }
}
