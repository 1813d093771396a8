//! The head of a response, and what it says about the bytes behind it.
//!
//! httparse reads the syntax. This file decides what HTTP leaves to a client: where the body ends
//! ([`framing`], RFC 9112 section 6.3) and whether the connection may carry another request
//! ([`Head::keeps_alive`], section 9.3). Where a server contradicts itself the answer is an error
//! and never a guess.

use super::error::Reason;
use super::headers::Headers;
use super::request::Method;

/// Header fields in one head or one trailer section; on the stack while they are parsed. Browsers
/// and servers draw the line between 100 and 256.
pub const MAX_HEADERS: usize = 100;

/// Status line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// HTTP/1.x: this x.
    pub minor_version: u8,
    /// 100 to 999.
    pub status: u16,
    /// The words behind the status; often empty, and without meaning.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the server closes the connection.
    UntilClose,
}

impl Head {
    /// Reads a head from the start of `bytes`; with it, its size. `None` when more is needed.
    pub fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Reason> {
        // httparse skips empty lines first; nothing but a status line is an answer here.
        if bytes.first().is_some_and(|first| *first != b'H') {
            return Err(Reason::BadHead("it does not begin with HTTP/1"));
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut fields);
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let size = match config
            .parse_response(&mut response, bytes)
            .map_err(read_fields)?
        {
            httparse::Status::Complete(size) => size,
            httparse::Status::Partial => return Ok(None),
        };
        let status = response.code.unwrap_or(0);
        if status < 100 {
            return Err(Reason::BadHead("status below 100"));
        }
        let head = Head {
            minor_version: response.version.unwrap_or(0),
            status,
            reason: response.reason.unwrap_or("").to_owned(),
            headers: Headers::copy(response.headers),
        };
        Ok(Some((head, size)))
    }

    /// 1xx: something else follows, the answer is still to come.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// May another request follow on the connection, as far as the head says?
    pub fn keeps_alive(&self) -> bool {
        let has = |token: &[u8]| {
            self.headers
                .list("connection")
                .any(|element| element.eq_ignore_ascii_case(token))
        };
        !has(b"close") && (self.minor_version >= 1 || has(b"keep-alive"))
    }
}

/// Where the body behind `head` ends, in an answer to `method`.
pub fn framing(method: Method, head: &Head) -> Result<Framing, Reason> {
    // First of all, so that a HEAD may announce the length of what it leaves out.
    if method == Method::Head || matches!(head.status, 204 | 304) {
        return Ok(Framing::Empty);
    }
    let chunked = is_chunked(head)?;
    match (chunked, content_length(&head.headers)?) {
        (true, Some(_)) => Err(Reason::LengthAndEncoding),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(0)) => Ok(Framing::Empty),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::UntilClose),
    }
}

/// What httparse's refusals mean here; for heads and for trailers.
pub(super) fn read_fields(error: httparse::Error) -> Reason {
    Reason::BadHead(match error {
        httparse::Error::TooManyHeaders => return Reason::TooManyHeaders(MAX_HEADERS),
        httparse::Error::HeaderName => "malformed header name",
        httparse::Error::HeaderValue => "malformed header value",
        httparse::Error::NewLine => "CR without LF",
        httparse::Error::Status => "malformed status",
        httparse::Error::Token => "malformed header",
        httparse::Error::Version => "it does not begin with HTTP/1",
    })
}

fn is_chunked(head: &Head) -> Result<bool, Reason> {
    // `all` and not `list`: an empty Transfer-Encoding is one that we do not know, too.
    let codings: Vec<&[u8]> = head.headers.all("transfer-encoding").collect();
    match codings[..] {
        [] => Ok(false),
        [only] if only.eq_ignore_ascii_case(b"chunked") && head.minor_version >= 1 => Ok(true),
        _ => Err(Reason::UnknownEncoding(lossy(&codings.join(&b", "[..])))),
    }
}

fn content_length(headers: &Headers) -> Result<Option<u64>, Reason> {
    let mut known = None;
    for value in headers.all("content-length") {
        // A proxy may have merged repeated fields into one list. The same number twice is allowed.
        for element in value.split(|byte| *byte == b',') {
            let length = parse_length(element.trim_ascii())
                .ok_or_else(|| Reason::BadLength(lossy(value)))?;
            match known.replace(length) {
                Some(before) if before != length => {
                    return Err(Reason::ConflictingLengths(before, length));
                }
                _ => {}
            }
        }
    }
    Ok(known)
}

