//! The thread pool: closures on N OS threads that are started when they are needed.
//!
//! Reading order: `roster.rs` (who is free, as pure decisions), `queue.rs` (the lock around it),
//! `pool.rs` (the API and the worker), `builder.rs` (its settings), `models.rs` (model checks).

mod builder;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod queue;
mod roster;

pub use builder::ThreadPoolBuilder;
pub use pool::{ThreadPool, TrySubmitError};
