//! tatkal-executor: RUNNING. What runs next, and where?
//!
//! Tasks, wakers, schedulers, a thread pool and a fork-based process pool, with nothing but `std`,
//! `libc` and `rustix` below them. This crate does no I/O of its own besides the process pool's pipes and
//! knows nothing of an event loop: a scheduler sleeps on whatever implements [`Driver`].
//!
//! ```text
//!        pool/        WHERE ELSE   Executor: Sequential, ThreadPool, ProcessPool
//!        group/       TOGETHER     JoinSet, TaskGroup: handles that live and end as one
//!        scheduler/   WHAT NEXT    block_on, one thread, many threads
//!             \        /
//!              task/     WHAT      state, cell, waker, harness, join handle, completion
//!                |
//!        sync error park budget block_on driver    the ground floor
//! ```
//!
//! Every arrow points down: a file uses only files that come earlier in this reading order.
//!
//! 1. `sync.rs`, `error.rs`, `park.rs` (token sleep), `budget.rs` (how much a poll may do),
//!    `block_on.rs` (the smallest executor), `driver.rs` (what a worker sleeps on)
//! 2. `task/`: `schedule.rs`, `word.rs`, `state.rs`, `depot.rs`, `memory.rs`, `cell.rs`,
//!    `waker.rs`, `runnable.rs`, `harness.rs`, `join.rs`, `body.rs`, `promise.rs`, `completion/`
//! 3. `scheduler/`: `yield_now.rs`, `live.rs`, `fifo.rs`, `metrics.rs`, `single.rs`, `queue/`,
//!    `multi/`, `guest.rs`, `spawn.rs`
//! 4. `group/`: `join_set.rs`, `failure.rs`, `inbox.rs`, `task_group.rs`
//! 5. `pool/`: `cpus.rs`, `executor.rs`, `sequential.rs`, `thread/`, `process/`
//! 6. [`testing`]: the promises of `Executor`, as checks
//!
//! # Life of a wake-up
//!
//! The same eight numbers stand in the code at the places where the step happens.
//!
//! ```text
//! 1 spawn     future -> task cell (one allocation) -> run queue
//! 2 poll      worker takes the task, polls it with its waker
//! 3 register  leaf future hits WouldBlock, stores the waker at its source (fd, timer, handle)
//! 4 park      no work: worker sleeps in the driver, with the next timer as deadline
//! 5 event     the OS says the fd is ready (or the deadline passed)
//! 6 wake      reactor takes the waker out, outside any lock, and calls it
//! 7 schedule  state word: was it idle? then exactly one run-queue entry; unpark someone
//! 8 complete  output stored, join waker called, future dropped on the thread that ran it
//! ```

mod block_on;
pub mod budget;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod docs;
mod driver;
mod error;
mod group;
mod park;
mod pool;
mod scheduler;
mod sync;
mod task;
#[cfg(not(loom))] // on real threads, files and clocks
pub mod testing;

pub use block_on::block_on;
pub use budget::{consume_budget, unconstrained};
pub use driver::Driver;
pub use error::{Crossing, JoinError, Limit, PanicReport, WorkerExit};
pub use group::{Failure, GroupError, GroupSpawner, JoinSet, TaskGroup};
pub use park::Parker;
pub use pool::{
    Executor, Map, Portable, Scope, ScopedHandle, Sequential, Shutdown, ThreadPool,
    ThreadPoolBuilder, TrySubmitError, available_cpus,
};
#[cfg(all(target_os = "linux", not(loom)))]
pub use pool::{
    ForkServer, JobPhases, Jobs, OnDeath, ProcessPool, ProcessPoolBuilder, ProcessPoolMetrics,
    ProcessWork, ProcessWorkerMetrics, SharedBytes,
};
pub use scheduler::{
    LocalExecutor, MultiBuilder, MultiExecutor, MultiHandle, SpawnGuard, SpawnHandle, StillRunning,
    WorkerMetrics, YieldNow, spawn, spawn_local, yield_now,
};
#[doc(hidden)] // for the unpark word of the runtime
pub use sync::WaitCell;
#[cfg(loom)]
#[doc(hidden)] // for the models of the runtime
pub use sync::atomic as loom_atomic;
pub use task::completion::as_completed::{AsCompleted, AsCompletedStream, NotYet, as_completed};
pub use task::completion::wait::{Until, Wait, Waited, wait};
pub use task::join::{AbortHandle, JoinHandle};
