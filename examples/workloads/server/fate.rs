//! What becomes of a request: how long it waits, and whether it fails.
//!
//! ```text
//!   seed, target --SHA-256--> 8 bytes: where in the range of delays
//!                             8 bytes: below the error rate? then it fails
//! ```
//!
//! A pure function of the seed and the request target, query included. No counter and no clock take part,
//! so every mode meets the same delays and faults, in whatever order it asks and however often. A retry
//! that should have another chance asks for another target: [`retry_target`] adds `attempt=2` to the
//! query, which the routes ignore. (Counting requests per path instead would need to know where one run
//! ends and the next begins, and two concurrent requests for one path would race for the numbers.)
//!
//! Cost      one SHA-256 of a few dozen bytes; a stronger hash than needed, but one that is there.

use super::config::Config;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What the server does before it answers, and whether it answers at all well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub delay: Duration,
    pub fails: bool,
}

impl Fate {
    pub fn of(target: &str, config: &Config) -> Fate {
        let hash = Sha256::new()
            .chain_update(config.seed.to_le_bytes())
            .chain_update(target)
            .finalize();
        let (shortest, longest) = (*config.delay.start(), *config.delay.end());
        let extra = longest.saturating_sub(shortest);
        Fate {
            delay: shortest + extra.mul_f64(fraction(&hash[..8])),
            fails: fraction(&hash[8..16]) < config.error_rate,
        }
    }
}

/// Eight random bytes as a number from 0 up to but not including 1, all of a double's 53 bits in use.
fn fraction(bytes: &[u8]) -> f64 {
    let number = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// The target to ask for in the given attempt, counted from 1: the first asks for the target itself, a
/// later one says its number in the query, and so has a fate of its own.
///
/// ```
/// use workloads::server::retry_target;
/// assert_eq!(retry_target("/flags/ye/ye.jpg", 1), "/flags/ye/ye.jpg");
/// assert_eq!(retry_target("/flags/ye/ye.jpg", 2), "/flags/ye/ye.jpg?attempt=2");
/// assert_eq!(retry_target("/flag?of=ye", 3), "/flag?of=ye&attempt=3");
/// ```
pub fn retry_target(target: &str, attempt: u32) -> String {
    let joint = if target.contains('?') { '&' } else { '?' };
    match attempt {
        0 | 1 => target.to_string(),
        _ => format!("{target}{joint}attempt={attempt}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::countries;

    fn fates(config: Config) -> Vec<Fate> {
        let targets = countries::pairs().map(|cc| format!("/flags/{cc}/{cc}.jpg"));
        targets.map(|target| Fate::of(&target, &config)).collect()
    }

    fn failures(seed: u64, error_rate: f64) -> Vec<bool> {
        let config = Config {
            seed,
            error_rate,
            ..Config::local()
        };
        fates(config).iter().map(|fate| fate.fails).collect()
    }

    #[test]
    fn the_same_seed_and_target_have_the_same_fate_on_every_machine() {
        let config = Config {
            seed: 7,
            ..Config::delay()
        };
        // Written down from another SHA-256. A change ends the likeness with runs of the past.
        let delay = Duration::from_nanos(3_602_135_971);
        let fails = false;
        assert_eq!(Fate::of("/flags/ye/ye.jpg", &config), Fate { delay, fails });
    }

    #[test]
    fn delays_fill_the_range_and_stay_in_it() {
        let delays: Vec<_> = fates(Config::delay())
            .iter()
            .map(|fate| fate.delay.as_secs_f64())
            .collect();
        assert!(delays.iter().all(|delay| (0.5..=5.0).contains(delay)));
        // 676 draws: that a tenth of the range stays empty has a chance of 10^-30.
        for tenth in 0..10 {
            let start = 0.5 + 0.45 * f64::from(tenth);
            let part = start..start + 0.45;
            assert!(delays.iter().any(|delay| part.contains(delay)), "{part:?}");
        }
    }

    #[test]
    fn a_fixed_delay_is_exact() {
        let fixed = Duration::from_millis(200);
        assert!(
            fates(Config::local())
                .iter()
                .all(|fate| fate.delay == fixed)
        );
    }

    #[test]
    fn about_a_quarter_fails_and_another_seed_fails_others() {
        let failing = failures(1, 0.25);
        // Binomial with 676 draws: 169 expected, standard deviation 11.3; five of them either side.
        assert!((113..=225).contains(&failing.iter().filter(|fails| **fails).count()));
        assert_ne!(failing, failures(2, 0.25));
    }

    #[test]
    fn rates_of_zero_and_one_mean_never_and_always() {
        assert!(!failures(1, 0.0).contains(&true));
        assert!(!failures(1, 1.0).contains(&false));
    }

    #[test]
    fn a_retry_has_a_new_chance() {
        let config = Config {
            error_rate: 0.5,
            ..Config::local()
        };
        let fails = |attempt| Fate::of(&retry_target("/flags/ye/ye.jpg", attempt), &config).fails;
        let attempts: Vec<bool> = (1..=32).map(fails).collect();
        assert!(attempts.contains(&true) && attempts.contains(&false));
    }
}
