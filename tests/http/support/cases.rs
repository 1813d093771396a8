//! Answers, and what they mean.

use workloads::http::request::Method;

/// The bytes of one answer, and what a client must make of them.
pub struct Case {
    pub name: &'static str,
    pub method: Method,
    pub bytes: &'static [u8],
    /// What the bytes mean when the connection is closed behind them.
    pub means: Result<Whole, &'static str>,
}

/// A whole answer.
#[derive(Debug, PartialEq)]
pub struct Whole {
    pub status: u16,
    pub body: &'static [u8],
    pub reusable: bool,
}

const fn whole(
    name: &'static str,
    bytes: &'static [u8],
    status: u16,
    body: &'static [u8],
    reusable: bool,
) -> Case {
    let means = Ok(Whole {
        status,
        body,
        reusable,
    });
    Case {
        name,
        method: Method::Get,
        bytes,
        means,
    }
}

const fn wrong(name: &'static str, bytes: &'static [u8], why: &'static str) -> Case {
    Case {
        name,
        method: Method::Get,
        bytes,
        means: Err(why),
    }
}

/// Answers that are whole.
pub const WHOLE: &[Case] = &[
    whole(
        "length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
        true,
    ),
    whole(
        "no body at all",
        b"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n",
        404,
        b"",
        true,
    ),
    whole(
        "no reason",
        b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
        200,
        b"x",
        true,
    ),
    whole(
        "bare LF in the head",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        200,
        b"hi",
        true,
    ),
    whole(
        "a body that looks like an answer",
        b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        200,
        b"HTTP/1.1 200 OK\r\n\r\n",
        true,
    ),
    whole(
        "the same length twice",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        true,
    ),
    whole(
        "folded header",
        b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length:\r\n 2\r\n\r\nhi",
        200,
        b"hi",
        true,
    ),
    whole(
        "chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n",
        200,
        b"hello",
        true,
    ),
    whole(
        "chunked with extensions and trailers",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n\
          A;sig=\"a;b\";x\r\n0123456789\r\n0;last\r\nDigest: abc\r\nX:\r\n\r\n",
        200,
        b"0123456789",
        true,
    ),
    whole(
        "chunked, nothing in it",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        200,
        b"",
        true,
    ),
    whole("204", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", true),
    whole(
        "204 with a length",
        b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",
        204,
        b"",
        true,
    ),
    whole(
        "304",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        304,
        b"",
        true,
    ),
    Case {
        method: Method::Head,
        ..whole(
            "HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            b"",
            true,
        )
    },
    Case {
        method: Method::Head,
        ..whole(
            "HEAD, chunked",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            b"",
            true,
        )
    },
    whole(
        "interim answers first",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\
          Content-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        true,
    ),
    whole(
        "1.1 close",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        false,
    ),
    whole(
        "1.0",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        false,
    ),
    whole(
        "1.0 keep-alive",
        b"HTTP/1.0 200 OK\r\nConnection: x, Keep-Alive\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        true,
    ),
];

/// Whole answers with bytes behind them that nobody asked for.
pub const EXCESS: &[Case] = &[
    whole(
        "length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
        200,
        b"hi",
        false,
    ),
    whole(
        "204 with a body",
        b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nhi",
        204,
        b"",
        false,
    ),
    whole(
        "chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\r\n",
        200,
        b"x",
        false,
    ),
    whole(
        "a second answer",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        200,
        b"",
        false,
    ),
    Case {
        method: Method::Head,
        ..whole(
            "HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            200,
            b"",
            false,
        )
    },
];

/// Answers whose body only the close ends.
pub const UNTIL_CLOSE: &[Case] = &[
    whole("1.1", b"HTTP/1.1 200 OK\r\n\r\nhello", 200, b"hello", false),
    whole(
        "1.0 keep-alive",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
        200,
        b"hello",
        false,
    ),
    whole("nothing in it", b"HTTP/1.1 500 x\r\n\r\n", 500, b"", false),
];

/// What is refused, whatever follows.
pub const WRONG: &[Case] = &[
    wrong(
        "not HTTP",
        b"SSH-2.0-OpenSSH\r\n",
        "does not begin with HTTP/1",
    ),
    wrong(
        "empty line first",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        "does not begin with HTTP/1",
    ),
    wrong(
        "HTTP/2",
        b"HTTP/2.0 200 OK\r\n\r\n",
        "does not begin with HTTP/1",
    ),
    wrong("status", b"HTTP/1.1 2x0 OK\r\n\r\n", "malformed status"),
    wrong(
        "101",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "another protocol",
    ),
    wrong(
        "space in a name",
        b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        "malformed header name",
    ),
    wrong(
        "NUL in a value",
        b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        "malformed header value",
    ),
    wrong(
        "two lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        "conflicting Content-Lengths 2 and 3",
    ),
    wrong(
        "length is no number",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        "malformed Content-Length \"+2\"",
    ),
    wrong(
        "length and chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "both Content-Length and Transfer-Encoding",
    ),
    wrong(
        "unknown coding",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "unsupported Transfer-Encoding",
    ),
    wrong(
        "chunks in 1.0",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unsupported Transfer-Encoding",
    ),
    wrong(
        "chunk without a size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n",
        "a chunk without a size",
    ),
    wrong(
        "chunk too long",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc",
        "longer than its size",
    ),
    wrong(
        "trailer without a colon",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
        "malformed header name",
    ),
];
