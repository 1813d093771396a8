//! What a workload asks of a runtime, and each runtime's answer to it.
//!
//! The workloads are written once, over these traits, so that it is the same work on every side.
//! What stands between a workload and a runtime's own function is one generic call, which is
//! compiled away.
//!
//! Reading order: this file, `ours.rs`, `tokio.rs`, `smol.rs`.

mod ours;
mod smol;
mod tokio;

pub use ours::Ours;
pub use smol::Smol;
pub use tokio::Tokio;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A runtime, seen by the thread that made it.
pub trait Side: Sized + 'static {
    /// Who it is, in the table.
    const NAME: &'static str;

    /// The runtime as its tasks see it.
    type Inside: Inside;

    /// `threads` 1: tasks run in `block_on`, on the calling thread. More: on that many workers, each
    /// on a CPU of its own (`place.rs`).
    fn new(threads: usize) -> Self;

    fn inside(&self) -> Self::Inside;

    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Spawns from a thread that is none of the runtime's, without a handle.
    fn spawn_from_outside<F: Future<Output = ()> + Send + 'static>(&self, future: F);

    /// Runs `future` in `block_on` on one thread, and on a worker where there are some.
    fn run<F, T>(&self, threads: usize, future: F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        match threads {
            1 => self.block_on(future),
            _ => self.block_on(async { self.inside().spawn(future).await }),
        }
    }
}

/// What a task can do.
pub trait Inside: Copy + Send + Sync + 'static {
    type Join<T: Send + 'static>: Future<Output = T> + Send + 'static;
    type Listener: Send + Sync + 'static;
    type Stream: Stream;

    fn spawn<F>(self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Spawns without a handle.
    fn detach<F: Future<Output = ()> + Send + 'static>(self, future: F);

    fn yield_now(self) -> impl Future<Output = ()> + Send;

    fn sleep(self, time: Duration) -> impl Future<Output = ()> + Send;

    fn timeout<F: Future + Send>(
        self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;

    /// A listener on loopback, on any port, and its address.
    fn listen(self) -> impl Future<Output = (Self::Listener, SocketAddr)> + Send;

    /// The next connection, with TCP_NODELAY.
    fn accept(self, listener: &Self::Listener) -> impl Future<Output = Self::Stream> + Send;

    /// A connection, with TCP_NODELAY.
    fn connect(self, address: SocketAddr) -> impl Future<Output = Self::Stream> + Send;
}

/// A connection. Each runtime brings its own traits for it, or those of futures-io.
pub trait Stream: Send + 'static {
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    fn read_exact(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<()>> + Send;

    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// Any port on loopback.
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
