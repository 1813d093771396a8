//! A crew with workers that are no processes: the test plays them, in every order that dice give.
//!
//! A played worker claims and answers on its real board, or dies when the
//! dice say so. After each walk: every job has ended exactly once, none has begun twice, and each
//! ended in a way that what happened to it and its terms allow. Time is the test's, too.

use super::*;
use crate::error::JoinError;
use crate::pool::process::board::Turn;
use crate::pool::process::codec::{carry, new_memory};
use crate::pool::process::policy::{OnDeath, Terms};
use crate::pool::process::sys;
use crate::pool::process::wire::{BODY, Kind, Payload};
use crate::task::schedule::TaskId;
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// What the test knows of one job.
#[derive(Debug, Default, Clone)]
struct Record {
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
            Outcome::Failed(JoinError::Cancelled) => "cancelled",
            Outcome::Failed(JoinError::WorkerDied(_)) => "fell",
            Outcome::Failed(JoinError::Start(_)) => "no worker",
            Outcome::Failed(JoinError::TimedOut) => "timed out",
            Outcome::Failed(JoinError::Quarantined(_)) => "quarantined",
            Outcome::Failed(JoinError::Broken(_)) => "broken",
            Outcome::Failed(_) => "another error",
            Outcome::Husk => "husk",
        });
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

/// A worker, played.
struct Played {
    ticket: Ticket,
    arrived: bool,
    channel: OwnedFd,
    board: Board,
    /// The number of the next job.
    next: u64,
    /// The number it is at, and the job's index (which the test passes as its entry).
    at: Option<(u64, u64)>,
}

