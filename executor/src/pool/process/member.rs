//! One worker, seen from the pool: its board, its channel, and the jobs it has not answered.
//!
//! ```text
//!   jobs:   [ 7 | 8 | 10 ]      front: the worker is at this one, or will be next
//!               (9 was taken back)
//! ```
//!
//! A job stays here, with its argument, until it is answered: should the worker die before it has
//! begun it, another one gets it. A job that was offered can be taken back as long as it has not
//! begun (the board decides): it is forgotten here, and the worker passes over its number.
//!
//! How many jobs a worker is given in advance depends on how long they take. Waking a sleeping
//! process is dear, so many short ones are offered at a time, and they are run and answered without
//! anybody waking anybody. But what waits here cannot be run by another worker without being taken
//! back first, so all that is offered together should take no longer than `BUDGET`; of jobs that
//! are long, or have never been seen to end, there are `PIPELINE`.
//!
//! Owns      everything the pool knows of one worker; part of `Crew`, so under the pool's lock.
//! Holds     M1 answers come in the order of the jobs; M2 a number is given out only when the one
//!           SLOTS before it is over, and while fewer than SLOTS have been given since the front
//!           one (D1 in board.rs). M3 the front job's time begins when it becomes the front one: from
//!           then on the worker has nothing else to do; and once more if it then has not begun. So
//!           waiting costs a job no time. Next: `member/parting.rs`.

mod parting;

pub(super) use parting::{Remains, Stop, Stopped};

use super::board::watch;
use super::board::{Answer, Board, Loan, Look, SLOTS};
use super::job::{FIRST, Job, RemoteJob};
use super::metrics::ProcessWork;
use super::policy::Policy;
use super::sys;
use super::wire::arrival::{Incoming, Views};
use super::wire::memory::{Along, Stock};
use super::wire::{BODY, Payload};
use crate::task::schedule::TaskId;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many jobs a worker is given at a time when they are long: the one it runs, and one to go on
/// with while the answer to the first is on its way.
pub(super) const PIPELINE: usize = 2;

/// How long the jobs that a worker was given may take together: what it costs to wake a process.
const BUDGET: Duration = Duration::from_micros(40);

/// A free worker that has not begun a job for so long is not busy but stuck: somebody stopped it.
/// (On a machine with too much to do, a healthy one may need some time to be woken.)
const STUCK: Duration = Duration::from_secs(1);

/// What the system's clock can tell apart when it is asked to wake somebody.
const MOMENT: Duration = Duration::from_millis(1);

/// A worker that has not answered for so long, with others behind the job it is at, holds them up.
pub(super) const PATIENCE: Duration = Duration::from_micros(200);

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asked for; the server has not answered yet.
    Starting,
    /// It exists and takes jobs.
    Ready,
    /// It gets no more jobs: it was dismissed, or is being killed, or its channel has ended.
    Leaving,
}

/// Tells the time. A function, so that the tests can turn the hands.
pub(super) type Clock = fn() -> Instant;

/// One worker.
pub(super) struct Member {
    pub(super) stage: Stage,
    pub(super) pid: Option<u32>,
    /// Its process, since the server has told of it.
    pub(super) process: Option<Arc<OwnedFd>>,
    /// What it said to the job at the front is nonsense: then that job has begun, whatever its slot
    /// says, and must not be run again.
    pub(super) is_mad: bool,
    /// It is dead; the server has not told how.
    pub(super) is_dead: bool,
    channel: Arc<OwnedFd>,
    /// The files of its long results.
    views: Views,
    /// What it has done; its CPU time is known when it is dead.
    pub(super) work: ProcessWork,
    /// Where jobs are measured: when it was done with the last one.
    free_ns: u64,
    /// It has done at least one job, its setup aside.
    pub(super) has_worked: bool,
    /// What it has to do before it is Ready.
    pub(super) setup: Option<Job>,
    /// How many jobs it may be given yet, those that it has not answered included.
    jobs_left: u64,
    /// When it is to be replaced, though nothing is wrong with it.
    retires_at: Option<Instant>,
    /// A job was taken back from it while it was at another: until it answers, it gets none in
    /// advance.
    slow: bool,
    pub(super) board: Arc<Board>,
    jobs: VecDeque<Assigned>,
    last_number: u64,
    /// How long its jobs take. The longest one lately: one long job ends the confidence that many
    /// short ones have won.
    pace: Duration,
    /// Since when it has been at the job at the front, as far as the pool knows.
    front_since: Instant,
    /// Which job the deadline is of (M3), and the deadline, if that job has one.
    timed: u64,
    deadline: Option<Instant>,
    /// When the worker is stuck, if it has not begun that job by then.
    stuck_at: Option<Instant>,
    /// It is leaving, and when it has not left by then it is killed. Or it is dead, and when the
    /// server has not told how by then, nobody will.
    pub(super) kill_at: Option<Instant>,
}

