//! The async driver: tasks, any runtime, one deadline.
//!
//! What it needs of a runtime is the trait [`Network`]: addresses, streams, and a point in time.
//! `tatkal` implements it in `tatkal_net.rs`; the tests, with pipes in memory and a clock driven
//! by hand.
//!
//! Cancellation  dropping a future of this client closes its connection and nothing else.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};

use super::config::Config;
use super::deadline::Deadline;
use super::error::Error;
use super::fetch::Fetch;
use super::pool::Pool;
use super::request::Method;
use super::response::Response;
use super::step::Step;
use super::url::Url;

/// Read at once; a TLS record, or a flag.
const READ_BUFFER: usize = 16 * 1024;

/// What the client needs of a runtime.
///
/// The futures of a client are `Send` when those of its network are.
pub trait Network {
    /// An open connection. Dropping it closes it.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// The addresses of a host name, in the order to try them.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Opens a connection.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Ready at `instant`, not before.
    fn sleep_until(&self, instant: Instant) -> impl Future<Output = ()>;

    /// Reads what has come on an idle stream, 0 bytes at its end; `None` when nothing has.
    ///
    /// As it stands, it polls the stream once, with a waker that wakes nobody. That is as good as
    /// the stream's knowledge: over a socket that a reactor watches, ask the socket itself.
    fn read_now(&self, stream: &mut Self::Stream, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(stream).poll_read(&mut cx, buffer) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

/// An HTTP client for tasks. Any number of tasks fetch at the same time and share the kept
/// connections. A client belongs to one runtime, as its connections do; within that runtime any
/// thread may use it (it is `Sync` when the network is and its streams are `Send`).
pub struct Client<N: Network> {
    network: N,
    config: Arc<Config>,
    pool: Pool<N::Stream>,
}

impl<N: Network> Client<N> {
    /// A client without connections.
    pub fn new(config: Config, network: N) -> Client<N> {
        Client {
            network,
            config: Arc::new(config),
            pool: Pool::new(),
        }
    }

    /// Fetches `url`, following redirects. Ready when the answer is whole.
    ///
    /// # Errors
    ///
    /// Whatever kept the answer from being whole by the `deadline`; see
    /// [`Reason`](super::error::Reason). A status such as 404 is an answer, not an error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection it was using.
    pub async fn get(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        self.fetch(Method::Get, url, deadline).await
    }

    /// As [`Client::get`], for the head alone.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Client::get`].
    pub async fn head(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        self.fetch(Method::Head, url, deadline).await
    }

    /// How many connections are idle now.
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    async fn fetch(
        &self,
        method: Method,
        url: &Url,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let mut fetch = Fetch::new(self.config.clone(), method, url.clone(), deadline);
        let mut buffer = vec![0; READ_BUFFER];
        // One timer for all steps: it is armed at the first step that has to wait.
        let mut timer = pin!(self.sleep(deadline));
        loop {
            match fetch.next_step()? {
                Step::Take(origin) => {
                    let idle = self.pool.take(origin, &self.config);
                    fetch.took(idle);
                }
                Step::Probe(stream) => {
                    let result = self.network.read_now(stream, &mut buffer);
                    fetch.probed(result.map(|result| result.map(|n| &buffer[..n])));
                }
                Step::Resolve(origin) => {
                    let lookup = self.network.resolve(&origin.host, origin.port);
                    let result = within(timer.as_mut(), lookup).await;
                    fetch.resolved(result);
                }
                Step::Connect(address, until) => {
                    let connect = self.network.connect(address);
                    fetch.connected(within(pin!(self.sleep(until)), connect).await);
                }
                Step::Send(stream, bytes) => {
                    let result = within(timer.as_mut(), send(stream, bytes)).await;
                    fetch.sent(result);
                }
                Step::Receive(stream) => {
                    let read = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer));
                    let result = within(timer.as_mut(), read).await;
                    fetch.received(result.map(|n| &buffer[..n]));
                }
                Step::Keep(connection) => self.pool.put(connection, &self.config),
                Step::Done(response) => return Ok(response),
            }
        }
    }

    async fn sleep(&self, until: Deadline) {
        match until.instant() {
            Some(instant) => self.network.sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

/// Writes some, and pushes it out, should the stream be one that holds bytes back.
async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<usize> {
    let n = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await?;
    Ok(n)
}

/// The operation's result, or `TimedOut` when the timer is ready first. The timer is polled only
/// when the operation has to wait: what is ready at once costs no timer, and the fetch itself
/// looks at the clock before each step.
async fn within<T>(
    mut timer: Pin<&mut impl Future<Output = ()>>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    poll_fn(|cx| match operation.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into())),
    })
    .await
}
