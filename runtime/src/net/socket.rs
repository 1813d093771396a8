//! New sockets, non-blocking and close-on-exec from their first moment; and the two system calls that
//! a socket spends its life with.
//!
//! What std cannot do: its `connect` blocks, its `bind` has a fixed and short backlog, and its
//! `accept` needs a second system call to make the new socket non-blocking. And its `read` and `write`
//! go through libc, where both are points of cancellation: some 90 instructions each, once the process
//! has had a second thread. Next: `breather.rs`.

use crate::async_fd::Received;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SocketAddrAny, SocketAddrUnix,
    SocketFlags, SocketType, acceptfrom_with, bind, connect, listen, recv, recvmsg, socket_with,
    sockopt,
};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// How many connections the kernel completes for us before we accept them. Linux cuts it down to
/// `net.core.somaxconn`, which is 4096 by default: a burst of thousands then loses nobody to a
/// full queue, whose price is a second of waiting for the retransmitted SYN.
const BACKLOG: i32 = 4096;

fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// A TCP socket that has begun to connect. It is writable once that has succeeded or failed.
pub(super) fn connecting(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket_with(family(address), SocketType::STREAM, FLAGS, None)?;
    match connect(&socket, address) {
        // An interrupted connect goes on in the background, as a non-blocking one does.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// A TCP socket that listens.
pub(super) fn listening(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket_with(family(address), SocketType::STREAM, FLAGS, None)?;
    // A server that restarts may bind at once, connections of its past in TIME_WAIT or not.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A Unix socket that listens at `path`.
pub(super) fn unix_listening(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A Unix socket that is connected to the listener at `path`. These do not connect in the
/// background: it is done at once, or it says `WouldBlock` because the listener's queue is full.
pub(super) fn unix_connected(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Reads from a stream, and says of no read that it was cut. (What cuts one of a TCP stream, a byte out
/// of band, is told by the reactor: `URGENT`.)
#[inline]
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let (count, _) = recv(socket, buffer, RecvFlags::empty())?;
    let is_cut = false;
    Ok(Received { count, is_cut })
}

/// Writes to a stream, of either kind. One whose other end is gone is an error, and no signal.
#[cfg(target_os = "linux")]
#[inline]
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}

/// Reads from a Unix stream. A message that came with descriptors or credentials ends a read, whatever
/// is behind it. (We have no room for these: they are dropped.)
pub(super) fn receive_message(
    socket: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<Received> {
    let mut no_room = RecvAncillaryBuffer::default();
    let message = recvmsg(socket, buffers, &mut no_room, RecvFlags::empty())?;
    Ok(Received {
        count: message.bytes,
        is_cut: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// The next connection of a listener, and who it is from.
pub(super) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    loop {
        match acceptfrom_with(&listener, FLAGS) {
            // That connection is dead already: the error is about it, not about the listener.
            // (accept(2), "Error handling")
            Err(Errno::CONNABORTED | Errno::PROTO) => {}
            result => return Ok(result?),
        }
    }
}

/// Does the error say that this process, or the machine, has run out of something? Then trying
/// again at once is no use.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
