//! The CPU-bound workload: SHA-256 of random megabytes, in every concurrency mode.
//!
//! Reading order: `gil.rs` (one lock with CPython's rules), `job.rs` (fill a buffer, hash it),
//! `options.rs` (the command line), `program.rs` (mode by mode).

pub mod gil;
pub mod job;
pub mod options;
pub mod program;
