//! A crew with workers that are no processes: the test plays them, in every order that dice give.
//!
//! A played worker claims and answers on its real board, or dies when the
//! dice say so. After each walk: every job has ended exactly once, none has begun twice, and each
//! ended in a way that what happened to it and its terms allow. Time is the test's, too.

mod maps;
mod played;
mod walk;

use super::*;
use crate::error::JoinError;
use crate::pool::process::board::bell::NOBODY;
use crate::pool::process::board::{Look, MANAGER, WAITER};
use crate::pool::process::job::FIRST;
use crate::pool::process::policy::{OnDeath, Terms};
use crate::pool::process::sys;
use crate::pool::process::wire::Payload;
use crate::pool::process::wire::codec::{carry, new_memory};
use crate::task::schedule::TaskId;
use maps::Map;
use played::Played;
use std::cell::Cell;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use walk::Walk;

/// What the test knows of one job, or of an item of a map.
#[derive(Debug, Default, Clone)]
struct Record {
    is_item: bool,
    /// It is not to begin.
    is_off: bool,
    /// It fell, as the item that is lost (or its worker told nonsense), and was not aborted before.
    is_lost: bool,
    /// Nobody will be told how it ends.
    is_unseen: bool,
    started: bool,
    aborted: bool,
    terms: Terms,
    submitted: Duration,
    begun: u32,
    /// How many workers died at it.
    falls: u32,
    /// When it ended, and how.
    ended: Duration,
    ends: Vec<&'static str>,
}

thread_local! {
    /// How long the walk has taken.
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn hands() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + TIME.get()
}

type Records = Arc<Mutex<Vec<Record>>>;

struct FakeRemote {
    index: usize,
    records: Records,
}

impl RemoteJob for FakeRemote {
    fn id(&self) -> TaskId {
        TaskId(self.index)
    }

    fn start(&mut self) -> bool {
        let record = &mut self.records.lock().unwrap()[self.index];
        record.started |= !record.aborted;
        record.started
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let record = &mut self.records.lock().unwrap()[self.index];
        record.ended = TIME.get();
        record.ends.push(match outcome {
            Outcome::Answer(_) => "answer",
            Outcome::Failed(error) => name_of(&error),
            Outcome::Husk => "husk",
        });
    }
}

fn name_of(error: &JoinError) -> &'static str {
    match error {
        JoinError::Cancelled => "cancelled",
        JoinError::WorkerDied(_) => "fell",
        JoinError::Start(_) => "no worker",
        JoinError::TimedOut => "timed out",
        JoinError::Quarantined(_) => "quarantined",
        JoinError::Broken(_) => "broken",
        _ => "another error",
    }
}

/// What the test passes as the entry of a setup.
const SETUP: u64 = u64::MAX;

/// Setups that have ended, for the crew to be told.
type SetupEnds = Arc<Mutex<Vec<(Ticket, Result<(), JoinError>)>>>;

struct FakeSetup {
    ticket: Ticket,
    ended: SetupEnds,
}

impl RemoteJob for FakeSetup {
    fn id(&self) -> TaskId {
        TaskId(usize::MAX - self.ticket as usize)
    }

    fn start(&mut self) -> bool {
        true
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let result = match outcome {
            Outcome::Answer(_) => Ok(()),
            Outcome::Failed(JoinError::Cancelled) | Outcome::Husk => return,
            Outcome::Failed(error) => Err(error),
        };
        self.ended.lock().unwrap().push((self.ticket, result));
    }
}

fn fails_at_once(record: &Record) -> bool {
    matches!(record.terms.on_death, OnDeath::FailJob | OnDeath::BreakPool)
}

/// Do its terms allow it so many workers, and `forgiven` more?
fn may_run_again(record: &Record, forgiven: u32) -> bool {
    match record.terms.on_death {
        OnDeath::Retry(more) => record.falls <= more + forgiven,
        OnDeath::FailJob | OnDeath::BreakPool => record.falls == 0,
    }
}

