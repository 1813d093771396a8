//! Who is free: the counts of a pool's threads and jobs, and what follows from them.
//!
//! Pure decisions: each step changes the counts under the rear's lock (queue.rs) and says what is to
//! be done after the lock is released (wake a sleeper, start a thread). How many jobs wait is no
//! count of the roster's: a thread that goes from job to job tells it nothing. Who asks says so.
//!
//! ```text
//!              push: more jobs than searchers,        push: and nobody sleeps either
//!                    but somebody sleeps              (CPython's rule: start one only then)
//!        ASLEEP ─────────────────────────> SEARCHING <──────────────────────── not started
//!           ^                                |   ^
//!           | fall_asleep (no job)           |   | finished (no job)
//!           +--------------------------------+   |
//!                                       take |   |
//!                                            v   |
//!                                          RUNNING ──┐ the next job, without
//!                                              ^─────┘ a word to the roster
//! ```
//!
//! A thread that was chosen to wake up, and one that is being started, count as SEARCHING from
//! that moment: whoever submits next sees that a job is provided for already. So a burst of jobs
//! wakes each sleeper once, and a job that a searcher will find costs no wake-up at all.
//!
//! Holds     R1 jobs <= searching, or nobody sleeps and no more threads may be started: everyone
//!              is at work or searching, and takes another job before falling asleep. Once a
//!              start has failed there may be fewer threads than the limit; the rest still holds.
//!              A push may count jobs that were taken a moment ago: that provides for too many.
//!           R2 asleep + searching <= threads <= limit.
//!           R3 bounded: jobs + running <= capacity + limit when a job is admitted.
//! Source    CPython's `ThreadPoolExecutor._adjust_thread_count` for the rule of starting; Go's
//!           spinning Ms for counting a thread that is on its way. Next: `queue.rs`.

/// The counts. All under the lock of the queue's rear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Roster {
    /// Threads that look for a job, or are about to.
    pub(super) searching: usize,
    /// Threads that sleep and were not chosen to wake.
    pub(super) asleep: usize,
    /// Threads that exist or are being started.
    pub(super) threads: usize,
    /// The most threads there may be.
    pub(super) limit: usize,
    /// How many jobs may wait while every thread is at work.
    pub(super) capacity: Option<usize>,
}

/// What a push asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Summon {
    /// Nobody: it is provided for, or everybody is at work.
    Nobody,
    /// Wake one sleeper.
    Wake,
    /// Start a thread.
    Start,
}

impl Roster {
    pub(super) fn new(limit: usize, capacity: Option<usize>) -> Self {
        Self {
            searching: 0,
            asleep: 0,
            threads: 0,
            limit,
            capacity,
        }
    }

    /// Threads that run a job right now.
    pub(super) fn running(&self) -> usize {
        self.threads - self.searching - self.asleep
    }

    /// Do all the threads sleep, with none chosen to wake?
    pub(super) fn all_sleep(&self) -> bool {
        self.asleep == self.threads
    }

    /// R3: may another job be admitted beside the `jobs` that wait?
    pub(super) fn has_room(&self, jobs: usize) -> bool {
        self.capacity
            .is_none_or(|capacity| jobs + self.running() < capacity.saturating_add(self.limit))
    }

    /// Is there anybody to wake, or to start? If not, R1 holds however many jobs wait.
    pub(super) fn has_reserve(&self) -> bool {
        self.asleep > 0 || self.threads < self.limit
    }

    /// A job came into the queue, in which there are `jobs` now: restores R1.
    pub(super) fn push(&mut self, jobs: usize) -> Summon {
        self.provide(jobs, true)
    }

    fn provide(&mut self, jobs: usize, may_start: bool) -> Summon {
        if jobs <= self.searching {
            Summon::Nobody
        } else if self.asleep > 0 {
            self.asleep -= 1;
            self.searching += 1;
            Summon::Wake
        } else if may_start && self.threads < self.limit {
            self.threads += 1;
            self.searching += 1;
            Summon::Start
        } else {
            Summon::Nobody
        }
    }

    /// A searcher takes a job. Both counts fall, so R1 stays.
    pub(super) fn take(&mut self) {
        self.searching -= 1;
    }

    /// A thread is done with its job and found no other: there is room for one more.
    pub(super) fn finished(&mut self) {
        self.searching += 1;
    }

