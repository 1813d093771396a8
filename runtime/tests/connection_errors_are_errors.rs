//! What goes wrong in connecting and listening is an `io::Error` of the right kind.

mod common;

use common::on_both;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tatkal::net::{TcpListener, TcpStream};

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn of_several_addresses_the_first_that_answers_is_taken() {
    on_both(|| async {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [gone.local_addr().unwrap(), listener.local_addr().unwrap()];
        drop(gone);
        let client = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), addresses[1]);
    });
}

#[test]
fn a_name_is_looked_up() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("localhost", port)).await.unwrap();
        TcpStream::connect(format!("localhost:{port}"))
            .await
            .unwrap();
    });
}

#[test]
fn no_address_and_no_port_are_invalid_input() {
    on_both(|| async {
        let none: &[SocketAddr] = &[];
        for error in [
            TcpStream::connect(none).await.unwrap_err(),
            TcpListener::bind(none).await.unwrap_err(),
            TcpStream::connect("127.0.0.1").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn an_address_is_listened_on_once_and_again_when_it_is_free() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // A connection of its past does not keep the address.
        let _client = TcpStream::connect(address).await.unwrap();
        drop(listener.accept().await.unwrap());
        drop(listener);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
#[should_panic(expected = "there is no tatkal runtime on this thread")]
fn a_socket_outside_of_a_runtime_panics_and_names_the_cure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _ = TcpListener::from_std(listener);
}

#[test]
#[should_panic(expected = "there is no tatkal runtime on this thread")]
fn a_sleep_outside_of_a_runtime_panics_and_names_the_cure() {
    let mut sleep = tatkal::sleep(std::time::Duration::from_secs(1));
    let _ = common::poll_once(&mut sleep);
}

#[test]
#[should_panic(expected = "this thread runs an executor")]
fn a_runtime_inside_of_a_runtime_is_refused() {
    tatkal::block_on(async { tatkal::block_on(async {}) });
}
