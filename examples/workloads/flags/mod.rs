//! The I/O-bound workload: download country flags over HTTP, in every concurrency mode.

pub mod countries;
