//! What the operating system has refused to a program, and what can be done about it.

use rustix::io::Errno;
use std::io;

/// `no workers: Too many open files (os error 24); raise the limit ..`
pub fn refused(what: &str, error: &io::Error) -> String {
    let cure = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => "; raise the limit of open files (ulimit -n)",
        Some(Errno::AGAIN) => "; raise the limits of processes and memory (ulimit -u, ulimit -v)",
        Some(Errno::NOMEM) => "; free memory, or raise its limit (ulimit -v)",
        _ => "",
    };
    format!("no {what}: {error}{cure}")
}
