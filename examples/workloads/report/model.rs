//! The record of a run: items in modes in a run. Everything that is reported is computed from it.
//!
//! An `Item` also crosses from worker processes to the parent, so it is plain data with times that
//! mean the same in both. Next: `style.rs`.

use crate::mode::Mode;
use crate::stamp::{Moment, Place};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;
use tatkal::ProcessPoolMetrics;

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Done.
    Ok,
    /// The server answered that there is no such thing: an answer, not a failure.
    NotFound,
    /// Failed; the item's `error` says why.
    Error,
}

/// One flag downloaded, or one job hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Which one: unique within its mode, the same in every mode.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Bytes downloaded or hashed; 0 unless it is ok.
    pub bytes: u64,
    /// SHA-256 of those bytes in hexadecimal; `None` unless it is ok.
    pub sha256: Option<String>,
    /// The process and the thread that did it, or that noticed why it was not done.
    pub place: Place,
    /// When work on it began.
    pub start: Moment,
    /// When it ended.
    pub end: Moment,
    /// Why it is not ok.
    pub error: Option<String>,
    /// For hashing: the time that went into each half.
    pub split: Option<Split>,
}

/// The two halves of a hash job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Split {
    /// Filling the buffer with random bytes.
    pub fill: Duration,
    /// Hashing it.
    pub hash: Duration,
}

impl Item {
    /// An item that was never done: the caller noticed `error` just now.
    pub fn lost(name: String, error: String) -> Self {
        let now = Moment::now();
        Self {
            name,
            status: Status::Error,
            bytes: 0,
            sha256: None,
            place: Place::here(),
            start: now,
            end: now,
            error: Some(error),
            split: None,
        }
    }
}

/// All items of one mode.
#[derive(Debug, Clone)]
pub struct ModeRun {
    /// Which mode.
    pub mode: Mode,
    /// How many threads or processes did the work.
    pub workers: usize,
    /// In async mode, how many tasks took turns on them.
    pub tasks: Option<usize>,
    /// When it began: before its pool or loop was made.
    pub began: Moment,
    /// From `began` until its last result was in hand, or until it was interrupted.
    pub elapsed: Duration,
    /// False while it runs, and for ever when it was interrupted.
    pub complete: bool,
    /// How many items there were to do.
    pub expected: usize,
    /// On a process pool, once the mode is complete: what its workers did, and where the time went.
    pub pool: Option<ProcessPoolMetrics>,
    /// The items done, in the order in which they were asked for once the mode is complete.
    pub items: Vec<Item>,
}

impl ModeRun {
    /// How many items ended that way.
    pub fn count(&self, status: Status) -> usize {
        let ended = |item: &&Item| item.status == status;
        self.items.iter().filter(ended).count()
    }

    /// All bytes of its items.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// Bytes a second over the elapsed time.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The time its items spent in each half, summed over all workers.
    pub fn split(&self) -> Split {
        let parts = self.items.iter().filter_map(|item| item.split);
        parts.fold(Split::default(), |sum, part| Split {
            fill: sum.fill + part.fill,
            hash: sum.hash + part.hash,
        })
    }

    /// Sets this mode's bytes beside those of `other`, item by item.
    pub fn compare(&self, other: &ModeRun) -> Comparison {
        let theirs: HashMap<&str, &Item> = other
            .items
            .iter()
            .map(|item| (item.name.as_str(), item))
            .collect();
        let mut comparison = Comparison::default();
        for item in &self.items {
            match theirs.get(item.name.as_str()) {
                Some(their) if item.sha256 == their.sha256 => {}
                Some(their) if item.sha256.is_some() && their.sha256.is_some() => {
                    comparison.different += 1;
                }
                _ => comparison.one_sided += 1,
            }
        }
        comparison
    }
}

/// What came of setting two modes side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Items that both have, with different bytes.
    pub different: usize,
    /// Items that only one of the two has.
    pub one_sided: usize,
}

/// Which program ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Downloading flags: bound by I/O.
    Flags,
    /// Hashing random bytes: bound by the CPU.
    Hash,
}

impl Workload {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Flags => "flags",
            Workload::Hash => "hash",
        }
    }

    /// What its items are called.
    pub fn items(self, count: usize) -> String {
        let word = match self {
            Workload::Flags => "flag",
            Workload::Hash => "job",
        };
        plural(count, word)
    }
}

/// Everything a program did.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which program.
    pub workload: Workload,
    /// CPUs this process may use.
    pub cpus: usize,
    /// Its modes, in the order in which they ran.
    pub modes: Vec<ModeRun>,
    /// What stopped it early, if something did: the signal's name.
    pub interrupted: Option<&'static str>,
}

