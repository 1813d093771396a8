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
//! lost), `live.rs` (the tasks that exist), `shared.rs` (what all workers know), `watch.rs` (no poll
//! that blocks stops the others), `worker.rs` (the loop), `home.rs` (where spawns and wakes go),
//! `executor.rs` (start, stop, the public face).

mod bed;
mod executor;
mod home;
mod idle;
mod live;
#[cfg(all(test, loom))]
mod models;
mod shared;
mod watch;
mod worker;

pub use executor::{MultiBuilder, MultiExecutor, MultiHandle, StillRunning};
pub(super) use home::{spawn_here, spawn_outside};
