//! The places of finished handles, in the order in which they finished.
//!
//! ```text
//!   completer: Notice::wake ── push place ──> finished ── swap ──> taken ── pop ──> waiter
//!                    └── the waiter's waker, out of the lock
//! ```
//!
//! Owns      a queue that any number of completers push to, and one waiter empties.
//! Holds     C1 a place comes out once: a handle's waker is called at most once, by its completer,
//!              and only when `watch` did not find the handle finished (I4 in state.rs).
//!           C2 no lost wake-up: the waiter looks and leaves its waker in one critical section; a
//!              push before it is seen, a push after it finds the waker.
//!           No user code under the lock: the waiter's waker is cloned before, and called and
//!           dropped after it.
//! Cost      per handle one allocation for its notice. Per completion one short lock; the waiter
//!           takes the lock once for all that finished meanwhile, since it swaps the queue.
//! Next: `as_completed.rs`.

use crate::error::contain;
use crate::sync::{Mutex, lock};
use crate::task::join::JoinHandle;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The waiter's end. There is one, and it is not shared.
#[derive(Debug)]
pub(crate) struct CompletionQueue {
    shared: Arc<Shared>,
    /// What the waiter has taken out and not looked at.
    taken: VecDeque<usize>,
}

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    finished: VecDeque<usize>,
    waiter: Option<Waker>,
}

/// The waker of one handle.
struct Notice {
    place: usize,
    shared: Arc<Shared>,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.push(self.place);
    }
}

impl Shared {
    fn push(&self, place: usize) {
        let waiter = {
            let mut inbox = lock(&self.inbox);
            inbox.finished.push_back(place);
            inbox.waiter.take()
        };
        if let Some(waiter) = waiter {
            // Its panic is not for who brings a place: a set whose handle is not in it yet, say.
            contain(|| waiter.wake());
        }
    }
}

impl CompletionQueue {
    pub(crate) fn new() -> Self {
        let inbox = Inbox {
            finished: VecDeque::new(),
            waiter: None,
        };
        Self {
            shared: Arc::new(Shared {
                inbox: Mutex::new(inbox),
            }),
            taken: VecDeque::new(),
        }
    }

    /// Has `place` come out of the queue when the handle finishes; at once if it has finished
    /// already (or has given its result).
    pub(crate) fn watch<T>(&self, place: usize, handle: &mut JoinHandle<T>) {
        let notice = self.notice(place);
        let (watched, replaced) = handle.wake_at_completion(&notice);
        // The waker that the handle was polled with before, which is user code: its panic must not
        // keep us from what follows. (To ask again after it would not do: the handle may have
        // finished meanwhile, and its place would come out twice.)
        contain(|| drop(replaced));
        if !watched {
            self.shared.push(place);
        }
    }

    fn notice(&self, place: usize) -> Waker {
        Waker::from(Arc::new(Notice {
            place,
            shared: self.shared.clone(),
        }))
    }

    /// The next place, if there is one.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        if self.taken.is_empty() {
            // The emptied queue goes back in exchange: its memory is used again.
            mem::swap(&mut self.taken, &mut lock(&self.shared.inbox).finished);
        }
        self.taken.pop_front()
    }

    /// The next place, or the waker is kept until there is one.
    pub(crate) fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(place) = self.pop() {
            return Poll::Ready(place);
        }
        let mut waiter = Some(cx.waker().clone());
        {
            // C2: the look and the waker in one critical section.
            let mut inbox = lock(&self.shared.inbox);
            mem::swap(&mut self.taken, &mut inbox.finished);
            if self.taken.is_empty() {
                mem::swap(&mut inbox.waiter, &mut waiter);
            }
        }
        drop(waiter);
        self.taken.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::block_on::block_on;
    use std::future::poll_fn;

    #[test]
    fn loom_every_place_comes_out_once_and_the_waiter_wakes() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3); // unbounded it passes too, in minutes
        builder.check(|| {
            let mut queue = CompletionQueue::new();
            let completers: Vec<_> = (0..2)
                .map(|place| {
                    let notice = queue.notice(place);
                    loom::thread::spawn(move || notice.wake_by_ref())
                })
                .collect();
            // Ends only if no wake-up is lost.
            let mut places = [0; 2].map(|_| block_on(poll_fn(|cx| queue.poll_pop(cx))));
            places.sort_unstable();
            assert_eq!(places, [0, 1]);
            assert_eq!(queue.pop(), None);
            for completer in completers {
                completer.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_a_completion_beside_the_registration_is_seen_once() {
        use crate::task::promise::{never_scheduled, promise};
        use crate::task::schedule::{Schedule, Scheduled};

        struct Nobody;
        impl Schedule for Nobody {
            const CANCEL_IN_PLACE: bool = true;
            fn schedule(scheduled: Scheduled<Self>) {
                never_scheduled(scheduled)
            }
        }

        loom::model(|| {
            let (promise, mut handle) = promise::<u8, _>(Nobody);
            let completer = loom::thread::spawn(move || promise.complete(Ok(7)));
            let mut queue = CompletionQueue::new();
            queue.watch(5, &mut handle);
            assert_eq!(block_on(poll_fn(|cx| queue.poll_pop(cx))), 5);
            assert_eq!(handle.read_output().unwrap(), 7);
            completer.join().unwrap();
            assert_eq!(queue.pop(), None);
        });
    }
}
