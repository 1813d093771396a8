//! Who is free: the counts of a pool's threads and jobs, and what follows from them.
//!
//! Pure decisions: each step changes the counts under the pool's lock and says what is to be done
//! after the lock is released (wake a sleeper, start a thread, wake a waiting submitter).
//!
//! ```text
//!              push: more jobs than searchers,        push: and nobody sleeps either
//!                    but somebody sleeps              (CPython's rule: start one only then)
//!        ASLEEP ─────────────────────────> SEARCHING <──────────────────────── not started
//!           ^                                |   ^
//!           | fall_asleep (no job)           |   | finished
//!           +--------------------------------+   |
//!                                       take |   |
//!                                            v   |
//!                                          RUNNING
//! ```
//!
//! A thread that was chosen to wake up, and one that is being started, count as SEARCHING from
//! that moment: whoever submits next sees that a job is provided for already. So a burst of jobs
//! wakes each sleeper once, and a job that a searcher will find costs no wake-up at all.
//!
//! Holds     R1 jobs <= searching, or nobody sleeps and no more threads may be started: everyone
//!              is at work or searching, and takes another job before falling asleep. Once a
//!              start has failed there may be fewer threads than the limit; the rest still holds.
//!           R2 asleep + searching <= threads <= limit.
//!           R3 bounded: jobs + running <= capacity + limit when a job is admitted.
//! Source    CPython's `ThreadPoolExecutor._adjust_thread_count` for the rule of starting; Go's
//!           spinning Ms for counting a thread that is on its way. Next: `queue.rs`.

/// The counts. All under the queue's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster {
    /// Jobs in the queue: the length of the queue beside this.
    pub(super) jobs: usize,
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
            jobs: 0,
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

    /// R3: may another job be admitted?
    pub(super) fn has_room(&self) -> bool {
        self.capacity
            .is_none_or(|capacity| self.jobs + self.running() < capacity.saturating_add(self.limit))
    }

    /// A job came into the queue.
    pub(super) fn push(&mut self) -> Summon {
        self.jobs += 1;
        self.provide(true)
    }

    /// Restores R1.
    fn provide(&mut self, may_start: bool) -> Summon {
        if self.jobs <= self.searching {
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
        self.jobs -= 1;
        self.searching -= 1;
    }

    /// A thread is done with its job: there is room for one more.
    pub(super) fn finished(&mut self) {
        self.searching += 1;
    }

    /// A searcher found the queue empty.
    pub(super) fn fall_asleep(&mut self) {
        debug_assert_eq!(self.jobs, 0, "asleep beside a job: {self:?}");
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
    pub(super) fn start_failed(&mut self) -> Summon {
        self.leave();
        self.provide(false)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Every roster that can come about with few threads and jobs, by every step that a pool
    /// may take. `failed`: has a start ever failed?
    fn explore(limit: usize, capacity: Option<usize>, mut check: impl FnMut(&Roster, bool)) {
        const MOST_JOBS: usize = 5;
        let mut seen = HashSet::new();
        let mut open = vec![(Roster::new(limit, capacity), false)];
        while let Some((roster, failed)) = open.pop() {
            let key = (roster.jobs, roster.searching, roster.asleep, roster.threads);
            if !seen.insert((key, failed)) {
                continue;
            }
            check(&roster, failed);
            let mut step = |failed: bool, change: &dyn Fn(&mut Roster)| {
                let mut next = roster.clone();
                change(&mut next);
                open.push((next, failed));
            };
            if roster.has_room() && roster.jobs < MOST_JOBS {
                step(failed, &|roster| {
                    let _ = roster.push();
                });
            }
            if roster.jobs > 0 && roster.searching > 0 {
                step(failed, &Roster::take);
            }
            if roster.running() > 0 {
                step(failed, &Roster::finished);
            }
            if roster.jobs == 0 && roster.searching > 0 {
                step(failed, &Roster::fall_asleep);
            }
            // A searcher may be one that is being started, as long as another thread is left
            // (without one the queue is emptied).
            if roster.searching > 0 && roster.threads > 1 {
                step(true, &|roster| {
                    let _ = roster.start_failed();
                });
            }
        }
    }

    #[test]
    fn no_job_is_left_alone() {
        explore(3, None, |roster, failed| {
            let provided = roster.jobs <= roster.searching;
            let grown = roster.threads == roster.limit || failed && roster.threads > 0;
            let all_at_work = roster.asleep == 0 && grown;
            assert!(provided || all_at_work, "R1: {roster:?}");
        });
    }

    #[test]
    fn there_are_never_more_threads_than_the_limit() {
        explore(3, Some(1), |roster, _| {
            assert!(roster.threads <= roster.limit, "R2: {roster:?}");
            assert!(
                roster.searching + roster.asleep <= roster.threads,
                "R2: {roster:?}"
            );
            assert!(
                roster.jobs + roster.running() <= 1 + roster.limit,
                "R3: {roster:?}"
            );
        });
    }

    #[test]
    fn a_thread_is_started_only_when_no_one_is_free() {
        let mut roster = Roster::new(2, None);
        assert_eq!(roster.push(), Summon::Start);
        roster.take();
        roster.finished();
        roster.fall_asleep();
        assert_eq!(roster.push(), Summon::Wake, "a sleeper first");
        roster.take();
        roster.finished();
        assert_eq!(roster.push(), Summon::Nobody, "the searcher will find it");
        assert_eq!(roster.push(), Summon::Start);
        assert_eq!(roster.push(), Summon::Nobody, "the limit");
    }
}