/// A job that was given to a worker.
struct Assigned {
    number: u64,
    remote: Box<dyn RemoteJob>,
    order: u64,
    entry: u64,
    argument: Payload,
    policy: Option<Box<Policy>>,
    /// It was told to stop when it had begun, and why. Unless it is done by then, the worker is being
    /// killed because of it; in any case nothing further of it is to begin.
    stopped: Option<Stopped>,
}

/// What a look at the board brought.
pub(super) enum Heard {
    /// The answer to the front job.
    Answer {
        remote: Box<dyn RemoteJob>,
        order: u64,
        answer: Answer,
        /// When it was a parcel: what has not begun of it, and why it is not to, if so.
        rest: Option<(Job, Option<Stopped>)>,
    },
    /// Something that is no answer: it cannot be trusted further.
    Nonsense,
}

impl Member {
    pub(super) fn new(channel: Arc<OwnedFd>, board: Arc<Board>) -> Member {
        Member {
            stage: Stage::Starting,
            pid: None,
            process: None,
            is_mad: false,
            is_dead: false,
            channel,
            views: Views::default(),
            work: ProcessWork::default(),
            free_ns: 0,
            has_worked: false,
            setup: None,
            jobs_left: u64::MAX,
            retires_at: None,
            slow: false,
            board,
            jobs: VecDeque::new(),
            last_number: 0,
            pace: BUDGET,
            front_since: Instant::now(),
            timed: 0,
            deadline: None,
            stuck_at: None,
            kill_at: None,
        }
    }

    /// It takes jobs from now on, so many and until then.
    pub(super) fn engage(&mut self, jobs: Option<u64>, until: Option<Instant>) {
        self.stage = Stage::Ready;
        self.jobs_left = jobs.unwrap_or(u64::MAX);
        self.retires_at = until;
    }

    /// Has it stayed as long as was agreed?
    pub(super) fn is_spent(&self) -> bool {
        self.jobs_left == 0
    }

