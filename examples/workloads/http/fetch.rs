//! One fetch, from URL to response: the machine that decides, while its driver moves bytes.
//!
//! ```text
//!          +------------------------------ redirect -----------------------------+
//!          v      +-- no longer quiet --+                                        |
//!   TAKE --+--> PROBE --- quiet, reused ---------------------------> TALK --answer--> FINISHED
//!          |                                                         ^  |
//!          +--> RESOLVE ---> CONNECT --- fresh ----------------------+  |
//!                  ^    literal ^  |next address                        |
//!                  |            +--+                                    |
//!                  +-------- reused, and closed without a byte ---------+
//! ```
//!
//! Owns      the stream (of a type it never calls), the session, the exchange.
//! Holds     F1 a request is sent a second time only when it went over a reused connection that
//!              ended before the first byte of an answer, and then on a fresh one: at most once
//!              per redirect.
//!           F2 a reused connection is silent before a request is sent: bytes that had come while
//!              nobody asked for any are never taken for the answer.
//!           F3 no step that may wait is given out after the deadline.
//! Clock     It reads the clock itself (for F3 and the timing); that is its only input not reported
//!           by the driver.
//! Next      blocking.rs, the shorter driver.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Config;
use super::deadline::Deadline;
use super::error::{Error, Phase, Reason};
use super::exchange::Answer;
use super::pool::Connection;
use super::redirect;
use super::request::Method;
use super::response::{Response, Timing};
use super::session::Session;
use super::step::Step;
use super::talk::Talk;
use super::url::Url;

/// One fetch under way. `S` is the driver's stream.
pub struct Fetch<S> {
    config: Arc<Config>,
    method: Method,
    deadline: Deadline,
    /// Where it has been; the last is where it is.
    visited: Vec<Url>,
    state: State<S>,
    /// A connection that is done with, to be kept.
    spare: Option<Connection<S>>,
    timing: Timing,
}

enum State<S> {
    Take,
    Probe(Connection<S>),
    Resolve,
    Connect {
        addresses: Vec<SocketAddr>,
        tried: usize,
    },
    Talk(Talk<S>),
    /// TLS failed; the peer is told before the caller.
    Farewell(Talk<S>, Error),
    Failed(Error),
    Finished(Response),
    Over,
}

impl<S> Fetch<S> {
    /// A fetch of `url` that will be over by `deadline`.
    pub fn new(config: Arc<Config>, method: Method, url: Url, deadline: Deadline) -> Fetch<S> {
        let zero = Duration::ZERO;
        let started = Instant::now();
        Fetch {
            config,
            method,
            deadline,
            visited: vec![url],
            state: State::Take,
            spare: None,
            timing: Timing {
                started,
                connected: zero,
                first_byte: zero,
                finished: zero,
            },
        }
    }

