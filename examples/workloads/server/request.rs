//! From bytes to a request: what the server takes, and what it refuses.
//!
//! ```text
//!   bytes so far --parse--> Ok(None)                 the head goes on: read more
//!                           Ok((request, length))    take `length` bytes off the front
//!                           Err(status)              refuse with it, and close
//! ```
//!
//! Pure. Every refusal ends the connection: after a head that was not understood nobody knows where the
//! next one begins. A request with a body is refused for the same reason: no route here takes one, and a
//! body left unread would be taken for the next head.
//!
//! Cost      a head that comes in pieces is parsed again from its start each time; [`MAX_HEAD`] bounds it.
//! Source    RFC 9112 (syntax, connections), RFC 9110 (statuses).

use super::answer::Status;

/// The longest head taken, in bytes. A browser's has one to two thousand; common servers take 8 KiB.
pub(super) const MAX_HEAD: usize = 8 * 1024;

/// The most header lines taken; common servers take 100.
const MAX_HEADERS: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// HEAD: the head of the answer to a GET, without its body.
    pub head_only: bool,
    /// Path and query, as they were sent.
    pub target: String,
    /// May another request follow on this connection?
    pub keep_alive: bool,
}

impl Request {
    /// Stands for a head that was not understood: the answer is sent whole, and is the last.
    pub const UNREADABLE: Request = Request {
        head_only: false,
        target: String::new(),
        keep_alive: false,
    };

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Status> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
            Ok(Some((accept(&head)?, length)))
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Status::HeadTooLarge),
        Err(httparse::Error::Version) => Err(Status::VersionNotSupported),
        Err(_) => Err(Status::BadRequest),
    }
}

fn accept(head: &httparse::Request) -> Result<Request, Status> {
    let head_only = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Status::MethodNotAllowed),
    };
    let newest = head.version == Some(1);
    // RFC 9112, 3.2: an HTTP/1.1 request names its host, once.
    if newest && values(head, "host").count() != 1 || has_body(head) {
        return Err(Status::BadRequest);
    }
    let target = origin_form(head.path.unwrap_or_default()).ok_or(Status::BadRequest)?;
    let keep_alive = match newest {
        true => !connection_says(head, "close"),
        false => connection_says(head, "keep-alive") && !connection_says(head, "close"),
    };
    Ok(Request {
        head_only,
        target: target.to_string(),
        keep_alive,
    })
}

fn values<'a>(head: &'a httparse::Request, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = head
        .headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// A length that is not a plain 0 counts as a body, whatever it means.
fn has_body(head: &httparse::Request) -> bool {
    values(head, "transfer-encoding").next().is_some()
        || values(head, "content-length").any(|length| length != b"0")
}

fn connection_says(head: &httparse::Request, option: &str) -> bool {
    let mut options = values(head, "connection").flat_map(|list| list.split(|byte| *byte == b','));
    options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// RFC 9112, 3.2.2: a server takes `http://host/path` too, although only proxies are sent it.
fn origin_form(target: &str) -> Option<&str> {
    match target.strip_prefix("http://") {
        Some(rest) => Some(rest.find('/').map_or("/", |slash| &rest[slash..])),
        None => target.starts_with('/').then_some(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(head: &str) -> Result<Request, Status> {
        let (request, length) = parse(head.as_bytes())?.expect("a whole head");
        assert_eq!(length, head.len());
        Ok(request)
    }

    fn get(target: &str) -> Request {
        Request {
            head_only: false,
            target: target.to_string(),
            keep_alive: true,
        }
    }

    #[test]
    fn a_plain_request_is_taken() {
        let request = whole("GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").unwrap();
        assert_eq!(request, get("/a?b=c"));
        assert_eq!(request.path(), "/a");
        let head = whole("HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert_eq!(
            head,
            Request {
                head_only: true,
                ..get("/a")
            }
        );
        assert_eq!(
            whole("GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n"),
            Ok(get("/a"))
        );
        assert_eq!(
            whole("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"),
            Ok(get("/"))
        );
        assert_eq!(
            whole("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            Ok(get("/a"))
        );
    }

    #[test]
    fn every_prefix_of_a_head_asks_for_more() {
        let head = b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..head.len() {
            assert_eq!(parse(&head[..length]), Ok(None), "{length} bytes");
        }
        let with_next = [&head[..], b"GET /b"].concat();
        assert_eq!(parse(&with_next), Ok(Some((get("/a"), head.len()))));
    }

    #[test]
    fn the_connection_stays_open_when_version_and_header_say_so() {
        for (version, header, keep_alive) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: x, CLOSE\r\n", false),
            ("1.1", "Connection: x\r\nconnection: close\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let request = whole(&format!("GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n"));
            assert_eq!(
                request.unwrap().keep_alive,
                keep_alive,
                "{version} {header}"
            );
        }
    }

    #[test]
    fn an_older_client_need_not_name_its_host() {
        assert!(whole("GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (head, status) in [
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
                Status::MethodNotAllowed,
            ),
            (
                "get / HTTP/1.1\r\nHost: x\r\n\r\n",
                Status::MethodNotAllowed,
            ),
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                Status::BadRequest,
            ),
            ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            (
                "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
                Status::BadRequest,
            ),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Status::BadRequest),
            ("GET /\r\n\r\n", Status::BadRequest),
            ("\0\0\0\0", Status::BadRequest),
            ("GET / HTTP/2.0\r\n\r\n", Status::VersionNotSupported),
            (
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                Status::VersionNotSupported,
            ),
        ] {
            assert_eq!(parse(head.as_bytes()), Err(status), "{head}");
        }
    }

    #[test]
    fn a_head_has_a_longest_length_and_a_highest_number_of_lines() {
        let padded = |length: usize| {
            let rest = "GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n".len();
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
                "y".repeat(length - rest)
            )
        };
        assert_eq!(whole(&padded(MAX_HEAD)), Ok(get("/")));
        assert_eq!(whole(&padded(MAX_HEAD + 1)), Err(Status::HeadTooLarge));
        assert_eq!(parse(&[b'a'; MAX_HEAD]), Err(Status::HeadTooLarge)); // and no end in sight
        let lines = |count| {
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                "X: y\r\n".repeat(count)
            )
        };
        assert_eq!(whole(&lines(MAX_HEADERS - 1)), Ok(get("/")));
        assert_eq!(whole(&lines(MAX_HEADERS)), Err(Status::HeadTooLarge));
    }
}
