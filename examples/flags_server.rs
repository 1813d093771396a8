//! The flags server by itself: `cargo run --release --example flags_server`.
//!
//! It prints two URLs and serves until Ctrl-C, for a browser, for `flags --server URL` from another
//! terminal, or for any other client. `--help` tells how to make it slower or faultier.

use std::process::ExitCode;

fn main() -> ExitCode {
    workloads::server::program::run(std::env::args_os())
}
