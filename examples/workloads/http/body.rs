//! The body: takes its bytes out of the stream and knows when it is whole.
//!
//! Holds     `is_whole` becomes true exactly at the last byte of the framing and never goes back;
//!           a body is never larger than its limit, whatever was announced.

use super::chunked::Chunked;
use super::error::{Part, Reason};
use super::head::Framing;
use super::headers::Headers;

/// Memory set aside on the word of a Content-Length; beyond it the body grows as bytes come.
const TRUSTED_LENGTH: u64 = 64 * 1024;

/// A body being read.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    end: End,
    max: u64,
}

#[derive(Debug)]
enum End {
    Length(u64),
    Chunked(Chunked),
    Close,
    /// The close came.
    Closed,
}

impl Body {
    /// An empty body that will be read as `framing` says.
    ///
    /// # Errors
    ///
    /// [`Reason::BodyTooLarge`] when it is already announced to exceed `max` bytes.
    pub fn new(framing: Framing, max: u64, max_trailers: usize) -> Result<Body, Reason> {
        let end = match framing {
            Framing::Empty => End::Length(0),
            Framing::Length(length) if length > max => return Err(Reason::BodyTooLarge(max)),
            Framing::Length(length) => End::Length(length),
            Framing::Chunked => End::Chunked(Chunked::new(max, max_trailers)),
            Framing::UntilClose => End::Close,
        };
        let announced = if let End::Length(length) = end {
            length
        } else {
            0
        };
        let bytes = Vec::with_capacity(announced.min(TRUSTED_LENGTH) as usize);
        Ok(Body { bytes, end, max })
    }

    /// Reads from `input` and says how much of it was used: all of it, unless the body ended
    /// within.
    pub fn read(&mut self, input: &[u8]) -> Result<usize, Reason> {
        let take = match &mut self.end {
            End::Chunked(chunked) => return chunked.read(input, &mut self.bytes),
            End::Length(length) => *length - self.bytes.len() as u64,
            End::Close if (self.bytes.len() + input.len()) as u64 > self.max => {
                return Err(Reason::BodyTooLarge(self.max));
            }
            End::Close => input.len() as u64,
            End::Closed => 0,
        };
        let take = input.len().min(usize::try_from(take).unwrap_or(usize::MAX));
        self.bytes.extend_from_slice(&input[..take]);
        Ok(take)
    }

    /// The stream ended: as it should, or too early?
    pub fn close(&mut self) -> Result<(), Reason> {
        match &self.end {
            End::Close => self.end = End::Closed,
            End::Chunked(chunked) if !chunked.is_done() => return Err(chunked.truncated()),
            End::Length(length) if !self.is_whole() => {
                let got = self.bytes.len() as u64;
                let expected = Some(*length);
                return Err(Reason::Truncated {
                    part: Part::Body,
                    got,
                    expected,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Has everything come?
    pub fn is_whole(&self) -> bool {
        match &self.end {
            End::Length(length) => self.bytes.len() as u64 == *length,
            End::Chunked(chunked) => chunked.is_done(),
            End::Close => false,
            End::Closed => true,
        }
    }

    /// Does only the end of the stream end it?
    pub fn lasts_until_close(&self) -> bool {
        matches!(self.end, End::Close | End::Closed)
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes, and what came behind the last chunk.
    pub fn finish(self) -> Result<(Vec<u8>, Headers), Reason> {
        let trailers = match &self.end {
            End::Chunked(chunked) => chunked.trailers()?,
            _ => Headers::default(),
        };
        Ok((self.bytes, trailers))
    }
}
