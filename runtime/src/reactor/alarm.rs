//! A clock that rings as a descriptor: Linux's timerfd, for waits that end on time.
//!
//! `epoll_wait` counts whole milliseconds, and the kernel may add its timer slack (50 us, or 0.1 %
//! of a long wait) to any timeout given to a system call. A timerfd has neither fault.
//!
//! Owns      one descriptor, and the deadline it is set to.
//! Cost      setting it is a system call, so it is set to an earlier deadline only: one that moves
//!           away (a timeout that was dropped, usually) leaves the alarm where it is, at the price
//!           of one needless return at the old time. Setting it takes an absolute time: no clock
//!           is read before a sleep.
//! Source    timerfd_create(2); select_estimate_accuracy in Linux's fs/select.c. Next: `mio.rs`.

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub(crate) struct Alarm {
    fd: OwnedFd,
    /// The same moment on two clocks: std's `Instant` and the kernel's CLOCK_MONOTONIC. `Instant`
    /// is read first, so a deadline comes out a few nanoseconds late rather than early.
    origin: (Instant, Duration),
    /// When it rings next, if it is set.
    set_for: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Alarm> {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let origin = Instant::now();
        let kernel = clock_gettime(ClockId::Monotonic);
        let kernel = Duration::try_from(kernel).expect("CLOCK_MONOTONIC does not go below zero");
        Ok(Alarm {
            fd,
            origin: (origin, kernel),
            set_for: None,
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Rings at `deadline` or before.
    pub(crate) fn set(&mut self, deadline: Instant) -> io::Result<()> {
        if self.set_for.is_some_and(|set_for| set_for <= deadline) {
            return Ok(());
        }
        let (origin, kernel) = self.origin;
        // Never zero, which would switch the alarm off: `kernel` is the time since boot.
        let at = kernel.saturating_add(deadline.saturating_duration_since(origin));
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(at).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            }),
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)?;
        self.set_for = Some(deadline);
        Ok(())
    }

    /// It rang. (Edge-triggered: the expiry count needs no reading, the next `set` clears it.)
    pub(crate) fn rang(&mut self) {
        self.set_for = None;
    }
}
