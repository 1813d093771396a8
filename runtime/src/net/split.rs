//! A connection in two halves, one per direction.
//!
//! Nothing is divided: a half is a reference (borrowed) or an `Arc` (owned) to the stream, and may
//! do one direction only. The reactor keeps the waiters of the two directions apart, so the halves
//! may wait at once, in two tasks.
//!
//! Holds     the owned writing half ends its direction when it is dropped: the peer of a program
//!           that has dropped it must not wait for more.
//! Next: `stream.rs`.

use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A stream whose two directions end one by one. Not exported, so nobody else implements it.
pub trait Duplex {
    /// Ends the writing direction.
    fn end_writing(&self) -> io::Result<()>;
}

pub(super) fn borrowed<S>(stream: &S) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn owned<S: Duplex>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    let write = OwnedWriteHalf {
        stream: stream.clone(),
        closes: true,
    };
    (OwnedReadHalf { stream }, write)
}

/// The borrowed reading half of a stream: [`TcpStream::split`](super::TcpStream::split).
#[derive(Debug)]
pub struct ReadHalf<'a, S>(&'a S);

/// The borrowed writing half of a stream: [`TcpStream::split`](super::TcpStream::split). Dropping
/// it ends nothing; closing it does.
#[derive(Debug)]
pub struct WriteHalf<'a, S>(&'a S);

/// The owned reading half of a stream: [`TcpStream::into_split`](super::TcpStream::into_split).
#[derive(Debug)]
pub struct OwnedReadHalf<S> {
    stream: Arc<S>,
}

/// The owned writing half of a stream: [`TcpStream::into_split`](super::TcpStream::into_split).
/// Dropping it ends the writing direction: the peer reads the end of the stream.
///
/// # Example
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use tatkal::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (mut read, mut write) = client.into_split();
///     write.write_all(b"question").await?;
///     drop(write); // the server sees the end...
///     let mut question = String::new();
///     server.read_to_string(&mut question).await?;
///
///     server.write_all(b"answer").await?; // ...and can still answer
///     drop(server);
///     let mut answer = String::new();
///     read.read_to_string(&mut answer).await?;
///     assert_eq!((&*question, &*answer), ("question", "answer"));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedWriteHalf<S: Duplex> {
    stream: Arc<S>,
    /// Must the direction still be ended?
    closes: bool,
}

impl<S: Duplex> OwnedReadHalf<S> {
    /// The stream again, from its two halves.
    ///
    /// # Errors
    /// If the halves are not of the same stream; both come back in the error.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.stream, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.forget();
        Ok(Arc::into_inner(self.stream).expect("a stream has two halves, and both are here"))
    }

    /// The whole stream, for its addresses and options.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: Duplex> OwnedWriteHalf<S> {
    /// As [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    /// If the halves are not of the same stream; both come back in the error.
    pub fn reunite(self, read: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        read.reunite(self)
    }

    /// Drops this half without ending its direction.
    pub fn forget(mut self) {
        self.closes = false;
    }

    /// The whole stream, for its addresses and options.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: Duplex> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.closes {
            // An error says that the connection is gone, and so ended.
            let _ = self.stream.end_writing();
        }
    }
}

/// The halves are of two different streams. Here they are again.
#[derive(Debug)]
pub struct ReuniteError<S: Duplex>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: Duplex> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl<S: Duplex + fmt::Debug> std::error::Error for ReuniteError<S> {}

impl<S> AsyncRead for ReadHalf<'_, S>
where
    for<'s> &'s S: AsyncRead,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_read_vectored(cx, buffers)
    }
}

impl<S> AsyncRead for OwnedReadHalf<S>
where
    for<'s> &'s S: AsyncRead,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read_vectored(cx, buffers)
    }
}

impl<S> AsyncWrite for WriteHalf<'_, S>
where
    for<'s> &'s S: AsyncWrite,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.0).poll_close(cx)
    }
}

impl<S: Duplex> AsyncWrite for OwnedWriteHalf<S>
where
    for<'s> &'s S: AsyncWrite,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut &*self.stream).poll_close(cx);
        if poll.is_ready() {
            self.closes = false; // Done; a drop need not.
        }
        poll
    }
}
