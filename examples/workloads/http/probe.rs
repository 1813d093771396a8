//! Reading what a socket has already, without waiting, whatever mode it is in.
//!
//! A kept connection is looked at before it is used. What a reactor remembers of a socket would
//! not do: it is as old as the last turn of the event loop, and the close may have come since.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Reads into `buffer` what is there, 0 bytes at the end of the stream; `None` when there is
/// nothing. One system call.
pub fn read_now(socket: impl AsFd, buffer: &mut [u8]) -> Option<io::Result<usize>> {
    match rustix::io::retry_on_intr(|| recv(&socket, &mut *buffer, RecvFlags::DONTWAIT)) {
        Ok((_, n)) => Some(Ok(n)),
        Err(Errno::AGAIN) => None,
        Err(error) => Some(Err(error.into())),
    }
}
