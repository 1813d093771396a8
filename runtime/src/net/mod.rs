//! Sockets: those of `std::net`, without the waiting.
//!
//! Each type is an [`Async`](crate::Async) around std's, made with the non-blocking flag from the
//! start. They implement the traits of `futures-io`, so that the extension methods of
//! `futures-lite` or `futures-util` (`read_exact`, `write_all`, `lines`, `copy`...) apply.
//!
//! A socket belongs to the runtime it was made on, and may be used from any thread as long as
//! that runtime runs. Making one outside of a runtime panics.
//!
//! A read may say that it is pending although there are bytes, until the event loop has had its
//! turn: on the thread of a one-thread runtime it is often the loop that looks whether there are
//! more, many sockets at a time. So await reads there. Another executor's `block_on` in a task
//! would keep the loop from turning, and a read that is polled once and given up proves nothing.
//!
//! Reading order: `lookup.rs`, `socket.rs`, `breather.rs`, `fills.rs`, `split.rs`, `stream.rs`,
//! `tcp.rs`, `udp.rs`, `unix.rs`.

mod breather;
mod fills;
mod lookup;
mod socket;
mod split;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use lookup::{ToSocketAddrs, lookup};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
