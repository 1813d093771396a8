//! WHAT NEXT: which task runs next, and on which thread.
//!
//! Reading order: `yield_now.rs`, `live.rs` (the tasks that exist), `single.rs` (one thread).

mod live;
pub(crate) mod single;
mod yield_now;

pub use single::{LocalExecutor, SpawnHandle, spawn, spawn_local};
pub use yield_now::{YieldNow, yield_now};
