//! The two workloads, flags and hash, and what their programs share.
//!
//! Reading order: `units.rs`, `stamp.rs`, `printer.rs`, `mode.rs`, `report/`.

pub mod flags;
pub mod http;
pub mod mode;
pub mod printer;
pub mod report;
pub mod server;
pub mod stamp;
pub mod units;
