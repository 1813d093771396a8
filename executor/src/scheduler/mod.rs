//! WHAT NEXT: which task runs next, and on which thread.
//!
//! Reading order: `yield_now.rs`, `live.rs` (the tasks that exist), `fifo.rs` (a run queue),
//! `metrics.rs` (what a worker has done), `single.rs` (one thread), `queue/` and `multi/` (many
//! threads), `guest.rs` (a thread that is none of the executor's), `spawn.rs` (onto whichever of
//! them this thread is in).

mod fifo;
mod guest;
mod live;
mod metrics;
mod multi;
mod queue;
mod single;
mod spawn;
mod yield_now;

pub use guest::SpawnGuard;
pub use metrics::WorkerMetrics;
pub use multi::{MultiBuilder, MultiExecutor, MultiHandle, StillRunning};
pub use single::{LocalExecutor, SpawnHandle};
pub use spawn::{spawn, spawn_local};
pub use yield_now::{YieldNow, yield_now};
