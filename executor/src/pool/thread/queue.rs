//! The queue of a thread pool: two halves with a lock each, and where to sleep beside them.
//!
//! ```text
//!   submitters                             Queue                               workers
//!   push ──── no room: sleep in `room` ─┐
//!         |                             |
//!         └> rear: [job job job]        | exchange, when      front: [job job job] ── next ──> run
//!                  roster, tokens       | the front is empty      ^                             |
//!                    └───────────────────────────────────────────>┘                             |
//!   "start a thread" <── roster                                                                 |
//!   close ──> wakes everybody               the front is empty: gather, look a few times, <─────┘
//!                                           sleep in `work` until a token
//! ```
//!
//! While there is a backlog, submitters touch the rear only and workers the front only: a worker
//! that finds the front empty exchanges the two, so they meet once per backlog and not once per
//! job. Jobs leave in the order in which they came.
//!
//! A backlog comes about by itself when the workers are slower than the submitter. When they are
//! faster, each job would be fetched singly, and every fetch pulls the rear's cache lines out of
//! the submitter's hands, which costs both sides more than the job. So a worker that has emptied
//! the front lets others run for a moment before it exchanges (`gather`).
//!
//! Owns      the queued jobs, the depot with memory for more (task/depot.rs), and the handles of the
//!           threads for whoever waits for their end.
//! Who       any thread pushes, closes and waits; only the pool's threads call `first`, `next`.
//! Holds     Q1 a job that is in the rear came after every job in the front;
//!           Q2 a token stands for one sleeper that the roster counts as searching; a sleeper
//!              returns only with a token, whatever a condition variable does by itself;
//!           Q3 no job is left alone: by R1 in roster.rs a queued job has a searcher, or
//!              everybody is at work and looks here before sleeping. Seeing both halves empty and
//!              falling asleep are one critical section of the rear, so no push comes between
//!              them; and nothing gets into the front without the rear's lock;
//!           Q4 every admitted job leaves through `next`, `close` or `start_failed`, once.
//!           The front's lock is taken before the rear's. User code never runs under either: jobs
//!           are moved, not run or dropped.
//! Orderings the locks order everything. `taken` and `hint` are Relaxed: who misreads the one
//!           provides for a job too many, or has no room for one that will make room (and is told
//!           under the rear's lock); who misreads the other looks under the locks before it sleeps.
//!
//! Cost      push: one lock, and one system call when a sleeper must be woken. next: one lock while
//!           the front lasts, then two, and what `queue/rest.rs` says.
//!
//! Why two locks, and not a lock-free queue: idle counts and jobs change together, which is what
//! keeps Q3 a matter of reading ten lines. 100,000 no-ops submitted and joined, 2 threads on 2
//! CPUs, nanoseconds a job: one lock 476, one lock and gathering 380, two locks 430, two locks and
//! gathering 89. (On a machine that is busy with other things, where the jobs' own cache lines
//! travel from CPU to CPU, all of them take 400 to 600.) Bare boxed closures that only count, two
//! locks 290, crossbeam's `SegQueue` 330.
//! Rejected: workers that take several jobs at once. A job behind a blocked one must be free for
//! others to take, so each worker would need a queue that others steal from, and jobs would
//! overtake each other, for 5 percent more.
//! Next: `queue/rest.rs`.

mod end;
mod rest;

use super::roster::{Roster, Summon};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use crate::task::depot::Depot;
use crate::task::memory::pass_on_cells;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Jobs on their way from submitters to workers. `J` is `Runnable`; the models use numbers.
#[derive(Debug)]
pub(super) struct Queue<J> {
    rear: OwnLine<Mutex<Rear<J>>>,
    front: OwnLine<Front<J>>,
    /// Are there jobs, as far as searchers need to know? For a look without a lock, and not on a
    /// lock's line: looking must not slow down those who work.
    hint: OwnLine<AtomicUsize>,
    /// Workers without a job sleep here, with the rear's lock. So for the next two.
    work: Condvar,
    /// Submitters sleep here while a bounded queue is full.
    room: Condvar,
    /// Whoever waits for the threads to end sleeps here.
    gone: Condvar,
    bounded: bool,
    /// Memory for jobs.
    pub(super) depot: Arc<Depot>,
}

