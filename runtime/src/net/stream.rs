//! Reading and writing, the same for every byte stream.
//!
//! The traits of futures-io, for a stream type and for a reference to it. A macro, because the
//! types differ in little but their names. The stream has an `io: Async<std's stream>`, a `shutdown`,
//! and its own way to [`Receive`]. Next: `tcp.rs`.

use crate::async_fd::Received;
use std::io::{self, IoSliceMut};

/// How a stream is read, by one system call.
pub(super) trait Receive {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Received>;

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Received>;
}

macro_rules! byte_stream {
    ($stream:ty, $std:ty) => {
        impl AsyncRead for &$stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let full = buffer.len();
                self.io.poll_receive(cx, full, |_| self.receive(buffer))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let full = buffers.iter().map(|buffer| buffer.len()).sum();
                self.io
                    .poll_receive(cx, full, |_| self.receive_vectored(buffers))
            }
        }

        impl AsyncWrite for &$stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                #[cfg(target_os = "linux")]
                let write = |io: &$std| socket::send(io, bytes);
                #[cfg(not(target_os = "linux"))] // where no flag of a write keeps a signal away
                let write = |mut io: &$std| io.write(bytes);
                self.io.poll_send(cx, bytes.len(), write)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let full = buffers.iter().map(|buffer| buffer.len()).sum();
                let write = |mut io: &$std| io.write_vectored(buffers);
                self.io.poll_send(cx, full, write)
            }

            /// Nothing to do: the kernel sends what it was given.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Ends the writing direction. The other one stays open.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(match self.shutdown(Shutdown::Write) {
                    // The connection is gone, and so closed.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                })
            }
        }

        impl AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_read_vectored(cx, buffers)
            }
        }

        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_write_vectored(cx, buffers)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut &*self).poll_flush(cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut &*self).poll_close(cx)
            }
        }

        impl AsFd for $stream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.io.as_fd()
            }
        }

        impl Duplex for $stream {
            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

pub(super) use byte_stream;
