//! block_on: the smallest executor. One future, one thread, one parker.
//!
//! Everything an executor is can be seen here: poll the future with a waker; when it is pending,
//! sleep until the waker was called; poll again. What the larger ones add is many futures (a
//! queue), other things to sleep on (a driver), and more threads.
//!
//! The thread that sleeps here serves nobody else meanwhile. On a thread that runs a scheduler
//! that would stop every task on it, so it is refused there (`Entered`).
//!
//! Cost      one allocation per call (the parker's word), no system call when the future is ready.
//! Source    the idea is `futures::executor::block_on`. Next: `driver.rs`.

use crate::budget;
use crate::park::{Parker, Vigil};
use crate::sync::thread_cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

/// Runs a future to completion on the calling thread, which sleeps while the future waits.
///
/// For futures that are woken by other threads: handles of pools, channels, tasks of another
/// runtime. Sockets and timers of tatkal need an event loop, which the runtime's `block_on` has.
///
/// # Panics
/// On a thread that is running a scheduler: it would stop every task there. Panics of the future
/// pass through.
///
/// # Example
/// ```
/// assert_eq!(tatkal_executor::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    match block_on_until(pin!(future), None) {
        Some(output) => output,
        None => unreachable!("without a deadline there is an output"),
    }
}

/// `block_on` that gives up at `deadline`. The future stays as it is and can be polled again.
pub(crate) fn block_on_until<F: Future + ?Sized>(
    future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Option<F::Output> {
    refuse_if_entered();
    sleep_and_poll(future, deadline)
}

/// `block_on` for a future that is inside an executor while it is polled, on a thread that is none
/// of the executor's: blocking is refused in there as in the executor's tasks.
pub(crate) fn block_on_entered<F: Future>(future: F) -> F::Output {
    let _entered = Entered::new();
    match sleep_and_poll(pin!(future), None) {
        Some(output) => output,
        None => unreachable!("without a deadline there is an output"),
    }
}

fn sleep_and_poll<F: Future + ?Sized>(
    future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Option<F::Output> {
    keep_vigil(&mut Parker::new(), future, deadline)
}

/// `block_on_until` for who has something better than a parker to wait on.
pub(crate) fn block_on_with<F: Future + ?Sized>(
    vigil: Option<Box<dyn Vigil>>,
    future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Option<F::Output> {
    refuse_if_entered();
    match vigil {
        Some(mut vigil) => keep_vigil(&mut *vigil, future, deadline),
        None => sleep_and_poll(future, deadline),
    }
}

fn keep_vigil<F: Future + ?Sized>(
    vigil: &mut dyn Vigil,
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Option<F::Output> {
    let waker = vigil.waker();
    let mut cx = Context::from_waker(&waker);
    let _before = budget::Before::save();
    loop {
        budget::refill();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return None;
        }
        vigil.sleep(deadline);
    }
}

thread_cell! {
    /// Is a scheduler running tasks on this thread, or is it in a scheduler's `block_on`?
    static ENTERED: bool = false;
}

/// Evidence that this thread runs a scheduler; until it is dropped, blocking is refused here.
#[derive(Debug)]
pub(crate) struct Entered {
    before: bool,
    /// What the schedulers' polls leave of the budget is not for what comes after them.
    _budget: budget::Before,
}

impl Entered {
    /// # Panics
    /// When this thread runs a scheduler already.
    pub(crate) fn new() -> Self {
        refuse_if_entered();
        Self::to_drop_tasks()
    }

    /// For dropping the tasks of a scheduler, which may happen inside another one: a future whose
    /// destructor waits for a sibling would wait for ever.
    pub(crate) fn to_drop_tasks() -> Self {
        Self {
            before: ENTERED.replace(true),
            _budget: budget::Before::save(),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.set(self.before);
    }
}

/// Does this thread run a scheduler, or one's `block_on`?
pub(crate) fn is_entered() -> bool {
    ENTERED.get()
}

/// # Panics
/// When this thread runs a scheduler: the caller is about to block it.
#[track_caller]
pub(crate) fn refuse_if_entered() {
    assert!(
        !is_entered(),
        "this thread runs an executor, and blocking it would stop every task on it: \
         use `.await` here, or move the blocking call into a thread pool (`spawn_blocking`)"
    );
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    #[test]
    fn a_future_woken_by_another_thread_is_polled_again() {
        let mut polls = 0;
        let output = block_on(std::future::poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready("done");
            }
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        }));
        assert_eq!((output, polls), ("done", 3));
    }

    #[test]
    fn a_deadline_leaves_the_future_usable() {
        let ready = Cell::new(false);
        let mut future = pin!(std::future::poll_fn(|_| if ready.get() {
            Poll::Ready(7)
        } else {
            Poll::Pending
        }));
        let soon = Some(Instant::now() + Duration::from_millis(1));
        assert_eq!(block_on_until(future.as_mut(), soon), None);
        ready.set(true);
        assert_eq!(block_on_until(future, None), Some(7));
    }

    #[test]
    fn blocking_a_thread_that_runs_a_scheduler_is_refused() {
        let entered = Entered::new();
        let refused = std::panic::catch_unwind(|| block_on(async {}));
        assert!(refused.is_err());
        drop(entered);
        block_on(async {});
    }
}
