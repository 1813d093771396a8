//! The queue of a thread pool: one lock around the jobs and the counts, and where to sleep beside it.
//!
//! ```text
//!   submitters                          Queue                               workers
//!   push ─── no room: sleep in `room` ─┐
//!            room:  [job job job] + roster + tokens  ─── next ──> a job ──> run it ──┐
//!   "start a thread" <── roster            |      ^                                  |
//!                                          |      └── look a few times, then         |
//!   close ──> wakes everybody              |          sleep in `work` until a token  |
//!                                          └─────────────────────────────────────────┘
//! ```
//!
//! Owns      the queued jobs, and the handles of the threads for whoever waits for their end.
//! Who       any thread pushes, closes and waits; only the pool's threads call `first`, `next`.
//! Holds     Q1 the roster's `jobs` is the length of the queue, except inside one critical section;
//!           Q2 a token stands for one sleeper that the roster counts as searching; a sleeper
//!              returns only with a token, whatever a condition variable does by itself;
//!           Q3 no job is left alone: by R1 in roster.rs a queued job has a searcher, or
//!              everybody is at work and looks here before sleeping. Looking and falling asleep
//!              are one critical section, so no push comes between them;
//!           Q4 every admitted job leaves through `next`, `close` or `start_failed`, once.
//!           User code never runs under the lock: jobs are moved, not run or dropped.
//! Orderings the lock orders everything. `jobs_hint` is Relaxed: a searcher that misreads it looks
//!           under the lock before it sleeps.
//!
//! Cost      push: one lock, and one system call when a sleeper must be woken. A searcher yields
//!           the CPU LOOKS_BEFORE_SLEEP times before it sleeps: without that, a submitter that is
//!           slower than its workers paid two system calls per job (counted: 500,000 no-ops on 2
//!           threads made 244,000 futex calls; with it, a few hundred).
//!
//! One lock rather than a lock-free queue: idle counts and jobs change together, which is what
//! keeps Q3 a matter of reading ten lines. Rejected: workers that take several jobs at once. A job
//! behind a blocked one must be free for others to take, so each worker would need a queue that
//! others steal from; and there is a backlog to take from only when nobody waits for it.
//! Next: `ticket.rs`.

use super::roster::{Roster, Summon};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use std::collections::VecDeque;
use std::thread;

/// How often a worker without a job lets other threads run before it sleeps. Each look costs one
/// `sched_yield`, which is cheap beside the two futex calls and two context switches of a sleep;
/// the number is small enough that an idle pool is asleep within microseconds. 3 were enough in
/// the measurement above, 30 no better than 10. The model checker looks under the lock only.
const LOOKS_BEFORE_SLEEP: u32 = if cfg!(loom) { 0 } else { 10 };

/// Jobs on their way from submitters to workers. `J` is `Runnable`; the models use numbers.
#[derive(Debug)]
pub(super) struct Queue<J> {
    state: OwnLine<Mutex<State<J>>>,
    /// Workers without a job sleep here.
    work: Condvar,
    /// Submitters sleep here while a bounded queue is full.
    room: Condvar,
    /// Whoever waits for the threads to end sleeps here.
    gone: Condvar,
    /// The number of jobs as far as searchers need to know it, for a look without the lock. Not on
    /// the lock's line: looking must not slow down those who push.
    jobs_hint: OwnLine<AtomicUsize>,
}

/// Keeps what several threads write off the cache lines of its neighbours. Two lines: CPUs fetch
/// them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct OwnLine<T>(T);

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    roster: Roster,
    /// Q2: sleepers that were chosen to wake and have not noticed yet.
    tokens: usize,
    /// Submitters that sleep in `room`.
    waiting: usize,
    closed: bool,
    /// Threads to join, as far as `thread_started` has delivered them.
    threads: Vec<thread::JoinHandle<()>>,
    /// Threads that were started, or are being started, and that nobody has joined.
    unjoined: usize,
}

