//! Any split of the same bytes gives the same answer, or the same error.

use workloads::http::config::Config;
use workloads::http::exchange::{Answer, Exchange, Limits};
use workloads::http::request::Method;

use crate::support::cases::{Case, EXCESS, UNTIL_CLOSE, WHOLE, WRONG};

/// Reads the pieces, then the end of the stream; stops as a fetch would once it knows.
fn read(case: &Case, pieces: &[&[u8]]) -> Result<Answer, String> {
    let mut exchange = Exchange::new(case.method, Config::default().limits);
    for piece in pieces {
        exchange.read(piece).map_err(|error| error.to_string())?;
    }
    if !exchange.is_whole() {
        exchange.close().map_err(|error| error.to_string())?;
    }
    exchange.finish().map_err(|error| error.to_string())
}

fn check(case: &Case, pieces: &[&[u8]]) {
    let told = || format!("{}, as {pieces:02x?}", case.name);
    match (&case.means, read(case, pieces)) {
        (Ok(whole), Ok(answer)) => {
            assert_eq!(answer.head.status, whole.status, "{}", told());
            assert_eq!(answer.body, whole.body, "{}", told());
            assert_eq!(answer.reusable, whole.reusable, "{}", told());
        }
        (Err(why), Err(error)) => assert!(error.contains(why), "{}: {error}", told()),
        (_, got) => panic!("{}: {got:?}", told()),
    }
}

#[test]
fn whole_in_two_pieces_in_three_and_byte_by_byte() {
    for case in [WHOLE, EXCESS, UNTIL_CLOSE, WRONG].into_iter().flatten() {
        let bytes = case.bytes;
        check(case, &[bytes]);
        for first in 0..=bytes.len() {
            check(case, &[&bytes[..first], &bytes[first..]]);
            let second = first + (bytes.len() - first) / 2;
            check(
                case,
                &[&bytes[..first], &bytes[first..second], &bytes[second..]],
            );
        }
        check(case, &bytes.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn headers_and_trailers_come_with_it() {
    let case = WHOLE
        .iter()
        .find(|case| case.name.ends_with("trailers"))
        .unwrap();
    let answer = read(case, &case.bytes.chunks(1).collect::<Vec<_>>()).unwrap();
    assert_eq!(
        answer.head.headers.text("transfer-ENCODING"),
        Some("CHUNKED")
    );
    assert_eq!(answer.trailers.text("digest"), Some("abc"));
    assert_eq!(answer.trailers.text("x"), Some(""));
    let case = WHOLE
        .iter()
        .find(|case| case.name == "folded header")
        .unwrap();
    let answer = read(case, &[case.bytes]).unwrap();
    assert_eq!(answer.head.headers.text("x"), Some("a b"));
}

#[test]
fn a_head_may_be_as_large_as_its_limit_and_not_a_byte_larger() {
    let bytes = b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let size = bytes.len() - b"HTTP/1.1 100 x\r\n\r\n".len() - b"hi".len();
    for step in 1..=bytes.len() {
        for (limit, fits) in [(size, true), (size - 1, false)] {
            let mut exchange = Exchange::new(
                Method::Get,
                Limits {
                    head: limit,
                    body: 2,
                },
            );
            let read = bytes
                .chunks(step)
                .try_for_each(|piece| exchange.read(piece));
            assert_eq!(read.is_ok(), fits, "{limit} bytes, {step} at a time");
            assert_eq!(exchange.is_whole(), fits);
        }
    }
}
