//! The blocking driver: std sockets, the calling thread, one deadline.
//!
//! Each step's wait is bounded by what is left until the deadline: connecting by
//! `connect_timeout`, reading and writing by poll(2), which counts nanoseconds. (A socket's own
//! timeouts, SO_RCVTIMEO and its like, cost as many system calls and are kept by a coarse timer:
//! some were 0.2 s late.) Only the resolver knows no timeout; it runs on a thread of its own, which
//! is left behind when it does not return in time.
//!
//! Next      client.rs, the same for tasks.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::config::Config;
use super::deadline::Deadline;
use super::error::Error;
use super::fetch::Fetch;
use super::pool::Pool;
use super::probe::read_now;
use super::request::Method;
use super::response::Response;
use super::step::Step;
use super::url::{Origin, Url};

/// Read at once; a TLS record, or a flag.
const READ_BUFFER: usize = 16 * 1024;

/// An HTTP client for threads. `Sync`: any number of threads fetch at the same time, each waiting
/// in its own call, and share the kept connections.
///
/// ```no_run
/// use std::time::Duration;
/// use workloads::http::{Config, Deadline, Url, blocking::Client};
///
/// let client = Client::new(Config::default());
/// let url = Url::parse("http://127.0.0.1:8080/flags/ye/ye.jpg")?;
/// let response = client.get(&url, Deadline::after(Duration::from_secs(3)))?.ok()?;
/// println!("{} bytes", response.body.len());
/// # Ok::<(), workloads::http::Error>(())
/// ```
pub struct Client {
    config: Arc<Config>,
    pool: Pool<TcpStream>,
}

impl Client {
    /// A client without connections.
    pub fn new(config: Config) -> Client {
        Client {
            config: Arc::new(config),
            pool: Pool::new(),
        }
    }

    /// Fetches `url`, following redirects. Blocks until the answer is whole.
    ///
    /// # Errors
    ///
    /// Whatever kept the answer from being whole by the `deadline`; see
    /// [`Reason`](super::error::Reason). A status such as 404 is an answer, not an error.
    pub fn get(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        self.fetch(Method::Get, url, deadline)
    }

    /// As [`Client::get`], for the head alone.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub fn head(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        self.fetch(Method::Head, url, deadline)
    }

    /// How many connections are idle now.
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    fn fetch(&self, method: Method, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        let mut fetch = Fetch::new(self.config.clone(), method, url.clone(), deadline);
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            match fetch.next_step()? {
                Step::Take(origin) => {
                    let idle = self.pool.take(origin, &self.config);
                    fetch.took(idle);
                }
                Step::Probe(stream) => {
                    let result = read_now(stream, &mut buffer);
                    fetch.probed(result.map(|result| result.map(|n| &buffer[..n])));
                }
                Step::Resolve(origin) => {
                    let result = resolve(origin, deadline);
                    fetch.resolved(result);
                }
                Step::Connect(address, until) => fetch.connected(connect(address, until)),
                Step::Send(stream, bytes) => {
                    let result = send(stream, bytes, deadline);
                    fetch.sent(result);
                }
                Step::Receive(stream) => {
                    let result = receive(stream, &mut buffer, deadline);
                    fetch.received(result.map(|n| &buffer[..n]));
                }
                Step::Keep(connection) => self.pool.put(connection, &self.config),
                Step::Done(response) => return Ok(response),
            }
        }
    }
}

fn resolve(origin: &Origin, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    let name = (origin.host.clone(), origin.port);
    let lookup = move || name.to_socket_addrs().map(|addresses| addresses.collect());
    let Some(remaining) = deadline.remaining() else {
        return lookup();
    };
    let (sender, receiver) = mpsc::channel();
    // Nobody may be listening any more; then the answer is of no use.
    let work = move || drop(sender.send(lookup()));
    thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(work)?;
    match receiver.recv_timeout(remaining) {
        Ok(addresses) => addresses,
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the resolver panicked")),
    }
}

fn connect(address: SocketAddr, until: Deadline) -> io::Result<TcpStream> {
    let stream = match until.remaining() {
        None => TcpStream::connect(address)?,
        Some(_) => TcpStream::connect_timeout(&address, left(until)?.unwrap_or(Duration::MAX))?,
    };
    // A request is written whole; waiting to fill a segment would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, bytes: &[u8], deadline: Deadline) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    when(stream, PollFlags::OUT, deadline, || {
        rustix::net::send(&*stream, bytes, flags)
    })
}

fn receive(stream: &mut TcpStream, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
    when(stream, PollFlags::IN, deadline, || {
        let (n, _) = rustix::net::recv(&*stream, &mut *buffer, RecvFlags::DONTWAIT)?;
        Ok(n)
    })
}

/// Does `operation`, which does not wait, when `stream` is ready for it. Again when a signal came
/// in between, or when the stream turned out not to be ready.
fn when<T>(
    stream: &TcpStream,
    ready: PollFlags,
    deadline: Deadline,
    mut operation: impl FnMut() -> Result<T, Errno>,
) -> io::Result<T> {
    loop {
        // Longer than a `timespec` can say is for ever.
        let limit = left(deadline)?.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(stream, ready)], limit.as_ref()) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match operation() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// What is left, as sockets want it: `None` to wait for ever, and zero is an error.
fn left(deadline: Deadline) -> io::Result<Option<Duration>> {
    match deadline.remaining() {
        Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
        other => Ok(other),
    }
}