/// What is left to do after a job was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Admitted {
    /// Nothing.
    Done,
    /// Start a thread, and say how it went: `thread_started` or `start_failed`.
    StartThread,
}

/// May a push wait for room?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    Wait,
    /// Go over the capacity: for the pool's own threads. When all of them wait for room, nobody
    /// is left to make it.
    Exceed,
}

/// Why there is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// Evidence that there is room for one job: it holds the lock.
pub(super) struct Place<'queue, J> {
    queue: &'queue Queue<J>,
    state: MutexGuard<'queue, State<J>>,
}

impl<J> Place<'_, J> {
    /// Admits the job.
    pub(super) fn fill(self, job: J) -> Admitted {
        self.queue.admit(self.state, job)
    }
}

impl<J> Queue<J> {
    /// At most `limit` threads, and `capacity` jobs that wait while all of them are at work.
    pub(super) fn new(limit: usize, capacity: Option<usize>) -> Self {
        Self {
            state: OwnLine(Mutex::new(State {
                jobs: VecDeque::new(),
                roster: Roster::new(limit, capacity),
                tokens: 0,
                waiting: 0,
                closed: false,
                threads: Vec::new(),
                unjoined: 0,
            })),
            work: Condvar::new(),
            room: Condvar::new(),
            gone: Condvar::new(),
            jobs_hint: OwnLine(AtomicUsize::new(0)),
        }
    }

    /// Admits a job, which may mean to wait for room. `Err`: closed, and here is the job.
    pub(super) fn push(&self, job: J, when_full: WhenFull) -> Result<Admitted, J> {
        let mut state = lock(&self.state.0);
        while !state.closed && !state.roster.has_room() && when_full == WhenFull::Wait {
            state.waiting += 1;
            state = wait(&self.room, state);
            state.waiting -= 1;
        }
        if state.closed {
            return Err(job);
        }
        Ok(self.admit(state, job))
    }

