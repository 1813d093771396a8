//! WHAT is run: a future and its state in one allocation, its wakers, and its one handle.
//!
//! ```text
//!   spawn ──> cell (one allocation): header, join waker | scheduler | stage: future, then output
//!               ^            ^            ^
//!               |            |            |
//!           Runnable      Waker*      JoinHandle<T>        each holds one reference
//!        (polls it once) (wakes it)  (awaits, joins, aborts it)
//! ```
//!
//! Reading order: `schedule.rs` (what a task asks of its scheduler), `word.rs` (one word, pure
//! transitions), `state.rs` (the word, shared), `depot.rs` (where memory waits for its next task),
//! `memory.rs` (where memory comes from, and goes), `cell.rs` (its layout, who touches what),
//! `waker.rs`, `runnable.rs` (the right to poll), `harness.rs` (poll, complete, cancel, free),
//! `join.rs` (the handle), `body.rs` (how a task is made), `promise.rs` (a result that comes from
//! elsewhere), `completion/` (`as_completed`, `wait`).

pub(crate) mod body;
pub(crate) mod cell;
pub(crate) mod completion;
pub(crate) mod depot;
pub(crate) mod harness;
pub(crate) mod join;
pub(crate) mod memory;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod promise;
pub(crate) mod runnable;
pub(crate) mod schedule;
pub(crate) mod state;
pub(crate) mod waker;
pub(crate) mod word;
