//! The flags server over real sockets: it serves clients side by side, and when it is dropped nothing
//! of it is left. (What it answers is tested beside `server/connection.rs`, without sockets.)

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use workloads::flags::countries;
use workloads::server::{Config, Server};

fn at_once() -> Config {
    Config {
        delay: Duration::ZERO..=Duration::ZERO,
        ..Config::local()
    }
}

/// Sends a request for the flag, and does not wait for the answer.
fn ask(client: &mut TcpStream, code: &str) {
    let request = format!("GET /flags/{code}/{code}.jpg HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
}

/// Reads an answer that ends with this flag.
fn take(client: &mut TcpStream, code: &str) {
    let image = countries::image(code).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(image) {
        let mut bytes = [0; 4096];
        let count = client.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "the answer ended early");
        answer.extend_from_slice(&bytes[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn all_flags_are_served_over_249_connections_at_once() {
    let server = Server::start(at_once()).unwrap();
    let connect = |_| TcpStream::connect(server.addr()).unwrap();
    let mut clients: Vec<_> = countries::all().iter().map(connect).collect();
    for round in 0..2 {
        for (client, country) in clients.iter_mut().zip(countries::all()) {
            ask(client, country.code);
        }
        // The last first: nobody waits for the one before.
        for (client, country) in clients.iter_mut().zip(countries::all()).rev() {
            take(client, country.code);
        }
        println!("round {round} done on kept-alive connections");
    }
}

#[test]
fn a_client_that_stalls_holds_up_nobody() {
    let server = Server::start(at_once()).unwrap();
    let mut stalled = TcpStream::connect(server.addr()).unwrap();
    stalled.write_all(b"GET /flags/ye").unwrap();
    let mut gone = TcpStream::connect(server.addr()).unwrap();
    ask(&mut gone, "ye");
    drop(gone);
    let mut client = TcpStream::connect(server.addr()).unwrap();
    ask(&mut client, "zm");
    take(&mut client, "zm");
    stalled
        .write_all(b"/ye.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    take(&mut stalled, "ye");
}

#[test]
fn a_refused_client_can_send_to_its_end() {
    let server = Server::start(at_once()).unwrap();
    let mut client = TcpStream::connect(server.addr()).unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap(); // to the end: the server has had its last word
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    // Whatever else the server's thread did in that turn is done when it has served someone else.
    let mut other = TcpStream::connect(server.addr()).unwrap();
    ask(&mut other, "ye");
    take(&mut other, "ye");
    for _ in 0..3 {
        client.write_all(b"one").unwrap(); // a closed socket answers the first with a reset
    }
}

#[test]
fn dropping_it_closes_every_socket() {
    let server = Server::start(Config {
        delay: Duration::from_secs(3600)..=Duration::from_secs(3600),
        ..Config::local()
    })
    .unwrap();
    let addr = server.addr();
    let mut waiting = TcpStream::connect(addr).unwrap();
    ask(&mut waiting, "ye");
    let mut idle = TcpStream::connect(addr).unwrap();
    drop(server); // joins its thread
    for client in [&mut waiting, &mut idle] {
        let ended = client.read(&mut [0; 1]);
        let reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(
            matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(reset),
            "{ended:?}"
        );
    }
    let refused = TcpStream::connect(addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn an_address_that_is_taken_is_an_error_at_the_start() {
    let server = Server::start(at_once()).unwrap();
    let error = Server::start_at(server.addr(), at_once()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}
