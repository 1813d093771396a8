//! What lies between an exchange and its socket: nothing, or TLS.
//!
//! ```text
//!   request --send()--> [ plain | rustls ] --outgoing(), wrote()--> socket
//!   exchange <-------- [ plain | rustls ] <------- open() --------- socket
//! ```
//!
//! rustls needs no socket: it takes records in and hands records out. So the handshake, like all
//! the rest, happens in the one machine that both drivers feed, and neither knows about TLS.
//! (futures-rustls would do it for one of the two drivers, rustls' `Stream` for the other.)
//!
//! Owns      one connection's TLS state, and bytes not yet written.
//! Holds     S1 plaintext leaves only after the handshake, so after the certificate was accepted.
//!           S2 an end of stream is `End::Clean` only when the peer said so: by closing a plain
//!              connection, or by close_notify under TLS.

use std::io::{self, Read, Write};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::error::Reason;
use super::tls::{Tls, unwrap_error};
use super::url::Origin;

/// One connection's state; travels with its stream into the pool and back.
pub struct Session {
    tls: Option<Box<ClientConnection>>,
    /// Bytes for the socket; those before `written` are there already.
    outgoing: Vec<u8>,
    written: usize,
    /// The last plaintext taken out of TLS records.
    opened: Vec<u8>,
    peer: Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// May send more.
    Open,
    /// Sent close_notify.
    Closed,
    /// Sent what is not TLS, or not to be trusted.
    Broken,
}

/// How the peer ended the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It meant to.
    Clean,
    /// Under TLS, without saying that it meant to: maybe somebody in between cut it.
    Unsigned,
}

impl Session {
    /// The session for a fresh connection to `origin`. Under TLS there is a ClientHello to send.
    pub fn new(origin: &Origin, tls: &Tls) -> Result<Session, Reason> {
        let tls = match origin.https {
            true => Some(Box::new(start_tls(origin, tls)?)),
            false => None,
        };
        let (outgoing, opened) = (Vec::new(), Vec::new());
        Ok(Session {
            tls,
            outgoing,
            written: 0,
            opened,
            peer: Peer::Open,
        })
    }

    /// Queues plaintext; under TLS it is held back until the handshake is over.
    pub fn send(&mut self, plaintext: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                tls.writer()
                    .write_all(plaintext)
                    .expect("no limit is set on rustls' buffer");
            }
            None => self.outgoing.extend_from_slice(plaintext),
        }
    }

    /// Bytes for the socket; empty when there is nothing to write now.
    pub fn outgoing(&mut self) -> &[u8] {
        if self.written == self.outgoing.len() {
            self.outgoing.clear();
            self.written = 0;
            if let Some(tls) = &mut self.tls {
                while tls.wants_write() {
                    tls.write_tls(&mut self.outgoing)
                        .expect("a Vec takes any bytes");
                }
            }
        }
        &self.outgoing[self.written..]
    }

    /// The first `n` of the outgoing bytes are written.
    pub fn wrote(&mut self, n: usize) {
        self.written = (self.written + n).min(self.outgoing.len());
    }

    /// Is nothing left to be written?
    pub fn has_written_all(&self) -> bool {
        let queued = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        self.written == self.outgoing.len() && !queued
    }

    /// Takes bytes from the socket; the plaintext in them is then [`Session::opened`].
    ///
    /// # Errors
    ///
    /// [`Reason::Tls`]; an alert for the peer may then be in `outgoing`, and what came before the
    /// fault has been opened.
    pub fn open(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        self.opened.clear();
        while !bytes.is_empty() && self.peer == Peer::Open {
            if let Err(error) = open_some(tls, &mut bytes, &mut self.opened, &mut self.peer) {
                self.peer = Peer::Broken;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The plaintext in `bytes`, just given to [`Session::open`]: all of them, or, under TLS,
    /// whatever the records that became complete hold.
    pub fn opened<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if self.tls.is_some() {
            &self.opened
        } else {
            bytes
        }
    }

    /// Takes bytes that nobody asked for: are they TLS' own affair, without plaintext in them?
    pub fn is_silent(&mut self, bytes: &[u8]) -> bool {
        self.open(bytes).is_ok() && self.opened(bytes).is_empty() && self.is_open()
    }

    /// May more come, as far as TLS knows?
    pub fn is_open(&self) -> bool {
        self.peer == Peer::Open
    }

    /// What an end of the socket's stream means now.
    pub fn end(&self) -> End {
        match self.tls {
            Some(_) if self.peer != Peer::Closed => End::Unsigned,
            _ => End::Clean,
        }
    }

    /// Is the handshake still going on?
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }
}

fn start_tls(origin: &Origin, tls: &Tls) -> Result<ClientConnection, Reason> {
    let config = tls.config()?;
    let name = ServerName::try_from(origin.host.clone())
        .map_err(|_| Reason::BadUrl(format!("{} cannot be in a certificate", origin.host)))?;
    let mut connection = ClientConnection::new(config, name).map_err(Reason::Tls)?;
    connection.set_buffer_limit(None); // one request is all that is ever queued
    Ok(connection)
}

/// Feeds rustls as much as it takes at once, and moves out what that opened.
fn open_some(
    tls: &mut ClientConnection,
    bytes: &mut &[u8],
    opened: &mut Vec<u8>,
    peer: &mut Peer,
) -> Result<(), Reason> {
    tls.read_tls(bytes)
        .map_err(|error| Reason::Tls(unwrap_error(error)))?;
    let processed = tls.process_new_packets();
    // Also after an error: the records before the bad one have been opened.
    let read = tls.reader().read_to_end(opened);
    let state = processed.map_err(Reason::Tls)?;
    match read {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
            return Err(Reason::Tls(unwrap_error(error)));
        }
        _ => {}
    }
    if state.peer_has_closed() {
        *peer = Peer::Closed;
    }
    Ok(())
}
