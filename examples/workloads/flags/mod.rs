//! The I/O-bound workload: download country flags over HTTP, in every concurrency mode.
//!
//! Reading order: `countries.rs` (which flags there are), `targets.rs` (which are asked for),
//! `options.rs` (the command line), `save.rs` (whole files), `job.rs` (what one download needs to
//! know), `download.rs` (its decisions), `blocking.rs` (in a thread or a process), `tasks.rs` (as
//! one of many tasks, on one thread or on several), `program.rs` (mode by mode).

pub mod blocking;
pub mod countries;
pub mod download;
pub mod job;
pub mod options;
pub mod program;
pub mod save;
pub mod targets;
pub mod tasks;
