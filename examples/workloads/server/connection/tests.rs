//! The connection against clients that are lists of bytes, on a clock that is a list of durations.

use super::*;
use futures_lite::future::block_on;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

const GET: &str = "GET /flags/ye/ye.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &str = "GET /flags/ye/ye.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// What the client does next, as the server's reads see it.
enum Act {
    Send(Vec<u8>),
    Fail(io::ErrorKind),
}

/// A client that acts its script, then hangs up, or falls silent for ever.
struct Client {
    script: VecDeque<Act>,
    then_silent: bool,
    /// Bytes it takes before it stops reading for ever, and at most per write.
    takes: usize,
    takes_at_once: usize,
    received: Vec<u8>,
    /// The server has ended its answers.
    closed: bool,
    /// The server read after that, up to the end.
    read_to_end: bool,
}

impl Client {
    fn sending<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Client {
        Client {
            script: parts
                .into_iter()
                .map(|part| Act::Send(part.as_ref().to_vec()))
                .collect(),
            then_silent: false,
            takes: usize::MAX,
            takes_at_once: usize::MAX,
            received: Vec::new(),
            closed: false,
            read_to_end: false,
        }
    }

    /// Has the server serve it. Gives the result, and every sleep that the server began.
    fn served(&mut self, config: &Config) -> (io::Result<()>, Vec<Duration>) {
        let sleeps = RefCell::new(Vec::new());
        let sleep = |duration| {
            sleeps.borrow_mut().push(duration);
            std::future::ready(())
        };
        let result = block_on(serve_connection(&mut *self, config, sleep));
        (result, sleeps.into_inner())
    }

    fn answers(&self) -> Vec<(u16, Vec<u8>)> {
        let mut rest = &self.received[..];
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (status, body, length) = first_answer(rest);
            answers.push((status, body));
            rest = &rest[length..];
        }
        answers
    }

    fn statuses(&self) -> Vec<u16> {
        self.answers()
            .into_iter()
            .map(|(status, _)| status)
            .collect()
    }
}

/// Status and body of the first answer, and the length of both head and body.
fn first_answer(bytes: &[u8]) -> (u16, Vec<u8>, usize) {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    let start = head.parse(bytes).expect("a well-formed head").unwrap();
    let length = head
        .headers
        .iter()
        .find(|header| header.name == "Content-Length")
        .unwrap();
    let length: usize = std::str::from_utf8(length.value).unwrap().parse().unwrap();
    let end = start + length;
    (head.code.unwrap(), bytes[start..end].to_vec(), end)
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.script.pop_front() {
            Some(Act::Send(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buf.len()));
                buf[..bytes.len()].copy_from_slice(&bytes);
                if !rest.is_empty() {
                    self.script.push_front(Act::Send(rest));
                }
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Act::Fail(kind)) => Poll::Ready(Err(kind.into())),
            None if self.then_silent => Poll::Pending,
            None => {
                self.read_to_end = self.closed;
                Poll::Ready(Ok(0))
            }
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.closed, "wrote after its own end");
        let room = self.takes - self.received.len();
        let count = buf.len().min(room).min(self.takes_at_once);
        self.received.extend_from_slice(&buf[..count]);
        if count == 0 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(count))
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

fn yemen() -> Vec<u8> {
    crate::flags::countries::image("ye").unwrap().to_vec()
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let mut client = Client::sending([GET, GET, LAST]);
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.answers(), vec![(200, yemen()); 3]);
    assert!(client.closed && client.read_to_end);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let other = "GET /flags/zz/zz.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = Client::sending([[GET, other, LAST].concat()]);
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.statuses(), [200, 404, 200]);
}

#[test]
fn a_client_that_never_waits_lets_others_run_between_its_answers() {
    let mut client = Client::sending([[GET, GET, LAST].concat()]);
    let (config, mut polls) = (Config::local(), 0);
    let mut connection = Box::pin(serve_connection(&mut client, &config, |_| {
        std::future::ready(())
    }));
    block_on(std::future::poll_fn(|cx| {
        polls += 1;
        connection.as_mut().poll(cx)
    }))
    .unwrap();
    assert_eq!(polls, 3); // one turn for each answer
}

#[test]
fn a_request_and_an_answer_may_come_byte_by_byte() {
    let mut client = Client::sending(GET.bytes().map(|byte| [byte]));
    client.takes_at_once = 1;
    let config = Config::local();
    let (result, sleeps) = client.served(&config);
    result.unwrap();
    assert_eq!(client.answers(), [(200, yemen())]);
    // One limit for the whole head and one for the whole answer: each byte does not buy a new one.
    let (patience, delay) = (config.patience, *config.delay.start());
    assert_eq!(sleeps, [patience, delay, patience, patience, patience]);
}

#[test]
fn nothing_follows_an_answer_that_said_close() {
    for last in [LAST, "GET /flags/ye/ye.jpg HTTP/1.0\r\n\r\n"] {
        let mut client = Client::sending([last, GET]);
        client.served(&Config::local()).0.unwrap();
        assert_eq!(client.statuses(), [200]);
        assert!(
            client.read_to_end,
            "what the client had sent was left unread"
        );
    }
}