#[test]
fn every_job_ends_once_and_truly_whatever_happens() {
    for seed in 1..=300 {
        let mut walk = Walk::new(seed);
        for _ in 0..400 {
            walk.step();
        }
        let cancel = walk.close();
        walk.finish();
        assert_eq!(walk.crew.pending, 0, "seed {seed}");
        assert!(walk.maps.is_empty(), "seed {seed}");
        let records = walk.records.lock().unwrap();
        for (index, record) in records.iter().enumerate() {
            // It runs no more: it never has, or whoever ran it is dead.
            let at_rest = record.begun == record.falls;
            let told_truly = match record.ends[..] {
                ["answer"] => record.begun == record.falls + 1 && may_run_again(record, 0),
                ["fell"] if record.is_item => record.is_lost && at_rest,
                ["fell"] => {
                    record.falls == 1 && at_rest && fails_at_once(record) && !record.aborted
                }
                ["quarantined"] => {
                    let one_too_many = !may_run_again(record, 0) && may_run_again(record, 1);
                    at_rest && one_too_many && !record.aborted
                }
                // Cancelled by its handle (killed, if it had begun), or by the end.
                ["cancelled"] => at_rest && (record.aborted || cancel),
                ["timed out"] => {
                    let limit = record.terms.timeout;
                    let passed = record.ended - record.submitted;
                    at_rest && record.begun > 0 && limit.is_some_and(|limit| limit <= passed)
                }
                ["broken"] => at_rest && walk.crew.broken.is_some(),
                ["husk"] => record.aborted && record.begun == 0,
                ["no worker"] => at_rest,
                [] => record.is_unseen && record.begun <= 1,
                _ => false,
            };
            assert!(told_truly, "seed {seed}, job {index}: {record:?}");
        }
    }
}

#[test]
fn jobs_are_failed_when_worker_after_worker_dies_before_it_begins_one() {
    let mut walk = Walk::new(1);
    walk.crew.rules.workers = 1;
    walk.submit(0);
    let mut deaths = 0;
    while walk.crew.pending > 0 {
        walk.hire();
        walk.arrive();
        walk.die(0);
        deaths += 1;
        assert!(deaths < 100, "an endless storm of restarts");
    }
    assert_eq!(walk.records.lock().unwrap()[0].ends, ["no worker"]);
    // And the pool goes on.
    walk.submit(0);
    walk.crew.close(false, &mut Out::new());
    walk.finish();
    assert_eq!(walk.records.lock().unwrap()[1].ends, ["answer"]);
}

#[test]
fn a_refused_worker_fails_the_jobs_only_when_there_is_no_other() {
    let mut walk = Walk::new(1);
    walk.crew.rules.workers = 2;
    walk.submit(0);
    walk.hire();
    walk.refuse();
    assert_eq!(walk.records.lock().unwrap()[0].ends, ["no worker"]);
    walk.submit(0);
    walk.hire();
    walk.arrive();
    walk.submit(0);
    walk.submit(0);
    walk.hire();
    walk.refuse();
    walk.crew.close(false, &mut Out::new());
    walk.finish();
    let records = walk.records.lock().unwrap();
    assert!(
        records[1..].iter().all(|record| record.ends == ["answer"]),
        "{records:?}"
    );
}

#[test]
fn what_a_worker_answers_while_it_is_being_woken_is_heard() {
    let mut walk = Walk::new(1);
    (walk.has_setup, walk.crew.rules) = (false, Rules::new(1));
    walk.submit(0);
    walk.hire();
    walk.arrive();
    (0..3).for_each(|_| walk.work()); // begun, answered, asleep
    walk.hear();
    walk.submit_while(Terms::default(), 0, |walk| {
        walk.submit(0);
        (0..4).for_each(|_| walk.work());
        assert!(!walk.manager_looks, "it was rung for, at a cost");
    });
    let ends = |walk: &Walk| {
        let records = walk.records.lock().unwrap();
        records
            .iter()
            .map(|record| record.ends.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(&walk), [1, 1, 0], "the submitter takes in its own");
    assert!(walk.manager_looks, "the other one's is for the manager");
    walk.hear();
    assert_eq!(ends(&walk), [1, 1, 1]);
}

/// What was cut off a part that is over is out of reach until the part before that one is over.
#[test]
fn an_abort_reaches_what_was_cut_off_what_was_cut_off() {
    for looks_on in [false, true] {
        let mut walk = Walk::new(1);
        (walk.has_setup, walk.crew.rules) = (false, Rules::new(2));
        walk.maps.push(Map::default());
        walk.submit_items(6);
        let begin = |walk: &mut Walk, index: usize, item: usize| {
            while walk.records.lock().unwrap()[item].begun == 0 {
                walk.work_as(index, false);
            }
            walk.relieve(1);
        };
        for index in 0..2 {
            walk.hire();
            walk.arrive();
            begin(&mut walk, index, index);
        }
        while walk.workers[1].is_busy() {
            walk.work_as(1, false);
        }
        walk.hear();
        walk.abort_map(0, looks_on);
        (0..20).for_each(|_| walk.work_as(1, false));
        let begun = walk
            .records
            .lock()
            .unwrap()
            .iter()
            .map(|item| item.begun)
            .sum::<u32>();
        assert_eq!(begun, 2);
        walk.crew.close(false, &mut Out::new());
        walk.finish();
    }
}
