//! Unix streams behave as TCP's do, and any descriptor that can be polled can be waited on.

mod common;

use common::on_both;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use tatkal::net::{UnixListener, UnixStream};
use tatkal::{Async, spawn_local, yield_now};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("tatkal-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

#[test]
fn streams_connect_by_path_and_end_by_halves() {
    let directory = Directory::new("streams");
    on_both(|| async {
        let path = directory.0.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(
            UnixListener::bind(&path).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        let server = spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
            question
        });
        settle().await;
        let (mut read, mut write) = UnixStream::connect(&path).await.unwrap().into_split();
        write.write_all(b"question").await.unwrap();
        drop(write);
        let mut answer = String::new();
        read.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&*server.await.unwrap(), &*answer), ("question", "answer"));

        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn connecting_to_a_listener_whose_queue_is_full_waits() {
    let directory = Directory::new("queue");
    on_both(|| async {
        let path = directory.0.join("socket");
        // Std's listener, with a queue that is shorter than ours.
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let path = path.clone();
                spawn_local(async move { UnixStream::connect(path).await.unwrap() })
            })
            .collect();
        settle().await;
        assert!(clients.iter().any(|client| !client.is_finished()));
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(listener.accept().await.unwrap());
        }
        for client in clients {
            client.await.unwrap();
        }
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_pair_is_connected() {
    on_both(|| async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"x").await.unwrap();
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 1);
        drop(one);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn a_pipe_is_waited_on_at_both_ends() {
    on_both(|| async {
        let (read, write) = std::io::pipe().unwrap();
        let (read, write) = (Async::new(read).unwrap(), Async::new(write).unwrap());
        const SIZE: usize = 1 << 20; // more than a pipe holds
        let writer = spawn_local(async move {
            let mut left = SIZE;
            while left > 0 {
                let chunk = vec![7; left.min(10_000)];
                left -= write.write_with(|mut io| io.write(&chunk)).await.unwrap();
            }
        });
        settle().await;
        assert!(!writer.is_finished());
        let mut got = 0;
        loop {
            read.readable().await.unwrap();
            let mut buffer = [0; 4096];
            match read.read_with(|mut io| io.read(&mut buffer)).await.unwrap() {
                0 => break,
                n => got += n,
            }
        }
        assert_eq!(got, SIZE);
        writer.await.unwrap();
    });
}

#[test]
fn a_regular_file_and_a_descriptor_watched_already_are_refused() {
    let directory = Directory::new("file");
    on_both(|| async {
        let file = std::fs::File::create(directory.0.join("file")).unwrap();
        let error = Async::new(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);

        let (read, _write) = std::io::pipe().unwrap();
        let first = Async::new(&read).unwrap();
        let error = Async::new(&read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        drop(first);
        let again = Async::new(&read).unwrap();
        again.into_inner(); // and this frees it, too
        Async::new(&read).unwrap();
    });
}
