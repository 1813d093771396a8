//! How a connection ends: one direction at a time, and the reader always hears of it.

mod common;

use common::{on_both, pair};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use tatkal::net::TcpStream;
use tatkal::{spawn_local, yield_now};

#[test]
fn a_closed_peer_is_the_end_of_the_stream_again_and_again() {
    on_both(|| async {
        let (mut client, server) = pair().await;
        drop(server);
        for _ in 0..3 {
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_reader_that_waits_hears_of_the_end() {
    on_both(|| async {
        let (mut client, server) = pair().await;
        let reader = spawn_local(async move { client.read(&mut [0; 8]).await.unwrap() });
        for _ in 0..100 {
            yield_now().await;
        }
        drop(server);
        assert_eq!(reader.await.unwrap(), 0);
    });
}

#[test]
fn the_end_is_heard_after_the_last_bytes_even_if_both_came_at_once() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        // The client has waited before, so the end comes as an event of its own kind.
        let reader = spawn_local(async move {
            let mut buffer = [0; 64]; // never filled: the read takes less than it asked for
            let first = client.read(&mut buffer).await.unwrap();
            let second = client.read(&mut buffer).await.unwrap();
            (first, second)
        });
        yield_now().await;
        server.write_all(b"last").await.unwrap();
        drop(server);
        assert_eq!(reader.await.unwrap(), (4, 0));
    });
}

#[test]
fn each_direction_ends_by_itself() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"question").await.unwrap();
        client.close().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&*question, &*answer), ("question", "answer"));
        let error = client.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn dropping_the_owned_writing_half_ends_its_direction_and_forgetting_it_does_not() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let (_read, mut write) = client.into_split();
        write.write_all(b"x").await.unwrap();
        drop(write);
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"x");

        let (client, mut server) = pair().await;
        let (read, write) = client.into_split();
        write.forget();
        let mut client = read.stream();
        client.write_all(b"y").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
    });
}

#[test]
fn only_halves_of_one_stream_reunite() {
    on_both(|| async {
        let (client, server) = pair().await;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let error = client_read.reunite(server_write).unwrap_err();
        let mut client = error.0.reunite(client_write).unwrap();
        let mut server = error.1.reunite(server_read).unwrap();
        // Nothing was ended on the way.
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
    });
}

#[test]
fn a_large_transfer_goes_both_ways_through_the_halves_at_once() {
    // More than the socket buffers hold, so that all four sides must wait.
    const SIZE: usize = 8 << 20;
    async fn both_ways(stream: &mut TcpStream) -> usize {
        let (mut read, mut write) = stream.split();
        let send = async {
            write.write_all(&vec![7; SIZE]).await.unwrap();
            write.close().await.unwrap();
        };
        let receive = async {
            let mut all = Vec::new();
            read.read_to_end(&mut all).await.unwrap();
            assert!(all.iter().all(|byte| *byte == 7));
            all.len()
        };
        zip(send, receive).await.1
    }
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        let server = spawn_local(async move { both_ways(&mut server).await });
        assert_eq!(both_ways(&mut client).await, SIZE);
        assert_eq!(server.await.unwrap(), SIZE);
    });
}

#[test]
fn peeked_bytes_are_read_again() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let mut buffer = [0; 8];
        let (peeked, ()) = zip(client.peek(&mut buffer), async {
            server.write_all(b"abc").await.unwrap();
        })
        .await;
        assert_eq!(&buffer[..peeked.unwrap()], b"abc");
        let mut again = [0; 8];
        let n = (&client).read(&mut again).await.unwrap();
        assert_eq!(&again[..n], b"abc");
    });
}

#[test]
fn several_buffers_go_in_one_call() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        let out = [IoSlice::new(b"ab"), IoSlice::new(b"cde")];
        assert_eq!(client.write_vectored(&out).await.unwrap(), 5);
        let (mut first, mut second) = ([0; 3], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.read_vectored(&mut buffers).await.unwrap(), 5);
        assert_eq!((&first, &second[..2]), (b"abc", &b"de"[..]));
    });
}

#[test]
fn readable_means_that_there_is_something_to_read() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let watcher = spawn_local(async move {
            client.readable().await.unwrap();
            client
        });
        for _ in 0..200 {
            yield_now().await; // a hint alone would have said yes by now
        }
        assert!(!watcher.is_finished());
        server.write_all(b"x").await.unwrap();
        let client = watcher.await.unwrap();
        client.readable().await.unwrap(); // still: nobody has read it
        client.writable().await.unwrap();
    });
}

#[test]
fn streams_go_to_std_and_back() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        client.set_nodelay(true).unwrap();
        let std = client.into_std();
        let mut client = TcpStream::from_std(std).unwrap();
        assert!(client.nodelay().unwrap());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 1);
    });
}
