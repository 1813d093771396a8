//! Why a group failed: its members' errors, the first of them first. Next: `inbox.rs`.

use crate::error::JoinError;
use std::error::Error;
use std::fmt;

/// Why one member of a [`TaskGroup`](crate::TaskGroup) failed.
#[derive(Debug)]
pub enum Failure<E> {
    /// It returned this error.
    Returned(E),
    /// It came to no result: it panicked, its worker process died, its pool was closed. Never
    /// `Cancelled`: who was cancelled has not failed.
    Lost(JoinError),
}

/// Why a [`TaskGroup`](crate::TaskGroup) failed: at least one failure, in the order in which they
/// happened. Those after the first are of members that failed before the cancellation reached
/// them.
#[derive(Debug)]
pub struct GroupError<E> {
    first: Failure<E>,
    others: Vec<Failure<E>>,
}

impl<E> GroupError<E> {
    /// From all failures; `None` when there are none.
    pub(super) fn from_failures(failures: Vec<Failure<E>>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        let others = failures.collect();
        Some(Self { first, others })
    }

    /// The failure that cancelled the others.
    pub fn first(&self) -> &Failure<E> {
        &self.first
    }

    /// The failure that cancelled the others, by value.
    pub fn into_first(self) -> Failure<E> {
        self.first
    }

    /// All failures, the first one first.
    pub fn failures(&self) -> impl Iterator<Item = &Failure<E>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All failures, the first one first, by value.
    pub fn into_failures(self) -> impl Iterator<Item = Failure<E>> {
        std::iter::once(self.first).chain(self.others)
    }
}

impl<E> Failure<E> {
    /// The error that was returned, if one was.
    pub fn returned(self) -> Option<E> {
        match self {
            Failure::Returned(error) => Some(error),
            Failure::Lost(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Returned(error) => error.fmt(f),
            Failure::Lost(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a member of the group failed: {}", self.first)?;
        match self.others.len() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl<E: Error + 'static> Error for Failure<E> {
    // Its text is that of what it holds, so its source is what that one has.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Failure::Returned(error) => error.source(),
            Failure::Lost(error) => error.source(),
        }
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first)
    }
}
