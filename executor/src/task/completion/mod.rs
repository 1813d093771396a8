//! Many handles at once: whichever is finished first, or as many as are asked for.
//!
//! ```text
//!   handle 0 ── completes ──> its notice: wake ──┐
//!   handle 1 ── ...                              ├──> queue [1, 0, ...] ──> as_completed, wait
//!   handle 2 ── ...                              ┘       (one waker: the waiter's)
//! ```
//!
//! Polling every handle at each wake-up would cost n polls n times. Here each handle gets a waker
//! of its own that knows the handle's place, so a completion costs one push and one pop,
//! whatever n is, and mixed handles (tasks, thread jobs, process jobs) are all the same.
//!
//! Reading order: `queue.rs` (places in the order of completion), `as_completed.rs` (results as
//! they come), `wait.rs` (until all, the first, or the first error).
//!
//! Source    CPython's `concurrent.futures.as_completed` and `wait`; the wakers that know their
//!           place are the idea of `futures::stream::FuturesUnordered`.

pub(crate) mod as_completed;
pub(crate) mod queue;
pub(crate) mod wait;
