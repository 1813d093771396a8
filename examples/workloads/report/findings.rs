//! What the numbers show: claims about concurrency, each checked against this very run.
//!
//! The claims are the talk's, and what becomes of them in a language without a GIL. `~` is "as fast
//! as" and `>` is "faster than". A claim is judged only when every mode that it names came to its
//! end; nothing here is known before the run. Next: `text.rs`.

use super::model::{ModeRun, Run, Status, Workload};
use crate::mode::Mode;
use crate::units::show_duration;
use std::time::Duration;

/// Two modes are alike (`~`) when neither takes more than this many times as long as the other.
/// A busy machine adds some, and chance does: a quarter absorbs both.
const ALIKE: f64 = 1.25;

/// However short the run, a difference of this little is the making of a pool and chance.
const SLACK: Duration = Duration::from_millis(5);

/// A mode is faster (`>`) when the other takes at least this many times as long. Two CPUs give at
/// most 2, so this asks for half of what a second CPU can give.
const FASTER: f64 = 1.5;

/// Under a lock that one thread at a time can hold, this much gain or loss is noise.
const GIL_ALIKE: std::ops::RangeInclusive<f64> = 0.8..=1.2;

/// One claim and what the run says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What is claimed, in words that were there before the run.
    pub claim: String,
    /// Did the run bear it out? `None`: it could not tell.
    pub holds: Option<bool>,
    /// The numbers, or why it could not tell.
    pub evidence: String,
}

/// The findings of `run`; none of those that are about a mode that was not asked for.
pub fn findings(run: &Run) -> Vec<Finding> {
    let claims: &[fn(&Run) -> Option<Finding>] = match run.workload {
        Workload::Flags => &[pools_beat_sequential, async_keeps_up, one_thread_is_enough],
        Workload::Hash => &[
            pools_use_every_cpu,
            gil_takes_it_away,
            processes_escape_the_gil,
            offloading_keeps_up,
            tasks_use_every_cpu,
        ],
    };
    claims.iter().filter_map(|claim| claim(run)).collect()
}

fn pools_beat_sequential(run: &Run) -> Option<Finding> {
    let claim = "threads ~ processes > sequential, for I/O";
    let modes = [Mode::Threads, Mode::Processes, Mode::Sequential];
    judge(run, claim, &modes, |[threads, processes, sequential]| {
        if sequential.expected < 2 {
            return (None, "with one flag there is nothing to do at once".into());
        }
        let holds = alike(threads, processes)
            && faster(threads, sequential)
            && faster(processes, sequential);
        (Some(holds), times(&[threads, processes, sequential]))
    })
}

fn async_keeps_up(run: &Run) -> Option<Finding> {
    let claim = "async on one thread ~ a pool of threads, or better, for I/O";
    let modes = [Mode::Async, Mode::Threads];
    judge(run, claim, &modes, |[looped, threads]| {
        let holds = looped.elapsed <= threads.elapsed || alike(looped, threads);
        (Some(holds), times(&[looped, threads]))
    })
}

fn one_thread_is_enough(run: &Run) -> Option<Finding> {
    let claim = "async on many threads ~ async on one, for I/O";
    let modes = [Mode::AsyncThreads, Mode::Async];
    judge(run, claim, &modes, |[many, one]| {
        (Some(alike(many, one)), times(&[many, one]))
    })
}

fn pools_use_every_cpu(run: &Run) -> Option<Finding> {
    let claim = "threads > sequential and processes > sequential, for CPU work";
    let modes = [Mode::Threads, Mode::Processes, Mode::Sequential];
    judge(run, claim, &modes, |[threads, processes, sequential]| {
        if run.cpus.min(threads.workers).min(sequential.expected) < 2 {
            return (None, "it takes two CPUs, two workers and two jobs".into());
        }
        let holds = faster(threads, sequential) && faster(processes, sequential);
        let times = times(&[threads, processes, sequential]);
        (Some(holds), format!("{times}, on {} CPUs", run.cpus))
    })
}

