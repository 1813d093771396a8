//! What a fetch may ask of its driver: the whole of the contract between them.
//!
//! A driver asks [`Fetch::next_step`] what to do, does it, and reports how it went:
//!
//! ```text
//!   next_step() says     the driver                         and reports
//!   Take(origin)         looks into its pool                took(connection or none)
//!   Probe(stream)        reads what is there, unwaiting     probed(bytes, or none)
//!   Resolve(origin)      asks the resolver                  resolved(addresses)
//!   Connect(address, d)  opens a stream, at most until d    connected(stream)
//!   Send(stream, bytes)  writes some                        sent(how many)
//!   Receive(stream)      reads some, waiting                received(bytes)
//!   Keep(connection)     puts it into its pool              -
//!   Done(response)       returns it                         -
//! ```
//!
//! A wait that the deadline ended is reported as an error of the kind `TimedOut`.
//!
//! [`Fetch::next_step`]: super::fetch::Fetch::next_step

use std::net::SocketAddr;

use super::deadline::Deadline;
use super::pool::Connection;
use super::response::Response;
use super::url::Origin;

/// What a driver is to do next.
pub enum Step<'a, S> {
    /// Look for an idle connection.
    Take(&'a Origin),
    /// Read without waiting.
    Probe(&'a mut S),
    /// Find the addresses.
    Resolve(&'a Origin),
    /// Open a stream, giving up at the deadline.
    Connect(SocketAddr, Deadline),
    /// Write some of these bytes (there are some).
    Send(&'a mut S, &'a [u8]),
    /// Read, waiting for at least a byte or the end.
    Receive(&'a mut S),
    /// Keep this connection for another fetch, or drop it.
    Keep(Connection<S>),
    /// It is over. Do not ask again.
    Done(Response),
}
