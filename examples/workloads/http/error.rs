//! What can go wrong, in one enum, and always with the URL it happened to.
//!
//! The layers below know a [`Reason`] only; the fetch, which knows where it was going, wraps it
//! into an [`Error`]. Both print as one line of printable text, whatever a URL, a header or a
//! certificate had in it (`OneLine`): a hostile answer cannot write to the terminal.

use crate::units::show_duration;
use std::fmt::{self, Write};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why the fetch of one URL failed.
///
/// `url` is the URL being fetched when it failed: after a redirect, the one redirected to.
#[derive(Debug)]
pub struct Error {
    /// The URL, in normal form; as it was given when it could not even be parsed.
    pub url: String,
    /// What was wrong.
    pub reason: Reason,
}

impl Error {
    /// Was it the deadline (or the network's own timeout), rather than an answer that was wrong?
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::TimedOut { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(OneLine(f), "{}: {}", self.url, self.reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Resolve(source)
            | Reason::Connect { source, .. }
            | Reason::Io { source, .. } => Some(source),
            Reason::Tls(source) => Some(source),
            _ => None,
        }
    }
}

/// Where in a fetch we are; says what a timeout or an I/O error interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Turning the host name into addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Agreeing on keys and checking the server's certificate.
    Handshake,
    /// Writing the request.
    Send,
    /// Waiting for the status line and the headers.
    Head,
    /// Reading the body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Resolve => "resolving the host name",
            Phase::Connect => "connecting",
            Phase::Handshake => "the TLS handshake",
            Phase::Send => "sending the request",
            Phase::Head => "waiting for the response",
            Phase::Body => "reading the body",
        })
    }
}

/// What an answer lacked when it ended too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The status line and headers.
    Head,
    /// A body whose length was announced.
    Body,
    /// The data of one chunk.
    Chunk,
    /// The lines around the chunks, or the last, empty chunk itself.
    ChunkLine,
    /// The headers after the last chunk.
    Trailers,
}

