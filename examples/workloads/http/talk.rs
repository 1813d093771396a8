//! One request over one connection: the session's bytes meet the exchange's meaning.
//!
//! Owns      the connection while it is talked over, and the exchange.
//! Holds     an end of the stream ends an open-ended body only when the session calls it clean.
//! Next      fetch.rs, which begins a talk, and decides what a failed one means.

use super::config::Config;
use super::error::{Phase, Reason};
use super::exchange::{Answer, Exchange};
use super::pool::Connection;
use super::request::{Method, write_request};
use super::session::End;
use super::step::Step;
use super::url::Url;

/// A request that is being sent or answered. `S` is the driver's stream.
pub struct Talk<S> {
    connection: Connection<S>,
    exchange: Exchange,
    reused: bool,
}

impl<S> Talk<S> {
    /// Queues the request for `url` on `connection`, which was opened for it, or is `reused`.
    pub fn new(
        mut connection: Connection<S>,
        reused: bool,
        method: Method,
        url: &Url,
        config: &Config,
    ) -> Talk<S> {
        connection
            .session
            .send(&write_request(method, url, config.keep_alive));
        Talk {
            connection,
            exchange: Exchange::new(method, config.limits),
            reused,
        }
    }

    /// What the driver is to do: write while there is something to write, read otherwise.
    pub fn step(&mut self) -> Step<'_, S> {
        let Connection {
            stream, session, ..
        } = &mut self.connection;
        match session.outgoing() {
            [] => Step::Receive(stream),
            bytes => Step::Send(stream, bytes),
        }
    }

    /// The first `n` bytes of the last [`Step::Send`] are written.
    pub fn wrote(&mut self, n: usize) {
        self.connection.session.wrote(n);
    }

    /// Is nothing left to be written?
    pub fn has_said_all(&self) -> bool {
        self.connection.session.has_written_all()
    }

    /// Takes bytes from the stream; none are its end.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if bytes.is_empty() {
            return self.end();
        }
        let session = &mut self.connection.session;
        let opened = session.open(bytes);
        self.exchange.read(session.opened(bytes))?;
        // What came before the fault counts: a whole answer stays one.
        if self.is_whole() {
            return Ok(());
        }
        opened?;
        if self.connection.session.is_open() {
            Ok(())
        } else {
            self.end()
        }
    }

    /// Is the answer complete?
    pub fn is_whole(&self) -> bool {
        self.exchange.is_whole()
    }

    /// Has not one byte of it come?
    pub fn is_untouched(&self) -> bool {
        self.exchange.is_untouched()
    }

    /// Did an earlier request use the connection?
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Was the connection closed while no answer had begun, and might that be because it had been
    /// idle for too long? Then asking again, on a fresh one, is safe.
    pub fn is_stale(&self, reason: &Reason) -> bool {
        let closed = matches!(reason, Reason::NoAnswer | Reason::Io { .. });
        self.reused && self.is_untouched() && closed
    }

    /// What the driver is waiting for while it receives.
    pub fn phase(&self) -> Phase {
        if self.is_handshaking() {
            Phase::Handshake
        } else {
            self.exchange.phase()
        }
    }

    /// What it is doing while it sends.
    pub fn sending_phase(&self) -> Phase {
        if self.is_handshaking() {
            Phase::Handshake
        } else {
            Phase::Send
        }
    }

    /// The answer, and the connection if it may carry another request.
    ///
    /// # Panics
    ///
    /// When the answer is not whole.
    pub fn finish(self) -> Result<(Answer, Option<Connection<S>>), Reason> {
        let answer = self.exchange.finish()?;
        let kept = answer.reusable && self.connection.session.is_open();
        Ok((answer, kept.then_some(self.connection)))
    }

    fn end(&mut self) -> Result<(), Reason> {
        if self.is_handshaking() {
            return Err(Reason::HandshakeClosed);
        }
        match (self.connection.session.end(), self.exchange.open_ended()) {
            (End::Unsigned, Some(got)) => Err(Reason::UnsignedEnd { got }),
            _ => self.exchange.close(),
        }
    }

    fn is_handshaking(&self) -> bool {
        self.connection.session.is_handshaking()
    }
}
