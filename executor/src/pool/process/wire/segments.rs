//! The pool's deserializer: postcard's, reading a payload that lies in several places.
//!
//! ```text
//!   stream:   [ "a name" 3 MiB:|  5 | 64 MiB:| ]
//!                              ^             ^
//!   along:                  [ 3 MiB ]    [ 64 MiB ]      each at its place, as if it stood there
//! ```
//!
//! Holds     a slice that is asked for in one piece is handed out where it lies, or not at all: when
//!           it would reach over an edge, `is_torn` says so, and the caller puts all together and
//!           begins again. (That is asked for only by a type that reads otherwise than it writes.)
//! Source    postcard's flavors. Next: `codec.rs`.

use postcard::de_flavors::Flavor;
use postcard::{Error, Result};
use std::cell::Cell;

/// See the file head.
pub(in crate::pool::process) struct Segments<'de> {
    now: &'de [u8],
    later: std::slice::Iter<'de, &'de [u8]>,
    is_torn: &'de Cell<bool>,
}

impl<'de> Segments<'de> {
    pub(in crate::pool::process) fn new(
        segments: &'de [&'de [u8]],
        is_torn: &'de Cell<bool>,
    ) -> Segments<'de> {
        Segments {
            now: &[],
            later: segments.iter(),
            is_torn,
        }
    }

    fn left(&self) -> usize {
        let later: usize = self.later.clone().map(|segment| segment.len()).sum();
        self.now.len() + later
    }

    /// On to the next segment that is not empty, if this one is at its end.
    fn advance(&mut self) {
        while self.now.is_empty() {
            match self.later.next() {
                Some(segment) => self.now = segment,
                None => return,
            }
        }
    }
}

impl<'de> Flavor<'de> for Segments<'de> {
    /// How many bytes are left over.
    type Remainder = usize;
    type Source = &'de [&'de [u8]];

    #[inline]
    fn pop(&mut self) -> Result<u8> {
        self.advance();
        let (first, rest) = self
            .now
            .split_first()
            .ok_or(Error::DeserializeUnexpectedEnd)?;
        self.now = rest;
        Ok(*first)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left())
    }

    fn try_take_n(&mut self, count: usize) -> Result<&'de [u8]> {
        if count == 0 {
            return Ok(&[]);
        }
        self.advance();
        let Some((taken, rest)) = self.now.split_at_checked(count) else {
            self.is_torn.set(count <= self.left());
            return Err(Error::DeserializeUnexpectedEnd);
        };
        self.now = rest;
        Ok(taken)
    }

    fn finalize(self) -> Result<usize> {
        Ok(self.left())
    }
}