/// What went wrong. Sizes are in bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Not a URL this client fetches; the text says which rule it breaks.
    BadUrl(String),
    /// The resolver failed.
    Resolve(io::Error),
    /// The resolver knows the host but no address of it.
    NoAddress,
    /// No address accepted a connection; this is the last one tried.
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// How many were tried.
        tried: usize,
        /// What the last one said.
        source: io::Error,
    },
    /// The deadline passed.
    TimedOut {
        /// What was going on then.
        phase: Phase,
        /// Since the fetch began.
        elapsed: Duration,
    },
    /// The connection broke.
    Io {
        /// What was going on then.
        phase: Phase,
        /// What the operating system said.
        source: io::Error,
    },
    /// The roots to trust could not be read.
    Roots(String),
    /// The TLS peer is not trusted, or does not speak TLS.
    Tls(rustls::Error),
    /// The TLS peer closed the connection within the handshake.
    HandshakeClosed,
    /// Without an announced length the end of a TLS body must be signed (close_notify); it was not,
    /// so anybody on the way may have cut it.
    UnsignedEnd {
        /// Bytes of the body that had come.
        got: u64,
    },
    /// The server closed the connection before the first byte of an answer.
    NoAnswer,
    /// The answer ended too early.
    Truncated {
        /// What was being read.
        part: Part,
        /// Bytes of it that had come.
        got: u64,
        /// Bytes of it that were announced, where they were.
        expected: Option<u64>,
    },
    /// The status line or a header is not HTTP/1; the text says what.
    BadHead(&'static str),
    /// The status line and headers are larger than this limit.
    HeadTooLarge(usize),
    /// There are more headers than this limit.
    TooManyHeaders(usize),
    /// More interim (1xx) answers than this limit.
    TooManyInterim(usize),
    /// The server switched to a protocol that nobody asked for.
    Upgraded,
    /// A Content-Length that is not a number.
    BadLength(String),
    /// Content-Lengths that differ.
    ConflictingLengths(u64, u64),
    /// Both Content-Length and Transfer-Encoding: whom to believe is how answers get smuggled.
    LengthAndEncoding,
    /// A Transfer-Encoding other than `chunked`, or any in HTTP/1.0.
    UnknownEncoding(String),
    /// Bytes that break the chunked framing; the text says which rule.
    BadChunk(&'static str),
    /// The body is larger than this limit.
    BodyTooLarge(u64),
    /// More redirects than this limit.
    TooManyRedirects(usize),
    /// A redirect back to a URL already visited in this fetch.
    RedirectLoop(String),
    /// A redirect (this status) that does not say where to.
    NoLocation(u16),
    /// A redirect to something that cannot be fetched.
    BadLocation {
        /// The Location header.
        location: String,
        /// What is wrong with it.
        why: String,
    },
    /// A redirect from https to http: it would give up the protection that was asked for.
    Downgrade(String),
    /// The answer is whole, but its status is not a success (see `Response::ok`).
    Status(u16, String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut OneLine(f);
        match self {
            Reason::BadUrl(why) => f.write_str(why),
            Reason::Resolve(source) => write!(f, "cannot resolve the host name: {source}"),
            Reason::NoAddress => f.write_str("the host name has no address"),
            Reason::Connect {
                address,
                tried: 1,
                source,
            } => {
                write!(f, "cannot connect to {address}: {source}")
            }
            Reason::Connect {
                address,
                tried,
                source,
            } => {
                write!(
                    f,
                    "cannot connect to any of {tried} addresses, last {address}: {source}"
                )
            }
            Reason::TimedOut { phase, elapsed } => {
                write!(
                    f,
                    "timed out after {} while {}",
                    show_duration(*elapsed),
                    Doing(*phase)
                )
            }
            Reason::Io { phase, source } => {
                write!(f, "the connection broke while {}: {source}", Doing(*phase))
            }
            Reason::Roots(why) => f.write_str(why),
            Reason::Tls(source) => write!(f, "TLS: {source}"),
            Reason::HandshakeClosed => f.write_str("connection closed in the TLS handshake"),
            Reason::UnsignedEnd { got } => {
                write!(
                    f,
                    "truncated: TLS connection cut without close_notify after {got} bytes"
                )
            }
            Reason::NoAnswer => f.write_str("connection closed without an answer"),
            Reason::Truncated {
                part,
                got,
                expected,
            } => write_truncated(f, *part, *got, *expected),
            Reason::BadHead(what) => write!(f, "not an HTTP/1 response: {what}"),
            Reason::HeadTooLarge(limit) => write!(f, "headers larger than {limit} bytes"),
            Reason::TooManyHeaders(limit) => write!(f, "more than {limit} headers"),
            Reason::TooManyInterim(limit) => write!(f, "more than {limit} interim answers"),
            Reason::Upgraded => f.write_str("the server switched to another protocol unasked"),
            Reason::BadLength(text) => {
                write!(f, "malformed Content-Length \"{}\"", text)
            }
            Reason::ConflictingLengths(one, other) => {
                write!(f, "conflicting Content-Lengths {one} and {other}")
            }
            Reason::LengthAndEncoding => {
                f.write_str("both Content-Length and Transfer-Encoding, which conflict")
            }
            Reason::UnknownEncoding(text) => {
                write!(f, "unsupported Transfer-Encoding \"{}\"", text)
            }
            Reason::BadChunk(what) => write!(f, "malformed chunked body: {what}"),
            Reason::BodyTooLarge(limit) => write!(f, "body larger than {limit} bytes"),
            Reason::TooManyRedirects(limit) => write!(f, "more than {limit} redirects"),
            Reason::RedirectLoop(url) => write!(f, "redirect loop back to {}", url),
            Reason::NoLocation(status) => write!(f, "redirect {status} without a Location"),
            Reason::BadLocation { location, why } => {
                write!(f, "redirect to \"{}\": {}", location, why)
            }
            Reason::Downgrade(url) => {
                write!(f, "redirect from https to plain {} refused", url)
            }
            Reason::Status(code, text) if text.is_empty() => write!(f, "status {code}"),
            Reason::Status(code, text) => write!(f, "status {code} {}", text),
        }
    }
}

/// Escapes what is not printable on its way to the formatter.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\'' | '\\' => self.0.write_char(c)?,
                _ => write!(self.0, "{}", c.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// A phase as it reads after "while".
struct Doing(Phase);

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Phase::Handshake {
            f.write_str("in ")?;
        }
        self.0.fmt(f)
    }
}

fn write_truncated(
    f: &mut OneLine<'_, '_>,
    part: Part,
    got: u64,
    expected: Option<u64>,
) -> fmt::Result {
    let name = match part {
        Part::Head => "the headers",
        Part::Body => "the body",
        Part::Chunk => "a chunk",
        Part::ChunkLine => "a chunked body, between chunks",
        Part::Trailers => "the trailers",
    };
    match expected {
        Some(expected) => write!(f, "truncated in {name}: {got} of {expected} bytes"),
        None => write!(f, "truncated in {name}, after {got} bytes"),
    }
}
