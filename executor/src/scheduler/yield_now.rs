//! yield_now: let the others run, then go on. Next: `live.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets every other task that is ready run before this one goes on.
///
/// For long computations between awaits. Works on any executor: the task wakes itself and returns
/// `Pending` once, so it goes to the back of the queue.
///
/// # Example
/// ```
/// tatkal_executor::block_on(async {
///     for _chunk in 0..3 {
///         // ... work on a chunk ...
///         tatkal_executor::yield_now().await;
///     }
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
