//! The two workloads, flags and hash, and what their programs share.
//!
//! Reading order: `units.rs`, `refused.rs`, `stamp.rs`, `printer.rs`, `digest.rs`, `mode.rs`, `report/`, `door.rs`,
//! `session.rs`, `interrupt.rs`, `drive.rs`, `cli.rs`, `hash/`, `flags/countries.rs`, `server/`,
//! `http/`, `flags/`.

pub mod cli;
pub mod digest;
pub mod door;
pub mod drive;
pub mod flags;
pub mod hash;
pub mod http;
pub mod interrupt;
pub mod mode;
pub mod printer;
pub mod refused;
pub mod report;
pub mod server;
pub mod session;
pub mod stamp;
pub mod units;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
