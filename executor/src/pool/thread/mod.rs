//! The thread pool: closures on N OS threads that are started when they are needed.
//!
//! Reading order: `roster.rs` (who is free, as pure decisions), `queue.rs` (the lock around it),
//! `pool.rs` (the API and the worker), `scope.rs` (jobs that borrow), `builder.rs` (the settings),
//! `models.rs` (model checks). `pool.rs`, `scope.rs` and `builder.rs` know each other.

mod builder;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod queue;
mod roster;
mod scope;

pub use builder::ThreadPoolBuilder;
pub use pool::{ThreadPool, TrySubmitError};
pub use scope::{Scope, ScopedHandle};
