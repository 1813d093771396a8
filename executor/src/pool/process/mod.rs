//! The process pool: jobs in worker processes, forked by a server that has one thread.
//!
//! ```text
//!  ============================ program ============================ | == server == | = workers =
//!                                                                    |              |
//!   submit(f, 6) ──> [ queue: job(f, 6) ] ──> member 1: [ 4 | 5 ] ───|── Job 5, &f, 6 ──> worker 1
//!       |                 crew (one lock)     member 2: [ 3 ]        |              |    f(6)
//!       v                      ^                                     |              |     |
//!   JoinHandle <── result ── manager <───────────────────────────────|── Done 5, 36 ──────+
//!                              |  ^                                  |              |
//!                              |  +──────── Forked, Exited ──────────|── server ────|── waitpid
//!                              +─────────── Fork ────────────────────|─────^        |
//! ```
//!
//! Three kinds of processes, each in its own files: the program (`pool`, `crew`, `member`,
//! `manager`), the fork server (`server`), the workers (`worker`). Why a server at all: `server.rs`.
//!
//! Reading order:
//! - what is shared: `sys.rs`, `sys/process.rs`, `sys/pages.rs` and `sys/pipes.rs` (system calls), `panics.rs`,
//!   `wire.rs` (what travels, short or long: its own order is there), `board.rs` (how a pool and a
//!   worker meet in shared memory: likewise), `image.rs` (whose code is known), `limits.rs`,
//!   `entry.rs` (a job's code as an address), `parcel.rs` (many items of a `map` as one job),
//!   `control.rs` (what pool and server say)
//! - the other processes: `worker.rs`, `server.rs`, `fork_server.rs` (how a program starts it)
//! - the pool: `policy.rs` (what was agreed), `metrics.rs` (what was done), `stamps.rs`
//!   (where a job's time goes), `job.rs`, `measure.rs` (one that is measured),
//!   `chunk.rs` (one of many items), `member.rs` with `member/parting.rs` (one worker), `crew.rs`
//!   with `crew/dispatch.rs`, `crew/stopping.rs` and `crew/turnover.rs` (all of them, and the
//!   queue), `waiter.rs` (a thread that waits), `shared.rs` (the lock), `setup.rs`, `output.rs` with
//!   `output/lines.rs` and `output/relay.rs` (what workers print), `manager.rs` (the thread), `pool.rs`
//!   with `pool/submit.rs`, `pool/batches.rs` (`map`) and `pool/jobs.rs` (the API), `builder.rs`

mod board;
mod builder;
mod chunk;
mod control;
mod crew;
mod entry;
mod fork_server;
mod image;
mod job;
mod limits;
mod manager;
mod measure;
mod member;
mod metrics;
mod output;
mod panics;
mod parcel;
mod policy;
mod pool;
mod server;
mod setup;
mod shared;
mod stamps;
mod sys;
mod waiter;
mod wire;
mod worker;

pub use builder::ProcessPoolBuilder;
pub use fork_server::ForkServer;
pub use metrics::{JobPhases, ProcessPoolMetrics, ProcessWork, ProcessWorkerMetrics};
pub use policy::OnDeath;
pub use pool::{Jobs, ProcessPool};
pub use wire::shared_bytes::SharedBytes;