    /// A searcher found the queue empty.
    pub(super) fn fall_asleep(&mut self) {
        self.searching -= 1;
        self.asleep += 1;
    }

    /// Everybody wakes up: the pool closes. Returns how many slept.
    pub(super) fn wake_all(&mut self) -> usize {
        let sleepers = std::mem::take(&mut self.asleep);
        self.searching += sleepers;
        sleepers
    }

    /// A searcher leaves for good.
    pub(super) fn leave(&mut self) {
        self.searching -= 1;
        self.threads -= 1;
    }

    /// A thread that was counted on could not be started. The jobs may need a sleeper instead:
    /// one that fell asleep while this one was expected. Never another start: the system has just
    /// said no, and the next push asks again.
    pub(super) fn start_failed(&mut self, jobs: usize) -> Summon {
        self.leave();
        self.provide(jobs, false)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A roster and the jobs that wait beside it. `failed`: has a start ever failed?
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Pool {
        roster: Roster,
        jobs: usize,
        failed: bool,
    }

    /// Every pool that can come about with few threads and jobs, by every step it may take.
    fn explore(limit: usize, capacity: Option<usize>, mut check: impl FnMut(&Pool)) {
        const MOST_JOBS: usize = 5;
        let mut seen = HashSet::new();
        let mut open = vec![Pool {
            roster: Roster::new(limit, capacity),
            jobs: 0,
            failed: false,
        }];
        while let Some(pool) = open.pop() {
            if !seen.insert(pool.clone()) {
                continue;
            }
            check(&pool);
            let mut step = |change: &dyn Fn(&mut Pool)| {
                let mut next = pool.clone();
                change(&mut next);
                open.push(next);
            };
            let Pool { roster, jobs, .. } = &pool;
            if roster.has_room(*jobs) && *jobs < MOST_JOBS {
                // Up to so many jobs may have been taken without the submitter knowing it yet.
                for stale in 0..=roster.running() {
                    step(&|pool| {
                        pool.jobs += 1;
                        if pool.roster.has_reserve() {
                            let _ = pool.roster.push(pool.jobs + stale);
                        }
                    });
                }
            }
            if *jobs > 0 && roster.searching > 0 {
                step(&|pool| {
                    pool.jobs -= 1;
                    pool.roster.take();
                });
            }
            if *jobs > 0 && roster.running() > 0 {
                step(&|pool| pool.jobs -= 1);
            }
            if *jobs == 0 && roster.running() > 0 {
                step(&|pool| pool.roster.finished());
            }
            if *jobs == 0 && roster.searching > 0 {
                step(&|pool| pool.roster.fall_asleep());
            }
            // A searcher may be one that is being started, as long as another thread is left
            // (without one the queue is emptied).
            if roster.searching > 0 && roster.threads > 1 {
                step(&|pool| {
                    pool.failed = true;
                    let _ = pool.roster.start_failed(pool.jobs);
                });
            }
        }
    }

    #[test]
    fn no_job_is_left_alone() {
        explore(3, None, |pool| {
            let roster = &pool.roster;
            let provided = pool.jobs <= roster.searching;
            let grown = roster.threads == roster.limit || pool.failed && roster.threads > 0;
            let all_at_work = roster.asleep == 0 && grown;
            assert!(provided || all_at_work, "R1: {pool:?}");
        });
    }

    #[test]
    fn there_are_never_more_threads_than_the_limit() {
        explore(3, Some(1), |pool| {
            let roster = &pool.roster;
            assert!(roster.threads <= roster.limit, "R2: {pool:?}");
            assert!(
                roster.searching + roster.asleep <= roster.threads,
                "R2: {pool:?}"
            );
            assert!(
                pool.jobs + roster.running() <= 1 + roster.limit,
                "R3: {pool:?}"
            );
        });
    }

    #[test]
    fn a_thread_is_started_only_when_no_one_is_free() {
        let mut roster = Roster::new(2, None);
        assert_eq!(roster.push(1), Summon::Start);
        roster.take();
        roster.finished();
        roster.fall_asleep();
        assert_eq!(roster.push(1), Summon::Wake, "a sleeper first");
        roster.take();
        roster.finished();
        assert_eq!(roster.push(1), Summon::Nobody, "the searcher will find it");
        assert_eq!(roster.push(2), Summon::Start);
        assert!(!roster.has_reserve(), "the limit");
        assert_eq!(roster.push(3), Summon::Nobody, "the limit");
    }
}
