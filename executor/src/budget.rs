//! The budget: how much a task may get done in one poll before it must let the others run.
//!
//! A task that always finds something ready (a socket that is never empty, a queue of finished
//! handles, ticks that were missed) never returns `Pending` by itself, and then nothing else of
//! its thread runs: no other task, no event loop, and not even the timeout around that very loop.
//! So what a task awaits at the bottom counts, and says `Pending` when the count is used up.
//!
//! ```text
//!   scheduler: refill() ──> poll the task ──> leaf: poll_proceed() ── some left ──> try ── Ready ──> spend()
//!                                                │                                   └─ Pending: free
//!                                                └─ none left: wake the task, leave one, Pending
//! ```
//!
//! Owns      one number per thread: the units that are left to the poll that is going on.
//! Holds     B1 only what is ready costs: a task that waits for a thousand handles pays for those
//!              that have finished.
//!           B2 a refusal leaves one unit. It went to one branch of a poll (the loop that used the
//!              others up), which is over for this poll; the unit is for its neighbours, a timer
//!              or a "please stop" beside the loop, which would be refused in every poll if the
//!              loop always came first. It is also why an executor that somebody nests inside a
//!              poll makes progress, whatever it does about `Pending`.
//!           B3 where nobody refills (a foreign executor, a plain thread) nothing is ever refused.
//! Bound     one poll gets [`BUDGET`] units and one more per branch that is refused.
//! Cost      refill: a store. A leaf: a load and a branch, and a subtraction when it is ready.
//! Source    the idea: tokio's `task/coop`. That a timeout must see its timer all the same:
//!           tokio-rs/tokio#2160. Next: `block_on.rs`.

use crate::sync::thread_cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How many leaf operations one poll of a task may complete.
///
/// A system call on a socket takes about a microsecond, so nobody waits longer than some 60 of
/// them for one task; a trip to the back of the queue takes well under a tenth of one, so it
/// disappears among so many. Not a power of two: a loop that does a round number of operations and
/// then waits anyway should not end exactly where its budget does.
pub const BUDGET: usize = 61;

/// B3: more than any thread can spend.
const UNLIMITED: usize = usize::MAX;

thread_cell! {
    /// What is left to the poll that this thread is in.
    static LEFT: usize = UNLIMITED;
}

/// A poll of a task begins.
#[inline]
pub(crate) fn refill() {
    LEFT.set(BUDGET);
}

/// What was left before: for whoever refills, to put back when its last poll is over.
#[derive(Debug)]
pub(crate) struct Before(usize);

impl Before {
    #[inline]
    pub(crate) fn save() -> Before {
        Before(LEFT.get())
    }

    fn unlimited() -> Before {
        Before(LEFT.replace(UNLIMITED))
    }
}

impl Drop for Before {
    #[inline]
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// May a leaf future get something done in this poll? Called before it tries. When it got
/// something done it calls [`spend`].
///
/// `Pending`: the budget is used up, the task has been woken, and the leaf returns `Pending`,
/// having tried nothing.
///
/// # Example
/// A channel's receiver that takes part:
/// ```
/// use std::collections::VecDeque;
/// use std::task::{Context, Poll, ready};
/// use tatkal_executor::budget;
///
/// struct Receiver { queue: VecDeque<u32> }
///
/// impl Receiver {
///     fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
///         ready!(budget::poll_proceed(cx));
///         match self.queue.pop_front() {
///             Some(item) => {
///                 budget::spend();
///                 Poll::Ready(item)
///             }
///             None => Poll::Pending, // (and leave the waker, here)
///         }
///     }
/// }
/// # let mut receiver = Receiver { queue: [7].into() };
/// # let cx = &mut Context::from_waker(std::task::Waker::noop());
/// # assert_eq!(receiver.poll_recv(cx), Poll::Ready(7));
/// ```
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if LEFT.get() == 0 {
        return refuse(cx);
    }
    Poll::Ready(())
}