    /// Its time is over; the jobs that it has been given it may still do.
    pub(super) fn retire(&mut self) {
        self.jobs_left = 0;
        self.retires_at = None;
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn is_due_to_retire(&self, now: Instant) -> bool {
        self.stage == Stage::Ready && self.retires_at.is_some_and(|at| at <= now)
    }

    /// Has it nothing to do?
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many jobs it has not answered.
    pub(super) fn load(&self) -> usize {
        self.jobs.len()
    }

    /// The number of the job it is at.
    pub(super) fn front(&self) -> Option<u64> {
        Some(self.jobs.front()?.number)
    }

    /// The number of the last job it was given.
    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Is there an answer to the job it is at?
    pub(super) fn has_answered(&self) -> bool {
        self.front()
            .is_some_and(|front| self.board.look(front) != Look::NotYet)
    }

    /// Could it be given another job?
    pub(super) fn has_room(&self) -> bool {
        self.stage == Stage::Ready
            && !self.slow
            && self.jobs.len() < self.depth()
            && (self.jobs.len() as u64) < self.jobs_left
            && self.jobs.front().is_none_or(|front| {
                self.last_number + 1 - front.number < SLOTS as u64 // M2
            })
    }

    /// Are its jobs done sooner than somebody who waits for one would have fallen asleep?
    pub(super) fn is_quick(&self) -> bool {
        self.pace < watch::LIMIT
    }

    /// How many jobs it may be given at a time.
    fn depth(&self) -> usize {
        let fit = BUDGET.as_nanos() / self.pace.as_nanos().max(1);
        usize::try_from(fit).unwrap_or(SLOTS).clamp(PIPELINE, SLOTS)
    }

    /// Are jobs behind the front one that came before job `order`, and have they waited too long?
    /// Where few are given in advance, it is too long when a later one is done.
    pub(super) fn holds_up_one_before(&self, order: u64, now: Instant) -> bool {
        let waits = self.jobs.len() > 1 && self.jobs.back().is_some_and(|last| last.order < order);
        waits && (self.depth() == PIPELINE || now.duration_since(self.front_since) > PATIENCE)
    }

    /// Gives it a job. Gives it back when the channel does not take a long argument now.
    pub(super) fn assign(&mut self, mut job: Job, clock: Clock) -> Result<(), Job> {
        let number = self.last_number + 1;
        if let Payload::Memory(memory) = &job.argument
            && memory.send(&self.channel, number, false).is_err()
        {
            self.slow = true;
            return Err(job);
        }
        self.last_number = number;
        if self.jobs.is_empty() {
            self.front_since = clock();
        }
        if self.board.is_measured()
            && let Some(stamps) = job.remote.stamps()
        {
            stamps.offered_ns = sys::now_ns();
        }
        self.board.offer(number, job.entry, &job.argument);
        self.jobs.push_back(Assigned {
            number,
            remote: job.remote,
            order: job.order,
            entry: job.entry,
            argument: job.argument,
            policy: job.policy,
            stopped: None,
        });
        self.start_clock(clock);
        Ok(())
    }

    /// M3: after every change of `jobs`.
    pub(super) fn start_clock(&mut self, clock: Clock) {
        let front = self.jobs.front();
        let number = front.map_or(0, |job| job.number);
        if number != self.timed {
            self.timed = number;
            let begin = self.timeout().map(|timeout| (timeout, clock()));
            self.deadline = begin.and_then(|(timeout, now)| now.checked_add(timeout));
            self.stuck_at = begin.and_then(|(timeout, now)| now.checked_add(timeout.max(STUCK)));
        }
    }

    /// The time limit of the front job.
    fn timeout(&self) -> Option<Duration> {
        let policy = self.jobs.front()?.policy.as_deref()?;
        policy.terms.timeout
    }

    /// When something has to be done about it although nothing happens.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match self.stage {
            Stage::Leaving => self.kill_at,
            Stage::Starting => self.deadline,
            Stage::Ready => [self.deadline, self.retires_at].into_iter().flatten().min(),
        }
    }

    /// Has it answered the job it is at?
    ///
    /// The memory of a long argument is not needed any more then, and goes to the stock.
    pub(super) fn hear(&mut self, now: Instant, clock: Clock, stock: &mut Stock) -> Option<Heard> {
        let front = self.jobs.front()?;
        let (kind, length, took) = match self.board.look(front.number) {
            Look::NotYet => return None,
            Look::Nonsense => return Some(Heard::Nonsense),
            Look::Answered { kind, length, took } => (kind, length, took),
        };
        let number = front.number;
        let (payload, loan) = if length <= BODY {
            (Incoming::Bytes(self.board.copy_out(number, length)), None)
        } else {
            let board = self.board.clone();
            match self.views.receive(&self.channel, number, length) {
                Ok(arrival) => (
                    Incoming::Memory(Box::new(arrival)),
                    Some(Loan { board, number }),
                ),
                Err(_) => return Some(Heard::Nonsense),
            }
        };
        self.slow = false;
        if self.stage != Stage::Starting {
            self.has_worked = true;
            self.jobs_left = self.jobs_left.saturating_sub(1);
        }
        self.front_since = now;
        self.pace = took.max(self.pace - self.pace / 8);
        let mut job = self.jobs.pop_front()?;
        let mut answer = Answer {
            kind,
            payload,
            took,
            spent: (Along::default(), None, loan),
        };
        let Some((items, begun)) = job.remote.items_in(&answer) else {
            self.jobs.push_front(job);
            return Some(Heard::Nonsense);
        };
        let rest = job.split(begun);
        if job.order != FIRST {
            self.work.add(items, job.argument.len(), length);
        }
        if self.board.is_measured() {
            let (laps, free_ns) = (self.board.laps(number), self.free_ns);
            self.free_ns = laps.done_ns;
            if let Some(stamps) = job.remote.stamps() {
                (stamps.laps, stamps.free_ns) = (laps, free_ns);
            }
        }
        if let Payload::Memory(mut memory) = job.argument {
            answer.spent.0 = memory.take_out_along();
            answer.spent.1 = stock.put(memory, clock());
        }
        Some(Heard::Answer {
            remote: job.remote,
            order: job.order,
            answer,
            rest: rest.map(|rest| (rest, job.stopped)),
        })
    }

    /// The jobs here, by name.
    pub(super) fn ids(&self) -> impl Iterator<Item = TaskId> {
        self.jobs.iter().map(|job| job.remote.id())
    }

    /// When this job was accepted, if it is here.
    pub(super) fn order_of(&self, id: TaskId) -> Option<u64> {
        let job = self.jobs.iter().find(|job| job.remote.id() == id)?;
        Some(job.order)
    }

    /// The jobs here with this place in the order: have they begun, and what are their names?
    pub(super) fn parts(&self, order: u64) -> impl Iterator<Item = (bool, TaskId)> {
        let jobs = self.jobs.iter().filter(move |job| job.order == order);
        jobs.map(|job| (self.board.was_begun(job.number), job.remote.id()))
    }

    /// It gets no more jobs, and leaves when it has done what it has.
    pub(super) fn dismiss(&mut self) {
        self.stage = Stage::Leaving;
        self.board.close();
    }
}
