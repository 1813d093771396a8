//! Many threads over the same tasks: work stealing.
//!
//! ```text
//!   spawn, wake on a worker ──> its next slot ──> its local queue ──> overflow ─┐
//!   spawn, wake elsewhere ────────────────────────────────────────────> inject queue
//!
//!   worker: next slot, own queue, inject queue, half of another worker's queue, sleep
//! ```
//!
//! Reading order: `bed.rs` (how one worker sleeps), `idle.rs` (who sleeps, and why no wake-up is
//! lost), `live.rs` (the tasks that exist), `shared.rs` (what all workers know), `worker.rs` (the loop), `executor.rs` (start, stop,
//! the public face).

mod bed;
mod executor;
mod idle;
mod live;
mod shared;
mod worker;

pub use executor::{MultiBuilder, MultiExecutor, MultiHandle, StillRunning};
pub(super) use worker::spawn_here;
