//! Two small vocabularies: what we ask to hear about, and what the OS last said.
//!
//! `Direction` is which way a task wants to move bytes. `Interest` is a set of directions, in the
//! question we put to the OS. `Ready` is the answer, and a hint only: the system call decides.
//! Next: `poller.rs`.

/// Which way bytes move, seen from the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// A set of directions: what we asked the OS to tell us about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    pub(crate) const NONE: Interest = Interest(0);

    pub(crate) fn contains(self, direction: Direction) -> bool {
        self.0 & Interest::from(direction).0 != 0
    }

    #[must_use]
    pub(crate) fn with(self, direction: Direction) -> Interest {
        Interest(self.0 | Interest::from(direction).0)
    }
}

impl From<Direction> for Interest {
    fn from(direction: Direction) -> Interest {
        Interest(match direction {
            Direction::Read => 1,
            Direction::Write => 2,
        })
    }
}

/// What the OS said about a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready(u8);

impl Ready {
    pub(crate) const NONE: Ready = Ready(0);
    pub(crate) const READABLE: Ready = Ready(1);
    pub(crate) const WRITABLE: Ready = Ready(1 << 1);
    pub(crate) const READ_CLOSED: Ready = Ready(1 << 2);
    pub(crate) const WRITE_CLOSED: Ready = Ready(1 << 3);
    /// Not from the OS: the reactor is gone, and no event will ever come.
    pub(crate) const ORPHANED: Ready = Ready(1 << 4);
    /// There is a byte out of band, at which reads end early.
    pub(crate) const URGENT: Ready = Ready(1 << 5);

    #[must_use]
    pub(crate) const fn and(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    pub(crate) const fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// Everything that should make a task try again in `direction`.
    pub(crate) const fn concerning(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready::READABLE.and(Ready::READ_CLOSED).and(Ready::ORPHANED),
            Direction::Write => Ready::WRITABLE
                .and(Ready::WRITE_CLOSED)
                .and(Ready::ORPHANED),
        }
    }

    /// What says that `direction` has ended.
    pub(crate) const fn closing(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready::READ_CLOSED,
            Direction::Write => Ready::WRITE_CLOSED,
        }
    }
}
