//! What submitters, handles and the manager share: the crew under its lock, and the bells.
//!
//! Owns      the lock. Every change of the crew goes through [`Shared::change`], which also does
//!           what follows from it when the lock is free: jobs that are over are finished (that is
//!           user code: wakers, decoders), and those who wait for room look again.
//! Holds     no user code runs under the lock; a ring is never lost (an eventfd counts), and comes
//!           after the change that it tells of. Next: `setup.rs`.

use super::crew::{Crew, Out, Phase};
use super::panics;
use super::sys;
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use crate::task::promise::never_scheduled;
use crate::task::schedule::{Schedule, Scheduled, TaskId};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What submitters, handles and the manager share.
pub(super) struct Shared {
    pub(super) crew: Mutex<Crew>,
    /// Told when there may be room in a bounded pool, and when the pool closes and ends.
    pub(super) room: Condvar,
    /// Ends the manager's sleep.
    bell: OwnedFd,
}

impl Shared {
    pub(super) fn new(crew: Crew) -> io::Result<Arc<Shared>> {
        Ok(Arc::new(Shared {
            crew: Mutex::new(crew),
            room: Condvar::new(),
            bell: sys::eventfd()?,
        }))
    }

    /// One transition of the crew, and then, without the lock, what follows from it.
    pub(super) fn change<T>(&self, transition: impl FnOnce(&mut Crew, &mut Out) -> T) -> T {
        self.change_locked(lock(&self.crew), transition)
    }

    /// The same, for someone who has the lock.
    pub(super) fn change_locked<T>(
        &self,
        mut crew: MutexGuard<'_, Crew>,
        transition: impl FnOnce(&mut Crew, &mut Out) -> T,
    ) -> T {
        let mut out = Out::new();
        let answer = transition(&mut crew, &mut out);
        crew.left(out.len());
        let wakes = std::mem::take(&mut crew.wakes);
        let has_news = !out.is_empty() || crew.phase != Phase::Open || crew.orphaned;
        let ring = crew.take_ring();
        drop(crew);
        // First of all: the workers can begin while the rest is done here.
        wakes.iter().for_each(|board| board.wake_worker());
        if ring {
            self.ring();
        }
        if has_news {
            self.room.notify_all();
        }
        finish(out);
        answer
    }

    /// Another descriptor of the bell, for a worker.
    pub(super) fn bell_for_worker(&self) -> io::Result<OwnedFd> {
        self.bell.try_clone()
    }

    /// Makes the manager look at the crew.
    pub(super) fn ring(&self) {
        sys::ring(&self.bell);
    }

    /// By the manager: what to wait for.
    pub(super) fn bell_interest(&self) -> libc::pollfd {
        sys::interest(&self.bell, libc::POLLIN)
    }

    /// By the manager: it has heard the bell, and is about to look.
    pub(super) fn silence(&self) {
        sys::drain(&self.bell);
    }
}

/// Tells the handles. A panic out of a waker is nobody's here; the others must still be told.
fn finish(out: Out) {
    for (remote, outcome) in out {
        let _ = panics::catch(|| remote.finish(outcome));
    }
}

/// The pool as its jobs see it: what `abort` of a running one goes to.
pub(super) struct Link(pub(super) Arc<Shared>);

impl Schedule for Link {
    const CANCEL_IN_PLACE: bool = true;

    fn schedule(scheduled: Scheduled<Self>) {
        never_scheduled(scheduled)
    }

    fn abort_running(&self, id: TaskId) {
        // The caller's handle keeps the job's cell alive, so for as long as this takes the id
        // cannot come to mean another job.
        if self.0.change(|crew, out| crew.abort(id, out)) {
            self.0.ring();
        }
    }
}