/// Keeps what several threads write off the cache lines of its neighbours. Two lines: CPUs fetch
/// them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct OwnLine<T>(T);

/// The jobs that go next.
#[derive(Debug)]
struct Front<J> {
    jobs: Mutex<VecDeque<J>>,
    /// How many jobs have ever left the queue. Written under the lock of `jobs`.
    taken: AtomicUsize,
}

/// The jobs that came last, and everything about the pool that changes.
#[derive(Debug)]
struct Rear<J> {
    jobs: VecDeque<J>,
    /// How many jobs have ever come.
    pushed: usize,
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

/// Evidence that there is room for one job: it holds the rear's lock.
pub(super) struct Place<'queue, J> {
    queue: &'queue Queue<J>,
    rear: MutexGuard<'queue, Rear<J>>,
}

impl<J> Place<'_, J> {
    /// Admits the job.
    pub(super) fn fill(self, job: J) -> Admitted {
        self.queue.admit(self.rear, job)
    }
}

impl<J> Queue<J> {
    /// At most `limit` threads, and `capacity` jobs that wait while all of them are at work.
    pub(super) fn new(limit: usize, capacity: Option<usize>) -> Self {
        Self {
            rear: OwnLine(Mutex::new(Rear {
                jobs: VecDeque::new(),
                pushed: 0,
                roster: Roster::new(limit, capacity),
                tokens: 0,
                waiting: 0,
                closed: false,
                threads: Vec::new(),
                unjoined: 0,
            })),
            front: OwnLine(Front {
                jobs: Mutex::new(VecDeque::new()),
                taken: AtomicUsize::new(0),
            }),
            hint: OwnLine(AtomicUsize::new(0)),
            work: Condvar::new(),
            room: Condvar::new(),
            gone: Condvar::new(),
            bounded: capacity.is_some(),
            depot: Arc::new(Depot::new()),
        }
    }

    /// Admits a job, which may mean to wait for room. `Err`: closed, and here is the job.
    pub(super) fn push(&self, job: J, when_full: WhenFull) -> Result<Admitted, J> {
        let mut rear = lock(&self.rear.0);
        while when_full == WhenFull::Wait && !rear.closed && !self.has_room(&rear) {
            rear.waiting += 1;
            rear = wait(&self.room, rear);
            rear.waiting -= 1;
        }
        if rear.closed {
            return Err(job);
        }
        Ok(self.admit(rear, job))
    }

