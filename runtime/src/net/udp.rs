//! UDP: datagrams, whole or not at all. Next: `unix.rs`.

use super::lookup::{ToSocketAddrs, lookup, no_address};
use crate::async_fd::Async;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// A UDP socket.
///
/// All operations take `&self`: several tasks may send and receive on one socket.
///
/// A datagram is received whole; what does not fit into the buffer is lost.
///
/// # Example
/// ```
/// use tatkal::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.send_to(b"hi", server.local_addr()?).await?;
///     let mut buffer = [0; 1500];
///     let (n, from) = server.recv_from(&mut buffer).await?;
///     assert_eq!((&buffer[..n], from), (&b"hi"[..], client.local_addr()?));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Async<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds to `address`; of several, to the first that can be bound.
    ///
    /// # Errors
    /// Those of the last address tried.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        // Binding a datagram socket does not wait, so std's does.
        let addresses = lookup(address).await?;
        if addresses.is_empty() {
            return Err(no_address());
        }
        UdpSocket::from_std(std::net::UdpSocket::bind(&addresses[..])?)
    }

    /// Takes over a socket of std, and makes it non-blocking. What has no method here (multicast,
    /// time to live) is set on std's first, or through [`as_std`](Self::as_std).
    ///
    /// # Errors
    /// If it cannot be watched.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        Ok(UdpSocket {
            io: Async::new(socket)?,
        })
    }

    /// Gives std's socket back. It stays non-blocking.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.io.into_inner()
    }

    /// Std's socket, for its options.
    pub fn as_std(&self) -> &std::net::UdpSocket {
        self.io.get_ref()
    }

    /// Chooses the one peer that [`send`](Self::send) sends to, and that alone is received from.
    ///
    /// # Errors
    /// Those of the last address tried.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let addresses = lookup(address).await?;
        if addresses.is_empty() {
            return Err(no_address());
        }
        self.as_std().connect(&addresses[..]) // does not wait: nothing is sent
    }

    /// Sends a datagram to `address`, of several to the first.
    ///
    /// # Errors
    /// Those of sendto(2): a datagram that is too long, above all.
    pub async fn send_to(&self, bytes: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let addresses = lookup(address).await?;
        let address = addresses.first().ok_or_else(no_address)?;
        self.io.write_with(|io| io.send_to(bytes, address)).await
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

    /// As [`recv_from`](Self::recv_from), but the next receive gets the same datagram again.
    ///
    /// # Errors
    /// Those of recvfrom(2).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|io| io.peek_from(buffer)).await
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    /// Those of send(2): `ConnectionRefused` when the last one met nobody.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.write_with(|io| io.send(bytes)).await
    }

    /// Waits for a datagram of the connected peer.
    ///
    /// # Errors
    /// Those of recv(2): `ConnectionRefused` when the last one sent met nobody.
    ///
    /// # Cancellation
    /// No datagram is lost.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|io| io.recv(buffer)).await
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.as_std().local_addr()
    }

    /// The connected peer's address.
    ///
    /// # Errors
    /// `NotConnected` when there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.as_std().peer_addr()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
