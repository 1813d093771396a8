//! One answer on one connection: bytes in, head and body out.
//!
//! ```text
//!                 +--1xx--+
//!                 v       |
//!   HEAD ---blank line----+---> BODY ---last byte, or close---> WHOLE ---more bytes---> (excess)
//!     |                           |
//!     +---- close: NoAnswer,      +---- close: Truncated
//!           or Truncated
//! ```
//!
//! Owns      the bytes of a head until it is whole, then the body.
//! Holds     X1 the same bytes give the same result however they are split.
//!           X2 an answer is whole only when its framing says so; a stream that ends before is an
//!              error at every position.
//!           X3 a connection is offered for reuse only when not one byte came behind the answer.
//! Cost      A head is parsed when its first line has ended (so that what is not HTTP is seen at
//!           once) and when its blank line has come, but not in between: a peer that drips single
//!           bytes cannot make this quadratic.
//! Next      session.rs, which brings the bytes.

use super::body::Body;
use super::error::{Part, Phase, Reason};
use super::head::{Framing, Head, framing};
use super::headers::Headers;
use super::request::Method;

/// Interim answers before the real one. One 100 or 103 is usual, a handful is generous.
const MAX_INTERIM: usize = 16;

/// How much one answer may bring, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Status line and headers; also the trailers.
    pub head: usize,
    /// The body.
    pub body: u64,
}

/// What an exchange yields.
#[derive(Debug)]
pub struct Answer {
    /// Status line and headers.
    pub head: Head,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The fields behind the last chunk, rarely any.
    pub trailers: Headers,
    /// May the connection carry another request?
    pub reusable: bool,
}

/// Reads the answer to one request.
#[derive(Debug)]
pub struct Exchange {
    method: Method,
    limits: Limits,
    /// What has come of a head that is not whole.
    pending: Vec<u8>,
    interim: usize,
    answer: Option<(Head, Body)>,
    touched: bool,
    excess: bool,
}

impl Exchange {
    /// Expects the answer to a request made with `method`.
    pub fn new(method: Method, limits: Limits) -> Exchange {
        let pending = Vec::new();
        Exchange {
            method,
            limits,
            pending,
            interim: 0,
            answer: None,
            touched: false,
            excess: false,
        }
    }

    /// Takes bytes from the stream.
    pub fn read(&mut self, input: &[u8]) -> Result<(), Reason> {
        self.touched |= !input.is_empty();
        if let Some((_, body)) = &mut self.answer {
            let used = body.read(input)?;
            self.excess |= used < input.len();
            return Ok(());
        }
        let seen = self.pending.len();
        self.pending.extend_from_slice(input);
        if is_telling(&self.pending, seen) {
            self.read_head()?;
        }
        match self.answer {
            None if self.pending.len() > self.limits.head => {
                Err(Reason::HeadTooLarge(self.limits.head))
            }
            _ => Ok(()),
        }
    }

    /// The stream ended.
    pub fn close(&mut self) -> Result<(), Reason> {
        match &mut self.answer {
            Some((_, body)) => body.close(),
            None if !self.touched => Err(Reason::NoAnswer),
            None => {
                let got = self.pending.len() as u64;
                Err(Reason::Truncated {
                    part: Part::Head,
                    got,
                    expected: None,
                })
            }
        }
    }

    /// Is the answer complete?
    pub fn is_whole(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|(_, body)| body.is_whole())
    }

    /// Has not one byte come? Then the server may never have seen the request.
    pub fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// What is being waited for.
    pub fn phase(&self) -> Phase {
        if self.answer.is_some() {
            Phase::Body
        } else {
            Phase::Head
        }
    }

    /// The size of the body so far, when only the end of the stream ends it.
    pub fn open_ended(&self) -> Option<u64> {
        let (_, body) = self.answer.as_ref()?;
        body.lasts_until_close().then(|| body.size())
    }

    /// Hands out the answer.
    ///
    /// # Errors
    ///
    /// The trailers are not header fields.
    ///
    /// # Panics
    ///
    /// When the answer is not whole.
    pub fn finish(self) -> Result<Answer, Reason> {
        let (head, body) = self.answer.expect("the answer is whole");
        assert!(body.is_whole(), "the body is whole");
        let reusable = head.keeps_alive() && !body.lasts_until_close() && !self.excess;
        let (body, trailers) = body.finish()?;
        Ok(Answer {
            head,
            body,
            trailers,
            reusable,
        })
    }

    /// Reads heads off `pending`, passing over interim ones, until the answer's own or no whole
    /// one is left.
    fn read_head(&mut self) -> Result<(), Reason> {
        while let Some((head, size)) = Head::read(&self.pending)? {
            if size > self.limits.head {
                return Err(Reason::HeadTooLarge(self.limits.head));
            }
            let rest = self.pending.split_off(size);
            self.pending = rest;
            if head.is_interim() {
                self.pass_over(&head)?;
                continue;
            }
            let body = self.expect_body(&head)?;
            self.answer = Some((head, body));
            let rest = std::mem::take(&mut self.pending);
            return self.read(&rest);
        }
        Ok(())
    }

    fn pass_over(&mut self, head: &Head) -> Result<(), Reason> {
        self.interim += 1;
        match head.status {
            101 => Err(Reason::Upgraded),
            _ if self.interim > MAX_INTERIM => Err(Reason::TooManyInterim(MAX_INTERIM)),
            _ => Ok(()),
        }
    }

    fn expect_body(&self, head: &Head) -> Result<Body, Reason> {
        let framing: Framing = framing(self.method, head)?;
        Body::new(framing, self.limits.body, self.limits.head)
    }
}

/// Is a parse worth its cost, now that the bytes from `new` on have come?
fn is_telling(head: &[u8], new: usize) -> bool {
    let first_line_ended = || !head[..new].contains(&b'\n') && head[new..].contains(&b'\n');
    // A blank line may begin in the old bytes.
    let tail = &head[new.saturating_sub(2)..];
    head.first() != Some(&b'H')
        || first_line_ended()
        || tail.windows(2).any(|two| two == b"\n\n")
        || tail.windows(3).any(|three| three == b"\n\r\n")
}
