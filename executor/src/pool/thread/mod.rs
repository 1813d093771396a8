//! The thread pool: closures on N OS threads that are started when they are needed.
//!
//! Reading order: `roster.rs` (who is free, as pure decisions), `queue.rs` (the jobs, in two
//! halves, and where to sleep), `queue/rest.rs` (how its threads wait), `queue/end.rs` (how it
//! closes), `ticket.rs` (the jobs of a scope), `worker.rs` (the life of a thread), `scope.rs` (jobs
//! that borrow), `pool.rs` (the API), `builder.rs` (the settings), `models.rs` (model checks).

mod builder;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod queue;
mod roster;
mod scope;
mod ticket;
mod worker;

pub use builder::ThreadPoolBuilder;
pub use pool::{ThreadPool, TrySubmitError};
pub use scope::{Scope, ScopedHandle};
