//! Download country flags in every concurrency mode, and compare.
//!
//! ```text
//! cargo run --release --example flags                      # five flags, five ways, no network
//! cargo run --release --example flags -- --all -m 249 --mode async --delay 100ms
//! cargo run --release --example flags -- --help
//! ```
//!
//! What it prints is explained in `workloads/flags/program.rs`.

use std::process::ExitCode;
use tatkal::ForkServer;
use workloads::refused::refused;

fn main() -> ExitCode {
    // First of all, while there is one thread: workers are forked from here.
    let started = ForkServer::start().map_err(|error| refused("fork server", &error));
    let ended = started.and_then(|_| workloads::flags::program::run(std::env::args_os()));
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
