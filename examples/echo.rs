//! An echo server on several threads, a hundred clients, and what the runtime counted meanwhile.
//!
//! ```text
//! cargo run --release --example echo                    # its own clients, then the metrics
//! cargo run --release --example echo -- 127.0.0.1:7000  # for `nc 127.0.0.1 7000`, until Ctrl-C
//! ```
//!
//! The first prints that 100 clients had 100 answers each, and a line for each worker: how often it
//! polled a task, slept, and found work in another's queue.

use futures_lite::io::{AsyncReadExt, AsyncWriteExt, copy};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::signal::{SignalKind, signal};
use tatkal::{Runtime, TaskGroup, spawn};

const CLIENTS: usize = 100;
const ROUNDS: usize = 100;

const USAGE: &str = "\
Usage: echo [ADDRESS:PORT]

Without an address: a hundred clients of its own, then what the runtime counted.
With one, as 127.0.0.1:7000: a server for `nc 127.0.0.1 7000`, until Ctrl-C.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let address = args.next();
    match address.as_deref() {
        Some("-h" | "--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(wrong) if wrong.starts_with('-') || args.next().is_some() => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
        _ => {}
    }
    match run(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: Option<String>) -> io::Result<()> {
    let threads = tatkal::available_cpus();
    let runtime = Runtime::builder().worker_threads(threads).build()?;
    runtime.block_on(async {
        let own = address.is_none();
        let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
        let address = listener.local_addr()?;
        let server = spawn(serve(listener));
        if own {
            converse(address).await?;
        } else {
            let mut ctrl_c = signal(SignalKind::INTERRUPT)?; // before it is promised
            println!("echoing at {address}, on {threads} threads; Ctrl-C ends it");
            ctrl_c.recv().await?;
        }
        server.abort();
        io::Result::Ok(())
    })?;
    for (number, worker) in runtime.metrics().workers.iter().enumerate() {
        println!(
            "worker {number}: {} polls, {} sleeps, {} steals",
            worker.polls, worker.parks, worker.steals
        );
    }
    Ok(())
}

/// One task for each connection; whichever worker is free runs it.
async fn serve(listener: TcpListener) -> io::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        spawn(async move {
            // A client that breaks off is its own affair.
            let _ = copy(&stream, &mut &stream).await;
        })
        .detach();
    }
}

/// All clients at once; the first that fails stops the others.
async fn converse(address: SocketAddr) -> io::Result<()> {
    let scope = TaskGroup::scope(async |mut group| {
        for n in 0..CLIENTS {
            group.spawn(client(address, n as u8));
        }
        let mut answers = 0;
        while let Some(rounds) = group.join_next().await {
            answers += rounds;
        }
        Ok(answers)
    });
    let answers = scope.await.map_err(io::Error::other)?;
    println!("{CLIENTS} clients had {answers} answers");
    Ok(())
}

async fn client(address: SocketAddr, n: u8) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    for round in 0..ROUNDS {
        let (said, mut heard) = ([n, round as u8], [0; 2]);
        stream.write_all(&said).await?;
        stream.read_exact(&mut heard).await?;
        if heard != said {
            return Err(io::Error::other(format!("said {said:?}, heard {heard:?}")));
        }
    }
    Ok(ROUNDS)
}
