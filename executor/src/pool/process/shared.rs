//! What submitters, handles and the manager share: the crew under its lock, and the bells.
//!
//! Owns      the lock. Every change of the crew goes through [`Shared::change`], which also does
//!           what follows from it when the lock is free: jobs that are over are finished (that is
//!           user code: wakers, decoders), and those who wait for room look again.
//! Holds     no user code runs under the lock; a ring is never lost (an eventfd counts), and comes
//!           after the change that it tells of. A long result is decoded by the porter, a thread of
//!           its own, so that neither an event loop nor other results wait for it. Whoever runs user
//!           code here says so (`DELIVERING`): that code must not wait for the pool.
//! Measured  one no-op job there and back on one CPU: 3.3 us, beside 2.8 of two raw processes over
//!           shared memory and futexes in the same run; 6.1 when the manager was woken for answers
//!           that the submitter takes in now (`accept`), and nobody was told in vain of room.
//!           Per job 2.4 context switches and 5.8 system calls then, 2.0 and 2.0 now, as for the raw
//!           processes (2.0 and 3.2). (`cargo bench --bench process_pool`; perf stat)
//!           Next: `setup.rs`.

use super::board::Look;
use super::crew::{Crew, Out, Phase};
use super::job::{Job, Outcome, RemoteJob};
use super::measure::Account;
use super::panics;
use super::sys;
use super::waiter::{Waiter, WaiterBell};
use super::wire::BODY;
use crate::park::Vigil;
use crate::pool::executor::Shutdown;
use crate::pool::thread::ThreadPool;
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use crate::task::promise::never_scheduled;
use crate::task::schedule::{Schedule, Scheduled, TaskId};
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What submitters, handles and the manager share.
pub(super) struct Shared {
    pub(super) crew: Mutex<Crew>,
    /// Told when there may be room in a bounded pool, and when the pool closes and ends.
    room: Condvar,
    /// May `submit` have to wait for room?
    pub(super) is_bounded: bool,
    /// Ends the manager's sleep.
    bell: OwnedFd,
    /// Ends the sleep of the thread that attends to the answers while it waits.
    pub(super) waiter: WaiterBell,
    /// How many jobs are over whose handles are being told. With `LAST`: the manager waits for that.
    in_hand: AtomicUsize,
    /// Where the time of the jobs goes, if that is measured.
    pub(super) account: Option<Arc<Account>>,
    /// Decodes long results. Its thread starts with the first one.
    porter: ThreadPool,
}

/// Results from this length on go to the porter. Up to here decoding takes no longer than other
/// results may be made to wait: some milliseconds.
const PORTERAGE: usize = 4 * 1024 * 1024;

/// The highest bit of `in_hand`.
const LAST: usize = 1 << (usize::BITS - 1);

thread_local! {
    /// The pool (the address of its `Shared`) for which this thread runs user code.
    static DELIVERING: Cell<usize> = const { Cell::new(0) };
}

impl Shared {
    pub(super) fn new(crew: Crew) -> io::Result<Arc<Shared>> {
        Ok(Arc::new(Shared {
            is_bounded: crew.is_bounded(),
            account: crew.measures().then(Arc::default),
            crew: Mutex::new(crew),
            room: Condvar::new(),
            bell: sys::eventfd()?,
            waiter: WaiterBell::new()?,
            in_hand: AtomicUsize::new(0),
            porter: ThreadPool::builder()
                .threads(1)
                .name("tatkal-porter")
                .build(),
        }))
    }

    /// One transition of the crew, and then, without the lock, what follows from it.
    pub(super) fn change<T>(
        self: &Arc<Self>,
        transition: impl FnOnce(&mut Crew, &mut Out) -> T,
    ) -> T {
        self.change_locked(lock(&self.crew), transition)
    }

    /// The same, for someone who has the lock.
    pub(super) fn change_locked<T>(
        self: &Arc<Self>,
        mut crew: MutexGuard<'_, Crew>,
        transition: impl FnOnce(&mut Crew, &mut Out) -> T,
    ) -> T {
        let mut out = Out::new();
        let answer = transition(&mut crew, &mut out);
        let over = out.len();
        crew.left(over);
        if over > 0 {
            // Relaxed: under the lock, and the manager looks after it has had the lock.
            self.in_hand.fetch_add(over, Ordering::Relaxed);
        }
        let (wakes, orders) = (std::mem::take(&mut crew.wakes), crew.take_orders());
        let has_news = !out.is_empty() || crew.phase != Phase::Open || crew.orphaned;
        // Where nobody listens, telling would still be a system call.
        let tells = has_news && crew.watchers > 0;
        let ring = crew.take_ring();
        drop(crew);
        // First of all: the workers can begin while the rest is done here.
        wakes.iter().for_each(|woken| woken.board.wake_worker());
        for (process, signal) in orders {
            sys::signal(&process, signal);
        }
        if ring {
            self.ring();
        }
        if tells {
            self.room.notify_all();
        }
        self.finish(out);
        // Release: pairs with the Acquire in `see_handles_told`.
        if over > 0 && self.in_hand.fetch_sub(over, Ordering::Release) == over | LAST {
            self.ring();
        }
        answer
    }

