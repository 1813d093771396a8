//! How a queue closes, and how its threads come to their end or never come.
//!
//! ```text
//!   Admitted::StartThread ──> thread_started ──> (works) ──> leaves ──> joined by whoever waits
//!                    └──────> start_failed: jobs that nobody is there to run come back
//!   close ──> no more jobs; everybody wakes; queued ones come back, if they are to be cancelled
//! ```
//!
//! A part of `Queue`: same locks, same rules (Q1 to Q4 there). Next: `../ticket.rs`.

use super::{Queue, Rear, wait, wait_timeout};
use crate::sync::atomic::Ordering;
use crate::sync::lock;
use std::collections::VecDeque;
use std::mem;
use std::thread;
use std::time::Instant;

impl<J> Queue<J> {
    /// Takes no more jobs and wakes everybody. Returns the queued jobs if they are to be cancelled.
    pub(in crate::pool::thread) fn close(&self, cancel_queued: bool) -> VecDeque<J> {
        let mut front = lock(&self.front.0.jobs);
        let mut rear = lock(&self.rear.0);
        rear.closed = true;
        rear.tokens += rear.roster.wake_all();
        let cancelled = if cancel_queued {
            self.take_all(&mut front, &mut rear)
        } else {
            VecDeque::new()
        };
        drop((front, rear));
        self.work.notify_all();
        self.room.notify_all();
        cancelled
    }

    pub(in crate::pool::thread) fn is_closed(&self) -> bool {
        lock(&self.rear.0).closed
    }

    /// The thread that `Admitted::StartThread` asked for exists.
    pub(in crate::pool::thread) fn thread_started(&self, thread: thread::JoinHandle<()>) {
        let mut rear = lock(&self.rear.0);
        rear.threads.push(thread);
        if rear.closed {
            drop(rear);
            self.gone.notify_all();
        }
    }

    /// The thread that `Admitted::StartThread` asked for cannot be had. Returns the jobs that
    /// nobody is there to run; with at least one thread in the pool there are none.
    pub(in crate::pool::thread) fn start_failed(&self) -> VecDeque<J> {
        let mut front = lock(&self.front.0.jobs);
        let mut rear = lock(&self.rear.0);
        rear.unjoined -= 1;
        let queued = self.queued(&rear);
        let summon = rear.roster.start_failed(queued);
        let orphans = if rear.roster.threads == 0 {
            self.take_all(&mut front, &mut rear)
        } else {
            VecDeque::new()
        };
        drop(front);
        let _done = self.answer(rear, summon);
        self.gone.notify_all();
        // The orphans left room.
        self.room.notify_all();
        orphans
    }

    /// Waits until at most `but` threads have not left, or the deadline passed. Returns how many
    /// more there are. The queue must be closed.
    pub(in crate::pool::thread) fn wait_for_threads(
        &self,
        but: usize,
        deadline: Option<Instant>,
    ) -> usize {
        let mut rear = lock(&self.rear.0);
        loop {
            let left = rear.roster.threads.saturating_sub(but);
            let now = Instant::now();
            rear = match deadline {
                _ if left == 0 => return 0,
                Some(deadline) if deadline <= now => return left,
                Some(deadline) => wait_timeout(&self.gone, rear, deadline - now),
                None => wait(&self.gone, rear),
            };
        }
    }

    /// Waits until every thread has ended. The queue must be closed, and the caller none of them.
    pub(in crate::pool::thread) fn join_threads(&self) {
        let mut rear = lock(&self.rear.0);
        while rear.unjoined > 0 {
            let threads = mem::take(&mut rear.threads);
            if threads.is_empty() {
                // Still being started, or someone else is joining them.
                rear = wait(&self.gone, rear);
                continue;
            }
            drop(rear);
            let joined = threads.len();
            for thread in threads {
                // Jobs and hooks do not unwind out of a worker: there is no panic to pass on.
                let _ = thread.join();
            }
            rear = lock(&self.rear.0);
            rear.unjoined -= joined;
            self.gone.notify_all();
        }
    }

    fn take_all(&self, front: &mut VecDeque<J>, rear: &mut Rear<J>) -> VecDeque<J> {
        let mut jobs = mem::take(front);
        jobs.append(&mut rear.jobs);
        self.front.0.taken.store(rear.pushed, Ordering::Relaxed);
        self.publish_hint(0);
        jobs
    }
}
