//! The request: one method, one URL, a fixed set of headers, and no body.
//!
//! Holds     Every byte of it is either written here or comes out of a [`Url`], which holds no CR,
//!           LF or space: nothing a caller or a server says can add a header or a second request.

use super::url::Url;

/// Who is asking.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// What is asked for. Both are safe and idempotent (RFC 9110, section 9.2), which is why a fetch
/// may ask again on a fresh connection when a kept one turns out to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Head and body.
    Get,
    /// The head that a GET would bring, without the body.
    Head,
}

/// The bytes of a request, ready to be sent. Without `keep_alive` the server is told that no other
/// request will follow on this connection.
pub fn write_request(method: Method, url: &Url, keep_alive: bool) -> Vec<u8> {
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let connection = if keep_alive {
        ""
    } else {
        "Connection: close\r\n"
    };
    // `identity`: the flags are JPEGs, and what we save is what the server has.
    format!(
        "{method} {target} HTTP/1.1\r\n\
         Host: {host}\r\n\
         User-Agent: {USER_AGENT}\r\n\
         Accept: */*\r\n\
         Accept-Encoding: identity\r\n\
         {connection}\r\n",
        target = url.target(),
        host = url.origin(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_these_bytes() {
        let url = Url::parse("http://[::1]:81/a/../b?c#d").unwrap();
        let text = String::from_utf8(write_request(Method::Get, &url, true)).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "GET /b?c HTTP/1.1\r\nHost: [::1]:81\r\nUser-Agent: tatkal-workloads/{version}\r\n\
             Accept: */*\r\nAccept-Encoding: identity\r\n\r\n"
        );
        assert_eq!(text, expected);
        let url = Url::parse("https://a").unwrap();
        let text = String::from_utf8(write_request(Method::Head, &url, false)).unwrap();
        assert!(text.starts_with("HEAD / HTTP/1.1\r\nHost: a\r\n"), "{text}");
        assert!(text.ends_with("\r\nConnection: close\r\n\r\n"), "{text}");
    }
}
