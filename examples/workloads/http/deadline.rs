//! One point in time by which a whole request must be over.
//!
//! A deadline instead of a timeout per step: steps add up, and a peer that sends one byte in time,
//! again and again, must not hold a worker for ever.

use std::time::{Duration, Instant};

/// When to give up. Copy it along; it does not restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Wait for as long as it takes.
    pub const NEVER: Deadline = Deadline(None);

    /// `timeout` from now; one too far off to be told is never.
    pub fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// At `instant`.
    pub fn at(instant: Instant) -> Deadline {
        Deadline(Some(instant))
    }

    /// The instant; `None` is never.
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// The time left, zero when it has passed; `None` when it never will.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    /// Is it over?
    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// When one of `waiting` candidates must have succeeded, so that each of the others still has
    /// as much time as this one: a first address that swallows packets must not use up what the
    /// second would need.
    pub fn share(self, waiting: usize) -> Deadline {
        match self.remaining() {
            Some(left) => Deadline::after(left / u32::try_from(waiting.max(1)).unwrap_or(u32::MAX)),
            None => Deadline::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_or_never_does() {
        assert!(Deadline::after(Duration::ZERO).has_passed());
        assert!(!Deadline::after(Duration::from_secs(3600)).has_passed());
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
        assert!(!Deadline::NEVER.has_passed());
    }

    #[test]
    fn candidates_share_what_is_left() {
        let whole = Deadline::after(Duration::from_secs(3600));
        let part = whole.share(4).remaining().unwrap();
        assert!(part <= Duration::from_secs(900), "{part:?}");
        assert_eq!(Deadline::NEVER.share(3), Deadline::NEVER);
        assert!(Deadline::after(Duration::ZERO).share(0).has_passed());
    }
}
