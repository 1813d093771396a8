//! Both drivers behind one face.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::block_on;
use workloads::http::client::Network;
use workloads::http::{Config, Deadline, Error, Response, Url, blocking, client};

/// Long enough that only a hang reaches it.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

#[derive(Debug, Clone, Copy)]
pub enum Driver {
    Blocking,
    Async,
}

pub const DRIVERS: [Driver; 2] = [Driver::Blocking, Driver::Async];

impl Driver {
    pub fn client(self, config: Config) -> Client {
        match self {
            Driver::Blocking => Client::Blocking(blocking::Client::new(config)),
            Driver::Async => Client::Async(client::Client::new(config, Immediate)),
        }
    }
}

pub enum Client {
    Blocking(blocking::Client),
    Async(client::Client<Immediate>),
}

impl Client {
    pub fn get(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        match self {
            Client::Blocking(client) => client.get(url, deadline),
            Client::Async(client) => block_on(client.get(url, deadline)),
        }
    }

    pub fn head(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        match self {
            Client::Blocking(client) => client.head(url, deadline),
            Client::Async(client) => block_on(client.head(url, deadline)),
        }
    }

    pub fn idle_connections(&self) -> usize {
        match self {
            Client::Blocking(client) => client.idle_connections(),
            Client::Async(client) => client.idle_connections(),
        }
    }
}

/// A network whose operations are over when they return: an async driver without a runtime.
/// (Waiting is tested with pipes, see `pipe.rs`.)
pub struct Immediate;

/// A socket that waits inside `poll`, except when the task has a waker that wakes nobody: then
/// the client is probing.
pub struct Socket(TcpStream);

impl Network for Immediate {
    type Stream = Socket;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        TcpStream::connect(address).map(Socket)
    }

    async fn sleep_until(&self, _: Instant) {
        unreachable!("nothing waits here")
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut self.get_mut().0;
        socket.set_nonblocking(cx.waker().will_wake(std::task::Waker::noop()))?;
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut self.get_mut().0;
        socket.set_nonblocking(false)?;
        Poll::Ready(socket.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
