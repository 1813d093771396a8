//! The server on our own runtime: as a future, and as a thread of its own.
//!
//! ```text
//!   Server::start --> thread "flags server": Runtime --> serve: accept --> a task for each connection
//!        |                                                  ^
//!      drop --------------------abort-----------------------+    then join: thread and sockets are gone
//! ```
//!
//! A thread of its own, with a one-thread runtime of its own, so that it disturbs nothing: what is
//! measured is the client, and its modes share no loop with the server. Next: `program.rs`.

use super::config::Config;
use super::connection::serve_connection;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{AbortHandle, JoinHandle, Runtime};

/// Accepts connections for ever, and answers each on a task of its own.
///
/// An accept that fails is tried again: the connection was gone too soon, or descriptors have run out
/// and come back (the listener pauses then, it does not spin).
///
/// # Panics
/// Outside of a runtime.
///
/// # Cancellation
/// Dropping it stops the accepting. The connections are the runtime's.
pub async fn serve(listener: TcpListener, config: Config) {
    let config = Arc::new(config);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => tatkal::spawn(attend(stream, config.clone())).detach(),
            // Should an error stay, the connections there are must still have their turn.
            Err(_) => tatkal::yield_now().await,
        }
    }
}

async fn attend(stream: TcpStream, config: Arc<Config>) {
    // An answer goes out in one write, and should not wait for the acknowledgement of the last one.
    // Neither this nor a client that leaves is worth more than the end of the connection.
    if stream.set_nodelay(true).is_ok() {
        let _ = serve_connection(stream, &config, tatkal::sleep).await;
    }
}

/// A server on a thread of its own. Dropping it closes all its sockets and joins the thread.
///
/// In a program that forks, start the fork server first: it wants to be alone.
///
/// ```
/// use std::io::{Read, Write};
/// use workloads::server::{Config, Server};
///
/// let server = Server::start(Config::local())?;
/// let mut client = std::net::TcpStream::connect(server.addr())?;
/// client.write_all(b"HEAD /flags/ye/ye.jpg HTTP/1.0\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    accepting: AbortHandle,
    /// `None` only while it is being dropped.
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// On a free port of 127.0.0.1; it accepts connections when this returns.
    ///
    /// # Errors
    /// If there is no port, no thread or no event loop to be had.
    pub fn start(config: Config) -> io::Result<Server> {
        Server::start_at((Ipv4Addr::LOCALHOST, 0).into(), config)
    }

    /// As [`start`](Server::start), on an address of one's choice.
    ///
    /// # Errors
    /// If the address is taken or not this machine's, and as above.
    pub fn start_at(addr: SocketAddr, config: Config) -> io::Result<Server> {
        let (report, reported) = mpsc::channel();
        let body = move || match open(addr, config) {
            Ok((runtime, addr, accepting)) => {
                let _ = report.send(Ok((addr, accepting.abort_handle())));
                let _aborted = runtime.block_on(accepting);
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        };
        let thread = thread::Builder::new()
            .name("flags server".into())
            .spawn(body)?;
        let (addr, accepting) = reported
            .recv()
            .expect("the thread reports before it ends")?;
        Ok(Server {
            addr,
            accepting,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The start of its URLs: `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// Binds on the runtime rather than with std, whose queue of 128 connections not yet accepted is too
/// short for 249 clients at once: the others would wait a second to try again.
fn open(addr: SocketAddr, config: Config) -> io::Result<(Runtime, SocketAddr, JoinHandle<()>)> {
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind(addr))?;
    let addr = listener.local_addr()?;
    let accepting = runtime.spawn(serve(listener, config));
    Ok((runtime, addr, accepting))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