    /// A place for one job, if there is room right now.
    pub(super) fn place(&self) -> Result<Place<'_, J>, Refused> {
        let rear = lock(&self.rear.0);
        if rear.closed {
            Err(Refused::Closed)
        } else if !self.has_room(&rear) {
            Err(Refused::Full)
        } else {
            Ok(Place { queue: self, rear })
        }
    }

    fn has_room(&self, rear: &Rear<J>) -> bool {
        !self.bounded || rear.roster.has_room(self.queued(rear))
    }

    /// How many jobs wait; or more, when some have been taken just now.
    fn queued(&self, rear: &Rear<J>) -> usize {
        // Relaxed: see the file head. Never more than `pushed`: what was taken from the front got
        // there under the rear's lock.
        rear.pushed - self.front.0.taken.load(Ordering::Relaxed)
    }

    #[inline]
    fn admit(&self, mut rear: MutexGuard<'_, Rear<J>>, job: J) -> Admitted {
        rear.jobs.push_back(job);
        rear.pushed += 1;
        if rear.roster.searching > 0 {
            self.publish_hint(rear.jobs.len());
        }
        // Only then is it worth a look at `taken`, which the workers write all the time.
        if !rear.roster.has_reserve() {
            return Admitted::Done;
        }
        let queued = self.queued(&rear);
        let summon = rear.roster.push(queued);
        if summon == Summon::Start {
            rear.unjoined += 1;
        }
        self.answer(rear, summon)
    }

    /// Does what the roster asks for; a thread must be started by the caller, without the lock.
    fn answer(&self, mut rear: MutexGuard<'_, Rear<J>>, summon: Summon) -> Admitted {
        match summon {
            Summon::Nobody => Admitted::Done,
            Summon::Start => Admitted::StartThread,
            Summon::Wake => {
                rear.tokens += 1;
                // After the lock: the sleeper needs it first of all.
                drop(rear);
                self.work.notify_one();
                Admitted::Done
            }
        }
    }

    /// For a thread that was just started: its first job. `None`: the pool is closed, leave.
    pub(super) fn first(&self) -> Option<J> {
        self.search()
    }

    /// For a thread that has run its job: the next one. `None`: the pool is closed, leave.
    pub(super) fn next(&self) -> Option<J> {
        if let Some(job) = self.pop(&mut lock(&self.front.0.jobs)) {
            if self.bounded {
                self.tell_of_room(&lock(&self.rear.0));
            }
            return Some(job);
        }
        let mut rear = lock(&self.rear.0);
        rear.roster.finished();
        self.tell_of_room(&rear);
        drop(rear);
        rest::gather();
        self.search()
    }

    fn search(&self) -> Option<J> {
        let mut looks = 0;
        loop {
            let mut front = lock(&self.front.0.jobs);
            let mut rear = lock(&self.rear.0);
            if let Some(job) = self.take(&mut front, &mut rear) {
                return Some(job);
            }
            if rear.closed {
                rear.roster.leave();
                drop((front, rear));
                self.gone.notify_all();
                return None;
            }
            drop(front);
            if looks < rest::LOOKS_BEFORE_SLEEP {
                self.publish_hint(0);
                drop(rear);
                pass_on_cells();
                looks = self.look(looks);
            } else {
                self.sleep(rear);
                looks = 0;
            }
        }
    }

    /// A job for a searcher. When the front is empty, the rear becomes the front.
    fn take(&self, front: &mut VecDeque<J>, rear: &mut Rear<J>) -> Option<J> {
        if front.is_empty() {
            // Both keep their memory, so it is allocated once per doubling of the backlog.
            mem::swap(front, &mut rear.jobs);
        }
        let job = self.pop(front)?;
        rear.roster.take();
        if rear.roster.searching > 0 {
            self.publish_hint(front.len() + rear.jobs.len());
        }
        Some(job)
    }

    /// The next job, if the front has one.
    fn pop(&self, front: &mut VecDeque<J>) -> Option<J> {
        let job = front.pop_front()?;
        let taken = &self.front.0.taken;
        // Not an addition: written under the front's lock only.
        taken.store(taken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(job)
    }

    /// A job was taken by a thread that is done with another. Any later than under this lock, and
    /// a submitter that looked before that might fall asleep after it.
    fn tell_of_room(&self, rear: &Rear<J>) {
        if rear.waiting > 0 {
            self.room.notify_one();
        }
    }

    /// The counts at this moment, and how many jobs wait.
    pub(super) fn counts(&self) -> (Roster, usize) {
        let rear = lock(&self.rear.0);
        (rear.roster.clone(), self.queued(&rear))
    }

    /// Under the rear's lock. Who does it when nobody searches does it in vain.
    fn publish_hint(&self, jobs: usize) {
        // Relaxed: see the file head.
        self.hint.0.store(jobs, Ordering::Relaxed);
    }
}

fn wait<'lock, T>(place: &Condvar, guard: MutexGuard<'lock, T>) -> MutexGuard<'lock, T> {
    // As in `sync::lock`: a poisoned lock of ours holds whole data.
    place
        .wait(guard)
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn wait_timeout<'lock, T>(
    place: &Condvar,
    guard: MutexGuard<'lock, T>,
    limit: Duration,
) -> MutexGuard<'lock, T> {
    let waited = place.wait_timeout(guard, limit);
    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
}
