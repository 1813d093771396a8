//! TCP: listeners and streams. Next: `udp.rs`.

use super::breather::Breather;
use super::lookup::{ToSocketAddrs, lookup, no_address};
use super::socket;
use super::split::{self, Duplex, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::stream::{Receive, byte_stream};
use crate::async_fd::{Async, Received};
use crate::time::Sleep;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A TCP socket that listens for connections.
///
/// # Example
/// ```
/// use tatkal::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     assert_eq!(server.peer_addr()?, peer);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Async<std::net::TcpListener>,
    breather: Breather,
}

impl TcpListener {
    /// Listens on `address`; port 0 lets the system choose ([`local_addr`](Self::local_addr)
    /// tells). Of several addresses the first that can be bound.
    ///
    /// The address can be bound again right after its listener is gone (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// Those of the last address tried.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut last = None;
        for address in lookup(address).await? {
            match socket::listening(&address) {
                Ok(socket) => return Async::nonblocking(socket.into()).map(TcpListener::new),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    fn new(io: Async<std::net::TcpListener>) -> TcpListener {
        TcpListener {
            io,
            breather: Breather::default(),
        }
    }

    /// Takes over a listener of std, and makes it non-blocking.
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Async::new(listener).map(TcpListener::new)
    }

    /// Gives std's listener back. It stays non-blocking.
    pub fn into_std(self) -> std::net::TcpListener {
        self.io.into_inner()
    }

    /// Waits for a connection, and returns it with its peer's address.
    ///
    /// # Errors
    /// Those of accept(2). After one that says that descriptors or memory have run out, the next
    /// call pauses for a moment, so that a loop around it does not spin.
    ///
    /// # Cancellation
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(breather) = self.breather.take() {
            breather.await;
        }
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// All connections to come, as a stream without end. Errors as in [`accept`](Self::accept).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            listener: self,
            breather: self.breather.take(),
        }
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// `accept`, without a pause before it.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let result = ready!(self.io.poll_read_with(cx, |io| socket::accept(io)));
        self.breather.note(&result);
        Poll::Ready(result.and_then(|(socket, peer)| {
            let stream = TcpStream::new(socket)?;
            match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                Some(peer) => Ok((stream, peer)),
                None => stream.peer_addr().map(|peer| (stream, peer)),
            }
        }))
    }
}

/// The stream of [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    breather: Option<Sleep>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(breather) = &mut self.breather {
            ready!(Pin::new(breather).poll(cx));
            self.breather = None;
        }
        let result = ready!(self.listener.poll_accept(cx));
        self.breather = self.listener.breather.take();
        Poll::Ready(Some(result.map(|(stream, _)| stream)))
    }
}

/// A TCP connection.
///
/// It reads and writes through the traits of `futures-io`; so does `&TcpStream`, which makes a
/// shared connection usable from several tasks at once. For two tasks, one per direction, see
/// [`split`](Self::split) and [`into_split`](Self::into_split).
///
/// Dropping it closes the connection.
#[derive(Debug)]
pub struct TcpStream {
    io: Async<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `address`; of several addresses, to the first that answers.
    ///
    /// # Errors
    /// Those of the last address tried: `ConnectionRefused` and its like.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancellation
    /// Dropping it gives the attempt up. There is no time limit but the system's (minutes): put a
    /// [`timeout`](crate::timeout) around it.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut last = None;
        for address in lookup(address).await? {
            match TcpStream::connect_to(&address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    async fn connect_to(address: &SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::new(socket::connecting(address)?)?;
        stream.writable().await?;
        // Writable: it is over, one way or the other. SO_ERROR says which.
        match stream.io.get_ref().take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    fn new(socket: OwnedFd) -> io::Result<TcpStream> {
        let io = Async::nonblocking(socket.into())?;
        Ok(TcpStream { io })
    }

    /// Takes over a stream of std, and makes it non-blocking.
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream {
            io: Async::new(stream)?,
        })
    }

    /// Gives std's stream back. It stays non-blocking.
    pub fn into_std(self) -> std::net::TcpStream {
        self.io.into_inner()
    }

    /// Waits for bytes and copies them, without taking them: the next read gives them again. 0 at
    /// the end of the stream.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|io| io.peek(buffer)).await
    }

    /// Waits until a read would not block: bytes, the end, or an error are there.
    ///
    /// # Errors
    /// If the runtime was shut down.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Waits until a write would not block.
    ///
    /// # Errors
    /// If the runtime was shut down.
    pub async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Ends one direction, or both. The peer then reads the end of the stream; what was written
    /// before still arrives.
    ///
    /// # Errors
    /// Those of shutdown(2): `NotConnected` when the connection is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Are small writes sent at once?
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().nodelay()
    }

    /// Sends small writes at once (`TCP_NODELAY`), instead of collecting them while earlier ones
    /// are on their way. For request and response over one connection.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().set_nodelay(nodelay)
    }

    /// Two borrowed halves, for reading and writing at once in one task.
    pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        split::borrowed(self)
    }

    /// Two owned halves, for two tasks. Dropping the writing one ends that direction.
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        split::owned(self)
    }
}

byte_stream!(TcpStream, std::net::TcpStream);

impl Receive for TcpStream {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        socket::receive(self, buffer)
    }

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
        let count = self.io.get_ref().read_vectored(buffers)?;
        let is_cut = false;
        Ok(Received { count, is_cut })
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
