//! Cut anywhere, an answer is an error: of the machine without I/O, and of both drivers, which
//! are shown the cut by a close, and by a reset.

use std::io;

use workloads::http::exchange::Exchange;
use workloads::http::{Config, Reason};

use crate::support::cases::{Case, UNTIL_CLOSE, WHOLE};
use crate::support::drivers::{DRIVERS, soon};
use crate::support::machine::Machine;
use crate::support::server::{Script, serve};

fn close_after(case: &Case, cut: usize) -> Result<(), Reason> {
    let mut exchange = Exchange::new(case.method, Config::default().limits);
    exchange.read(&case.bytes[..cut])?;
    assert!(
        !exchange.is_whole(),
        "{} is whole after {cut} bytes",
        case.name
    );
    exchange.close()
}

#[test]
fn a_close_at_any_byte_is_an_error() {
    for case in WHOLE {
        for cut in 0..case.bytes.len() {
            let error = close_after(case, cut).expect_err(case.name);
            match cut {
                0 => assert!(matches!(error, Reason::NoAnswer), "{error}"),
                _ => assert!(matches!(error, Reason::Truncated { .. }), "{cut}: {error}"),
            }
        }
    }
}

#[test]
fn a_body_that_only_the_close_ends_is_whole_once_its_head_is() {
    for case in UNTIL_CLOSE {
        let head = case
            .bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        for cut in 0..case.bytes.len() {
            assert_eq!(
                close_after(case, cut).is_ok(),
                cut >= head,
                "{}: {cut}",
                case.name
            );
        }
    }
}

#[test]
fn a_reset_is_an_error_even_where_a_close_would_be_the_end() {
    for case in UNTIL_CLOSE.iter().chain(WHOLE) {
        for cut in 0..case.bytes.len() {
            let method = case.method;
            let url = "http://127.0.0.1/";
            let never = workloads::http::Deadline::NEVER;
            let mut machine = Machine::new(Config::default(), method, url, never);
            machine.begin("127.0.0.1", "127.0.0.1:80", 1);
            if cut > 0 {
                machine.receive(1, Ok(&case.bytes[..cut]));
            }
            machine.receive(1, Err(io::ErrorKind::ConnectionReset.into()));
            let error = machine.error();
            assert!(
                matches!(error.reason, Reason::Io { .. }),
                "{}: {error}",
                case.name
            );
            assert!(
                error.to_string().starts_with("http://127.0.0.1/: "),
                "{error}"
            );
        }
    }
}

#[test]
fn the_error_says_how_much_had_come() {
    let told = |bytes: &[u8]| {
        let mut machine = Machine::get(Config::default(), "http://127.0.0.1/");
        machine.begin("127.0.0.1", "127.0.0.1:80", 1);
        machine.receive(1, Ok(bytes));
        machine.receive(1, Ok(b""));
        machine.error().reason.to_string()
    };
    assert_eq!(told(b"HTTP/1.1"), "truncated in the headers, after 8 bytes");
    let body = told(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(body, "truncated in the body: 5 of 10 bytes");
    let chunk = told(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello");
    assert_eq!(chunk, "truncated in a chunk: 5 of 6 bytes");
    let after = told(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_eq!(
        after,
        "truncated in a chunked body, between chunks, after 0 bytes"
    );
    let trailers = told(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n");
    assert_eq!(trailers, "truncated in the trailers, after 6 bytes");
}

#[test]
fn both_drivers_see_the_cut() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for driver in DRIVERS {
        for cut in 0..bytes.len() {
            let server = serve(vec![vec![
                Script::Request,
                Script::Say(bytes[..cut].into()),
            ]]);
            let client = driver.client(Config::default());
            let error = client.get(&server.url("/x"), soon()).expect_err("cut");
            let fits = matches!(error.reason, Reason::NoAnswer | Reason::Truncated { .. });
            assert!(fits, "{driver:?}, {cut}: {error}");
            assert!(
                error.to_string().starts_with(server.url("/x").as_str()),
                "{error}"
            );
            server.finish();
        }
    }
}
