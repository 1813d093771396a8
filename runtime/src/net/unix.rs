//! Unix sockets: streams and datagrams within one machine, named by paths or in pairs.
//!
//! A path is created by `bind` and stays when the socket goes; removing it is up to the program.
//! Next: `../metrics.rs`.

use super::breather::Breather;
use super::fills::Fills;
use super::socket;
use super::split::{self, Duplex, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::stream::{Receive, byte_stream};
use crate::async_fd::{Async, Received};
use crate::blocking::spawn_blocking;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self as std_unix, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A Unix socket that listens for connections at a path.
///
/// # Example
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use tatkal::net::{UnixListener, UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// # let directory = std::env::temp_dir().join(format!("tatkal-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("socket");
/// tatkal::block_on(async {
///     let listener = UnixListener::bind(&path)?;
///     let mut client = UnixStream::connect(&path).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"hi").await?;
///     let mut buffer = [0; 2];
///     server.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"hi");
///     std::io::Result::Ok(())
/// })?;
/// # std::fs::remove_dir_all(&directory)
/// # }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    io: Async<std_unix::UnixListener>,
    breather: Breather,
}

impl UnixListener {
    /// Listens at `path`, which must not exist yet.
    ///
    /// # Errors
    /// `AddrInUse` when the path exists, and others of bind(2).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::from_std(socket::unix_listening(path.as_ref())?.into())
    }

    /// Takes over a listener of std, and makes it non-blocking.
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std_unix::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener {
            io: Async::new(listener)?,
            breather: Breather::default(),
        })
    }

    /// Gives std's listener back. It stays non-blocking.
    pub fn into_std(self) -> std_unix::UnixListener {
        self.io.into_inner()
    }

    /// Waits for a connection, and returns it with its peer's address (unnamed, usually).
    ///
    /// # Errors
    /// Those of accept(2). After one that says that descriptors or memory have run out, the next
    /// call pauses for a moment, so that a loop around it does not spin.
    ///
    /// # Cancellation
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        if let Some(breather) = self.breather.take() {
            breather.await;
        }
        let accepted = self.io.read_with(|io| io.accept()).await;
        self.breather.note(&accepted);
        let (stream, peer) = accepted?;
        Ok((UnixStream::from_std(stream)?, peer))
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A connection between two Unix sockets. Reads and writes as a
/// [`TcpStream`](super::TcpStream) does.
#[derive(Debug)]
pub struct UnixStream {
    io: Async<std_unix::UnixStream>,
    fills: Fills,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// When the listener's queue is full, this waits on a thread of the blocking pool: the
    /// operating system offers no event for it.
    ///
    /// # Errors
    /// Those of connect(2): `NotFound`, `ConnectionRefused` when nobody listens there any more.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let path = path.as_ref();
        match socket::unix_connected(path) {
            Ok(socket) => Async::nonblocking(socket.into()).map(UnixStream::new),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let path = path.to_owned();
                let connect = spawn_blocking(move || std_unix::UnixStream::connect(path));
                UnixStream::from_std(connect.await.map_err(io::Error::other)??)
            }
            Err(error) => Err(error),
        }
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    /// Those of socketpair(2).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = std_unix::UnixStream::pair()?;
        Ok((UnixStream::from_std(one)?, UnixStream::from_std(other)?))
    }

    /// Takes over a stream of std, and makes it non-blocking.
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std_unix::UnixStream) -> io::Result<UnixStream> {
        Async::new(stream).map(UnixStream::new)
    }

    fn new(io: Async<std_unix::UnixStream>) -> UnixStream {
        UnixStream {
            io,
            fills: Fills::default(),
        }
    }

    /// Gives std's stream back. It stays non-blocking.
    pub fn into_std(self) -> std_unix::UnixStream {
        self.io.into_inner()
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

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// Those of shutdown(2).
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

    /// Two borrowed halves, for reading and writing at once in one task.
    pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        split::borrowed(self)
    }

    /// Two owned halves, for two tasks. Dropping the writing one ends that direction.
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        split::owned(self)
    }
}

byte_stream!(UnixStream, std_unix::UnixStream);

impl Receive for UnixStream {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.fills.receive(self.io.get_ref(), buffer)
    }

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
        socket::receive_message(self, buffers)
    }
}

/// A Unix socket for datagrams, which arrive whole and in order.
///
/// # Example
/// ```
/// use tatkal::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send(b"hi").await?;
///     let mut buffer = [0; 8];
///     assert_eq!(other.recv(&mut buffer).await?, 2);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Async<std_unix::UnixDatagram>,
}

impl UnixDatagram {
    /// A socket at `path`, which must not exist yet.
    ///
    /// # Errors
    /// Those of bind(2).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std_unix::UnixDatagram::bind(path)?)
    }

    /// A socket without an address, which can send but not be sent to.
    ///
    /// # Errors
    /// Those of socket(2).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std_unix::UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// Those of socketpair(2).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = std_unix::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(one)?, UnixDatagram::from_std(other)?))
    }

    /// Takes over a socket of std, and makes it non-blocking.
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(socket: std_unix::UnixDatagram) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram {
            io: Async::new(socket)?,
        })
    }

    /// Gives std's socket back. It stays non-blocking.
    pub fn into_std(self) -> std_unix::UnixDatagram {
        self.io.into_inner()
    }

    /// Std's socket, for its addresses and options.
    pub fn as_std(&self) -> &std_unix::UnixDatagram {
        self.io.get_ref()
    }

    /// Chooses the one peer that [`send`](Self::send) sends to. Does not wait.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.as_std().connect(path)
    }

    /// Sends a datagram to the socket at `path`, or fails: this does not wait. The operating system
    /// has no event for room at a peer that one is not connected to; [`send`](Self::send) waits.
    ///
    /// # Errors
    /// `WouldBlock` when the peer's queue is full, and others of sendto(2).
    pub fn try_send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.as_std().send_to(bytes, path)
    }

    /// Waits for a datagram, and says who it is from.
    ///
    /// # Errors
    /// Those of recvfrom(2).
    ///
    /// # Cancellation
    /// No datagram is lost.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|io| io.recv_from(buffer)).await
    }

    /// Sends a datagram to the connected peer; waits while its queue is full.
    ///
    /// # Errors
    /// Those of send(2).
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.write_with(|io| io.send(bytes)).await
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// Those of recv(2).
    ///
    /// # Cancellation
    /// No datagram is lost.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|io| io.recv(buffer)).await
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