struct Walk {
    dice: u64,
    crew: Crew,
    records: Records,
    workers: Vec<Played>,
    next_ticket: Ticket,
    has_setup: bool,
    setups: SetupEnds,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let mut walk = Walk {
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            crew: Crew::new(Rules::new(1)),
            records: Records::default(),
            workers: Vec::new(),
            next_ticket: 1,
            has_setup: false,
            setups: Arc::default(),
        };
        walk.crew.rules.workers = 1 + walk.below(4);
        walk.has_setup = walk.below(3) == 0;
        walk.crew.rules.max_jobs = [None, None, Some(1), Some(3)][walk.below(4)];
        let age = Duration::from_millis(30);
        walk.crew.rules.max_age = [None, None, Some(age)][walk.below(3)];
        walk.crew.clock = hands;
        TIME.set(Duration::ZERO);
        walk
    }

    fn below(&mut self, limit: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % limit as u64) as usize
    }

    /// One transition, and the ends that come of it.
    fn change<T>(&mut self, transition: impl FnOnce(&mut Crew, &mut Out) -> T) -> T {
        let answer = self.change_once(transition);
        loop {
            // Not in the condition: its lock would last for the body.
            let ended = self.setups.lock().unwrap().pop();
            let Some((ticket, result)) = ended else {
                return answer;
            };
            self.change_once(|crew, out| crew.set_up(ticket, result, out));
        }
    }

    fn change_once<T>(&mut self, transition: impl FnOnce(&mut Crew, &mut Out) -> T) -> T {
        let mut out = Out::new();
        let answer = transition(&mut self.crew, &mut out);
        self.crew.left(out.len());
        for (remote, outcome) in out {
            remote.finish(outcome);
        }
        if self.crew.take_ring() {
            self.crew.plan_look(); // What the manager does when it is woken.
        }
        self.check();
        answer
    }

    /// What holds between any two transitions (C2, C6).
    fn check(&self) {
        assert!(
            self.crew.queue.is_empty() || self.crew.idle.is_empty(),
            "C2"
        );
        let sleeps_past = |alarm: Instant| self.crew.next_look.is_none_or(|look| alarm < look);
        assert!(!self.crew.next_alarm().is_some_and(sleeps_past), "C6");
        let orders: Vec<u64> = self.crew.queue.iter().map(|job| job.order).collect();
        assert!(orders.is_sorted(), "{orders:?}");
        let held: usize = self.crew.members.values().map(Member::load).sum();
        assert!(self.crew.pending >= self.crew.queue.len());
        assert!(self.crew.pending <= self.crew.queue.len() + held);
    }

    fn submit(&mut self, length: usize) {
        self.submit_on(Terms::default(), length);
    }

    fn dice_terms(&mut self) -> Terms {
        Terms {
            timeout: (self.below(3) == 0).then(|| Duration::from_millis(20)),
            on_death: match self.below(40) {
                0..20 => OnDeath::FailJob,
                20..30 => OnDeath::Retry(0),
                30..39 => OnDeath::Retry(2),
                _ => OnDeath::BreakPool,
            },
        }
    }

    fn submit_on(&mut self, terms: Terms, length: usize) {
        let index = self.records.lock().unwrap().len();
        self.records.lock().unwrap().push(Record {
            terms,
            submitted: TIME.get(),
            ..Record::default()
        });
        let remote = Box::new(FakeRemote {
            index,
            records: self.records.clone(),
        });
        let argument = vec![0; length];
        let job = Job {
            remote,
            order: 0,
            entry: index as u64,
            argument: carry(argument, &mut new_memory).unwrap(),
            policy: terms.policy(),
        };
        if self.crew.phase == Phase::Open {
            self.change(|crew, out| crew.accept(job, out));
        } else {
            self.records.lock().unwrap().pop();
        }
    }

    /// As a handle does it: in place while it is queued for the first time.
    fn abort(&mut self) {
        let count = self.records.lock().unwrap().len();
        if count == 0 {
            return;
        }
        let index = self.below(count);
        let started = {
            let record = &mut self.records.lock().unwrap()[index];
            if record.aborted || !record.ends.is_empty() {
                return;
            }
            record.aborted = true;
            record.started
        };
        if started {
            self.change(|crew, out| crew.abort(TaskId(index), out));
        }
    }

    fn hire(&mut self) {
        if self.crew.wants_workers() == 0 {
            return;
        }
        let (ours, channel) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        let (board, page) = Board::create().unwrap();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.workers.push(Played {
            ticket,
            arrived: false,
            channel,
            board: Board::open(&page).unwrap(),
            next: 1,
            at: None,
        });
        let mut member = Member::new(Arc::new(ours), Arc::new(board));
        let ended = self.setups.clone();
        member.setup = self.has_setup.then(|| Job {
            remote: Box::new(FakeSetup { ticket, ended }),
            order: FIRST,
            entry: SETUP,
            argument: Payload::Bytes(Vec::new()),
            policy: None,
        });
        self.change(|crew, _| crew.expect(ticket, member));
    }

    fn pick(&mut self, which: impl Fn(&Played) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.workers.len())
            .filter(|&index| which(&self.workers[index]))
            .collect();
        (!fitting.is_empty()).then(|| fitting[self.below(fitting.len())])
    }

    fn arrive(&mut self) {
        if let Some(index) = self.pick(|worker| !worker.arrived) {
            self.workers[index].arrived = true;
            let ticket = self.workers[index].ticket;
            self.change(|crew, out| crew.arrived(ticket, 100 + ticket as u32, out));
        }
    }

    fn refuse(&mut self) {
        if let Some(index) = self.pick(|worker| !worker.arrived) {
            let ticket = self.workers.remove(index).ticket;
            let error = io::Error::from_raw_os_error(libc::EAGAIN);
            self.change(|crew, out| crew.refused(Some(ticket), &error, out));
        }
    }

    /// A worker takes a step: it begins a job, or ends one.
    fn work(&mut self) {
        let Some(index) = self.pick(|worker| worker.arrived) else {
            return;
        };
        let worker = &mut self.workers[index];
        if let Some((number, job)) = worker.at.take() {
            let result = match job % 7 {
                0 => vec![1; BODY + 1],
                _ => vec![1; job as usize % 200],
            };
            let result = carry(result, &mut new_memory).unwrap();
            if let Payload::Memory(memory) = &result {
                memory.send(&worker.channel, number, false).unwrap();
            }
            // Some are long: then fewer are given in advance.
            let took = Duration::from_micros(job % 50);
            worker.board.answer(number, Kind::Done, &result, took);
            return;
        }
        match worker.board.next(worker.next) {
            Turn::Nothing => return,
            Turn::Over => {}
            Turn::Nonsense => panic!("nobody writes nonsense here"),
            Turn::Mine { entry, length } => {
                if length > BODY {
                    Memory::receive(&worker.channel, worker.next, length).unwrap();
                }
                worker.at = Some((worker.next, entry));
                if entry != SETUP {
                    self.records.lock().unwrap()[entry as usize].begun += 1;
                }
            }
        }
        worker.next += 1;
    }

    /// The pool takes in what was answered.
    fn hear(&mut self) {
        self.change(|crew, out| crew.collect(out));
    }

    /// A worker dies, and the pool takes note of it in the order of the real one.
    fn die(&mut self, index: usize) {
        if let Some((_, job)) = self.workers[index].at
            && job != SETUP
        {
            self.records.lock().unwrap()[job as usize].falls += 1;
        }
        if self.below(2) == 0 {
            let ticket = self.workers[index].ticket;
            self.change(|crew, _| crew.leaves(ticket)); // The end of its channel came first.
        }
        self.hear();
        let ticket = self.workers.remove(index).ticket;
        self.crew.orders.retain(|(ordered, _)| *ordered != ticket);
        self.change(|crew, out| crew.bury(ticket, Some(libc::SIGKILL), out));
    }

    /// An order is carried out. Only a job that is to stop may be at stake; and SIGTERM may be
    /// ignored.
    fn execute(&mut self) {
        if self.crew.orders.is_empty() {
            return;
        }
        let (ticket, signal) = self.crew.orders.remove(0);
        let mut workers = self.workers.iter();
        let Some(index) = workers.position(|worker| worker.ticket == ticket) else {
            return;
        };
        if let Some((_, job)) = self.workers[index].at
            && job != SETUP
        {
            let record = &self.records.lock().unwrap()[job as usize];
            let may_stop =
                record.aborted || record.terms.timeout.is_some() || self.crew.broken.is_some();
            assert!(may_stop, "sacrificed: {record:?}");
        }
        if signal == libc::SIGKILL || self.below(3) > 0 {
            self.die(index);
        }
    }

    /// A worker that was let go leaves when it has nothing to do.
    fn leave(&mut self) {
        let is_let_go = |walk: &Walk, ticket| {
            let member = walk.crew.members.get(&ticket);
            member.is_some_and(|member| member.stage == Stage::Leaving && member.is_idle())
        };
        let tickets: Vec<_> = self.workers.iter().map(|worker| worker.ticket).collect();
        if let Some(index) = tickets.iter().position(|ticket| is_let_go(self, *ticket))
            && self.workers[index].at.is_none()
        {
            self.die(index);
        }
    }

    fn pass_time(&mut self, milliseconds: u64) {
        TIME.set(TIME.get() + Duration::from_millis(milliseconds));
        self.change(Crew::ring_alarms);
        self.change(Crew::end_pause);
        // C6, and nothing is left undone.
        let look = self.crew.plan_look();
        assert!(look.is_none_or(|look| look > hands()));
    }

    fn step(&mut self) {
        match self.below(22) {
            0..=3 => {
                let length = [0, 10, 300_000][self.below(3)];
                let terms = self.dice_terms();
                self.submit_on(terms, length);
            }
            20..=21 => {
                let long = self.below(20) == 0; // enough for a worker to be stuck
                let milliseconds = if long { 1200 } else { self.below(8) as u64 };
                self.pass_time(milliseconds);
            }
            4..=5 => self.hire(),
            6..=7 => self.arrive(),
            8..=12 => self.work(),
            13..=15 => self.hear(),
            16 if self.below(2) == 0 => self.abort(),
            16 => self.leave(),
            17 => self.execute(),
            18 if self.below(4) == 0 => self.refuse(),
            19 if self.below(3) == 0 => {
                if let Some(index) = self.pick(|worker| worker.arrived) {
                    self.die(index);
                }
            }
            _ => {}
        }
    }

    /// Until all jobs have ended, without further mishaps.
    fn finish(&mut self) {
        for _ in 0..100_000 {
            if self.crew.is_done() {
                return;
            }
            self.hire();
            self.arrive();
            self.work();
            self.hear();
            self.execute();
            self.leave();
            self.pass_time(1);
        }
        panic!("it never ends: {} jobs are left", self.crew.pending);
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
        let cancel = walk.below(2) == 0;
        walk.change(|crew, out| crew.close(cancel, out));
        walk.finish();
        assert_eq!(walk.crew.pending, 0, "seed {seed}");
        let records = walk.records.lock().unwrap();
        for (index, record) in records.iter().enumerate() {
            // It runs no more: it never has, or whoever ran it is dead.
            let at_rest = record.begun == record.falls;
            let told_truly = match record.ends[..] {
                ["answer"] => record.begun == record.falls + 1 && may_run_again(record, 0),
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
