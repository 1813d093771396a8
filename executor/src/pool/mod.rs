//! WHERE ELSE: work that runs on the caller, on other threads, or in other processes.
//!
//! ```text
//!    Executor (trait): submit(function, argument), map(function, items), workers, shutdown
//!        |                    |                     |
//!    Sequential           ThreadPool            ProcessPool
//!    the caller           N threads             N forked processes
//! ```
//!
//! Reading order: `cpus.rs` (how many CPUs there are for us), `executor.rs` (the trait and its lazy
//! `map`), `sequential.rs` (the smallest implementation).

mod cpus;
mod executor;
mod sequential;

pub use cpus::available_cpus;
pub use executor::{Executor, Map, Portable, Shutdown};
pub use sequential::Sequential;
