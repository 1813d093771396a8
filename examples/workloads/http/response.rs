//! What a fetch hands back.

use std::time::{Duration, Instant};

use super::error::{Error, Reason};
use super::headers::Headers;
use super::url::Url;

/// A whole answer: nothing of it is missing, or it would be an [`Error`].
#[derive(Debug, Clone)]
pub struct Response {
    /// Where it came from; after redirects, the last URL.
    pub url: Url,
    /// 200 to 999. A 404 is an answer as good as any here; see [`Response::ok`].
    pub status: u16,
    /// The words behind the status; often empty.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    /// The fields behind a chunked body; rarely any.
    pub trailers: Headers,
    /// The body as it was before the framing, in bytes.
    pub body: Vec<u8>,
    /// How many redirects led here.
    pub redirects: usize,
    /// Did it come over a connection that an earlier request had opened?
    pub reused: bool,
    /// When what happened.
    pub timing: Timing,
}

impl Response {
    /// This response when its status is a success (2xx).
    ///
    /// # Errors
    ///
    /// [`Reason::Status`] when it is anything else.
    pub fn ok(self) -> Result<Response, Error> {
        match self.status {
            200..300 => Ok(self),
            status => Err(Error {
                url: self.url.to_string(),
                reason: Reason::Status(status, self.reason),
            }),
        }
    }
}

/// Points in time of one fetch. After redirects or a retry, those of the last connection.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// When the fetch began.
    pub started: Instant,
    /// From then until there was a connection, opened or reused (before any TLS handshake).
    pub connected: Duration,
    /// Until the first byte of the answer.
    pub first_byte: Duration,
    /// Until its last.
    pub finished: Duration,
}
