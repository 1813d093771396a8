//! What does a small HTTP server do? 64 connections that stay open, one request after the other.
//!
//! Client and server are tasks of the same runtime, and httparse reads the heads on both ends, on
//! every side. No router, no framework: what is compared is the runtime under them.

use super::echo::connect;
use super::sides::{Inside, Side, Stream};
use super::{Cost, Row, on_each_side};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 64;
const HEADERS: usize = 16;
/// More than either head.
const BUFFER: usize = 1024;

const REQUEST: &[u8] =
    b"GET /flags/ye/ye.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
const BODY: usize = 13;

pub fn rows() -> Vec<Row> {
    let row = |threads, contenders| Row {
        workload: "HTTP, 64 connections",
        threads,
        note: "keep-alive; httparse on both ends",
        cost: Cost::Time,
        contenders,
    };
    vec![
        row(1, on_each_side!(1, http)),
        row(2, on_each_side!(2, http)),
    ]
}

/// One time is one request and its answer on each connection.
fn http<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    side.run(threads, requests(side.inside(), times))
}

async fn requests<I: Inside>(inside: I, times: u64) -> Duration {
    let streams = connect(inside, CONNECTIONS, serve).await;
    let start = Instant::now();
    let clients = streams
        .into_iter()
        .map(|stream| inside.spawn(ask(stream, times)));
    for client in clients.collect::<Vec<_>>() {
        client.await;
    }
    start.elapsed()
}

async fn serve(mut stream: impl Stream) {
    let mut buffer = [0; BUFFER];
    while receive(&mut stream, &mut buffer, request_length).await {
        stream.write_all(ANSWER).await.unwrap();
    }
}

async fn ask(mut stream: impl Stream, times: u64) {
    let mut buffer = [0; BUFFER];
    for _ in 0..times {
        stream.write_all(REQUEST).await.unwrap();
        assert!(receive(&mut stream, &mut buffer, answer_length).await);
    }
}

/// Reads one message, which is there when `length` knows how long it is and so much has come.
/// False when the other end hung up.
async fn receive(
    stream: &mut impl Stream,
    buffer: &mut [u8; BUFFER],
    length: fn(&[u8]) -> Option<usize>,
) -> bool {
    let mut read = 0;
    loop {
        match stream.read(&mut buffer[read..]).await {
            Ok(0) | Err(_) => return false,
            Ok(more) => read += more,
        }
        // Nobody sends a second message before the answer to the first.
        if length(&buffer[..read]).is_some_and(|length| length == read) {
            return true;
        }
    }
}

fn request_length(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes).unwrap() {
        httparse::Status::Complete(length) => {
            assert_eq!(request.path, Some("/flags/ye/ye.jpg"));
            Some(length)
        }
        httparse::Status::Partial => None,
    }
}

fn answer_length(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(bytes).unwrap() {
        httparse::Status::Complete(length) => {
            assert_eq!(answer.code, Some(200));
            Some(length + BODY)
        }
        httparse::Status::Partial => None,
    }
}
