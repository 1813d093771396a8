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
//! `map`), `sequential.rs` (the smallest implementation), `thread/` (N threads),
//! `process/` (N forked processes; Linux).

mod cpus;
mod executor;
#[cfg(all(target_os = "linux", not(loom)))] // fork, and nothing for loom to explore
mod process;
#[cfg(all(test, loom))] // but for the protocols of its shared memory
#[path = "process/board/bell.rs"]
mod process_bell;
#[cfg(all(test, loom))]
#[path = "process/board/outlet.rs"]
mod process_outlet;
#[cfg(all(test, loom))]
#[path = "process/board/slot.rs"]
mod process_slot;
mod sequential;
mod thread;

pub use cpus::available_cpus;
pub use executor::{Executor, Map, Portable, Shutdown};
#[cfg(all(target_os = "linux", not(loom)))]
pub use process::{
    ForkServer, JobPhases, Jobs, OnDeath, ProcessPool, ProcessPoolBuilder, ProcessPoolMetrics,
    ProcessWork, ProcessWorkerMetrics, SharedBytes,
};
pub use sequential::Sequential;
pub use thread::{Scope, ScopedHandle, ThreadPool, ThreadPoolBuilder, TrySubmitError};
