//! TOGETHER: handles that live and end as one.
//!
//! ```text
//!   JoinSet      many handles, one owner: takes results as they come; dropped, it aborts the rest
//!   TaskGroup    a scope: waits for all; the first failure cancels the rest
//! ```
//!
//! Both work for the handles of every mode, since there is one handle. Reading order:
//! `join_set.rs`, `failure.rs` (why a group failed), `inbox.rs` (what its parts share),
//! `members.rs` (who is in it), `task_group.rs`.

mod failure;
mod inbox;
mod join_set;
mod members;
mod task_group;

pub use failure::{Failure, GroupError};
pub use join_set::JoinSet;
pub use task_group::{GroupSpawner, TaskGroup};
