//! The system calls of the process pool that concern descriptors: sockets, events, shared memory.
//! (Those that concern processes are in `process.rs` beside it, `pages.rs` fills fresh memory, and
//! `pipes.rs` is about what is printed.)
//!
//! What every function here does, so that no caller has to think of it: it starts again after
//! `EINTR`, it makes descriptors close-on-exec from birth (a program that a job starts must not
//! hold a worker's socket open), and it never raises `SIGPIPE`. Errors are the system's own.
//!
//! Source    the man pages of each call; unix(7) for descriptors that travel as messages.
//!           Next: `sys/process.rs`.

mod pages;
mod pipes;
mod process;

pub(super) use pages::*;
pub(super) use pipes::*;
pub(super) use process::*;

use rustix::io::retry_on_intr;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// Descriptors one message may carry. A fork request carries eight, a long payload up to all.
pub(super) const FDS_PER_MESSAGE: usize = 16;

/// Room for the control data of `FDS_PER_MESSAGE` descriptors, aligned as `cmsghdr` asks.
type ControlBuffer = [u64; 10];

/// Calls until the answer is not `EINTR`, and turns -1 into the error it stands for.
fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(answer) => return Ok(answer),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Two connected sockets: `SOCK_STREAM` for bytes, `SOCK_SEQPACKET` for whole messages.
pub(super) fn socketpair(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors that the call writes.
    retry(|| unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            kind | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        ) as isize
    })?;
    // SAFETY: both are open, new, and owned by nobody else.
    let pair = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    Ok((above_standard(pair.0)?, above_standard(pair.1)?))
}

/// Moves a descriptor out of the places of stdin, stdout and stderr, which it can get in a program
/// that closed one of these: a job would read and print there.
fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    let lowest = libc::STDERR_FILENO + 1;
    // SAFETY: the call takes no memory; the descriptor is new and owned by nobody else.
    unsafe {
        let moved = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest);
        Ok(OwnedFd::from_raw_fd(retry(|| moved as isize)? as RawFd))
    }
}

/// Sends the parts as one piece, with descriptors beside them. `wait`: sleep while the socket is
/// full, or else answer `WouldBlock`. A stream may take fewer bytes than it was given.
pub(super) fn send(
    socket: &OwnedFd,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<usize> {
    assert!(
        fds.len() <= FDS_PER_MESSAGE,
        "{} descriptors in one message",
        fds.len()
    );
    let mut control = ControlBuffer::default();
    // SAFETY: all zero is a valid, empty msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // An IoSlice is guaranteed to have the layout of an iovec; sendmsg only reads through it.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    if !fds.is_empty() {
        let bytes = mem::size_of_val(fds) as libc::c_uint;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute. The assertion above keeps the space within
        // the buffer, so the first header lies in it, and its data has room for `bytes`. A
        // BorrowedFd is a transparent RawFd.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            let data = libc::CMSG_DATA(header);
            ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), data, bytes as usize);
        }
    }
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the message points at live buffers that the call only reads.
    retry(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) })
}

/// Receives one message and the descriptors that came with it, without waiting.
pub(super) fn receive_with_fds(
    socket: &OwnedFd,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = ControlBuffer::default();
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zero is a valid, empty msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let mut receive = || {
        // SAFETY: the message points at live buffers, of the lengths it states, ours alone.
        retry(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, flags) })
    };
    let received = match receive() {
        // The other side is dead, and had not read all that we sent. That is told once, before
        // what it sent itself, which is here all the same.
        Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => receive()?,
        received => received?,
    };
    // SAFETY: the kernel filled `message` and `control`.
    Ok((received, unsafe { descriptors_of(&message) }))
}

/// Takes the descriptors out of a received message's control data.
///
/// # Safety
/// `message` was just filled by `recvmsg` and its control buffer is alive; called once per message.
unsafe fn descriptors_of(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the CMSG walk stays within msg_controllen, which the kernel set. Each descriptor was
    // made for this process by recvmsg, and the caller vouches that no one else takes it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    fds
}

/// Says that no more will be sent: the other side reads an end, this side can still read.
pub(super) fn shutdown_write(socket: &OwnedFd) {
    // SAFETY: no memory is involved. Failure means that the other side is gone already.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

/// What to watch a descriptor for, in the form `poll` wants it.
pub(super) fn interest(fd: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }
}

/// Sleeps until one of the descriptors is ready, or `limit` has passed. The number that is ready.
///
/// After a signal the whole limit counts again: callers recompute it from a deadline.
pub(super) fn poll(fds: &mut [libc::pollfd], limit: Option<Duration>) -> io::Result<usize> {
    // Rounded up: a poll that ends before its deadline would be called again for nothing.
    let limit_ms = limit.map_or(-1, |limit| {
        libc::c_int::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
    });
    let (start, length) = (fds.as_mut_ptr(), fds.len() as libc::nfds_t);
    // SAFETY: the slice is ours alone and has `length` entries.
    retry(|| unsafe { libc::poll(start, length, limit_ms) as isize })
}

/// A counter that makes itself readable when it is not zero: the bell of a poll loop.
pub(super) fn eventfd() -> io::Result<OwnedFd> {
    eventfd_with(libc::EFD_NONBLOCK)
}

/// One whose reader sleeps while it is zero: see [`await_ring`].
pub(super) fn blocking_eventfd() -> io::Result<OwnedFd> {
    eventfd_with(0)
}

