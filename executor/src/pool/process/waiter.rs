//! A plain thread that waits for a job takes the answers in itself, in place of the manager.
//!
//! ```text
//!   join ── begin: is_attended ── look_on, for a lone job (watch.rs)
//!                                   |
//!                                collect ── nothing: arm every bell for WAITER, look again ── sleep
//!                                   |  ^                                                        |
//!                                   |  +──────────── a worker rings, or somebody else ──────────+
//!                                   v                completed the job
//!                     finish everybody's jobs, mine among them
//!                                   |
//!   end: not is_attended; arm every bell for MANAGER, and look once more
//! ```
//!
//! Without this an answer would wake the manager's thread, and that the thread that waits: two
//! wake-ups where one will do, and a wake-up is most of what a small job costs. The manager sleeps
//! on meanwhile; nobody has to tell it anything, neither at the beginning nor at the end, because
//! whom a worker rings for stands on its board.
//!
//! Owns      the right to attend, one thread at a time (the others sleep on parkers, and are told by
//!           this one), and the pool's second bell.
//! Holds     T1 at any time the bells of all boards are armed for somebody who sleeps, or somebody
//!           is awake who will look before he sleeps: this thread while `is_attended`, else the
//!           manager; or, of one board, a submitter who is just waking its worker (shared.rs). T2 the waker ends the sleep, or the next one: it is a `Parker`'s word, with an
//!           eventfd under it in the place of a futex, because processes ring it as well.
//! Cost      two short locks more than sleeping on a parker.
//! Rejected  a futex word that workers share in place of the eventfd, two system calls less for each sleep:
//!           on one CPU 2 of 100 jobs there and back come here (the others are answered before `submit`
//!           is over), and on two CPUs most are seen by looking on.
//! Source    the leader and followers of Schmidt et al. (POSA2). Next: `shared.rs`.

use super::board::bell::NOBODY;
use super::board::watch;
use super::board::{Look, MANAGER, WAITER};
use super::shared::Shared;
use super::sys;
use crate::park::Vigil;
use crate::sync::lock;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// The bell of the thread that attends.
pub(super) struct WaiterBell {
    /// EMPTY, PARKED or NOTIFIED, with the meanings and orderings of `park.rs`.
    word: AtomicU32,
    bell: OwnedFd,
}

impl WaiterBell {
    pub(super) fn new() -> io::Result<WaiterBell> {
        Ok(WaiterBell {
            word: AtomicU32::new(EMPTY),
            bell: sys::eventfd()?,
        })
    }

    /// Another descriptor of it.
    pub(super) fn for_worker(&self) -> io::Result<OwnedFd> {
        self.bell.try_clone()
    }

    /// Would a sleep end at once?
    fn is_there(&self) -> bool {
        // Relaxed: it only ends a look.
        self.word.load(Ordering::Relaxed) == NOTIFIED
    }

    fn wake(&self) {
        // Release: what this thread did before is seen by whoever takes the token.
        if self.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            sys::ring(&self.bell);
        }
    }

    /// Takes the token, or sleeps until there is one, or a worker rings, or the deadline.
    fn sleep(&self, deadline: Option<Instant>) {
        // Relaxed on success: going to sleep publishes nothing. (Only one thread sleeps here.)
        let parked =
            self.word
                .compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed);
        if parked.is_ok() {
            let limit = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // An error is out of memory in the kernel: then this was a sleep of no time.
            let _ = sys::poll(&mut [sys::interest(&self.bell, libc::POLLIN)], limit);
            sys::drain(&self.bell);
        }
        // Acquire: pairs with the Release in `wake`.
        self.word.swap(EMPTY, Ordering::Acquire);
    }
}

/// See the file head.
pub(super) struct Waiter {
    shared: Arc<Shared>,
}

/// A waker of the thread that attends: whoever that is by then.
struct Token(Arc<Shared>);

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        self.0.waiter.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.waiter.wake();
    }
}

impl Waiter {
    /// Attends from now on; `None` when another thread does, or this one is in the middle of it.
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Waiter> {
        if shared.is_delivering() {
            return None;
        }
        let mut crew = lock(&shared.crew);
        if crew.is_attended || !crew.managed {
            return None;
        }
        crew.is_attended = true;
        let shared = shared.clone();
        Some(Waiter { shared })
    }

    /// Takes in the answers that are there, and looks on for that of a lone job. True when there were
    /// any at once.
    fn look_on(&self) -> bool {
        let (any, lone) = self.shared.change(|crew, out| {
            crew.collect(out);
            let lone = crew.lone_quick_job().filter(|_| out.is_empty());
            if lone.is_some() {
                crew.arm(NOBODY); // T1: we are awake, and look before we sleep
            }
            (!out.is_empty(), lone)
        });
        if let Some((board, number)) = lone {
            let token = &self.shared.waiter;
            watch::look_on(|| token.is_there() || board.look(number) != Look::NotYet);
        }
        any
    }

    /// Takes in the answers that are there. True when there were any; else every bell is armed.
    fn collect(&self) -> bool {
        self.shared.change(|crew, out| {
            crew.collect(out);
            if out.is_empty() {
                crew.arm(WAITER);
                crew.collect(out); // T1
            }
            !out.is_empty()
        })
    }
}

impl Vigil for Waiter {
    fn waker(&self) -> Waker {
        Arc::new(Token(self.shared.clone())).into()
    }

    fn sleep(&mut self, deadline: Option<Instant>) {
        if !self.look_on() && !self.collect() {
            self.shared.waiter.sleep(deadline);
            self.collect();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.change(|crew, out| {
            crew.is_attended = false;
            crew.arm(MANAGER);
            crew.collect(out); // T1
        });
    }
}
