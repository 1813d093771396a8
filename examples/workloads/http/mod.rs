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
//! # The API in short
//!
//! ```text
//! Url::parse("https://host:port/path?query") -> Result<Url, Error>   strict: repairs nothing
//! Deadline::after(Duration) | at(Instant) | NEVER                    one for the whole fetch
//! Config { tls, limits, max_redirects, keep_alive, idle_* }          Config::default() is fine
//! Tls::system() | with_root_file(path) | with_root_pem(bytes)        whom to trust for https
//!
//! blocking::Client::new(config)               Sync: threads share it
//!     .get(&url, deadline)                    -> Result<Response, Error>, and .head()
//! client::Client::new(config, TatkalNet)      Sync: tasks share it, on one thread or on many
//!     .get(&url, deadline).await              -> Result<Response, Error>, and .head()
//!
//! Response { url, status, reason, headers, trailers, body, redirects, reused, timing }
//!     .ok()                                   -> Result<Response, Error>: Reason::Status unless 2xx
//! Error { url, reason }                       prints as one line that names both; .is_timeout()
//! ```
//!
//! What it does not do: proxies, cookies, compression, request bodies, HTTP/2, several addresses
//! at once (they are tried one after the other, each with its share of the time).
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