#[cold]
fn refuse(cx: &mut Context<'_>) -> Poll<()> {
    LEFT.set(1); // B2
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A leaf future got something done: see [`poll_proceed`].
#[inline]
pub fn spend() {
    // Saturating: a leaf may have been let through with one unit and have polled others inside.
    LEFT.set(LEFT.get().saturating_sub(1));
}

/// Is the budget of this poll used up, or all but what a refusal leaves?
///
/// For a future that stands around another and has something to look at that the other must not
/// keep it from: a timeout looks at the clock.
#[inline]
pub fn is_spent() -> bool {
    LEFT.get() <= 1
}

/// Costs one unit of the task's budget, and lets the others run if there is none left.
///
/// For a loop over awaits that may all be ready, of futures that do not count themselves.
/// [`yield_now`](crate::yield_now) always lets the others run; this does once in [`BUDGET`] times.
///
/// # Example
/// ```
/// tatkal_executor::block_on(async {
///     for _item in 0..1_000 {
///         // ... take an item from a channel of another crate ...
///         tatkal_executor::budget::consume_budget().await;
///     }
/// });
/// ```
pub async fn consume_budget() {
    poll_fn(|cx| {
        ready!(poll_proceed(cx));
        spend();
        Poll::Ready(())
    })
    .await;
}

/// Makes a future of another crate count: when it is ready, that costs one unit.
///
/// # Example
/// ```
/// use tatkal_executor::budget::cooperative;
/// let ready = std::future::ready(7); // or `channel.recv()`
/// assert_eq!(tatkal_executor::block_on(cooperative(ready)), 7);
/// ```
pub fn cooperative<F: IntoFuture>(future: F) -> Cooperative<F::IntoFuture> {
    Cooperative {
        future: future.into_future(),
    }
}

/// Lets a future do as much as it likes in one poll. Nothing inside it is refused, and what is
/// inside costs the task nothing.
///
/// For work that must not be interrupted, and that ends: a loop in it that never waits stops
/// everything else on its thread.
///
/// # Example
/// ```
/// use tatkal_executor::budget::{consume_budget, unconstrained};
/// tatkal_executor::block_on(unconstrained(async {
///     for _ in 0..1_000 {
///         consume_budget().await; // never waits
///     }
/// }));
/// ```
pub fn unconstrained<F: IntoFuture>(future: F) -> Unconstrained<F::IntoFuture> {
    Unconstrained {
        future: future.into_future(),
    }
}

/// The future of [`cooperative`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Cooperative<F> {
    future: F,
}

impl<F: Future> Future for Cooperative<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(poll_proceed(cx));
        // SAFETY: the field is pinned with the whole; it is never moved out.
        let future = unsafe { self.map_unchecked_mut(|whole| &mut whole.future) };
        let output = ready!(future.poll(cx));
        spend();
        Poll::Ready(output)
    }
}

/// The future of [`unconstrained`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Unconstrained<F> {
    future: F,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _before = Before::unlimited();
        // SAFETY: the field is pinned with the whole; it is never moved out.
        let future = unsafe { self.map_unchecked_mut(|whole| &mut whole.future) };
        future.poll(cx)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a loop over ready things gets round in one poll, and how often it was woken.
    fn rounds(refilled: bool) -> (usize, usize) {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut rounds = 0;
        let busy = async {
            while rounds < 1_000 {
                consume_budget().await;
                rounds += 1;
            }
        };
        let _before = Before::save();
        if refilled {
            refill();
        }
        let _ = Box::pin(busy)
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        (rounds, count.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_poll_ends_when_its_budget_does_and_outside_of_one_nothing_ends() {
        assert_eq!(rounds(true), (BUDGET, 1));
        assert_eq!(rounds(false), (1_000, 0));
    }

    #[test]
    fn what_waits_costs_nothing() {
        let _before = Before::save();
        refill();
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..2 * BUDGET {
            let pending = pin!(cooperative(std::future::pending::<()>()));
            assert!(pending.poll(cx).is_pending());
        }
        assert!(poll_proceed(cx).is_ready());
    }

    #[test]
    fn a_refusal_leaves_one_unit_for_the_next_branch() {
        let _before = Before::save();
        refill();
        let cx = &mut Context::from_waker(Waker::noop());
        (0..BUDGET).for_each(|_| spend());
        assert!(is_spent());
        assert!(poll_proceed(cx).is_pending());
        assert!(is_spent());
        assert!(poll_proceed(cx).is_ready());
        spend();
        assert!(poll_proceed(cx).is_pending());
    }

    #[test]
    fn an_unconstrained_future_neither_pays_nor_is_refused() {
        let _before = Before::save();
        refill();
        let cx = &mut Context::from_waker(Waker::noop());
        let free = pin!(unconstrained(async {
            for _ in 0..2 * BUDGET {
                consume_budget().await;
            }
        }));
        assert!(free.poll(cx).is_ready());
        assert_eq!(LEFT.get(), BUDGET);
    }
}
