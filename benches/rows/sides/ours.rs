//! tatkal: `Runtime::new()`, or `worker_threads(n)`; everything else by default.

use super::{Inside, LOOPBACK, Side, Stream};
use crate::rows::place;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tatkal::net::{TcpListener, TcpStream};

pub struct Ours(tatkal::Runtime);

#[derive(Clone, Copy)]
pub struct Here;

/// A handle whose task never fails.
pub struct Join<T>(tatkal::JoinHandle<T>);

impl Side for Ours {
    const NAME: &'static str = "tatkal";
    type Inside = Here;

    fn new(threads: usize) -> Self {
        let builder = tatkal::Runtime::builder();
        let builder = match threads {
            1 => builder,
            _ => builder
                .worker_threads(threads)
                .on_thread_start(place::apart()),
        };
        Ours(builder.build().unwrap())
    }

    fn inside(&self) -> Here {
        Here
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn spawn_from_outside<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        self.0.spawn(future).detach();
    }
}

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(Result::unwrap)
    }
}

impl Inside for Here {
    type Join<T: Send + 'static> = Join<T>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn spawn<F>(self, future: F) -> Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Join(tatkal::spawn(future))
    }

    fn detach<F: Future<Output = ()> + Send + 'static>(self, future: F) {
        tatkal::spawn(future).detach();
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        tatkal::yield_now()
    }

    fn sleep(self, time: Duration) -> impl Future<Output = ()> + Send {
        tatkal::sleep(time)
    }

    async fn timeout<F: Future + Send>(self, limit: Duration, future: F) -> Option<F::Output> {
        tatkal::timeout(limit, future).await.ok()
    }

    async fn listen(self) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn accept(self, listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    async fn connect(self, address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Stream for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        futures_lite::AsyncReadExt::read(self, buffer).await
    }

    async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        futures_lite::AsyncReadExt::read_exact(self, buffer).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        futures_lite::AsyncWriteExt::write_all(self, bytes).await
    }
}
