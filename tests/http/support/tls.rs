//! Certificates made on the spot, and TLS servers with them: one without I/O, one on a socket.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use workloads::http::pool::Connection;
use workloads::http::step::Step;
use workloads::http::{Config, Error, Response, Tls, Url};

use super::machine::Machine;
use super::server::read_request;

/// A certificate authority of the test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The configuration of a client that trusts this authority alone.
    pub fn trusted(&self) -> Config {
        Config {
            tls: Tls::with_root_pem(self.pem().as_bytes()).unwrap(),
            ..Config::default()
        }
    }

    /// A server that calls itself `name`, in every version of TLS.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_with(name, rustls::ALL_VERSIONS, |_| {})
    }

    pub fn server_with(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer = params.signed_by(&key, &self.0).unwrap().into();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}

/// A TLS server without I/O: answers each request with `answer`.
pub struct Peer {
    pub connection: ServerConnection,
    answer: Vec<u8>,
    /// Say close_notify behind the first answer?
    closes: bool,
    request: Vec<u8>,
    pub requests: usize,
    /// Ciphertext that is not delivered yet.
    outgoing: VecDeque<u8>,
    /// Sent behind the first answer, and not as TLS.
    pub junk: Vec<u8>,
    /// What the client's TLS complained of.
    pub complaint: Option<rustls::Error>,
}

impl Peer {
    pub fn new(config: Arc<ServerConfig>, answer: &[u8], closes: bool) -> Peer {
        Peer {
            connection: ServerConnection::new(config).unwrap(),
            answer: answer.to_vec(),
            closes,
            request: Vec::new(),
            requests: 0,
            outgoing: VecDeque::new(),
            junk: Vec::new(),
            complaint: None,
        }
    }

    pub fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            match self.connection.process_new_packets() {
                Ok(_) => drop(self.connection.reader().read_to_end(&mut self.request)),
                Err(error) => self.complaint = Some(error),
            }
        }
        if self.request.ends_with(b"\r\n\r\n") {
            self.request.clear();
            self.requests += 1;
            self.connection.writer().write_all(&self.answer).unwrap();
            if self.closes {
                self.connection.send_close_notify();
            }
            self.encrypt();
            self.outgoing.extend(self.junk.drain(..));
        }
    }

    /// Up to `step` bytes of ciphertext; none is the end of the stream.
    pub fn speak(&mut self, step: usize) -> Vec<u8> {
        self.encrypt();
        let n = step.min(self.outgoing.len());
        self.outgoing.drain(..n).collect()
    }

    fn encrypt(&mut self) {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.outgoing).unwrap();
        }
    }
}

/// Lets a fetch with a connection talk to `peer`, which sends at most `step` bytes at once and
/// is cut off after `budget` bytes.
pub fn converse(
    machine: &mut Machine,
    peer: &mut Peer,
    step: usize,
    mut budget: usize,
) -> Result<(Response, Option<Connection<u32>>), Error> {
    let mut kept = None;
    loop {
        match machine.0.next_step()? {
            Step::Send(_, bytes) => {
                let n = bytes.len();
                peer.hear(bytes);
                machine.0.sent(Ok(n));
            }
            Step::Receive(_) => {
                let bytes = peer.speak(step.min(budget));
                budget -= bytes.len();
                machine.0.received(Ok(&bytes));
            }
            Step::Keep(connection) => kept = Some(connection),
            Step::Done(response) => return Ok((response, kept)),
            _ => panic!("the conversation left its connection"),
        }
    }
}

/// A TLS server on a socket, for one connection.
pub struct TlsServer {
    pub port: u16,
    thread: JoinHandle<std::io::Result<()>>,
}

/// Answers one request; then closes the connection, with close_notify or without.
pub fn serve_tls(config: Arc<ServerConfig>, answers: Vec<Vec<u8>>, closes: bool) -> TlsServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let work = move || {
        let (mut socket, _) = listener.accept()?;
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        for answer in answers {
            read_request(&mut stream);
            stream.write_all(&answer)?;
        }
        if closes {
            stream.conn.send_close_notify();
        }
        stream.conn.write_tls(stream.sock)?;
        Ok(())
    };
    TlsServer {
        port,
        thread: thread::spawn(work),
    }
}

impl TlsServer {
    pub fn url(&self, host: &str) -> Url {
        Url::parse(&format!("https://{host}:{}/x", self.port)).unwrap()
    }

    pub fn finish(self) -> std::io::Result<()> {
        self.thread.join().expect("the server did not panic")
    }
}
