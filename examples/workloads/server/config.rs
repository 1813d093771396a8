//! How the server behaves, and its three usual ways. Next: `fate.rs`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How the server behaves. The usual ways are [`local`](Config::local), [`delay`](Config::delay) and
/// [`error`](Config::error).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long each answer waits: drawn evenly from this range, or fixed when both ends are the same.
    pub delay: RangeInclusive<Duration>,
    /// The share of answers that are errors (418), from 0 for none to 1 for all.
    pub error_rate: f64,
    /// Which delays and which errors: the same seed, the same fate for each request.
    pub seed: u64,
    /// How long a client may take to send a head, to take an answer, to stay idle in between, or to leave
    /// after the last one.
    pub patience: Duration,
}

/// Longer than any pause between two requests of the workload, short enough to free what a lost client
/// holds.
const PATIENCE: Duration = Duration::from_secs(30);

impl Config {
    /// Every answer after 200 ms, none of them an error.
    pub fn local() -> Config {
        let delay = Duration::from_millis(200);
        Config {
            delay: delay..=delay,
            error_rate: 0.0,
            seed: 0,
            patience: PATIENCE,
        }
    }

    /// Answers after 0.5 to 5 s.
    pub fn delay() -> Config {
        Config {
            delay: Duration::from_millis(500)..=Duration::from_secs(5),
            ..Config::local()
        }
    }

    /// As [`local`](Config::local), but a quarter of the answers are errors.
    pub fn error() -> Config {
        Config {
            error_rate: 0.25,
            ..Config::local()
        }
    }
}
