//! What is noted of a job on its way, and the phases that follow from it.
//!
//! ```text
//!   submit      offer                       take in     finish
//!   | encode |  :                           :           | decode |
//!   s        a  o                           :           b        e     stamps, in the program
//!            |........ queue ...|           :           |
//!                               f  d | run | e                         laps, in the worker
//!                               |~~|          |~~~~~~~~~|   transfer: the rest
//! ```
//!
//! `f` is when the worker was free: when the job was offered, or the job before it was done. All
//! stamps are of the one clock that all processes of a machine share (CLOCK_MONOTONIC).
//!
//! Holds     the five parts of a job add up to its whole, whatever the worker has written: every
//!           part is cut to what is left. Next: `job.rs`.

use super::board::scene::Laps;
use super::metrics::JobPhases;
use std::time::Duration;

/// Moments of one job, in nanoseconds of the machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamps {
    pub(super) submitted_ns: u64,
    /// Its argument is encoded.
    pub(super) accepted_ns: u64,
    /// It was given to a worker, the last time.
    pub(super) offered_ns: u64,
    /// That worker was done with the job before.
    pub(super) free_ns: u64,
    pub(super) laps: Laps,
}

impl Stamps {
    /// The phases of a job whose result was decoded in this time.
    pub(super) fn phases(&self, begun_ns: u64, ended_ns: u64) -> JobPhases {
        let mut rest = begun_ns.saturating_sub(self.accepted_ns);
        let mut part = |ns: u64| {
            let part = ns.min(rest);
            rest -= part;
            Duration::from_nanos(part)
        };
        let free_ns = self.offered_ns.max(self.free_ns);
        let queue = part(free_ns.saturating_sub(self.accepted_ns));
        let run = part(self.laps.run_ns);
        let (decode, encode) = (part(self.laps.decode_ns), part(self.laps.encode_ns));
        let here = |from: u64, to: u64| Duration::from_nanos(to.saturating_sub(from));
        JobPhases {
            jobs: 1,
            encode: here(self.submitted_ns, self.accepted_ns) + encode,
            queue,
            transfer: Duration::from_nanos(rest),
            run,
            decode: decode + here(begun_ns, ended_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps() -> Stamps {
        Stamps {
            submitted_ns: 100,
            accepted_ns: 110,
            offered_ns: 150,
            free_ns: 300,
            laps: Laps {
                decode_ns: 2,
                run_ns: 500,
                encode_ns: 3,
                done_ns: 850,
            },
        }
    }

    #[test]
    fn the_parts_are_what_they_are_called() {
        let phases = stamps().phases(1_000, 1_020);
        let expected = JobPhases {
            jobs: 1,
            encode: Duration::from_nanos(10 + 3),
            queue: Duration::from_nanos(300 - 110),
            transfer: Duration::from_nanos(1_000 - 300 - 505),
            run: Duration::from_nanos(500),
            decode: Duration::from_nanos(2 + 20),
        };
        assert_eq!(phases, expected);
        let idle = Stamps {
            free_ns: 0,
            ..stamps()
        };
        let queue = idle.phases(1_000, 1_020).queue;
        assert_eq!(queue, Duration::from_nanos(150 - 110));
    }

    #[test]
    fn they_add_up_to_the_whole_whatever_the_worker_wrote() {
        let wild = [0, 1, 400, 10_000, u64::MAX];
        for free_ns in wild {
            for run_ns in wild {
                for encode_ns in wild {
                    let mut stamps = stamps();
                    stamps.free_ns = free_ns;
                    stamps.laps.run_ns = run_ns;
                    stamps.laps.encode_ns = encode_ns;
                    let total = stamps.phases(1_000, 1_020).total();
                    assert_eq!(total, Duration::from_nanos(1_020 - 100));
                }
            }
        }
    }
}