#[test]
fn a_head_gets_the_head_alone() {
    let mut client = Client::sending([GET.replace("GET", "HEAD"), GET.to_string()]);
    client.served(&Config::local()).0.unwrap();
    let received = String::from_utf8_lossy(&client.received).into_owned();
    let (head, rest) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", yemen().len())));
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_refusal_is_answered_and_is_the_last() {
    for (bytes, status) in [
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            405,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}", 400), // the first bytes of TLS
    ] {
        let mut client = Client::sending([bytes, GET]);
        client.served(&Config::local()).0.unwrap();
        assert_eq!(client.statuses(), [status], "{bytes:?}");
        assert!(client.read_to_end);
    }
}

#[test]
fn a_head_that_ends_in_the_middle_is_refused() {
    let mut client = Client::sending([&GET[..20]]);
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.statuses(), [400]);
}

#[test]
fn a_head_without_end_is_refused() {
    let mut endless = Client::sending(std::iter::repeat_n("X: y\r\n", 100_000));
    endless
        .script
        .push_front(Act::Send(b"GET / HTTP/1.1\r\n".to_vec()));
    endless.served(&Config::local()).0.unwrap();
    assert_eq!(endless.statuses(), [431]);
}

#[test]
fn the_delay_comes_before_each_answer_and_none_before_a_refusal() {
    let config = Config::delay();
    let other = "GET /flags/zz/zz.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = Client::sending([GET, other, "nonsense\r\n\r\n"]);
    let (result, sleeps) = client.served(&config);
    result.unwrap();
    assert_eq!(client.statuses(), [200, 404, 400]);
    let delays: Vec<_> = sleeps
        .into_iter()
        .filter(|sleep| *sleep != config.patience)
        .collect();
    let fate = |cc| Fate::of(&format!("/flags/{cc}/{cc}.jpg"), &config).delay;
    assert_eq!(delays, [fate("ye"), fate("zz")]);
}

#[test]
fn a_faulty_server_answers_418_and_carries_on() {
    let config = Config {
        error_rate: 1.0,
        ..Config::local()
    };
    let mut client = Client::sending([GET, LAST]);
    client.served(&config).0.unwrap();
    assert_eq!(client.statuses(), [418, 418]);
}

#[test]
fn a_retry_may_fare_better() {
    let config = Config {
        error_rate: 0.5,
        ..Config::local()
    };
    let retries = (1..=32).map(|attempt| {
        let target = super::super::retry_target("/flags/ye/ye.jpg", attempt);
        format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    });
    let mut client = Client::sending(retries);
    client.served(&config).0.unwrap();
    let statuses = client.statuses();
    assert!(
        statuses.contains(&200) && statuses.contains(&418),
        "{statuses:?}"
    );
}

#[test]
fn a_client_that_stalls_in_a_head_is_told_so() {
    let mut client = Client::sending([&GET[..20]]);
    client.then_silent = true;
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.statuses(), [408]);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut client = Client::sending([GET]);
    client.then_silent = true;
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.statuses(), [200]);
    assert!(client.closed);
}

#[test]
fn a_client_that_takes_no_answer_is_given_up() {
    let mut client = Client::sending([GET]);
    client.takes = 100;
    let error = client.served(&Config::local()).0.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_client_that_leaves_is_an_error_of_that_connection() {
    let mut client = Client::sending([GET]);
    client
        .script
        .push_back(Act::Fail(io::ErrorKind::ConnectionReset));
    let error = client.served(&Config::local()).0.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_flood_after_the_last_answer_has_an_end() {
    let mut client = Client::sending([LAST]);
    client
        .script
        .push_back(Act::Send(vec![0; 2 * LINGER_BYTES]));
    client.served(&Config::local()).0.unwrap();
    assert_eq!(client.statuses(), [200]);
    assert!(!client.read_to_end && !client.script.is_empty());
}

proptest! {
    // A failure prints its input, and gets a test of its own when it is mended.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent, cut wherever: no panic, an end, and nothing but well-formed answers.
    #[test]
    fn any_bytes_get_well_formed_answers(
        parts in prop::collection::vec(
            prop_oneof![
                Just(GET.as_bytes().to_vec()),
                Just(b"\r\n".to_vec()),
                "(GET|HEAD|POST) [ -~]{0,20} HTTP/[012].[019]\r\n".prop_map(String::into_bytes),
                "(Host|Connection|Content-Length|X): [ -~]{0,20}\r\n".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..100),
            ],
            0..20,
        ),
        cut in 1..200_usize,
        then_silent: bool,
    ) {
        // A HEAD's answer has no body, which would confuse the reader below.
        let bytes = String::from_utf8_lossy(&parts.concat()).replace("HEAD", "GET ");
        let mut client = Client::sending(bytes.as_bytes().chunks(cut));
        client.then_silent = then_silent;
        client.served(&Config::error()).0.unwrap();
        client.answers();
        prop_assert!(client.closed);
    }
}
