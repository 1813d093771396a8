//! Keep-alive: a kept connection carries the next request, unless it is not silent or is closed;
//! then a fresh one does, and the caller does not notice. A request is never sent twice when an
//! answer to it had begun.

use std::io;

use workloads::http::{Config, Reason};

use crate::support::drivers::{DRIVERS, soon};
use crate::support::machine::{Machine, used_connection};
use crate::support::server::{Script, serve};

const URL: &str = "http://127.0.0.1/second";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A fetch that was given an idle connection, number 7, which was silent.
fn on_a_kept_one() -> Machine {
    let mut machine = Machine::get(Config::default(), URL);
    machine.take("127.0.0.1", Some(used_connection(7)));
    machine.probe(7, None);
    let request = machine.send(7, 3);
    assert!(request.starts_with(b"GET /second HTTP/1.1\r\n"));
    machine
}

#[test]
fn a_silent_one_is_used() {
    let mut machine = on_a_kept_one();
    machine.receive(7, Ok(ANSWER.as_bytes()));
    assert_eq!(machine.keep().stream, 7);
    let response = machine.done();
    assert!(response.reused);
    assert_eq!(response.body, b"hi");
}

#[test]
fn one_that_is_closed_or_speaks_unasked_is_dropped_and_the_next_is_looked_at() {
    let mut machine = Machine::get(Config::default(), URL);
    let unasked = b"HTTP/1.1 408 Request Timeout\r\n\r\n";
    let reset = || Some(Err(io::ErrorKind::ConnectionReset.into()));
    for (number, result) in [
        (1, Some(Ok(&b""[..]))),
        (2, Some(Ok(&unasked[..]))),
        (3, reset()),
    ] {
        machine.take("127.0.0.1", Some(used_connection(number)));
        machine.probe(number, result);
    }
    machine.take("127.0.0.1", None);
    machine.connect("127.0.0.1:80", Ok(4));
    machine.send(4, usize::MAX);
    machine.receive(4, Ok(ANSWER.as_bytes()));
    assert_eq!(machine.keep().stream, 4);
    assert!(!machine.done().reused);
}

#[test]
fn one_that_closes_without_a_byte_is_replaced_by_a_fresh_one_once() {
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    for ending in [Ok(&b""[..]), reset()] {
        let mut machine = on_a_kept_one();
        machine.receive(7, ending);
        machine.connect("127.0.0.1:80", Ok(8)); // and not from the pool
        assert!(
            machine
                .send(8, usize::MAX)
                .starts_with(b"GET /second HTTP/1.1\r\n")
        );
        machine.receive(8, Ok(b""));
        assert!(matches!(machine.error().reason, Reason::NoAnswer));
    }
}

#[test]
fn one_that_cannot_be_written_to_is_replaced_by_a_fresh_one() {
    let mut machine = Machine::get(Config::default(), URL);
    machine.take("127.0.0.1", Some(used_connection(7)));
    machine.probe(7, None);
    assert!(machine.0.next_step().is_ok());
    machine.0.sent(Err(io::ErrorKind::BrokenPipe.into()));
    machine.connect("127.0.0.1:80", Ok(8));
}

#[test]
fn an_answer_that_had_begun_is_not_asked_for_again() {
    let mut machine = on_a_kept_one();
    machine.receive(7, Ok(b"H"));
    machine.receive(7, Ok(b""));
    assert!(matches!(machine.error().reason, Reason::Truncated { .. }));
    let mut machine = on_a_kept_one();
    machine.receive(7, Ok(b"HTTP/1.1 100 Continue\r\n\r\n"));
    machine.receive(7, Err(io::ErrorKind::ConnectionReset.into()));
    assert!(matches!(machine.error().reason, Reason::Io { .. }));
}

#[test]
fn a_fresh_one_that_closes_without_a_byte_is_an_error() {
    let mut machine = Machine::get(Config::default(), URL);
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(b""));
    let error = machine.error().to_string();
    assert_eq!(
        error,
        "http://127.0.0.1/second: connection closed without an answer"
    );
}

#[test]
fn nothing_is_kept_where_that_was_not_agreed() {
    for (answer, config) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
            Config::default(),
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
            Config::default(),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Config::default(),
        ),
        (
            ANSWER,
            Config {
                keep_alive: false,
                ..Config::default()
            },
        ),
    ] {
        let keep_alive = config.keep_alive;
        let mut machine = Machine::get(config, URL);
        let request = machine.begin("127.0.0.1", "127.0.0.1:80", 1);
        assert_eq!(request.contains("Connection: close"), !keep_alive);
        machine.receive(1, Ok(answer.as_bytes()));
        assert_eq!(machine.done().body, b"hi");
    }
}

#[test]
fn both_drivers_send_many_requests_over_one_connection() {
    for driver in DRIVERS {
        let turn = || [Script::Request, Script::say(ANSWER)];
        let server = serve(vec![
            [turn(), turn(), turn()].into_iter().flatten().collect(),
        ]);
        let client = driver.client(Config::default());
        for turn in 0..3 {
            let response = client.get(&server.url("/x"), soon()).unwrap();
            assert_eq!(response.reused, turn > 0, "{driver:?}");
            assert_eq!(client.idle_connections(), 1);
        }
        assert_eq!(server.finish().len(), 3);
    }
}

#[test]
fn both_drivers_replace_one_that_was_closed_while_idle() {
    for driver in DRIVERS {
        // One more connection, of the test's own: once the server is there, the first is closed.
        let server = serve(vec![
            vec![Script::Request, Script::say(ANSWER)],
            vec![Script::Meet],
            vec![Script::Request, Script::say(ANSWER)],
        ]);
        let client = driver.client(Config::default());
        client.get(&server.url("/1"), soon()).unwrap();
        let _second = std::net::TcpStream::connect(server.address).unwrap();
        server.meet();
        server.release();
        assert!(
            !client.get(&server.url("/2"), soon()).unwrap().reused,
            "{driver:?}"
        );
        assert_eq!(server.finish().len(), 2);
    }
}

#[test]
fn both_drivers_ask_again_when_one_closes_under_their_hands() {
    for driver in DRIVERS {
        let server = serve(vec![
            vec![Script::Request, Script::say(ANSWER), Script::Request],
            vec![Script::Request, Script::say(ANSWER)],
        ]);
        let client = driver.client(Config::default());
        assert!(!client.get(&server.url("/1"), soon()).unwrap().reused);
        assert!(
            !client.get(&server.url("/2"), soon()).unwrap().reused,
            "{driver:?}"
        );
        let requests = server.finish();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[1], requests[2]);
    }
}

#[test]
fn both_drivers_never_take_unasked_bytes_for_the_answer() {
    for driver in DRIVERS {
        let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
        let server = serve(vec![
            vec![
                Script::Request,
                Script::say(ANSWER),
                Script::Meet,
                Script::say(late),
                Script::Meet,
                Script::AwaitClose,
            ],
            vec![Script::Request, Script::say(ANSWER)],
        ]);
        let client = driver.client(Config::default());
        client.get(&server.url("/1"), soon()).unwrap();
        server.meet();
        server.release();
        server.meet(); // the late bytes are there now
        server.release();
        assert_eq!(
            client.get(&server.url("/2"), soon()).unwrap().status,
            200,
            "{driver:?}"
        );
        assert_eq!(server.finish().len(), 2);
    }
}
