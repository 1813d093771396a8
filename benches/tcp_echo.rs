//! What does a socket cost? Round trips over loopback: 1 connection with 1 byte, 64 with 1 KiB.
//!
//! Client and server are tasks of the same one-thread runtime, so that each round trip is four
//! system calls, two events and two wake-ups, and no second core hides any of it. The physical
//! limit is `std`: the same bytes on two threads that block. `cargo bench --bench tcp_echo`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Round trips of `connections` at a time, `times` each, on ours.
fn ours(runtime: &tatkal::Runtime, connections: usize, bytes: usize, times: u64) -> Duration {
    use tatkal::net::{TcpListener, TcpStream};
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tatkal::spawn(async move {
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tatkal::spawn(async move {
                    let mut buffer = vec![0; bytes];
                    while futures_lite::AsyncReadExt::read_exact(&mut stream, &mut buffer)
                        .await
                        .is_ok()
                    {
                        futures_lite::AsyncWriteExt::write_all(&mut stream, &buffer)
                            .await
                            .unwrap();
                    }
                })
                .detach();
            }
        });
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        server.await.unwrap();
        let start = Instant::now();
        let clients = streams.into_iter().map(|mut stream| {
            tatkal::spawn(async move {
                let mut buffer = vec![7; bytes];
                for _ in 0..times {
                    futures_lite::AsyncWriteExt::write_all(&mut stream, &buffer)
                        .await
                        .unwrap();
                    futures_lite::AsyncReadExt::read_exact(&mut stream, &mut buffer)
                        .await
                        .unwrap();
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        start.elapsed()
    })
}

/// The same on tokio.
fn theirs(
    runtime: &tokio::runtime::Runtime,
    connections: usize,
    bytes: usize,
    times: u64,
) -> Duration {
    use tokio::net::{TcpListener, TcpStream};
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let mut buffer = vec![0; bytes];
                    while stream.read_exact(&mut buffer).await.is_ok() {
                        stream.write_all(&buffer).await.unwrap();
                    }
                });
            }
        });
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        server.await.unwrap();
        let start = Instant::now();
        let clients = streams.into_iter().map(|mut stream| {
            tokio::spawn(async move {
                let mut buffer = vec![7; bytes];
                for _ in 0..times {
                    stream.write_all(&buffer).await.unwrap();
                    stream.read_exact(&mut buffer).await.unwrap();
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        start.elapsed()
    })
}

/// One connection, two threads that block.
fn blocking(bytes: usize, times: u64) -> Duration {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = vec![0; bytes];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer).unwrap();
        }
    });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![7; bytes];
    let start = Instant::now();
    for _ in 0..times {
        stream.write_all(&buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
    }
    let elapsed = start.elapsed();
    drop(stream);
    server.join().unwrap();
    elapsed
}

fn echo(c: &mut Criterion) {
    let our_runtime = tatkal::Runtime::new().unwrap();
    let their_runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, connections, bytes) in [
        ("tcp echo, 1 x 1 byte", 1, 1),
        ("tcp echo, 64 x 1 KiB", 64, 1024),
    ] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function(BenchmarkId::new("tatkal", 1), |b| {
            b.iter_custom(|times| ours(&our_runtime, connections, bytes, times));
        });
        group.bench_function(BenchmarkId::new("tokio", 1), |b| {
            b.iter_custom(|times| theirs(&their_runtime, connections, bytes, times));
        });
        if connections == 1 {
            group.bench_function(BenchmarkId::new("std, two blocking threads", 2), |b| {
                b.iter_custom(|times| blocking(bytes, times));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, echo);
criterion_main!(benches);
