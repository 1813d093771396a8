//! smol's parts: async-executor's `StaticExecutor` (the form that its docs call optimised), driven
//! by `async_io::block_on` on each thread, as smol's own global executor does.

use super::{Inside, LOOPBACK, Side, Stream};
use crate::rows::meet::Mailbox;
use crate::rows::place;
use async_executor::{Executor, StaticExecutor, Task};
use async_io::{Async, Timer};
use futures_lite::{FutureExt as _, future};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub struct Smol {
    executor: Here,
    workers: Vec<(JoinHandle<()>, Arc<Mailbox>)>,
}

/// Leaked, a few hundred bytes for each contender of each row: that is what makes it static.
#[derive(Clone, Copy)]
pub struct Here(&'static StaticExecutor);

impl Side for Smol {
    const NAME: &'static str = "smol";
    type Inside = Here;

    fn new(threads: usize) -> Self {
        let executor = Executor::new().leak();
        let hook = place::apart();
        let worker = |_| {
            let stop = Arc::new(Mailbox::default());
            let (stopped, hook) = (stop.clone(), hook.clone());
            let thread = thread::spawn(move || {
                hook();
                async_io::block_on(executor.run(stopped.take()));
            });
            (thread, stop)
        };
        let workers = if threads == 1 { 0 } else { threads };
        Smol {
            executor: Here(executor),
            workers: (0..workers).map(worker).collect(),
        }
    }

    fn inside(&self) -> Here {
        self.executor
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.workers.len() {
            0 => async_io::block_on(self.executor.0.run(future)),
            _ => async_io::block_on(future),
        }
    }

    fn spawn_from_outside<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        self.executor.detach(future);
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        for (thread, stop) in self.workers.drain(..) {
            stop.put(0);
            thread.join().unwrap();
        }
    }
}

impl Inside for Here {
    type Join<T: Send + 'static> = Task<T>;
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;

    fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    fn detach<F: Future<Output = ()> + Send + 'static>(self, future: F) {
        self.0.spawn(future).detach();
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        future::yield_now()
    }

    async fn sleep(self, time: Duration) {
        Timer::after(time).await;
    }

    /// It has no timeout of its own: this is the one of its docs.
    async fn timeout<F: Future + Send>(self, limit: Duration, future: F) -> Option<F::Output> {
        async { Some(future.await) }
            .or(async {
                Timer::after(limit).await;
                None
            })
            .await
    }

    async fn listen(self) -> (Async<TcpListener>, SocketAddr) {
        let listener = Async::<TcpListener>::bind(LOOPBACK).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        (listener, address)
    }

    async fn accept(self, listener: &Async<TcpListener>) -> Async<TcpStream> {
        let (stream, _) = listener.accept().await.unwrap();
        stream.get_ref().set_nodelay(true).unwrap();
        stream
    }

    async fn connect(self, address: SocketAddr) -> Async<TcpStream> {
        let stream = Async::<TcpStream>::connect(address).await.unwrap();
        stream.get_ref().set_nodelay(true).unwrap();
        stream
    }
}

impl Stream for Async<TcpStream> {
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
