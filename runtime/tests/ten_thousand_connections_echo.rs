//! Ten thousand connections are open at once, and each gets its own bytes back: on one thread and
//! on two, over both backends.
//!
//! The clients are in a process of their own (this test binary, once more), so that each process
//! has ten thousand sockets and not twenty: many machines allow no more. Where not even that is
//! allowed the test says so and is skipped.

mod common;

use common::BACKENDS;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{Builder, Runtime, spawn, spawn_blocking};

const CONNECTIONS: usize = 10_000;
/// For the event loop, the harness, and what it inherited.
const OTHERS: u64 = 100;
/// Tells the second process who it is, and where to connect to.
const ADDRESS: &str = "TATKAL_TEST_ECHO_SERVER";

/// Allows this process and its children the descriptors they need.
fn raise_the_limit() -> Result<(), String> {
    let wanted = CONNECTIONS as u64 + OTHERS;
    let limits = getrlimit(Resource::Nofile);
    if limits.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let limits = Rlimit {
        current: Some(wanted),
        maximum: limits.maximum.map(|maximum| maximum.max(wanted)),
    };
    setrlimit(Resource::Nofile, limits)
        .map_err(|error| format!("skipped: {wanted} descriptors are not to be had ({error})"))
}

/// Returns how many were open at the same time.
async fn serve(listener: TcpListener) -> usize {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (open, most) = (open.clone(), most.clone());
        tasks.push(spawn(async move {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let mut bytes = [0; 8];
            // The client resets the connection in the end.
            while stream.read_exact(&mut bytes).await.is_ok() {
                stream.write_all(&bytes).await.unwrap();
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    most.load(Ordering::SeqCst)
}

fn server(builder: Builder) {
    builder.build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = spawn(serve(listener));
        let clients = spawn_blocking(move || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "the_clients", "--ignored", "--nocapture"])
                .env(ADDRESS, address.to_string())
                .status()
                .unwrap()
        });
        assert!(clients.await.unwrap().success());
        assert_eq!(serving.await.unwrap(), CONNECTIONS);
    });
}

#[test]
fn ten_thousand_connections_are_open_at_once_and_echo() {
    if let Err(reason) = raise_the_limit() {
        return eprintln!("{reason}");
    }
    for backend in BACKENDS {
        let builder = || Runtime::builder().backend(backend);
        println!("on {backend:?}, one thread");
        server(builder());
        println!("on {backend:?}, two threads");
        server(builder().worker_threads(2));
    }
}

/// Not a test of its own: the other process.
#[test]
#[ignore = "the second process of the other test"]
fn the_clients() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let address: SocketAddr = address.parse().unwrap();
    tatkal::block_on(async {
        let mut streams = Vec::new();
        while streams.len() < CONNECTIONS {
            // As many at once as any listener's queue takes.
            let connecting: Vec<_> = (0..100)
                .map(|_| spawn(TcpStream::connect(address)))
                .collect();
            for connection in connecting {
                streams.push(connection.await.unwrap().unwrap());
            }
        }
        // All are open. Each says something else, twice.
        let tasks: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(n, mut stream)| {
                spawn(async move {
                    for round in 0..2 {
                        let sent = (n + round * CONNECTIONS).to_be_bytes();
                        stream.write_all(&sent).await.unwrap();
                        let mut received = [0; 8];
                        stream.read_exact(&mut received).await.unwrap();
                        assert_eq!(received, sent);
                    }
                    stream
                })
            })
            .collect();
        for task in tasks {
            let stream = task.await.unwrap();
            // Reset, not closed in order: no port is left in TIME_WAIT for the next run.
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    });
}
