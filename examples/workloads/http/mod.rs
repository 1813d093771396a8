//! The HTTP/1.1 client of the flags workload: one machine that decides, two drivers that move bytes.
//!
//! ```text
//!   blocking.rs                      client.rs
//!   std::net::TcpStream, threads     any AsyncRead + AsyncWrite, tasks
//!            \                         /
//!             \   step in, bytes out  /          no I/O below this line
//!   ---------- fetch.rs --------------------------------------------------
//!     one request from URL to Response: pool, addresses, retry, redirects
//!        |                                     |
//!      talk.rs: one request, one connection    |
//!        |                 |                   |
//!     session.rs        exchange.rs         url.rs
//!     plain or TLS      one answer:         what may be fetched,
//!        |              head, body, rest    where a redirect leads
//!     tls.rs               |
//!     trust            response.rs  body.rs  chunked.rs
//! ```
//!
//! # API outline
//!
//! ```text
//! Url::parse("https://host:port/path?query") -> Result<Url, Error>      strict; no CR, LF, space, ...
//! url.join("../other.jpg")                   -> Result<Url, Error>      RFC 3986, for redirects
//!
//! Deadline::after(Duration) | Deadline::at(Instant) | Deadline::NEVER   one for the whole request
//!
//! Config { tls: Tls, max_body, max_redirects, idle_per_origin, ... }    Config::default() is fine
//! Tls::system()                              roots of the system, read at the first https request
//! Tls::with_root_file(path)                  -> Result<Tls, Error>      --cacert: these roots only
//!
//! blocking::Client::new(config)              Sync: share it by reference or Arc
//!     .get(&url, deadline)                   -> Result<Response, Error>
//!     .head(&url, deadline)                  -> Result<Response, Error>
//!
//! client::Client::new(config, network)       Sync when the network's streams are Send
//!     .get(&url, deadline).await             -> Result<Response, Error>
//!     .head(&url, deadline).await            -> Result<Response, Error>
//!
//! client::Network (trait)                    resolve, connect, sleep_until: a runtime, or a test
//! tatkal_net::TatkalNet                      the real one, over tatkal::net and tatkal::time
//!
//! Response { url, status, reason, headers, trailers, body, redirects, reused, timing }
//!     .ok()                                  -> Result<Response, Error> status 2xx, or Reason::Status
//!
//! Error { url, reason: Reason }              Display names the URL and the reason
//!     .is_timeout()
//! ```
//!
//! # Reading order
//!
//! `url.rs`, `request.rs`, `headers.rs`, `head.rs`, `chunked.rs`, `body.rs`, `exchange.rs` (one
//! answer); `tls.rs`, `session.rs` (what is around it); `config.rs`, `deadline.rs`, `pool.rs`,
//! `redirect.rs`, `step.rs`, `talk.rs`, `fetch.rs` (the whole fetch); `probe.rs`, `blocking.rs`,
//! `client.rs` (its drivers), `tatkal_net.rs`.

pub mod blocking;
pub mod body;
pub mod chunked;
pub mod client;
pub mod config;
pub mod deadline;
pub mod error;
pub mod exchange;
pub mod fetch;
pub mod head;
pub mod headers;
pub mod pool;
pub mod probe;
pub mod redirect;
pub mod request;
pub mod response;
pub mod session;
pub mod step;
pub mod talk;
pub mod tatkal_net;
pub mod tls;
pub mod url;

pub use config::Config;
pub use deadline::Deadline;
pub use error::{Error, Reason};
pub use response::{Response, Timing};
pub use tls::Tls;
pub use url::Url;
