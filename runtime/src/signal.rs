//! Signals as futures: Ctrl-C and its like.
//!
//! ```text
//!   kernel --> signal handler --> a byte into each listener's socket --> the event loop --> recv
//!              (any thread; may do almost nothing)                       (ordinary readiness)
//! ```
//!
//! A handler runs in the middle of anything, so it may do next to nothing: writing a byte is
//! allowed (signal-safety(7)), and a byte is what an event loop can wait for. It is the self-pipe
//! trick of D. J. Bernstein, with a socket per listener, so that no listener takes another's byte.
//! `signal-hook` installs the handler and keeps the list of sockets.
//!
//! Owns      two descriptors per listener. Next: `net/`.

use crate::async_fd::Async;
use futures_core::Stream;
use signal_hook::SigId;
use signal_hook::consts::{self, FORBIDDEN};
use signal_hook::low_level::{pipe, unregister};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits for Ctrl-C (`SIGINT`).
///
/// From the first call on, and for the rest of the process's life, that signal no longer ends the
/// process: it is for the program to do. A signal that comes while nobody waits is lost; a program
/// that waits again and again keeps a [`Signal`] instead.
///
/// # Errors
/// As for [`signal`].
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```no_run
/// # async fn serve() {}
/// # tatkal::block_on(async {
/// futures_lite::future::or(serve(), async {
///     tatkal::ctrl_c().await.expect("no handler for Ctrl-C");
///     println!("stopping");
/// })
/// .await;
/// # })
/// ```
pub async fn ctrl_c() -> io::Result<()> {
    signal(SignalKind::INTERRUPT)?.recv().await
}

/// Listens for a signal, from now until the [`Signal`] is dropped. Any number may listen for the
/// same one, and each hears of it.
///
/// The signal no longer does what it does by default, and does not again when nobody listens any
/// more: undoing it could race with a signal that is on its way.
///
/// # Errors
/// If the signal cannot be handled (`InvalidInput`), or the descriptors cannot be had.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```
/// use tatkal::signal::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let mut reload = signal(SignalKind::HANGUP)?;
/// #   rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP)?;
///     // kill -HUP <pid>
///     reload.recv().await
/// })
/// # }
/// ```
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    if FORBIDDEN.contains(&kind.0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{kind:?} cannot be handled"),
        ));
    }
    let (ours, handlers) = UnixStream::pair()?;
    let bytes = Async::new(ours)?;
    Ok(Signal {
        bytes,
        id: pipe::register(kind.0, handlers)?,
    })
}

/// Which signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// `SIGINT`: Ctrl-C.
    pub const INTERRUPT: SignalKind = SignalKind(consts::SIGINT);
    /// `SIGTERM`: please end.
    pub const TERMINATE: SignalKind = SignalKind(consts::SIGTERM);
    /// `SIGHUP`: the terminal is gone; for a daemon, by custom: read your configuration again.
    pub const HANGUP: SignalKind = SignalKind(consts::SIGHUP);
    /// `SIGQUIT`: Ctrl-\.
    pub const QUIT: SignalKind = SignalKind(consts::SIGQUIT);
    /// `SIGUSR1`.
    pub const USER_1: SignalKind = SignalKind(consts::SIGUSR1);
    /// `SIGUSR2`.
    pub const USER_2: SignalKind = SignalKind(consts::SIGUSR2);
    /// `SIGCHLD`: a child process changed state.
    pub const CHILD: SignalKind = SignalKind(consts::SIGCHLD);
    /// `SIGWINCH`: the terminal changed size.
    pub const WINDOW_CHANGE: SignalKind = SignalKind(consts::SIGWINCH);

    /// Any other, by its number on this system.
    pub const fn from_raw(number: i32) -> SignalKind {
        SignalKind(number)
    }

    /// Its number on this system.
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_hook::low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// A listener: [`signal`]. Also an endless [`Stream`].
///
/// Signals that come in quick succession may be reported as one, as the kernel itself does.
#[derive(Debug)]
pub struct Signal {
    bytes: Async<UnixStream>,
    id: SigId,
}

impl Signal {
    /// Waits for the next one; at once, if one has come since the last call.
    ///
    /// # Errors
    /// If the runtime was shut down.
    ///
    /// # Cancellation
    /// Dropping the future loses no signal.
    pub async fn recv(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Self::recv) for hand-written futures.
    ///
    /// # Errors
    /// If the runtime was shut down.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Many bytes at once: many signals, told as one.
        let take = |mut io: &UnixStream| io.read(&mut [0; 64]);
        self.bytes.poll_read_with(cx, take).map_ok(|_| ())
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Some)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // The handler's end of the socket is closed with its entry.
        unregister(self.id);
    }
}
