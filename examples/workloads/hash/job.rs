//! One job: fill a buffer with random bytes, hash it, and say who did it.
//!
//! A job is plain data and the work is a plain function, so the same pair runs on the caller, on a
//! thread and in a forked worker. The bytes follow from the seed and the job's number alone, which
//! is why every mode must come to the same digests. Next: `options.rs`.

use super::gil::{Gil, Held};
use crate::digest::hex;
use crate::door;
use crate::drive::{self, Job as _};
use crate::printer::Lines;
use crate::report::model::{Item, Split, Status};
use crate::stamp::{Moment, Place};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::time::Duration;

/// How many bytes pass between two looks at the lock: some 50 microseconds of work, small beside
/// the lock's switch interval, as a bytecode is.
const STEP: usize = 64 << 10;

/// The lock of this process, for jobs that run under it.
static GIL: Gil = Gil::new();

thread_local! {
    /// The buffer of the job before, for the next one on this thread. Fresh memory for each job
    /// would have the kernel hand out and clear every page of it again, which is no part of the
    /// work and does not spread over CPUs as well as the work does.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What one job is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its number, from 0.
    pub index: usize,
    /// How many random bytes.
    pub size: usize,
    /// How many times they are hashed, each time together with the digest before.
    pub rounds: usize,
    /// The seed of the whole run.
    pub seed: u64,
    /// Does it run under the lock?
    pub gil: bool,
    /// Where its line is printed.
    pub lines: Lines,
}

impl drive::Job for Job {
    /// `job-07`.
    fn name(&self) -> String {
        format!("job-{:02}", self.index + 1)
    }
}

/// The line that an ended job prints.
pub fn line(item: &Item) -> Option<String> {
    Some(match &item.error {
        None => format!("hashed {} in {}", item.name, item.place),
        Some(error) => format!("failed {} in {}: {error}", item.name, item.place),
    })
}

/// Does the job, here and now, and prints its line.
pub fn run(job: Job) -> Item {
    let start = Moment::now();
    let held = job.gil.then(|| GIL.hold());
    let worked = work(&job, held.as_ref());
    let mut item = Item {
        name: job.name(),
        status: Status::Ok,
        bytes: 0,
        sha256: None,
        place: Place::here(),
        start,
        end: Moment::now(),
        error: None,
        split: None,
    };
    match worked {
        Ok((digest, split)) => {
            item.bytes = job.size as u64 * job.rounds as u64;
            item.sha256 = Some(digest);
            item.split = Some(split);
        }
        Err(error) => {
            item.status = Status::Error;
            item.error = Some(error);
        }
    }
    // Printing is blocking I/O: the lock is let go around it.
    let print = || {
        if let Some(line) = line(&item) {
            door::pass(|| job.lines.print(&line));
        }
    };
    match &held {
        Some(held) => held.released(print),
        None => print(),
    }
    item
}

/// The two halves, each with the time it took; turns of other threads under the lock do not count.
fn work(job: &Job, held: Option<&Held<'_>>) -> Result<(String, Split), String> {
    let waited = Cell::new(Duration::ZERO);
    let checkpoint = || {
        if let Some(held) = held {
            waited.set(waited.get() + held.checkpoint());
        }
    };
    let began = Moment::now();
    let mut bytes = buffer(job.size)?;
    let mut rng = generator(job);
    for step in bytes.chunks_mut(STEP) {
        rng.fill_bytes(step);
        checkpoint();
    }
    let filled = Moment::now();
    let fill = filled.since(began).saturating_sub(waited.take());
    let mut digest = Vec::new();
    for _ in 0..job.rounds {
        let mut hasher = Sha256::new();
        hasher.update(&digest);
        for step in bytes.chunks(STEP) {
            hasher.update(step);
            checkpoint();
        }
        digest = hasher.finalize().to_vec();
    }
    let hash = Moment::now().since(filled).saturating_sub(waited.take());
    BUFFER.set(bytes);
    Ok((hex(&digest), Split { fill, hash }))
}

/// So many bytes of whatever was there before.
fn buffer(size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = BUFFER.take();
    bytes
        .try_reserve_exact(size.saturating_sub(bytes.len()))
        .map_err(|error| format!("no memory for {size} bytes: {error}"))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// A generator of its own for each job: seed and number side by side in the key.
fn generator(job: &Job) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&job.seed.to_le_bytes());
    key[8..16].copy_from_slice(&(job.index as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(index: usize, seed: u64) -> Job {
        Job {
            index,
            size: 100_000,
            rounds: 1,
            seed,
            gil: false,
            lines: Lines::Nowhere,
        }
    }

    fn digest(job: Job) -> String {
        run(job).sha256.unwrap()
    }

    #[test]
    fn the_digest_is_the_sha256_of_the_generated_bytes() {
        let mut bytes = vec![0; 100_000];
        generator(&job(3, 7)).fill_bytes(&mut bytes);
        assert_eq!(digest(job(3, 7)), hex(&Sha256::digest(&bytes)));
        let first = Sha256::digest(&bytes).to_vec();
        let second = Sha256::digest([first, bytes].concat());
        let twice = Job {
            rounds: 2,
            ..job(3, 7)
        };
        assert_eq!(run(twice.clone()).bytes, 200_000);
        assert_eq!(digest(twice), hex(&second));
    }

    #[test]
    fn seed_and_number_decide_the_bytes_and_nothing_else_does() {
        assert_eq!(digest(job(1, 1)), digest(job(1, 1)));
        assert_ne!(digest(job(1, 1)), digest(job(2, 1)));
        assert_ne!(digest(job(1, 1)), digest(job(1, 2)));
        let locked = Job {
            gil: true,
            ..job(1, 1)
        };
        assert_eq!(digest(locked), digest(job(1, 1)));
    }

    #[test]
    fn a_job_that_gets_no_memory_is_an_item_in_error() {
        let huge = Job {
            size: isize::MAX as usize,
            ..job(0, 0)
        };
        let item = run(huge);
        assert_eq!(item.status, Status::Error);
        assert!(item.error.unwrap().contains("no memory"));
    }
}
