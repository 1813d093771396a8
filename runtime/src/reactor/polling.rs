//! The oneshot backend, on the `polling` crate.
//!
//! A source is registered with no interest at all. A task that begins to wait arms it, one event
//! disarms it. Each wait thus costs a system call more than with `mio.rs`; in exchange the OS
//! repeats what is still true at each arming, and nothing needs remembering.
//!
//! Source    `polling::Poller` docs; epoll(7) on EPOLLONESHOT. Next: `unpark.rs`.

use super::interest::{Direction, Interest, Ready};
use super::poller::{Arming, EVENTS_PER_WAIT, Event, Halves, Limit, Selector, Token, Wait};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

struct PollingSelector {
    poller: polling::Poller,
}

struct PollingWait {
    selector: Arc<PollingSelector>,
    buffer: polling::Events,
}

pub(crate) fn open() -> io::Result<Halves> {
    let selector = Arc::new(PollingSelector {
        poller: polling::Poller::new()?,
    });
    let capacity = const { NonZeroUsize::new(EVENTS_PER_WAIT).unwrap() };
    let wait = PollingWait {
        selector: selector.clone(),
        buffer: polling::Events::with_capacity(capacity),
    };
    Ok((selector, Box::new(wait)))
}

impl Selector for PollingSelector {
    fn arming(&self) -> Arming {
        Arming::Oneshot
    }

    // `polling` marks registration unsafe; see the list of exceptions in lib.rs.
    #[allow(unsafe_code)]
    fn register(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        // SAFETY: `add` asks that the descriptor be deleted from the poller before it is closed.
        // Registrations are made for `Async` only, which owns the object that keeps the descriptor
        // open (or borrows it from its owner), hands it out by shared reference only, and
        // deregisters it in its `drop`, before the object is dropped. Leaked, it is never closed.
        unsafe {
            self.poller
                .add(fd.as_raw_fd(), polling::Event::none(token.0))
        }
    }

    fn rearm(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let interest = polling::Event::new(
            token.0,
            interest.contains(Direction::Read),
            interest.contains(Direction::Write),
        );
        self.poller.modify(fd, interest)
    }

    fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(fd)
    }

    fn ring(&self) {
        self.poller
            .notify()
            .expect("the event loop's bell does not ring");
    }
}

impl Wait for PollingWait {
    fn wait(&mut self, limit: Limit, events: &mut Vec<Event>) -> io::Result<()> {
        self.buffer.clear();
        let poller = &self.selector.poller;
        match limit {
            Limit::Look => poller.wait(&mut self.buffer, Some(Duration::ZERO))?,
            Limit::Until(deadline) => poller.wait_deadline(&mut self.buffer, deadline)?,
            Limit::Forever => poller.wait(&mut self.buffer, None)?,
        };
        events.extend(self.buffer.iter().map(|event| Event {
            token: Token(event.key),
            ready: translate(&event),
        }));
        Ok(())
    }
}

/// No closed bits: the OS says so again at the next arming. (`polling` reports an error or a
/// hang-up as readable and writable.)
fn translate(event: &polling::Event) -> Ready {
    let mut ready = Ready::NONE;
    if event.readable {
        ready = ready.and(Ready::READABLE);
    }
    if event.writable {
        ready = ready.and(Ready::WRITABLE);
    }
    ready
}
