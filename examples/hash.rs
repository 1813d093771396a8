//! Hash random bytes in every concurrency mode, and compare.
//!
//! ```text
//! cargo run --release --example hash                       # 20 jobs of 1 MiB, five ways
//! cargo run --release --example hash -- --gil --size 16MiB # and with CPython's lock
//! cargo run --release --example hash -- --help
//! ```
//!
//! What it prints is explained in `workloads/hash/program.rs`.

use std::process::ExitCode;
use tatkal::ForkServer;
use workloads::refused::refused;

fn main() -> ExitCode {
    // First of all, while there is one thread: workers are forked from here.
    let started = ForkServer::start().map_err(|error| refused("fork server", &error));
    let ended = started.and_then(|_| workloads::hash::program::run(std::env::args_os()));
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