    /// What to do next.
    ///
    /// # Errors
    ///
    /// The fetch failed; it is over.
    ///
    /// # Panics
    ///
    /// When it is over already.
    pub fn next_step(&mut self) -> Result<Step<'_, S>, Error> {
        self.settle();
        if let Some(connection) = self.spare.take() {
            return Ok(Step::Keep(connection));
        }
        match self.state {
            State::Take => Ok(Step::Take(here(&self.visited).origin())),
            State::Probe(ref mut connection) => Ok(Step::Probe(&mut connection.stream)),
            State::Resolve => Ok(Step::Resolve(here(&self.visited).origin())),
            State::Connect {
                ref addresses,
                tried,
            } => {
                let deadline = self.deadline.share(addresses.len() - tried);
                Ok(Step::Connect(addresses[tried], deadline))
            }
            State::Talk(ref mut talk) | State::Farewell(ref mut talk, _) => Ok(talk.step()),
            State::Failed(_) | State::Finished(_) | State::Over => self.hand_out(),
        }
    }

    /// Reports on [`Step::Take`].
    pub fn took(&mut self, idle: Option<Connection<S>>) {
        match idle {
            Some(connection) => self.state = State::Probe(connection),
            None => self.seek(),
        }
    }

    /// Reports on [`Step::Probe`]: `None` when reading would have had to wait.
    pub fn probed(&mut self, result: Option<io::Result<&[u8]>>) {
        let State::Probe(mut connection) = mem::replace(&mut self.state, State::Take) else {
            unreachable!("probed() without Step::Probe");
        };
        match result {
            None => self.talk(connection, true),
            // Under TLS a server may send session tickets; everything else breaks F2, and drops it.
            Some(Ok(bytes)) if !bytes.is_empty() && connection.session.is_silent(bytes) => {
                self.state = State::Probe(connection);
            }
            Some(_) => {}
        }
    }

    /// Reports on [`Step::Resolve`].
    pub fn resolved(&mut self, result: io::Result<Vec<SocketAddr>>) {
        match result {
            Ok(addresses) if addresses.is_empty() => self.fail(Reason::NoAddress),
            Ok(addresses) => {
                self.state = State::Connect {
                    addresses,
                    tried: 0,
                }
            }
            Err(error) if is_timeout(&error) => self.fail(self.timed_out(Phase::Resolve)),
            Err(error) => self.fail(Reason::Resolve(error)),
        }
    }

    /// Reports on [`Step::Connect`].
    pub fn connected(&mut self, result: io::Result<S>) {
        match result {
            Ok(stream) => self.open(stream),
            Err(error) => self.try_next_address(error),
        }
    }

    /// Reports on [`Step::Send`].
    pub fn sent(&mut self, result: io::Result<usize>) {
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        };
        match (&mut self.state, result) {
            (State::Talk(talk) | State::Farewell(talk, _), Ok(n)) => {
                talk.wrote(n);
            }
            (State::Farewell(..), Err(_)) => self.drop_talk(),
            (State::Talk(talk), Err(error)) => {
                let phase = talk.sending_phase();
                self.broke(phase, error);
            }
            _ => unreachable!("sent() without Step::Send"),
        }
    }

    /// Reports on [`Step::Receive`]; no bytes mean the end of the stream.
    pub fn received(&mut self, result: io::Result<&[u8]>) {
        let State::Talk(talk) = &mut self.state else {
            unreachable!("received() without Step::Receive");
        };
        let was_untouched = talk.is_untouched();
        let outcome = match result {
            Ok(bytes) => talk.receive(bytes),
            Err(error) => {
                let phase = talk.phase();
                return self.broke(phase, error);
            }
        };
        if was_untouched && !talk.is_untouched() {
            self.timing.first_byte = self.timing.started.elapsed();
        }
        if let Err(reason) = outcome {
            self.stumble(reason);
        }
    }

    /// What follows from the state and the clock alone: an answer that is whole, a deadline that
    /// has passed (F3), a farewell that is said.
    fn settle(&mut self) {
        match &mut self.state {
            State::Finished(_) | State::Failed(_) | State::Over => {}
            State::Talk(talk) if talk.is_whole() => self.finish_talk(),
            State::Farewell(talk, _) if self.deadline.has_passed() || talk.has_said_all() => {
                self.drop_talk();
            }
            State::Farewell(..) => {}
            state if self.deadline.has_passed() => {
                let phase = state.phase();
                self.fail(self.timed_out(phase));
            }
            _ => {}
        }
    }

    fn hand_out(&mut self) -> Result<Step<'_, S>, Error> {
        match mem::replace(&mut self.state, State::Over) {
            State::Finished(response) => Ok(Step::Done(response)),
            State::Failed(error) => Err(error),
            _ => panic!("next_step() after the end of a fetch"),
        }
    }

    /// Finds out where to connect to, asking nobody when the host is an address.
    fn seek(&mut self) {
        self.state = match here(&self.visited).origin().literal() {
            Some(address) => State::Connect {
                addresses: vec![address],
                tried: 0,
            },
            None => State::Resolve,
        };
    }

    fn try_next_address(&mut self, error: io::Error) {
        let State::Connect { addresses, tried } = &mut self.state else {
            unreachable!("connected() without Step::Connect");
        };
        let address = addresses[*tried];
        *tried += 1;
        if *tried < addresses.len() {
            return;
        }
        let tried = *tried;
        self.fail(match is_timeout(&error) {
            true => self.timed_out(Phase::Connect),
            false => Reason::Connect {
                address,
                tried,
                source: error,
            },
        });
    }

    fn open(&mut self, stream: S) {
        let origin = here(&self.visited).origin().clone();
        match Session::new(&origin, &self.config.tls) {
            Ok(session) => self.talk(
                Connection {
                    stream,
                    origin,
                    session,
                },
                false,
            ),
            Err(reason) => self.fail(reason),
        }
    }

    fn talk(&mut self, connection: Connection<S>, reused: bool) {
        self.timing.connected = self.timing.started.elapsed();
        let url = here(&self.visited);
        let talk = Talk::new(connection, reused, self.method, url, &self.config);
        self.state = State::Talk(talk);
    }

    /// The answer is whole: keep the connection if that may be, and return or go on.
    fn finish_talk(&mut self) {
        let State::Talk(talk) = mem::replace(&mut self.state, State::Over) else {
            unreachable!("only a talk has an answer");
        };
        self.timing.finished = self.timing.started.elapsed();
        let reused = talk.is_reused();
        match talk.finish() {
            Ok((answer, connection)) => {
                self.spare = connection.filter(|_| self.config.keep_alive);
                self.conclude(answer, reused);
            }
            Err(reason) => self.fail(reason),
        }
    }

    fn conclude(&mut self, answer: Answer, reused: bool) {
        let here = here(&self.visited);
        let limit = self.config.max_redirects;
        match redirect::follow(&answer.head, here, &self.visited, limit) {
            Err(reason) => self.fail(reason),
            Ok(Some(url)) => {
                self.visited.push(url);
                self.state = State::Take;
            }
            Ok(None) => {
                self.state = State::Finished(Response {
                    url: here.clone(),
                    status: answer.head.status,
                    reason: answer.head.reason,
                    headers: answer.head.headers,
                    trailers: answer.trailers,
                    body: answer.body,
                    redirects: self.visited.len() - 1,
                    reused,
                    timing: self.timing,
                });
            }
        }
    }

    fn broke(&mut self, phase: Phase, source: io::Error) {
        let reason = match is_timeout(&source) {
            true => self.timed_out(phase),
            false => Reason::Io { phase, source },
        };
        self.stumble(reason);
    }

    /// A talk went wrong: once more on a fresh connection (F1), or that was it.
    fn stumble(&mut self, reason: Reason) {
        match mem::replace(&mut self.state, State::Over) {
            State::Talk(talk) if talk.is_stale(&reason) => self.seek(),
            State::Talk(talk) => {
                let error = self.error(reason);
                self.state = match error.reason {
                    Reason::Tls(_) => State::Farewell(talk, error),
                    _ => State::Failed(error),
                };
            }
            _ => unreachable!("only a talk stumbles"),
        }
    }

    fn drop_talk(&mut self) {
        if let State::Farewell(_, error) = mem::replace(&mut self.state, State::Over) {
            self.state = State::Failed(error);
        }
    }

    fn fail(&mut self, reason: Reason) {
        self.state = State::Failed(self.error(reason));
    }

    fn error(&self, reason: Reason) -> Error {
        Error {
            url: here(&self.visited).to_string(),
            reason,
        }
    }

    fn timed_out(&self, phase: Phase) -> Reason {
        Reason::TimedOut {
            phase,
            elapsed: self.timing.started.elapsed(),
        }
    }
}

impl<S> State<S> {
    fn phase(&self) -> Phase {
        match self {
            State::Resolve => Phase::Resolve,
            State::Talk(talk) => talk.phase(),
            _ => Phase::Connect,
        }
    }
}

fn here(visited: &[Url]) -> &Url {
    visited.last().expect("a fetch begins with a URL")
}

/// Drivers report a passed deadline as an error of this kind, and so does the network.
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}