/// Digits only: `str::parse` alone would take "+5".
fn parse_length(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let (head, size) = Head::read(text.as_bytes()).unwrap().expect("a whole head");
        assert_eq!(size, text.len());
        head
    }

    fn framed(fields: &str) -> Result<Framing, Reason> {
        framing(
            Method::Get,
            &head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")),
        )
    }

    #[test]
    fn the_body_ends_where_the_head_says_or_the_head_is_refused() {
        for (fields, end) in [
            ("", Framing::UntilClose),
            ("Content-Length: 0\r\n", Framing::Empty),
            ("content-length:5\r\n", Framing::Length(5)),
            ("Content-Length: \t 005 \r\n", Framing::Length(5)),
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                Framing::Length(5),
            ),
            ("Content-Length: 5, 5\r\n", Framing::Length(5)),
            (
                "Content-Length: 18446744073709551615\r\n",
                Framing::Length(u64::MAX),
            ),
            ("Transfer-Encoding: Chunked\r\n", Framing::Chunked),
            ("Transfer-Encoding:\r\n chunked\r\n", Framing::Chunked),
        ] {
            assert_eq!(framed(fields).unwrap(), end, "{fields:?}");
        }
        for (fields, rule) in [
            ("Content-Length:\r\n", "malformed Content-Length \"\""),
            ("Content-Length: +5\r\n", "malformed Content-Length \"+5\""),
            ("Content-Length: -5\r\n", "malformed"),
            ("Content-Length: 0x5\r\n", "malformed"),
            ("Content-Length: 5 5\r\n", "malformed"),
            (
                "Content-Length: 5\r\n 5\r\n",
                "malformed Content-Length \"5 5\"",
            ),
            ("Content-Length: 5,\r\n", "malformed"),
            ("Content-Length: 5.0\r\n", "malformed"),
            ("Content-Length: five\u{1b}\r\n", ""),
            ("Content-Length: \u{ff15}\r\n", "malformed"),
            ("Content-Length: 18446744073709551616\r\n", "malformed"),
            (
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                "conflicting Content-Lengths 5 and 6",
            ),
            ("Content-Length: 5, 6\r\n", "conflicting"),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "both",
            ),
            (
                "Transfer-Encoding: gzip\r\n",
                "unsupported Transfer-Encoding \"gzip\"",
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", "unsupported"),
            ("Transfer-Encoding: chunked, chunked\r\n", "unsupported"),
            ("Transfer-Encoding: identity\r\n", "unsupported"),
            ("Transfer-Encoding:\r\n", "unsupported"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
                "\"chunked, gzip\"",
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let error = match Head::read(text.as_bytes()) {
                Ok(read) => framing(Method::Get, &read.unwrap().0).expect_err(fields),
                Err(error) => error,
            };
            assert!(error.to_string().contains(rule), "{fields:?}: {error}");
        }
        let old = head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(
            framing(Method::Get, &old).is_err(),
            "HTTP/1.0 knows no chunks"
        );
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_announce() {
        for status in [204, 304] {
            let head = head(&format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n"));
            assert_eq!(framing(Method::Get, &head).unwrap(), Framing::Empty);
        }
        let head = head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(framing(Method::Head, &head).unwrap(), Framing::Empty);
    }

    #[test]
    fn the_connection_is_kept_as_version_and_tokens_say() {
        for (version, connection, kept) in [
            ("1.1", "", true),
            ("1.1", "close", false),
            ("1.1", "keep-alive, CLOSE", false),
            ("1.1", "closed", true),
            ("1.1", "upgrade", true),
            ("1.0", "", false),
            ("1.0", "Keep-Alive", true),
            ("1.0", "x , keep-alive,", true),
            ("1.0", "keep-alive\r\nConnection: close", false),
        ] {
            let head = head(&format!(
                "HTTP/{version} 200 OK\r\nConnection: {connection}\r\n\r\n"
            ));
            assert_eq!(head.keeps_alive(), kept, "{version} {connection:?}");
        }
    }

    #[test]
    fn folded_headers_become_one_line() {
        let head = head("HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\nE: f\n\n");
        assert_eq!(head.headers.text("a"), Some("b c d"));
        assert_eq!(head.headers.text("E"), Some("f"));
    }

    #[test]
    fn what_is_not_http_1_is_refused() {
        for text in [
            "SSH-2.0-x\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        ] {
            assert!(Head::read(text.as_bytes()).is_err(), "{text:?}");
        }
        let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
        let error = Head::read(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes()).unwrap_err();
        assert!(
            matches!(error, Reason::TooManyHeaders(MAX_HEADERS)),
            "{error}"
        );
    }
}