    /// A place for one job, if there is room right now.
    pub(super) fn place(&self) -> Result<Place<'_, J>, Refused> {
        let state = lock(&self.state.0);
        if state.closed {
            Err(Refused::Closed)
        } else if !state.roster.has_room() {
            Err(Refused::Full)
        } else {
            Ok(Place { queue: self, state })
        }
    }

    #[inline]
    fn admit(&self, mut state: MutexGuard<'_, State<J>>, job: J) -> Admitted {
        state.jobs.push_back(job);
        let summon = state.roster.push();
        self.publish_hint(&state);
        if summon == Summon::Start {
            state.unjoined += 1;
        }
        self.answer(state, summon)
    }

    /// Does what the roster asks for; a thread must be started by the caller, without the lock.
    #[inline]
    fn answer(&self, mut state: MutexGuard<'_, State<J>>, summon: Summon) -> Admitted {
        match summon {
            Summon::Nobody => Admitted::Done,
            Summon::Start => Admitted::StartThread,
            Summon::Wake => {
                state.tokens += 1;
                // After the lock: the sleeper needs it first of all.
                drop(state);
                self.work.notify_one();
                Admitted::Done
            }
        }
    }

    /// For a thread that was just started: its first job. `None`: the pool is closed, leave.
    pub(super) fn first(&self) -> Option<J> {
        self.search(lock(&self.state.0))
    }

    /// For a thread that has run its job: the next one. `None`: the pool is closed, leave.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = lock(&self.state.0);
        state.roster.finished();
        if state.waiting > 0 {
            self.room.notify_one();
        }
        self.search(state)
    }

    fn search<'queue>(&'queue self, mut state: MutexGuard<'queue, State<J>>) -> Option<J> {
        let mut looks = 0;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.roster.take();
                self.publish_hint(&state);
                return Some(job);
            }
            if state.closed {
                state.roster.leave();
                return None;
            }
            if looks < LOOKS_BEFORE_SLEEP {
                self.publish_hint(&state);
                drop(state);
                looks = self.look(looks);
                state = lock(&self.state.0);
            } else {
                state = self.sleep(state);
                looks = 0;
            }
        }
    }

    /// Lets others run until there seems to be a job, or enough was looked. Returns the looks.
    fn look(&self, mut looks: u32) -> u32 {
        while looks < LOOKS_BEFORE_SLEEP {
            thread::yield_now();
            looks += 1;
            // Relaxed: a guess; the lock comes next either way.
            if self.jobs_hint.0.load(Ordering::Relaxed) > 0 {
                break;
            }
        }
        looks
    }

    /// Sleeps until a token says that this thread is searching again.
    fn sleep<'queue>(
        &'queue self,
        mut state: MutexGuard<'queue, State<J>>,
    ) -> MutexGuard<'queue, State<J>> {
        state.roster.fall_asleep();
        while state.tokens == 0 {
            state = wait(&self.work, state);
        }
        state.tokens -= 1;
        state
    }

    /// Takes no more jobs and wakes everybody. Returns the queued jobs if they are to be cancelled.
    pub(super) fn close(&self, cancel_queued: bool) -> VecDeque<J> {
        let mut state = lock(&self.state.0);
        state.closed = true;
        state.tokens += state.roster.wake_all();
        let cancelled = if cancel_queued {
            self.take_all(&mut state)
        } else {
            VecDeque::new()
        };
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        cancelled
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state.0).closed
    }

    /// The thread that `Admitted::StartThread` asked for exists.
    pub(super) fn thread_started(&self, thread: thread::JoinHandle<()>) {
        let mut state = lock(&self.state.0);
        state.threads.push(thread);
        if state.closed {
            drop(state);
            self.gone.notify_all();
        }
    }

    /// The thread that `Admitted::StartThread` asked for cannot be had. Returns the jobs that
    /// nobody is there to run; with at least one thread in the pool there are none.
    pub(super) fn start_failed(&self) -> VecDeque<J> {
        let mut state = lock(&self.state.0);
        state.unjoined -= 1;
        let summon = state.roster.start_failed();
        let orphans = if state.roster.threads == 0 {
            self.take_all(&mut state)
        } else {
            VecDeque::new()
        };
        let _done = self.answer(state, summon);
        self.gone.notify_all();
        // The orphans left room.
        self.room.notify_all();
        orphans
    }

    /// Waits until every thread has ended. The queue must be closed, and the caller none of them.
    pub(super) fn join_threads(&self) {
        let mut state = lock(&self.state.0);
        while state.unjoined > 0 {
            let threads = std::mem::take(&mut state.threads);
            if threads.is_empty() {
                // Still being started, or someone else is joining them.
                state = wait(&self.gone, state);
                continue;
            }
            drop(state);
            let joined = threads.len();
            for thread in threads {
                // Jobs and hooks do not unwind out of a worker: there is no panic to pass on.
                let _ = thread.join();
            }
            state = lock(&self.state.0);
            state.unjoined -= joined;
            self.gone.notify_all();
        }
    }

    /// The counts at this moment.
    pub(super) fn roster(&self) -> Roster {
        lock(&self.state.0).roster.clone()
    }

    fn take_all(&self, state: &mut State<J>) -> VecDeque<J> {
        state.roster.jobs = 0;
        let jobs = std::mem::take(&mut state.jobs);
        self.publish_hint(state);
        jobs
    }

    /// Nobody looks while nobody searches, and then the store is saved. A searcher publishes before
    /// its first look, so what it reads is not older than that.
    fn publish_hint(&self, state: &State<J>) {
        if state.roster.searching > 0 {
            // Relaxed: see the file head.
            self.jobs_hint.0.store(state.jobs.len(), Ordering::Relaxed);
        }
    }
}

fn wait<'lock, T>(place: &Condvar, guard: MutexGuard<'lock, T>) -> MutexGuard<'lock, T> {
    // As in `sync::lock`: a poisoned lock of ours holds whole data.
    place
        .wait(guard)
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
