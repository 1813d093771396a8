//! Datagrams, over UDP and Unix sockets: whole, from whom they are from, and waited for.

mod common;

use common::on_both;
use std::io::ErrorKind;
use tatkal::net::{UdpSocket, UnixDatagram};
use tatkal::{spawn_local, yield_now};

async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

async fn udp_pair() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    (one, other)
}

#[test]
fn a_receiver_that_waits_gets_the_datagram_and_its_sender() {
    on_both(|| async {
        let (server, client) = udp_pair().await;
        let to = server.local_addr().unwrap();
        let receiver = spawn_local(async move {
            let mut buffer = [0; 16];
            let (n, from) = server.recv_from(&mut buffer).await.unwrap();
            (buffer[..n].to_vec(), from)
        });
        settle().await;
        client.send_to(b"hello", to).await.unwrap();
        let expected = (b"hello".to_vec(), client.local_addr().unwrap());
        assert_eq!(receiver.await.unwrap(), expected);
    });
}

#[test]
fn datagrams_are_not_joined_and_a_peek_takes_none() {
    on_both(|| async {
        let (server, client) = udp_pair().await;
        let to = server.local_addr().unwrap();
        for text in [&b"a"[..], b"", b"ccc"] {
            client.send_to(text, to).await.unwrap();
        }
        let mut buffer = [0; 16];
        assert_eq!(server.peek_from(&mut buffer).await.unwrap().0, 1);
        for length in [1, 0, 3] {
            assert_eq!(server.recv_from(&mut buffer).await.unwrap().0, length);
        }
    });
}

#[test]
fn a_connected_socket_talks_to_one_peer_and_hears_of_nobody_there() {
    on_both(|| async {
        let (one, other) = udp_pair().await;
        let peer = other.local_addr().unwrap();
        one.connect(peer).await.unwrap();
        other.connect(one.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.peer_addr().unwrap(), peer);
        one.send(b"x").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 1);
        drop(other);
        one.send(b"x").await.unwrap();
        let error = one.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_unix_datagram_waits_for_room_at_its_peer() {
    on_both(|| async {
        let (one, other) = UnixDatagram::pair().unwrap();
        const COUNT: usize = 2000; // far more than a queue holds
        let sender = spawn_local(async move {
            for n in 0..COUNT {
                one.send(&n.to_le_bytes()).await.unwrap();
            }
        });
        settle().await;
        assert!(!sender.is_finished());
        for n in 0..COUNT {
            let mut buffer = [0; 16];
            let length = other.recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], n.to_le_bytes());
        }
        sender.await.unwrap();
    });
}

#[test]
fn a_unix_datagram_to_a_full_peer_fails_instead_of_waiting_for_no_event() {
    let directory = std::env::temp_dir().join(format!("tatkal-datagrams-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    on_both(|| async {
        let path = directory.join("socket");
        let server = UnixDatagram::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        let mut sent = 0;
        let error = loop {
            match client.try_send_to(b"x", &path) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(sent > 0);
        let (n, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!((n, from.is_unnamed()), (1, true));
        client.try_send_to(b"x", &path).unwrap();
        std::fs::remove_file(&path).unwrap();
    });
    std::fs::remove_dir_all(&directory).unwrap();
}
