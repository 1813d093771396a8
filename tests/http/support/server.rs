//! A server on a loopback port that follows a script, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use workloads::http::Url;

/// What the server does next on a connection. At the end of its list it closes it.
pub enum Script {
    /// Reads a request up to its blank line.
    Request,
    /// Writes these bytes at once.
    Say(Vec<u8>),
    /// Writes these bytes one by one, each a write of its own.
    Drip(Vec<u8>),
    /// Writes these bytes again and again until the client is gone.
    Endlessly(Vec<u8>),
    /// Reads until the client is gone.
    AwaitClose,
    /// Lets the test know, and waits until it says go on.
    Meet,
}

impl Script {
    pub fn say(text: &str) -> Script {
        Script::Say(text.as_bytes().to_vec())
    }
}

/// The running server; `finish` it to see that it did all it was told.
pub struct Server {
    pub address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
    arrived: Receiver<()>,
    go_on: Sender<()>,
}

/// Serves as many connections as there are scripts, one after the other.
pub fn serve(scripts: Vec<Vec<Script>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (arrive, arrived) = channel();
    let (go_on, proceed) = channel();
    let work = move || {
        let mut requests = Vec::new();
        for script in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for action in script {
                act(action, &mut stream, &mut requests, &arrive, &proceed);
            }
        }
        requests
    };
    Server {
        address,
        thread: thread::spawn(work),
        arrived,
        go_on,
    }
}

fn act(
    action: Script,
    stream: &mut TcpStream,
    requests: &mut Vec<String>,
    arrive: &Sender<()>,
    proceed: &Receiver<()>,
) {
    match action {
        Script::Request => requests.push(read_request(stream)),
        // A client that refuses an answer is gone before it has all of it.
        Script::Say(bytes) => drop(stream.write_all(&bytes)),
        Script::Drip(bytes) => bytes
            .chunks(1)
            .for_each(|byte| drop(stream.write_all(byte))),
        Script::Endlessly(bytes) => while stream.write_all(&bytes).is_ok() {},
        Script::AwaitClose => while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {},
        Script::Meet => {
            arrive.send(()).unwrap();
            proceed.recv().unwrap();
        }
    }
}

/// Reads one request, which has no body.
pub fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed within a request"
        );
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

impl Server {
    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// Waits until the script has come to its `Meet`; it stays there until `release`.
    pub fn meet(&self) {
        self.arrived.recv().expect("the server is running");
    }

    pub fn release(&self) {
        self.go_on.send(()).expect("the server is running");
    }

    /// The requests it was sent. Fails when the server did.
    pub fn finish(self) -> Vec<String> {
        self.thread.join().expect("the server kept to its script")
    }
}
