//! What a backend must supply, and where the two backends differ.
//!
//! A backend comes in two halves because they live in different hands: any thread registers
//! sources and rings the bell ([`Selector`], shared), one thread at a time waits ([`Wait`], owned).
//!
//! | question                       | `mio.rs`: edge              | `polling.rs`: oneshot            |
//! |--------------------------------|-----------------------------|----------------------------------|
//! | when does the OS speak?        | once per change             | once per arming                  |
//! | what is asked at registration? | both directions, for good   | nothing                          |
//! | who re-arms, and when?         | nobody, never               | a waiter, after leaving its waker|
//! | an event ends the interest in  | nothing                     | both directions, whichever spoke |
//! | so an event wakes              | its own direction           | both (the other one re-arms)     |
//! | system calls per read that waits | 0                         | 1 (re-arm)                       |
//! | the end of a connection        | said once: kept in the word | said again at each arming        |
//! | a read filled its buffer       | tried again, or put off: side.rs | the next arming tells        |
//!
//! The rest of the reactor looks at [`Arming`] in two places of `readiness.rs` (a waiter, an event),
//! one of `registry.rs` (a doubt), and is otherwise blind to the difference. Next: `alarm.rs`, `mio.rs`.

use super::interest::{Interest, Ready};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

/// Which door to the operating system an event loop uses. Programs notice no difference but speed.
///
/// | | [`Mio`](Self::Mio) | [`Polling`](Self::Polling) |
/// |---|---|---|
/// | the operating system speaks | once per change (edge) | once per arming (oneshot) |
/// | system calls for a read that waits | the read | the read, and one to arm |
/// | an event wakes | whoever waits for its direction | whoever waits: the others arm again |
/// | a deadline is kept by | a timerfd (Linux) | a timerfd (Linux) |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The `mio` crate, edge-triggered: a source is registered once, for good.
    #[default]
    Mio,
    /// The `polling` crate, oneshot: a source is armed each time a task begins to wait for it.
    Polling,
}

/// Names a source in an event. `registry.rs` makes them and reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) usize);

/// One thing the OS said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) ready: Ready,
}

/// When the OS speaks about a source: see the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arming {
    Edge,
    Oneshot,
}

/// How long a wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Look for what is there already, and do not sleep.
    Look,
    Until(Instant),
    Forever,
}

/// The shared half: registering, and ending a wait from outside.
pub(crate) trait Selector: Send + Sync {
    fn arming(&self) -> Arming;

    /// Begins to report on `fd` under `token`. Edge: in both directions. Oneshot: not yet armed.
    fn register(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()>;

    /// Oneshot only: asks for the next event in `interest`, at once if it is already so.
    fn rearm(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()>;

    /// Stops reporting on `fd`. Events fetched before may still be on their way.
    fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()>;

    /// Ends the current or the next wait. May be a system call: `unpark.rs` avoids it if it can.
    fn ring(&self);
}

/// The owner's half.
pub(crate) trait Wait: Send {
    /// Sleeps until an event, a `ring`, or the limit, and appends the events. May return early.
    fn wait(&mut self, limit: Limit, events: &mut Vec<Event>) -> io::Result<()>;
}

/// Both halves of one backend.
pub(crate) type Halves = (Arc<dyn Selector>, Box<dyn Wait>);

impl Backend {
    /// Opens it.
    pub(crate) fn open(self) -> io::Result<Halves> {
        match self {
            Backend::Mio => super::mio::open(),
            Backend::Polling => super::polling::open(),
        }
    }
}

/// How many events one wait fetches at most; more stay in the kernel for the next one. It bounds
/// how long tasks that are already awake wait for the loop's bookkeeping.
pub(crate) const EVENTS_PER_WAIT: usize = 1024;