fn eventfd_with(flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no memory; the descriptor is new and owned by nobody else.
    unsafe {
        let fd = retry(|| libc::eventfd(0, libc::EFD_CLOEXEC | flags) as isize)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Adds one to an [`eventfd`]. It cannot fail in a way that matters: full is readable as well.
pub(super) fn ring(bell: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    let _ = retry_on_intr(|| rustix::io::write(bell, &one));
}

/// Sleeps until a [`blocking_eventfd`], which nobody else reads, was rung, or `limit` has passed.
pub(super) fn await_ring(bell: &OwnedFd, limit: Option<Duration>) {
    // An error is out of memory in the kernel: then this was a sleep of no time.
    if limit.is_none()
        || poll(&mut [interest(bell, libc::POLLIN)], limit).is_ok_and(|rung| rung > 0)
    {
        drain(bell);
    }
}

/// Reads what stands in an eventfd or a signalfd, so that it is quiet again. One read is enough:
/// the one is a single counter, and of a signal that is blocked at most one is pending.
pub(super) fn drain(fd: &OwnedFd) {
    let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
    let _ = retry_on_intr(|| rustix::io::read(fd, &mut buffer));
}

/// A file in memory that can neither grow nor shrink: no process that holds it can take the pages
/// away under another one's mapping (which would be a SIGBUS there).
pub(super) fn sealed_memory(name: &CStr, length: usize) -> io::Result<OwnedFd> {
    let fd = memory(name)?;
    // SAFETY: the call takes no memory.
    retry(|| unsafe { libc::ftruncate(fd.as_raw_fd(), length as libc::off_t) as isize })?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    seal(&fd, seals)?;
    Ok(fd)
}

/// Takes possibilities from a file in memory, for everyone and for ever.
pub(super) fn seal(fd: &impl AsRawFd, seals: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes no memory.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) as isize })?;
    Ok(())
}

/// Which were taken. An error: it is no file in memory.
pub(super) fn seals(fd: &impl AsRawFd) -> io::Result<libc::c_int> {
    // SAFETY: the call takes no memory.
    let seals = retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) as isize })?;
    Ok(seals as libc::c_int)
}

/// Makes an empty file so long, with all its pages.
pub(super) fn allocate(file: &File, length: usize) -> io::Result<()> {
    // SAFETY: the call takes no memory.
    retry(|| unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length as libc::off_t) as isize })?;
    Ok(())
}

/// Gives the pages of a file in memory back to the system. Its length stays; it reads as zeros.
pub(super) fn empty(file: &File, length: usize) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the call takes no memory. When it fails, the pages go with the file.
    let _ = retry(|| unsafe {
        libc::fallocate(file.as_raw_fd(), mode, 0, length as libc::off_t) as isize
    });
}

/// A file in memory, empty and without seals.
pub(super) fn memory(name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Not executable, which newer kernels may demand and older ones do not know.
    memfd(name, flags | libc::MFD_NOEXEC_SEAL).or_else(|_| memfd(name, flags))
}

fn memfd(name: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: the name ends in a NUL; the descriptor is new and owned by nobody else.
    unsafe {
        let fd = retry(|| libc::memfd_create(name.as_ptr(), flags) as isize)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// What a mapping is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Of a file that nobody writes to. (Older kernels map such a one in no other way.)
    ReadPrivate,
    /// Reading too. Every page is made present in the mapping.
    Write,
}

/// Maps `length` bytes of a file to read and write, shared with everyone else who maps it.
pub(super) fn map_shared(fd: &impl AsRawFd, length: usize) -> io::Result<NonNull<u8>> {
    map_with(
        fd,
        length,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED,
    )
}

/// Maps the first `length` bytes of a file, shared with everyone else who maps it.
pub(super) fn map(file: &File, length: usize, access: Access) -> io::Result<NonNull<u8>> {
    match access {
        Access::Read => map_with(file, length, libc::PROT_READ, libc::MAP_SHARED),
        Access::ReadPrivate => map_with(file, length, libc::PROT_READ, libc::MAP_PRIVATE),
        Access::Write => {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            map_with(file, length, access, libc::MAP_SHARED | libc::MAP_POPULATE)
        }
    }
}

fn map_with(
    fd: &impl AsRawFd,
    length: usize,
    access: libc::c_int,
    flags: libc::c_int,
) -> io::Result<NonNull<u8>> {
    // SAFETY: a new mapping at an address of the kernel's choice disturbs no existing memory.
    let start = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, fd.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(start.cast()).expect("mmap never chooses address zero"))
}

/// Gives a mapping back.
///
/// # Safety
/// `start` and `length` are those of a mapping that was made here, and nothing refers to it any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, length: usize) {
    // SAFETY: passed on to the caller.
    unsafe { libc::munmap(start.as_ptr().cast(), length) };
}

/// Reads `length` bytes of a file from `offset` on. Less is an error.
pub(super) fn read_exact_at(file: &File, length: usize, offset: usize) -> io::Result<Vec<u8>> {
    let read = |at: usize, space: &mut [MaybeUninit<u8>]| {
        let mut have = 0;
        while have < space.len() {
            let rest = &mut space[have..];
            let at = (offset + at + have) as libc::off_t;
            // SAFETY: the rest is the vector's, and the call may write it.
            let count = retry(|| unsafe {
                libc::pread(file.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len(), at)
            })?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            have += count;
        }
        Ok(())
    };
    // SAFETY: all was written, or it failed.
    unsafe { fill_vec(length, read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_have_sent_is_received_though_they_left_something_unread() {
        let (ours, theirs) = socketpair(libc::SOCK_SEQPACKET).unwrap();
        send(&theirs, &[IoSlice::new(b"sent")], &[], false).unwrap();
        send(&ours, &[IoSlice::new(b"never read")], &[], false).unwrap();
        drop(theirs);
        let mut buffer = [0; 8];
        let (count, _) = receive_with_fds(&ours, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"sent");
        assert_eq!(
            receive_with_fds(&ours, &mut buffer).unwrap().0,
            0,
            "the end"
        );
    }
}
