//! What a client may be told, with defaults that need no telling.

use std::time::Duration;

use super::exchange::Limits;
use super::tls::Tls;

/// How a client behaves. `Config::default()` suits a program that downloads images.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom to trust for https.
    pub tls: Tls,
    /// How much one answer may bring.
    pub limits: Limits,
    /// Redirects to follow within one fetch; 0 refuses the first.
    pub max_redirects: usize,
    /// Keep connections for other requests?
    pub keep_alive: bool,
    /// Idle connections kept for one origin.
    pub idle_per_origin: usize,
    /// Idle connections kept in all.
    pub idle_total: usize,
    /// Connections idle for longer are closed instead of reused: the server may be closing its
    /// side just now.
    pub idle_age: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            tls: Tls::system(),
            // Servers commonly stop at 8 to 16 KiB of headers themselves; flags are 10 KiB.
            limits: Limits {
                head: 64 * 1024,
                body: 64 * 1024 * 1024,
            },
            max_redirects: 10,
            keep_alive: true,
            // As many as the flags program runs at once with every flag, so that a second round
            // finds all of them.
            idle_per_origin: 256,
            idle_total: 256,
            // Half of what the more impatient servers allow (nginx 75 s, Apache 5 s, ours longer):
            // a guess is enough, since a connection is probed before it is used.
            idle_age: Duration::from_secs(30),
        }
    }
}
