//! The I/O-bound workload: download country flags over HTTP, in every concurrency mode.
//!
//! Reading order: `countries.rs` (which flags there are), `options.rs` (the command line).

pub mod countries;
pub mod options;
