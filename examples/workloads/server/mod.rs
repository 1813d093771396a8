//! The flags server: HTTP/1.1 over 249 embedded flags, slow and faulty on purpose.
//!
//! ```text
//!   program.rs    the command line of `flags_server`
//!      |
//!   listen.rs     accepts, on a thread and a runtime of its own
//!      |
//!   connection.rs     reads heads, waits, writes answers; any stream, any clock
//!      |      |      \
//!   fate.rs request.rs answer.rs     pure: target to delay and fault, bytes to request, path to bytes
//!      |
//!   config.rs
//! ```
//!
//! It is the other end of the flags workload: so that a run needs no network, and so that every mode
//! meets the same delays and the same faults ([`Config::seed`], `fate.rs`).
//!
//! Reading order: `config.rs`, `fate.rs`, `request.rs`, `answer.rs`, `connection.rs`, `listen.rs`,
//! `program.rs`.

mod answer;
mod config;
mod connection;
mod fate;
mod listen;
pub mod program;
mod request;

pub use config::Config;
pub use connection::serve_connection;
pub use fate::retry_target;
pub use listen::{Server, serve};
