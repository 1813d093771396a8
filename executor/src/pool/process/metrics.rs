//! What a process pool has done, in numbers, and where the time of its jobs went.
//!
//! ```text
//!   ProcessPoolMetrics
//!     workers   [ pid 4711, 31 MB | pid 4712, 30 MB ]   those that exist
//!                   40 jobs           38 jobs
//!     left      9 jobs                                  what the dead ones did, as a sum
//!     phases    encode, queue, transfer, run, decode    sums over the jobs: `stamps.rs`
//! ```
//!
//! Cost      jobs and bytes: three additions per answer, under the lock that is held anyway. CPU time
//!           and memory are the kernel's books, looked up when somebody asks.
//! Next: `stamps.rs`.

use std::iter::Sum;
use std::time::Duration;

/// What a process pool has done: see [`ProcessPool::metrics`](crate::ProcessPool::metrics).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProcessPoolMetrics {
    /// The workers that exist now, the oldest first.
    pub workers: Vec<ProcessWorkerMetrics>,
    /// How many workers there were that are dead.
    pub left_workers: u64,
    /// What those have done together.
    pub left: ProcessWork,
    /// Where the time of the jobs went. `None` unless the pool was told to
    /// [`measure`](crate::ProcessPoolBuilder::measure).
    pub phases: Option<JobPhases>,
}

impl ProcessPoolMetrics {
    /// What all workers have done together, the dead ones included.
    pub fn total(&self) -> ProcessWork {
        let living = self.workers.iter().map(|worker| worker.work);
        living.chain([self.left]).sum()
    }
}

/// One worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProcessWorkerMetrics {
    /// Its process id.
    pub pid: u32,
    /// How much memory it has in RAM, in bytes. Pages that it still shares with the fork server
    /// (code, and what the program had before the server started) count in every worker.
    pub rss_bytes: u64,
    /// What it has done.
    pub work: ProcessWork,
}

/// What one worker has done, or several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProcessWork {
    /// Jobs that were answered, also with a panic; every item of a `map` is one. The initializer is
    /// none, nor is a job that took its worker along.
    pub jobs: u64,
    /// CPU time, all threads together, the initializer included; of a dead worker also that of
    /// its children that it has waited for. Zero of one that just died, until its death is known,
    /// and of those that died with a fork server that was killed.
    pub cpu_time: Duration,
    /// The encoded arguments of these jobs, in bytes.
    pub bytes_in: u64,
    /// Their encoded results, in bytes.
    pub bytes_out: u64,
}

impl ProcessWork {
    /// So many jobs were answered.
    pub(super) fn add(&mut self, jobs: usize, bytes_in: usize, bytes_out: usize) {
        self.jobs += jobs as u64;
        self.bytes_in += bytes_in as u64;
        self.bytes_out += bytes_out as u64;
    }
}

impl Sum for ProcessWork {
    fn sum<I: Iterator<Item = ProcessWork>>(works: I) -> ProcessWork {
        works.fold(ProcessWork::default(), |sum, work| ProcessWork {
            jobs: sum.jobs + work.jobs,
            cpu_time: sum.cpu_time + work.cpu_time,
            bytes_in: sum.bytes_in + work.bytes_in,
            bytes_out: sum.bytes_out + work.bytes_out,
        })
    }
}

/// Where the time of jobs went, from the begin of `submit` until the handle is told: each moment
/// is in one of the five, so that they add up to the whole.
///
/// ```text
///   program:  encode | queue ............ |                              | decode
///   between:                              | transfer              transfer |
///   worker:                                        | decode | run | encode |
/// ```
///
/// Sums over the jobs that were answered; of a job whose worker died, or that was stopped, nothing
/// is here. Jobs overlap, so the sums may be longer than the time that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobPhases {
    /// How many jobs these are. Items of a `map` that travelled together count each, and their
    /// way, which they had in common, once.
    pub jobs: u64,
    /// Turning arguments (in the program) and results (in the workers) into bytes.
    pub encode: Duration,
    /// Waiting until a worker was free: for room in a bounded queue, in the queue, behind other
    /// jobs of the same worker, and while a worker was made. Of a job that was run again, the first
    /// run too.
    pub queue: Duration,
    /// The way there and back: waking the worker, copying, writing out what the job printed, waking
    /// the program, and waiting there for its turn to be decoded.
    pub transfer: Duration,
    /// The function itself.
    pub run: Duration,
    /// Turning bytes into arguments (in the workers) and results (in the program).
    pub decode: Duration,
}

impl JobPhases {
    /// All five together: how long the jobs took, seen from the program.
    pub fn total(&self) -> Duration {
        self.encode + self.queue + self.transfer + self.run + self.decode
    }

    pub(super) fn add(&mut self, more: JobPhases) {
        self.jobs += more.jobs;
        self.encode += more.encode;
        self.queue += more.queue;
        self.transfer += more.transfer;
        self.run += more.run;
        self.decode += more.decode;
    }
}
