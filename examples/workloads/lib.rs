//! The two workloads, flags and hash, and what their programs share.

pub mod flags;
pub mod http;
