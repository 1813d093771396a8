//! Do a Unix stream's reads fill their buffers? Then they are made by recv(2).
//!
//! A read that brings less than there was room for says that nothing is left, unless it was cut: a
//! message that came with descriptors or credentials ends a read, whatever is behind it. recvmsg(2)
//! tells, and costs 80 ns more than recv(2) (an echo of 1 KiB takes 2,900, with four reads). A read that
//! fills its buffer says nothing about what is left in either case. So who reads messages of known
//! length gets the cheaper call; should it bring less, nobody knows whether it was cut, as if the buffer
//! were full, and the next read is the dearer one.
//!
//! Cost      a load; a store where the habit changes.
//! Next: `split.rs`.

use super::socket;
use crate::async_fd::Received;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Did the last read fill its buffer? A hint: several tasks may read.
#[derive(Debug, Default)]
pub(super) struct Fills(AtomicBool);

impl Fills {
    /// One read.
    #[inline]
    pub(super) fn receive(&self, socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
        // Relaxed, here and below: a hint.
        let filled = self.0.load(Ordering::Relaxed);
        let received = if filled {
            Received {
                is_cut: true, // for all we know
                ..socket::receive(socket, buffer)?
            }
        } else {
            socket::receive_message(socket, &mut [IoSliceMut::new(buffer)])?
        };
        let fills = received.count == buffer.len();
        if fills != filled {
            self.0.store(fills, Ordering::Relaxed);
        }
        Ok(received)
    }
}