fn gil_takes_it_away(run: &Run) -> Option<Finding> {
    let claim = "under CPython's lock, threads ~ sequential, for CPU work";
    let modes = [Mode::ThreadsGil, Mode::Sequential];
    judge(run, claim, &modes, |[locked, sequential]| {
        let gain = ratio(sequential, locked);
        let holds = GIL_ALIKE.contains(&gain) || close(locked, sequential);
        let times = times(&[locked, sequential]);
        (Some(holds), format!("{times}: {gain:.2}x"))
    })
}

fn processes_escape_the_gil(run: &Run) -> Option<Finding> {
    let claim = "processes > threads under CPython's lock, for CPU work";
    let modes = [Mode::Processes, Mode::ThreadsGil];
    judge(run, claim, &modes, |[processes, locked]| {
        if run.cpus.min(processes.workers) < 2 {
            return (None, "it takes two CPUs and two workers".into());
        }
        let holds = faster(processes, locked);
        (Some(holds), times(&[processes, locked]))
    })
}

fn offloading_keeps_up(run: &Run) -> Option<Finding> {
    let claim = "an event loop that offloads CPU work ~ the threads it offloads to";
    let modes = [Mode::Async, Mode::Threads];
    judge(run, claim, &modes, |[looped, threads]| {
        (Some(alike(looped, threads)), times(&[looped, threads]))
    })
}

fn tasks_use_every_cpu(run: &Run) -> Option<Finding> {
    let claim = "async on many threads ~ threads > sequential, for CPU work";
    let modes = [Mode::AsyncThreads, Mode::Threads, Mode::Sequential];
    judge(run, claim, &modes, |[tasks, threads, sequential]| {
        if run.cpus.min(tasks.workers).min(sequential.expected) < 2 {
            return (None, "it takes two CPUs, two workers and two jobs".into());
        }
        let holds = alike(tasks, threads) && faster(tasks, sequential);
        (Some(holds), times(&[tasks, threads, sequential]))
    })
}

/// A finding about `modes`: nothing where one of them was not asked for, no verdict where one was
/// interrupted or lost items (it would seem faster than it is), none where there was only failure.
fn judge<const N: usize>(
    run: &Run,
    claim: &str,
    modes: &[Mode; N],
    verdict: impl FnOnce([&ModeRun; N]) -> (Option<bool>, String),
) -> Option<Finding> {
    let find = |mode: &Mode| run.modes.iter().find(|m| m.mode == *mode);
    let found: Vec<&ModeRun> = modes.iter().filter_map(find).collect();
    let found = <[&ModeRun; N]>::try_from(found).ok()?;
    let done = |m: &ModeRun| m.count(Status::Ok);
    let (holds, evidence) = if let Some(cut) = found.iter().find(|m| !m.complete) {
        (None, format!("{} did not come to its end", cut.mode))
    } else if let Some(other) = found.iter().find(|m| done(m) != done(found[0])) {
        let (first, other) = (found[0].mode, other.mode);
        (
            None,
            format!("{first} and {other} did not do the same work"),
        )
    } else if found.iter().all(|m| m.count(Status::Error) == m.expected) {
        (
            None,
            "every item failed, and a failure takes its own time".into(),
        )
    } else {
        verdict(found)
    };
    Some(Finding {
        claim: claim.into(),
        holds,
        evidence,
    })
}

