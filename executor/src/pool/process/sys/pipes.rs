//! The system calls of the process pool that concern what workers print: pipes, and the standard three.
//!
//! Source    pipe(7), ioctl_pipe in tty_ioctl(2) (FIONREAD), dup(2). Next: `../panics.rs`.

use super::{above_standard, retry};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A new pipe: where it is read, which never waits, and where it is written, which does.
pub(in crate::pool::process) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors that the call writes.
    retry(|| unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) as isize })?;
    // SAFETY: both are open, new, and owned by nobody else.
    let ends = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    let ends = (above_standard(ends.0)?, above_standard(ends.1)?);
    let flag = libc::O_NONBLOCK;
    // SAFETY: the call takes no memory. A new pipe has no other flags that could be set.
    retry(|| unsafe { libc::fcntl(ends.0.as_raw_fd(), libc::F_SETFL, flag) as isize })?;
    Ok(ends)
}

/// How many bytes are in a pipe (asked at either end).
pub(in crate::pool::process) fn unread(pipe: &OwnedFd) -> usize {
    let bytes = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Reads at most `most` bytes, and adds them to what is there. 0 is the end.
pub(in crate::pool::process) fn read_onto(
    there: &mut Vec<u8>,
    fd: &OwnedFd,
    most: usize,
) -> io::Result<usize> {
    there.reserve(most);
    let space = there.spare_capacity_mut();
    let length = space.len().min(most);
    let start = space.as_mut_ptr().cast();
    // SAFETY: the space is the vector's, and the call may write so much of it.
    let count = retry(|| unsafe { libc::read(fd.as_raw_fd(), start, length) })?;
    // SAFETY: the call wrote so many bytes behind those that were there.
    unsafe { there.set_len(there.len() + count) };
    Ok(count)
}

/// Writes to one of the standard three. It may take fewer bytes than it was given.
///
/// The thread has SIGPIPE blocked, or the program ignores it.
pub(in crate::pool::process) fn write(place: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the call only reads the bytes.
    retry(|| unsafe { libc::write(place, bytes.as_ptr().cast(), bytes.len()) })
}

/// Puts a descriptor in the place of one of the standard three as well.
pub(in crate::pool::process) fn put_in_place(fd: &OwnedFd, place: RawFd) -> io::Result<()> {
    // SAFETY: stdin, stdout and stderr are everybody's; what is behind the number changes, and
    // nobody owned it.
    retry(|| unsafe { libc::dup2(fd.as_raw_fd(), place) as isize }).map(drop)
}

/// Do two of the standard three lead to the same file?
pub(in crate::pool::process) fn are_same(one: RawFd, other: RawFd) -> bool {
    let file = |fd: RawFd| {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the call only fills `stat`, and all zero is valid too.
        let (answer, stat) = unsafe { (libc::fstat(fd, stat.as_mut_ptr()), stat.assume_init()) };
        (answer == 0).then_some((stat.st_dev, stat.st_ino))
    };
    file(one).is_some() && file(one) == file(other)
}

unsafe extern "C" {
    /// C's own, from <stdio.h>.
    static mut stdout: *mut libc::FILE;
}

/// Has C's stdout, to which nothing was written yet, write out every line as it ends, whatever it
/// leads to.
pub(in crate::pool::process) fn buffer_c_lines() {
    // SAFETY: there is one thread, and the stream is open. Without a buffer of ours C takes one.
    unsafe { libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 0) };
}

/// Writes out what C's stdout has in its buffer.
pub(in crate::pool::process) fn flush_c() {
    // SAFETY: the stream is open for as long as the process lives.
    unsafe { libc::fflush(stdout) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn a_pipe_tells_how_much_is_in_it_at_both_ends() {
        let (read, write) = pipe().unwrap();
        let mut there = b"before ".to_vec();
        let empty = read_onto(&mut there, &read, 10).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);
        super::write(write.as_raw_fd(), b"twelve bytes").unwrap();
        assert_eq!([unread(&read), unread(&write)], [12, 12]);
        assert_eq!(read_onto(&mut there, &read, 6).unwrap(), 6);
        assert_eq!([unread(&read), unread(&write)], [6, 6]);
        assert_eq!(read_onto(&mut there, &read, 1000).unwrap(), 6);
        assert_eq!(there, b"before twelve bytes");
        drop(write);
        assert_eq!(read_onto(&mut there, &read, 10).unwrap(), 0);
    }

    #[test]
    fn the_same_file_is_the_same_file() {
        let (read, write) = pipe().unwrap();
        let other = pipe().unwrap();
        let copy = write.try_clone().unwrap();
        let [read, write, copy, other] = [&read, &write, &copy, &other.1].map(|fd| fd.as_raw_fd());
        assert!(are_same(write, copy) && are_same(read, write));
        assert!(!are_same(write, other) && !are_same(-1, -1));
    }
}