    /// Waits until there may be room, or the pool closes or ends.
    pub(super) fn wait<'crew>(&self, mut crew: MutexGuard<'crew, Crew>) -> MutexGuard<'crew, Crew> {
        crew.watchers += 1;
        let crew = self.room.wait(crew);
        let mut crew = crew.unwrap_or_else(|poisoned| poisoned.into_inner());
        crew.watchers -= 1;
        crew
    }

    /// By the manager, as the last thing it does.
    pub(super) fn end(&self) {
        lock(&self.crew).phase = Phase::Ended;
        self.room.notify_all();
    }

    /// Takes a job in. True when the manager has to act.
    ///
    /// Waking a worker may cost the submitter its CPU at once, to that worker (on one CPU it nearly
    /// always does), and then the answer is there before `submit` is over. To have the manager woken
    /// for it, when whoever has submitted may be about to join, would cost more than the job. So the
    /// bell is quiet meanwhile (T1 in waiter.rs), and the submitter looks when it is back.
    pub(super) fn accept(self: &Arc<Self>, crew: MutexGuard<'_, Crew>, job: Job) -> bool {
        let (act, woken) = self.change_locked(crew, |crew, out| crew.accept(job, out));
        if let Some(woken) = woken {
            woken.board.rearm();
            match woken.board.look(woken.number) {
                Look::NotYet => {}
                // Decoding it takes a moment, or we were to wait for nobody. (Not in the middle of
                // another's: a decoder that submits would call itself, as often as answers are quick.)
                Look::Answered { length, .. } if length <= BODY && !self.is_delivering() => {
                    self.change(|crew, out| crew.collect_own(&woken, out));
                }
                Look::Answered { .. } | Look::Nonsense => self.ring(),
            }
        }
        act
    }

    /// Tells the handles.
    fn finish(self: &Arc<Self>, out: Out) {
        for (remote, outcome) in out {
            match outcome.weight() >= PORTERAGE {
                true => self.carry(remote, outcome),
                false => self.deliver(remote, outcome),
            }
        }
    }

    /// Has the porter tell a handle.
    fn carry(self: &Arc<Self>, remote: Box<dyn RemoteJob>, outcome: Outcome) {
        let load = Arc::new(Mutex::new(Some((remote, outcome))));
        let (shared, loaded) = (self.clone(), load.clone());
        let carried = self.porter.submit(move || {
            let load = lock(&loaded).take();
            if let Some((remote, outcome)) = load {
                shared.deliver(remote, outcome);
            }
        });
        // The system gives no thread: then it is done here.
        if carried.is_finished() {
            let load = lock(&load).take();
            if let Some((remote, outcome)) = load {
                self.deliver(remote, outcome);
            }
        }
    }

    /// Tells one handle. A panic out of a waker is nobody's here.
    fn deliver(&self, remote: Box<dyn RemoteJob>, outcome: Outcome) {
        let outer = DELIVERING.replace(std::ptr::from_ref(self).addr());
        let _ = panics::catch(|| remote.finish(outcome));
        DELIVERING.set(outer);
    }

    /// Is this user code (a waker, a decoder) that this pool runs? It cannot wait for the pool.
    pub(super) fn is_delivering(&self) -> bool {
        DELIVERING.get() == std::ptr::from_ref(self).addr()
    }

    /// By the manager, when no jobs are left: every handle has been told when this returns, also
    /// by the other threads that take answers in.
    pub(super) fn see_handles_told(&self) {
        // Acquire: pairs with the Release where they are told.
        let mut in_hand = self.in_hand.fetch_or(LAST, Ordering::Acquire);
        while in_hand & !LAST != 0 {
            let _ = sys::poll(&mut [self.bell_interest()], None);
            self.silence();
            in_hand = self.in_hand.load(Ordering::Acquire);
        }
        self.porter.shutdown(Shutdown::finish());
    }

    /// What a worker rings: descriptors of the two bells.
    pub(super) fn bells_for_worker(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.bell.try_clone()?, self.waiter.for_worker()?])
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

/// The pool as its jobs see it: what `abort` of a running one goes to.
#[derive(Clone)]
pub(super) struct Link(pub(super) Arc<Shared>);

impl Schedule for Link {
    const CANCEL_IN_PLACE: bool = true;

    fn schedule(scheduled: Scheduled<Self>) {
        never_scheduled(scheduled)
    }

    fn vigil(&self) -> Option<Box<dyn Vigil>> {
        Waiter::begin(&self.0).map(|waiter| Box::new(waiter) as _)
    }

    fn abort_running(&self, id: TaskId) {
        // The caller's handle keeps the job's cell alive, so for as long as this takes the id
        // cannot come to mean another job.
        if self.0.change(|crew, out| crew.abort(id, out)) {
            self.0.ring();
        }
    }
}
