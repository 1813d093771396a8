//! Fetches without I/O: the test is the driver.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use workloads::http::fetch::Fetch;
use workloads::http::pool::Connection;
use workloads::http::request::Method;
use workloads::http::step::Step;
use workloads::http::{Config, Deadline, Error, Response, Url};

/// A fetch whose streams are numbers.
pub struct Machine(pub Fetch<u32>);

impl Machine {
    pub fn get(config: Config, url: &str) -> Machine {
        Machine::new(config, Method::Get, url, Deadline::NEVER)
    }

    pub fn new(config: Config, method: Method, url: &str, deadline: Deadline) -> Machine {
        Machine(Fetch::new(
            Arc::new(config),
            method,
            Url::parse(url).unwrap(),
            deadline,
        ))
    }

    /// The fetch looks for an idle connection and gets this one, or none.
    pub fn take(&mut self, origin: &str, idle: Option<Connection<u32>>) {
        match self.0.next_step().unwrap() {
            Step::Take(wanted) => assert_eq!(wanted.to_string(), origin),
            step => panic!("{} instead of Take", name(&step)),
        }
        self.0.took(idle);
    }

    /// The fetch probes stream `number` and reads this.
    pub fn probe(&mut self, number: u32, result: Option<io::Result<&[u8]>>) {
        match self.0.next_step().unwrap() {
            Step::Probe(stream) => assert_eq!(*stream, number),
            step => panic!("{} instead of Probe", name(&step)),
        }
        self.0.probed(result);
    }

    pub fn resolve(&mut self, result: io::Result<Vec<SocketAddr>>) {
        match self.0.next_step().unwrap() {
            Step::Resolve(_) => {}
            step => panic!("{} instead of Resolve", name(&step)),
        }
        self.0.resolved(result);
    }

    /// The fetch connects to `address` and gets this stream, or error.
    pub fn connect(&mut self, address: &str, result: io::Result<u32>) -> Deadline {
        let until = match self.0.next_step().unwrap() {
            Step::Connect(wanted, until) => {
                assert_eq!(wanted.to_string(), address);
                until
            }
            step => panic!("{} instead of Connect", name(&step)),
        };
        self.0.connected(result);
        until
    }

    /// Lets the fetch send over stream `number` whatever it has to, at most `step` bytes at once.
    pub fn send(&mut self, number: u32, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Step::Send(stream, bytes)) = self.0.next_step() {
            assert_eq!(*stream, number);
            let n = bytes.len().min(step);
            all.extend_from_slice(&bytes[..n]);
            self.0.sent(Ok(n));
        }
        all
    }

    /// The fetch waits for bytes from stream `number` and gets these, or an error.
    pub fn receive(&mut self, number: u32, result: io::Result<&[u8]>) {
        match self.0.next_step().unwrap() {
            Step::Receive(stream) => assert_eq!(*stream, number),
            step => panic!("{} instead of Receive", name(&step)),
        }
        self.0.received(result);
    }

    /// The fetch hands a connection back.
    pub fn keep(&mut self) -> Connection<u32> {
        match self.0.next_step().unwrap() {
            Step::Keep(connection) => connection,
            step => panic!("{} instead of Keep", name(&step)),
        }
    }

    pub fn done(&mut self) -> Response {
        match self.0.next_step().unwrap() {
            Step::Done(response) => response,
            step => panic!("{} instead of Done", name(&step)),
        }
    }

    pub fn error(&mut self) -> Error {
        match self.0.next_step() {
            Err(error) => error,
            Ok(step) => panic!("{} instead of an error", name(&step)),
        }
    }

    /// The fetch fails, telling the peer first.
    pub fn farewell(&mut self, number: u32) -> (Vec<u8>, Error) {
        let mut said = Vec::new();
        loop {
            match self.0.next_step() {
                Ok(Step::Send(stream, bytes)) => {
                    assert_eq!(*stream, number);
                    said.extend_from_slice(bytes);
                    let n = bytes.len();
                    self.0.sent(Ok(n));
                }
                Ok(step) => panic!("{} instead of an error", name(&step)),
                Err(error) => return (said, error),
            }
        }
    }

    /// From the start to a fresh connection over which the request is sent.
    pub fn begin(&mut self, host: &str, address: &str, number: u32) -> String {
        self.take(host, None);
        self.connect(address, Ok(number));
        String::from_utf8(self.send(number, usize::MAX)).unwrap()
    }
}

/// A connection to http://127.0.0.1/ that has carried one request.
pub fn used_connection(number: u32) -> Connection<u32> {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/first");
    machine.begin("127.0.0.1", "127.0.0.1:80", number);
    machine.receive(number, Ok(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let connection = machine.keep();
    machine.done();
    connection
}

fn name(step: &Step<'_, u32>) -> &'static str {
    match step {
        Step::Take(_) => "Take",
        Step::Probe(_) => "Probe",
        Step::Resolve(_) => "Resolve",
        Step::Connect(..) => "Connect",
        Step::Send(..) => "Send",
        Step::Receive(_) => "Receive",
        Step::Keep(_) => "Keep",
        Step::Done(_) => "Done",
    }
}
