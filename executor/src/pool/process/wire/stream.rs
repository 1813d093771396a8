//! The pool's serializer: postcard's, writing into memory that crosses.
//!
//! ```text
//!   small pieces ──> window ──(it is full)──> file in memory     the window stays in the cache, and
//!   long ones ──────────────────────────────> file in memory     the whole is never put together here
//!   SharedBytes ── their file goes along; their place in the stream is noted
//! ```
//!
//! Owns      what was written so far. A payload that comes to no more than `BODY` stays in the window,
//!           which then is the payload.
//! Holds     a payload is at most `MAX_PAYLOAD` long, with what goes along; of that there are at most
//!           `memory::ALONG` pieces, the others are copied.
//! Source    postcard's flavors. Next: `segments.rs`.

use super::memory::{Fresh, Memory};
use super::shared_bytes::{SHARE, offered};
use super::{BODY, Payload, check_length};
use postcard::ser_flavors::Flavor;
use postcard::{Error, Result};

/// How much is put together before it is written.
const WINDOW: usize = 64 * 1024;

/// Room for what most values come to, so that the window need not grow step by step.
const SMALL: usize = 128;

/// See the file head.
pub(in crate::pool::process) struct Stream<'stream, 'stock> {
    window: Vec<u8>,
    memory: Option<Box<Memory>>,
    fresh: &'stream mut Fresh<'stock>,
    /// There is no memory for it now: all stays in the window.
    stays: bool,
    /// What went wrong, if it was here: postcard has no words for it.
    trouble: &'stream mut Option<String>,
}

impl<'stream, 'stock> Stream<'stream, 'stock> {
    pub(in crate::pool::process) fn new(
        fresh: &'stream mut Fresh<'stock>,
        trouble: &'stream mut Option<String>,
    ) -> Stream<'stream, 'stock> {
        Stream {
            window: Vec::with_capacity(SMALL),
            memory: None,
            fresh,
            stays: false,
            trouble,
        }
    }

    fn fail<T>(&mut self, reason: String) -> Result<T> {
        *self.trouble = Some(reason);
        Err(Error::SerializeBufferFull)
    }

    /// How much there will be with so many bytes more, if that is not too much.
    fn check(&mut self, more: usize) -> Result<()> {
        let there = self.memory.as_ref().map_or(0, |memory| memory.len()) + self.window.len();
        match check_length(there.saturating_add(more)) {
            Ok(()) => Ok(()),
            Err(reason) => self.fail(reason),
        }
    }

    /// The memory, with all in it that was written so far; if there is any.
    fn spill(&mut self) -> Result<Option<&mut Memory>> {
        if self.memory.is_none() && !self.stays {
            match (self.fresh)() {
                Ok(memory) => self.memory = memory,
                Err(error) => return self.fail(no_room(&error)),
            }
            self.stays = self.memory.is_none();
        }
        if let Some(memory) = &mut self.memory {
            let written = memory.append(&self.window);
            self.window.clear();
            if let Err(error) = written {
                return self.fail(no_room(&error));
            }
        }
        Ok(self.memory.as_deref_mut())
    }

    fn extend_long(&mut self, bytes: &[u8]) -> Result<()> {
        self.check(bytes.len())?;
        let along = match bytes.len() >= SHARE {
            true => offered(bytes),
            false => None,
        };
        let Some(memory) = self.spill()? else {
            self.window.extend_from_slice(bytes);
            return Ok(());
        };
        if let Some(along) = along
            && memory.take_along(&along)
        {
            return Ok(());
        }
        match memory.append(bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(no_room(&error)),
        }
    }
}

fn no_room(error: &std::io::Error) -> String {
    format!("there is no room for it: {error}")
}

impl Flavor for Stream<'_, '_> {
    type Output = Payload;

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.window.push(byte);
        match self.window.len() < WINDOW || self.stays {
            true => Ok(()),
            false => self.spill().map(drop),
        }
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= BODY {
            return self.extend_long(bytes);
        }
        self.window.extend_from_slice(bytes);
        match self.window.len() < WINDOW || self.stays {
            true => Ok(()),
            false => self.spill().map(drop),
        }
    }

    fn finalize(mut self) -> Result<Payload> {
        self.check(0)?;
        if self.memory.is_some() || self.window.len() > BODY {
            self.spill()?;
        }
        Ok(match self.memory {
            Some(memory) => Payload::Memory(memory),
            None => Payload::Bytes(self.window),
        })
    }
}
