//! From a path to an answer, and from an answer to bytes.
//!
//! ```text
//!   /download/{name}/flag-jpg-small.jpg   the flag, by any name in names.tsv, or by code
//!   /flags/{cc}/{cc}.jpg                  the flag, by code
//!   anything else                         404
//! ```
//!
//! Pure. An answer has no `Date` and no other line that changes from one run to the next: it depends on
//! nothing but the request.

use crate::flags::countries;
use std::fmt::Write;

/// A status of HTTP: the number, and the words that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 200,
    BadRequest = 400,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    Teapot = 418,
    HeadTooLarge = 431,
    VersionNotSupported = 505,
}

impl Status {
    fn reason(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::BadRequest => "Bad Request",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::Teapot => "I'm a teapot",
            Status::HeadTooLarge => "Request Header Fields Too Large",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// What a person with a browser reads.
    fn explanation(self) -> &'static str {
        match self {
            Status::Ok => "",
            Status::BadRequest => "This is not a request of HTTP/1.1 without a body.\n",
            Status::NotFound => {
                "No such flag. Try /flags/ye/ye.jpg or /download/yemen/flag-jpg-small.jpg.\n"
            }
            Status::MethodNotAllowed => "Flags can be looked at (GET, HEAD), not changed.\n",
            Status::RequestTimeout => "The request did not come to its end.\n",
            Status::Teapot => "An error on purpose, as often as --error-rate says.\n",
            Status::HeadTooLarge => "The head of the request is too large.\n",
            Status::VersionNotSupported => "Only HTTP/1.0 and HTTP/1.1 are spoken here.\n",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: Status,
    content_type: &'static str,
    body: &'static [u8],
}

impl Answer {
    /// A flag, or 404.
    pub fn to(path: &str) -> Answer {
        match flag(path) {
            Some(image) => Answer {
                status: Status::Ok,
                content_type: "image/jpeg",
                body: image,
            },
            None => Answer::with(Status::NotFound),
        }
    }

    /// The status, and a line that explains it.
    pub fn with(status: Status) -> Answer {
        let body = status.explanation().as_bytes();
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            body,
        }
    }

    /// The answer as it is sent. With `head_only` it announces the body and leaves it out, as HEAD asks.
    pub fn bytes(&self, head_only: bool, keep_alive: bool) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\n",
            self.status as u16,
            self.status.reason()
        );
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            write!(head, "{name}: {value}\r\n").expect("a string takes all");
        };
        line("Content-Type", &self.content_type);
        line("Content-Length", &self.body.len());
        line(
            "Connection",
            &if keep_alive { "keep-alive" } else { "close" },
        );
        if self.status == Status::MethodNotAllowed {
            line("Allow", &"GET, HEAD");
        }
        head.push_str("\r\n");
        let body = if head_only { &[] } else { self.body };
        [head.as_bytes(), body].concat()
    }
}

fn flag(path: &str) -> Option<&'static [u8]> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let country = match segments[..] {
        // Two letters are a code and nothing else, so that of all 676 pairs exactly the countries are
        // found: `uk` is a name too.
        ["download", pair, "flag-jpg-small.jpg"] if pair.len() == 2 => countries::by_code(pair),
        ["download", name, "flag-jpg-small.jpg"] => countries::by_name(name),
        ["flags", code, file] if file.strip_suffix(".jpg") == Some(code) => {
            countries::by_code(code)
        }
        _ => None,
    };
    country.map(|country| country.image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_by_name_and_by_code() {
        let yemen = countries::image("ye").unwrap();
        for path in [
            "/download/yemen/flag-jpg-small.jpg",
            "/download/ye/flag-jpg-small.jpg",
            "/flags/ye/ye.jpg",
        ] {
            assert_eq!(Answer::to(path).body, yemen, "{path}");
        }
        let britain = countries::image("gb").unwrap();
        assert_eq!(
            Answer::to("/download/great-britain/flag-jpg-small.jpg").body,
            britain
        );
    }

    #[test]
    fn all_else_is_not_found() {
        for path in [
            "",
            "/",
            "//",
            "/flags",
            "/flags/ye",
            "/flags/ye/",
            "/flags/ye/zm.jpg",
            "/flags/ye/ye.jpg/",
            "/flags/YE/YE.jpg",
            "/flags/yemen/yemen.jpg",
            "/flags//.jpg",
            "/flags/../../ye.jpg",
            "flags/ye/ye.jpg",
            "/download/yemen/flag-jpg-large.jpg",
            "/download//flag-jpg-small.jpg",
            "/download/uk/flag-jpg-small.jpg",
            "/download/Yemen/flag-jpg-small.jpg",
            "/download/y%65men/flag-jpg-small.jpg",
        ] {
            assert_eq!(Answer::to(path), Answer::with(Status::NotFound), "{path}");
        }
    }

    #[test]
    fn of_all_pairs_249_are_found_by_either_route() {
        for route in ["/flags/CC/CC.jpg", "/download/CC/flag-jpg-small.jpg"] {
            let answers = countries::pairs().map(|cc| Answer::to(&route.replace("CC", &cc)));
            assert_eq!(
                answers.filter(|answer| answer.status == Status::Ok).count(),
                249,
                "{route}"
            );
        }
    }

    #[test]
    fn an_answer_is_exact_to_the_byte() {
        let flag = Answer::to("/flags/ye/ye.jpg");
        let length = flag.body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\
             Connection: keep-alive\r\n\r\n"
        );
        assert_eq!(flag.bytes(true, true), head.as_bytes());
        assert_eq!(
            flag.bytes(false, true),
            [head.as_bytes(), flag.body].concat()
        );
        let refused = Answer::with(Status::MethodNotAllowed).bytes(false, false);
        assert_eq!(
            String::from_utf8(refused).unwrap(),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 49\r\nConnection: close\r\nAllow: GET, HEAD\r\n\r\n\
             Flags can be looked at (GET, HEAD), not changed.\n"
        );
    }
}
