//! A network in memory, and a clock that moves when the test says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};
use workloads::http::client::Network;

/// One direction of a pipe.
#[derive(Default)]
struct Channel {
    bytes: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
}

impl Channel {
    fn wake(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}

/// One end of a pipe; its drop closes both directions.
pub struct Pipe {
    incoming: Rc<RefCell<Channel>>,
    outgoing: Rc<RefCell<Channel>>,
    /// At most so many bytes are read or written at once.
    step: usize,
}

pub fn pipe(step: usize) -> (Pipe, Pipe) {
    let (one, other) = (
        Rc::<RefCell<Channel>>::default(),
        Rc::<RefCell<Channel>>::default(),
    );
    let client = Pipe {
        incoming: one.clone(),
        outgoing: other.clone(),
        step,
    };
    (
        client,
        Pipe {
            incoming: other,
            outgoing: one,
            step,
        },
    )
}

impl Pipe {
    /// Has the other end been dropped?
    pub fn is_closed(&self) -> bool {
        self.outgoing.borrow().closed
    }

    /// Everything the other end has written so far.
    pub fn heard(&self) -> Vec<u8> {
        self.incoming.borrow_mut().bytes.drain(..).collect()
    }

    /// Writes without waiting.
    pub fn say(&self, bytes: &[u8]) {
        let mut channel = self.outgoing.borrow_mut();
        channel.bytes.extend(bytes);
        channel.wake();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for channel in [&self.incoming, &self.outgoing] {
            channel.borrow_mut().closed = true;
            channel.borrow_mut().wake();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut channel = self.incoming.borrow_mut();
        if channel.bytes.is_empty() && !channel.closed {
            channel.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = channel.bytes.len().min(buffer.len()).min(self.step);
        for (slot, byte) in buffer.iter_mut().zip(channel.bytes.drain(..n)) {
            *slot = byte;
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut channel = self.outgoing.borrow_mut();
        if channel.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = bytes.len().min(self.step);
        channel.bytes.extend(&bytes[..n]);
        channel.wake();
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Time, as the test has it: nothing passes until `ring`, then every sleep is over.
#[derive(Default)]
pub struct Clock {
    rung: RefCell<bool>,
    sleepers: RefCell<Vec<Waker>>,
}

impl Clock {
    pub fn ring(&self) {
        *self.rung.borrow_mut() = true;
        let sleepers = std::mem::take(&mut *self.sleepers.borrow_mut());
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn sleep(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if *self.rung.borrow() {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A network that hands out prepared pipes; when there are none left, it does not answer.
#[derive(Default)]
pub struct Memory {
    /// What the resolver says; it does not answer while this is `None`.
    pub addresses: Option<Vec<SocketAddr>>,
    pub streams: RefCell<VecDeque<io::Result<Pipe>>>,
    pub clock: Rc<Clock>,
    /// Every address connected to.
    pub connects: RefCell<Vec<SocketAddr>>,
}

impl Network for Memory {
    type Stream = Pipe;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        match &self.addresses {
            Some(addresses) => Ok(addresses.clone()),
            None => std::future::pending().await,
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        self.connects.borrow_mut().push(address);
        let next = self.streams.borrow_mut().pop_front();
        match next {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    async fn sleep_until(&self, _: Instant) {
        self.clock.sleep().await;
    }
}