/// How many times as long as `other` it took.
fn ratio(run: &ModeRun, other: &ModeRun) -> f64 {
    run.elapsed.as_secs_f64() / other.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn alike(run: &ModeRun, other: &ModeRun) -> bool {
    close(run, other) || (1.0 / ALIKE..=ALIKE).contains(&ratio(run, other))
}

fn close(run: &ModeRun, other: &ModeRun) -> bool {
    run.elapsed.abs_diff(other.elapsed) <= SLACK
}

fn faster(run: &ModeRun, other: &ModeRun) -> bool {
    ratio(other, run) >= FASTER
}

/// `threads 0.21 s, processes 0.22 s, sequential 1.02 s`.
fn times(runs: &[&ModeRun]) -> String {
    let time = |m: &&ModeRun| format!("{} {}", m.mode, show_duration(m.elapsed));
    runs.iter().map(time).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{item, run};
    use super::*;

    fn verdicts(run: &Run) -> Vec<Option<bool>> {
        findings(run).iter().map(|finding| finding.holds).collect()
    }

    fn flags(seconds: [f64; 5]) -> Run {
        let mut run = run(
            Workload::Flags,
            &[
                (Mode::Sequential, seconds[0]),
                (Mode::Threads, seconds[1]),
                (Mode::Processes, seconds[2]),
                (Mode::Async, seconds[3]),
                (Mode::AsyncThreads, seconds[4]),
            ],
        );
        for mode in &mut run.modes {
            mode.items.push(item("zambia", Some("bb")));
            mode.expected = 2;
        }
        run
    }

    #[test]
    fn the_numbers_decide_and_nothing_else() {
        let talk = flags([16.29, 4.0, 4.0, 3.3, 3.3]);
        assert_eq!(verdicts(&talk), [Some(true); 3]);
        let none = flags([4.0, 4.0, 4.0, 8.0, 4.0]);
        assert_eq!(verdicts(&none), [Some(false); 3]);
        // Faster both, but not alike.
        let unlike = flags([16.0, 2.0, 4.0, 2.0, 2.0]);
        assert_eq!(verdicts(&unlike), [Some(false), Some(true), Some(true)]);
    }

    #[test]
    fn a_mode_that_was_not_asked_for_makes_no_finding() {
        let mut run = flags([4.0, 1.0, 1.0, 1.0, 1.0]);
        run.modes.remove(0);
        assert_eq!(verdicts(&run), [Some(true); 2]);
        run.modes.pop();
        assert_eq!(verdicts(&run), [Some(true)]);
        run.modes.truncate(1);
        assert_eq!(verdicts(&run), []);
    }

    #[test]
    fn a_mode_cut_short_is_not_judged() {
        let mut run = flags([4.0, 1.0, 1.0, 1.0, 1.0]);
        run.modes[3].complete = false;
        assert_eq!(verdicts(&run), [Some(true), None, None]);
        assert!(findings(&run)[1].evidence.contains("async did not come"));
    }

    #[test]
    fn failures_alone_tell_nothing() {
        let mut run = flags([4.0, 1.0, 1.0, 1.0, 1.0]);
        for mode in &mut run.modes {
            mode.items = vec![item("yemen", None), item("zambia", Some("bb"))];
        }
        assert_eq!(verdicts(&run), [Some(true); 3]);
        for mode in &mut run.modes {
            mode.items[1] = item("zambia", None);
        }
        assert_eq!(verdicts(&run), [None; 3]);
    }

    #[test]
    fn one_flag_tells_nothing_of_doing_many_at_once() {
        let mut run = flags([1.0; 5]);
        for mode in &mut run.modes {
            mode.items.truncate(1);
            mode.expected = 1;
        }
        assert_eq!(verdicts(&run), [None, Some(true), Some(true)]);
    }

    #[test]
    fn the_lock_of_cpython_shows_in_the_hash_run() {
        let mut run = run(
            Workload::Hash,
            &[
                (Mode::Sequential, 12.96),
                (Mode::ThreadsGil, 12.76),
                (Mode::Threads, 6.6),
                (Mode::Processes, 6.7),
                (Mode::Async, 6.6),
                (Mode::AsyncThreads, 6.6),
            ],
        );
        for mode in &mut run.modes {
            mode.expected = 20;
        }
        assert_eq!(verdicts(&run), [Some(true); 5]);
        run.modes[1].elapsed = run.modes[2].elapsed;
        let free = [Some(true), Some(false), Some(false), Some(true), Some(true)];
        assert_eq!(verdicts(&run), free);
        run.modes[5].elapsed = run.modes[0].elapsed;
        assert_eq!(verdicts(&run)[4], Some(false));
        run.cpus = 1;
        assert_eq!((verdicts(&run)[0], verdicts(&run)[4]), (None, None));
    }

    #[test]
    fn a_few_milliseconds_are_no_difference() {
        let modes = [(Mode::Threads, 0.014), (Mode::Async, 0.010)];
        assert_eq!(verdicts(&run(Workload::Hash, &modes)), [Some(true)]);
        let modes = [(Mode::Threads, 0.14), (Mode::Async, 0.10)];
        assert_eq!(verdicts(&run(Workload::Hash, &modes)), [Some(false)]);
    }
}