impl Run {
    /// A run of nothing yet, on this machine.
    pub fn new(workload: Workload) -> Self {
        Self {
            workload,
            cpus: tatkal::available_cpus(),
            modes: Vec::new(),
            interrupted: None,
        }
    }

    /// The run of `mode`, if it came to its end.
    pub fn complete(&self, mode: Mode) -> Option<&ModeRun> {
        let wanted = |run: &&ModeRun| run.mode == mode && run.complete;
        self.modes.iter().find(wanted)
    }

    /// How many times as fast as sequential; `None` when either of them did not come to its end.
    pub fn speedup(&self, run: &ModeRun) -> Option<f64> {
        let baseline = self.complete(Mode::Sequential)?;
        if !run.complete || run.elapsed.is_zero() {
            return None;
        }
        Some(baseline.elapsed.as_secs_f64() / run.elapsed.as_secs_f64())
    }

    /// The first item that went wrong, or a difference between modes: the run is a failure.
    pub fn failed(&self) -> bool {
        let failed_item = self.modes.iter().any(|run| run.count(Status::Error) > 0);
        failed_item || self.differs()
    }

    /// Did two modes get different bytes for the same item?
    pub fn differs(&self) -> bool {
        let Some((reference, others)) = self.modes.split_first() else {
            return false;
        };
        others
            .iter()
            .any(|run| run.compare(reference).different > 0)
    }
}

/// `1 flag`, `2 flags`, `1,000 flags`.
pub fn plural(count: usize, word: &str) -> String {
    let ending = match (count, word.ends_with("ss")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {word}{ending}", thousands(count as u64))
}

/// `12,345,678`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An item whose "digest" is `sha`; an error when there is none.
    pub(crate) fn item(name: &str, sha: Option<&str>) -> Item {
        let mut item = Item::lost(name.into(), "refused".into());
        if let Some(sha) = sha {
            item.status = Status::Ok;
            item.bytes = 1000;
            item.sha256 = Some(sha.into());
            item.error = None;
        }
        item
    }

    /// A complete mode of `items`.
    pub(crate) fn mode_run(mode: Mode, seconds: f64, items: Vec<Item>) -> ModeRun {
        ModeRun {
            mode,
            workers: if mode == Mode::Sequential { 1 } else { 5 },
            tasks: None,
            began: Moment::now(),
            elapsed: Duration::from_secs_f64(seconds),
            complete: true,
            expected: items.len(),
            pool: None,
            items,
        }
    }

    /// A run of modes that all got the same flag, in the seconds given.
    pub(crate) fn run(workload: Workload, modes: &[(Mode, f64)]) -> Run {
        let mut run = Run::new(workload);
        run.cpus = 2;
        for (mode, seconds) in modes {
            let items = vec![item("yemen", Some("aa"))];
            run.modes.push(mode_run(*mode, *seconds, items));
        }
        run
    }

    #[test]
    fn modes_are_compared_item_by_item() {
        let mine = [
            item("same", Some("aa")),
            item("other", Some("bb")),
            item("lost", None),
            item("neither", None),
        ];
        let theirs = [
            item("neither", None),
            item("lost", Some("cc")),
            item("other", Some("dd")),
            item("same", Some("aa")),
        ];
        let mine = mode_run(Mode::Threads, 1.0, mine.into());
        let theirs = mode_run(Mode::Sequential, 1.0, theirs.into());
        assert_eq!(
            mine.compare(&theirs),
            Comparison {
                different: 1,
                one_sided: 1
            }
        );
    }

    #[test]
    fn speedup_needs_a_complete_baseline() {
        let mut run = run(
            Workload::Flags,
            &[(Mode::Sequential, 1.0), (Mode::Threads, 0.25)],
        );
        assert_eq!(run.speedup(&run.modes[1]), Some(4.0));
        run.modes[0].complete = false;
        assert_eq!(run.speedup(&run.modes[1]), None);
        run.modes.remove(0);
        assert_eq!(run.speedup(&run.modes[0]), None);
    }

    #[test]
    fn an_item_in_error_or_a_different_byte_fails_the_run() {
        let mut run = run(
            Workload::Flags,
            &[(Mode::Sequential, 1.0), (Mode::Threads, 0.25)],
        );
        assert!(!run.failed());
        run.modes[1].items[0].sha256 = Some("bb".into());
        assert!(run.failed() && run.differs());
        run.modes[1].items[0] = item("yemen", None);
        assert!(run.failed() && !run.differs());
        run.modes[1].items[0].status = Status::NotFound;
        assert!(!run.failed(), "not found is an answer");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(plural(1, "flag"), "1 flag");
        assert_eq!(plural(1000, "process"), "1,000 processes");
    }
}
