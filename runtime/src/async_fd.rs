//! Async: any descriptor that the operating system can poll, as a source of this runtime.
//!
//! Everything in `net/` is one of these around a std type. It ties three things together: the
//! descriptor, its registration, and the rule that the first is deregistered before it is closed.
//!
//! ```text
//!   poll_io(op):  ready? --no--> leave the waker ---------------> Pending
//!                   | yes, or nothing known yet
//!                  op() --WouldBlock--> what was seen is used up, ask again
//!                   |
//!                 result -------------------------------------> Ready
//! ```
//!
//! The system call is tried before anybody waits: at the first use of a socket there usually is
//! something to read or room to write, and then the reactor is not needed at all. A source that is
//! always ready is not tried for ever: each success costs the task's budget a unit (`budget.rs` of
//! the executor), and when that is used up the task goes to the back of the queue.
//! Next: `signal.rs`.

use crate::context;
use crate::reactor::{Direction, Moved, Registration, Seen};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use tatkal_executor::budget;

/// What a read of a byte stream brought.
pub(crate) struct Received {
    pub(crate) count: usize,
    /// It ended where it did for a reason of its own, and there may be more.
    pub(crate) is_cut: bool,
}

/// An object with a descriptor, and tasks that wait for it to become readable or writable.
///
/// For pipes, character devices, sockets of other libraries: whatever `epoll` takes. It does not
/// take regular files: they are always ready, and still block.
///
/// Any number of tasks may wait, on one thread or on several, in both directions.
///
/// # Example
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use tatkal::Async;
///
/// # fn main() -> std::io::Result<()> {
/// tatkal::block_on(async {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     let ours = Async::new(ours)?;
///     theirs.write_all(b"hi")?;
///     let mut buffer = [0; 8];
///     let n = ours.read_with(|mut io| io.read(&mut buffer)).await?;
///     assert_eq!(&buffer[..n], b"hi");
///     Ok(())
/// })
/// # }
/// ```
pub struct Async<T: AsFd> {
    registration: Registration,
    /// `None` only after `into_inner` took it out.
    io: Option<T>,
}

impl<T: AsFd> Async<T> {
    /// Makes `io` non-blocking, and has the current runtime watch it.
    ///
    /// # Errors
    /// If its descriptor cannot be watched (a regular file: `PermissionDenied`; one that this
    /// runtime watches already: `AlreadyExists`), or the runtime was shut down.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn new(io: T) -> io::Result<Async<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Async::nonblocking(io)
    }

    /// `new` for a descriptor that is known to be non-blocking.
    #[track_caller]
    pub(crate) fn nonblocking(io: T) -> io::Result<Async<T>> {
        let registration = context::shared().registry.register(io.as_fd())?;
        Ok(Async {
            registration,
            io: Some(io),
        })
    }

    /// The object inside. Operations on it do not wait: they fail with `WouldBlock`.
    pub fn get_ref(&self) -> &T {
        // Taken out only by `into_inner`, which consumes us.
        self.io.as_ref().expect("the object is there until the end")
    }

    /// Takes the object out. It stays non-blocking.
    pub fn into_inner(mut self) -> T {
        self.registration.deregister(self.get_ref().as_fd());
        self.io.take().expect("the object is there until the end")
    }

    /// Waits until a read would not block (bytes, a connection, the end, or an error is there).
    ///
    /// It is the operating system that says so, now; but another task may be quicker.
    ///
    /// # Errors
    /// If the runtime was shut down.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_true(cx, Direction::Read)).await
    }

    /// Waits until a write would not block. As [`readable`](Self::readable) otherwise.
    ///
    /// # Errors
    /// If the runtime was shut down.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_true(cx, Direction::Write)).await
    }

    /// Tries `op` until it does not say `WouldBlock`, waiting until `io` is readable in between.
    ///
    /// # Errors
    /// Those of `op`, or that the runtime was shut down.
    ///
    /// # Cancellation
    /// Nothing is lost: `op` has not succeeded before this returns.
    pub async fn read_with<R>(&self, mut op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| self.poll_io(cx, Direction::Read, &mut op)).await
    }

    /// Tries `op` until it does not say `WouldBlock`, waiting until `io` is writable in between.
    /// As [`read_with`](Self::read_with) otherwise.
    ///
    /// # Errors
    /// Those of `op`, or that the runtime was shut down.
    pub async fn write_with<R>(&self, mut op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| self.poll_io(cx, Direction::Write, &mut op)).await
    }

    /// [`read_with`](Self::read_with) for hand-written futures.
    ///
    /// # Errors
    /// Those of `op`, or that the runtime was shut down.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(cx, Direction::Read, op)
    }

    /// [`write_with`](Self::write_with) for hand-written futures.
    ///
    /// # Errors
    /// Those of `op`, or that the runtime was shut down.
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(cx, Direction::Write, op)
    }

    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_op(cx, direction, op, |_| None)
    }

    /// `poll_io` for byte streams: reads at most `full` bytes. If it were less, there is no more for
    /// now, and the call that would only say `WouldBlock` is saved; if as many, or if the read was
    /// cut, nobody knows, and perhaps that is saved too (`reactor/side.rs`).
    ///
    /// (epoll(7), question 9. The end of the stream is not missed: it is a flag of its own in the
    /// readiness, and that one is never cleared.)
    #[inline]
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        full: usize,
        op: impl FnMut(&T) -> io::Result<Received>,
    ) -> Poll<io::Result<usize>> {
        let moved = |received: &Received| match *received {
            Received { count: 0, .. } => None,
            Received { count, is_cut } if count < full && !is_cut => Some(Moved::Part),
            _ => Some(Moved::All),
        };
        let received = self.poll_op(cx, Direction::Read, op, moved);
        received.map_ok(|received| received.count)
    }

    /// The same for writing: if it was less than `full`, there is no room for more.
    #[inline]
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        full: usize,
        op: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_op(cx, Direction::Write, op, |sent| {
            (*sent > 0 && *sent < full).then_some(Moved::Part)
        })
    }

    /// `moved`: what a success with this result says about what is left, if it says anything.
    #[inline]
    fn poll_op<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut op: impl FnMut(&T) -> io::Result<R>,
        moved: impl Fn(&R) -> Option<Moved>,
    ) -> Poll<io::Result<R>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let seen = ready!(self.poll_seen(cx, direction))?;
            let result = op(self.get_ref());
            match &result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.note(seen, direction, Moved::Nothing);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {}
                Ok(output) => {
                    if let Some(moved) = moved(output) {
                        self.registration.note(seen, direction, moved);
                    }
                }
            }
            budget::spend();
            return Poll::Ready(result);
        }
    }

    #[inline]
    fn poll_seen(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<Seen>> {
        let fd = self.get_ref().as_fd();
        self.registration
            .poll_ready(cx, direction, fd, context::put_off)
    }

    /// Waits until the OS confirms what the readiness only hints at.
    pub(crate) fn poll_true(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        self.poll_io(cx, direction, |io| {
            if is_ready(io.as_fd(), direction)? {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
    }
}

/// poll(2), without waiting.
fn is_ready(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<bool> {
    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    Ok(rustix::event::poll(&mut fds, Some(&Timespec::default()))? > 0)
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        // Before the field that closes the descriptor is dropped.
        if let Some(io) = &self.io {
            self.registration.deregister(io.as_fd());
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.io).finish()
    }
}
