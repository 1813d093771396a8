//! The I/O-bound workload: download country flags over HTTP, in every concurrency mode.
//!
//! Reading order: `countries.rs` (which flags there are), `options.rs` (the command line),
//! `save.rs` (whole files), `job.rs` (one download),
//! `tasks.rs` (async mode), `program.rs` (mode by mode).

pub mod countries;
pub mod job;
pub mod options;
pub mod program;
pub mod save;
pub mod tasks;
