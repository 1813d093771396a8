//! What does a socket cost? Round trips over loopback: 1 connection with 1 byte, 64 with 1 KiB.
//!
//! Clients and servers are tasks of the same runtime, so that no other thread hides any of the
//! work; but in one row, where the client is a thread that blocks, on a CPU of its own, and what
//! shows is the latency of a server that sleeps between two requests. Connecting is not timed.
//!
//! Below them stands a loop over epoll that does the same with no futures at all. It is
//! edge-triggered, and a message comes in one piece, so it never reads in vain: two system calls
//! for a message, and a wait for as many of them as have come.

use super::meet::Laps;
use super::place::Pinned;
use super::sides::{Inside, Ours, Side, Smol, Stream, Tokio};
use super::{Contender, Cost, Row, on_each_side};
use rustix::event::epoll;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

/// Connections and bytes of the two sizes.
const ONE: (usize, usize) = (1, 1);
const MANY: (usize, usize) = (64, 1024);

pub fn rows() -> Vec<Row> {
    let row = |workload, threads, note, contenders| Row {
        workload,
        threads,
        note,
        cost: Cost::Time,
        contenders,
    };
    let mut one = on_each_side!(1, echo_one);
    one.push(Contender::plain("raw epoll loop", |times| {
        epoll_loop(ONE, times)
    }));
    let apart = vec![
        Contender::plain(Ours::NAME, serve_apart::<Ours>),
        Contender::plain(Tokio::NAME, serve_apart::<Tokio>),
        Contender::plain(Smol::NAME, serve_apart::<Smol>),
        Contender::plain("raw epoll loop", epoll_apart),
    ];
    let mut many = on_each_side!(1, echo_many);
    many.push(Contender::plain("raw epoll loop", |times| {
        epoll_loop(MANY, times)
    }));
    vec![
        row("TCP echo, 1 x 1 byte", 1, "both ends on the runtime", one),
        row(
            "TCP echo, 1 byte, client apart",
            1,
            "the client is a thread that blocks, on the other CPU; the median round trip",
            apart,
        ),
        row("TCP echo, 64 x 1 KiB", 1, "both ends on the runtime", many),
        row(
            "TCP echo, 64 x 1 KiB",
            2,
            "both ends on the runtime",
            on_each_side!(2, echo_many),
        ),
    ]
}

fn echo_one<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    side.run(threads, echo(side.inside(), ONE, times))
}

fn echo_many<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    side.run(threads, echo(side.inside(), MANY, times))
}

async fn echo<I: Inside>(inside: I, size: (usize, usize), times: u64) -> Duration {
    let (connections, bytes) = size;
    let streams = connect(inside, connections, move |stream| serve(stream, bytes)).await;
    let start = Instant::now();
    let clients = streams
        .into_iter()
        .map(|stream| inside.spawn(ask(stream, bytes, times)));
    for client in clients.collect::<Vec<_>>() {
        client.await;
    }
    start.elapsed()
}

/// So many connections, whose other ends are served each by a task.
pub(super) async fn connect<I, F>(
    inside: I,
    connections: usize,
    serve: impl Fn(I::Stream) -> F + Send + 'static,
) -> Vec<I::Stream>
where
    I: Inside,
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = inside.listen().await;
    let server = inside.spawn(async move {
        for _ in 0..connections {
            let stream = inside.accept(&listener).await;
            inside.detach(serve(stream));
        }
    });
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(inside.connect(address).await);
    }
    server.await;
    streams
}

async fn serve(mut stream: impl Stream, bytes: usize) {
    let mut buffer = vec![0; bytes];
    while stream.read_exact(&mut buffer).await.is_ok() {
        stream.write_all(&buffer).await.unwrap();
    }
}

async fn ask(mut stream: impl Stream, bytes: usize, times: u64) {
    let mut buffer = vec![7; bytes];
    for _ in 0..times {
        stream.write_all(&buffer).await.unwrap();
        stream.read_exact(&mut buffer).await.unwrap();
    }
}

/// A server for one connection, whose client lives elsewhere.
fn serve_apart<S: Side>(times: u64) -> Duration {
    let _pinned = Pinned::to(0);
    let side = S::new(1);
    let inside = side.inside();
    side.run(1, async move {
        let (listener, address) = inside.listen().await;
        let client = thread::spawn(move || ask_apart(address, times));
        serve(inside.accept(&listener).await, 1).await;
        client.join().unwrap()
    })
}

/// The client that blocks.
fn ask_apart(address: SocketAddr, times: u64) -> Duration {
    let _pinned = Pinned::to(1);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut byte = [7];
    let mut ask = || {
        stream.write_all(&byte).unwrap();
        stream.read_exact(&mut byte).unwrap();
    };
    ask(); // not timed: the server accepts
    let mut laps = Laps::start(times);
    for _ in 0..times {
        ask();
        laps.end_one();
    }
    laps.all_as_the_median()
}

fn epoll_apart(times: u64) -> Duration {
    let _pinned = Pinned::to(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || ask_apart(address, times));
    let (mut stream, _) = listener.accept().unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    register(&epoll, &stream, 0);
    let mut byte = [0];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        match stream.read(&mut byte).unwrap() {
            0 => break,
            _ => stream.write_all(&byte).unwrap(),
        }
    }
    client.join().unwrap()
}

fn register(epoll: &OwnedFd, stream: &TcpStream, token: usize) {
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let token = epoll::EventData::new_u64(token as u64);
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(epoll, stream, token, flags).unwrap();
}

/// A socket of the raw loop, and how much it has read of its message.
struct End {
    stream: TcpStream,
    read: usize,
    /// How many messages it still sends. A server's end: one for each that it gets.
    left: u64,
}

fn epoll_loop(size: (usize, usize), times: u64) -> Duration {
    let (connections, bytes) = size;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ends = Vec::new();
    for _ in 0..connections {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        for (stream, left) in [(client, times - 1), (server, times)] {
            register(&epoll, &stream, ends.len());
            ends.push(End {
                stream,
                read: 0,
                left,
            });
        }
    }
    let mut buffer = vec![7; bytes];
    let mut events = Vec::with_capacity(1024);
    // Each client waits for so many answers.
    let mut answers = connections as u64 * times;
    let start = Instant::now();
    for client in ends.iter_mut().step_by(2) {
        client.stream.write_all(&buffer).unwrap();
    }
    while answers > 0 {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in &events {
            let token = event.data.u64();
            let end = &mut ends[token as usize];
            end.read += end.stream.read(&mut buffer[end.read..]).unwrap();
            if end.read == bytes {
                end.read = 0;
                answers -= u64::from(token % 2 == 0);
                if end.left > 0 {
                    end.left -= 1;
                    end.stream.write_all(&buffer).unwrap();
                }
            }
        }
    }
    start.elapsed()
}
