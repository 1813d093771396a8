//! The edge-triggered backend, on mio.
//!
//! Only mio's selector is used; none of its sockets. A source is registered once for both
//! directions, and the OS then speaks once per change. That makes a wait cost no system call but
//! the wait itself, and makes `readiness.rs` responsible for remembering what was said.
//!
//! Cost      one epoll, one eventfd, one timerfd (Linux) and one duplicate of the epoll per loop.
//! Source    mio's `Poll` docs, section "Draining readiness"; epoll(7). Next: `polling.rs`.

#[cfg(target_os = "linux")]
use super::alarm::Alarm;
use super::interest::{Interest, Ready};
use super::poller::{Arming, EVENTS_PER_WAIT, Event, Halves, Limit, Selector, Token, Wait};
use mio::unix::SourceFd;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
#[cfg(not(target_os = "linux"))]
use std::time::Instant;

/// Tokens that name no source. The registry never makes them: it would need every index in use.
const BELL: mio::Token = mio::Token(usize::MAX);
#[cfg(target_os = "linux")]
const ALARM: mio::Token = mio::Token(usize::MAX - 1);

/// Of every source. A byte out of band is asked for because it ends reads early (`side.rs`).
#[cfg(target_os = "linux")]
const INTEREST: mio::Interest = mio::Interest::READABLE
    .add(mio::Interest::WRITABLE)
    .add(mio::Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const INTEREST: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

struct MioSelector {
    registry: mio::Registry,
    bell: mio::Waker,
}

struct MioWait {
    poll: mio::Poll,
    buffer: mio::Events,
    #[cfg(target_os = "linux")]
    alarm: Alarm,
}

pub(crate) fn open() -> io::Result<Halves> {
    let poll = mio::Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let bell = mio::Waker::new(&registry, BELL)?;
    #[cfg(target_os = "linux")]
    let alarm = {
        let alarm = Alarm::new()?;
        registry.register(
            &mut SourceFd(&alarm.fd().as_raw_fd()),
            ALARM,
            mio::Interest::READABLE,
        )?;
        alarm
    };
    let wait = MioWait {
        poll,
        buffer: mio::Events::with_capacity(EVENTS_PER_WAIT),
        #[cfg(target_os = "linux")]
        alarm,
    };
    Ok((Arc::new(MioSelector { registry, bell }), Box::new(wait)))
}

impl Selector for MioSelector {
    fn arming(&self) -> Arming {
        Arming::Edge
    }

    fn register(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.registry.register(
            &mut SourceFd(&fd.as_raw_fd()),
            mio::Token(token.0),
            INTEREST,
        )
    }

    fn rearm(&self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
        Ok(()) // Edge: armed for good at registration.
    }

    fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&fd.as_raw_fd()))
    }

    fn ring(&self) {
        // An eventfd write fails only when its counter is full, and mio empties it then.
        self.bell
            .wake()
            .expect("the event loop's bell does not ring");
    }
}

impl Wait for MioWait {
    fn wait(&mut self, limit: Limit, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = self.timeout(limit)?;
        self.poll.poll(&mut self.buffer, timeout)?;
        for event in &self.buffer {
            match event.token() {
                BELL => {}
                #[cfg(target_os = "linux")]
                ALARM => self.alarm.rang(),
                mio::Token(token) => events.push(Event {
                    token: Token(token),
                    ready: translate(event),
                }),
            }
        }
        Ok(())
    }
}

impl MioWait {
    #[cfg(target_os = "linux")]
    fn timeout(&mut self, limit: Limit) -> io::Result<Option<Duration>> {
        match limit {
            Limit::Look => Ok(Some(Duration::ZERO)),
            Limit::Forever => Ok(None),
            Limit::Until(deadline) => self.alarm.set(deadline).map(|()| None),
        }
    }

    /// Elsewhere the selector's own timeout is fine enough (kqueue counts nanoseconds).
    #[cfg(not(target_os = "linux"))]
    fn timeout(&mut self, limit: Limit) -> io::Result<Option<Duration>> {
        Ok(match limit {
            Limit::Look => Some(Duration::ZERO),
            Limit::Forever => None,
            Limit::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
        })
    }
}

#[inline]
fn translate(event: &mio::event::Event) -> Ready {
    let bits = |said, bits| if said { bits } else { Ready::NONE };
    bits(event.is_readable(), Ready::READABLE)
        .and(bits(event.is_writable(), Ready::WRITABLE))
        .and(bits(event.is_read_closed(), Ready::READ_CLOSED))
        .and(bits(event.is_write_closed(), Ready::WRITE_CLOSED))
        // An error is news for whoever waits, in either direction: the system call reports it.
        .and(bits(event.is_error(), Ready::READABLE.and(Ready::WRITABLE)))
        .and(bits(
            event.is_priority(),
            Ready::READABLE.and(Ready::URGENT),
        ))
}
