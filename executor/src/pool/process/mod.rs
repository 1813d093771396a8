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
//! - what is shared: `sys.rs`, `sys/process.rs` and `sys/pages.rs` (system calls), `wire.rs` (kinds
//!   and payloads)
//! - long payloads: `counted.rs` (descriptors), `view.rs` (files that are used again), `sealed.rs` and
//!   `shared_bytes.rs` with `shared_bytes/crossing.rs` (files that nobody can change), `memory.rs`
//!   (the sender's side) and `arrival.rs` (the receiver's)
//! - what a job meets: `bell.rs`, `watch.rs` and `slot.rs` (the protocols of shared memory: sleeping,
//!   not sleeping, whose bytes they are), `tray.rs` (how far a worker is in a parcel), `scene.rs`
//!   (what a dead worker was doing), `board.rs` with `board/worker_side.rs` (jobs and answers
//!   in it), `image.rs` (whose code is known), `panics.rs`, `limits.rs`, `stream.rs`,
//!   `segments.rs` and `codec.rs` (values as payloads), `entry.rs` (a job's code as an address),
//!   `parcel.rs` (many items of a `map` as one job), `control.rs` (what pool and server say)
//! - the other processes: `worker.rs`, `server.rs`, `fork_server.rs` (how a program starts it)
//! - the pool: `policy.rs` (what was agreed), `metrics.rs` (what was done), `stamps.rs`
//!   (where a job's time goes), `job.rs`, `measure.rs` (one that is measured),
//!   `chunk.rs` (one of many items), `member.rs` with `member/parting.rs` (one worker), `crew.rs`
//!   with `crew/dispatch.rs`, `crew/stopping.rs` and `crew/turnover.rs` (all of them, and the
//!   queue), `waiter.rs` (a thread that waits), `shared.rs` (the lock), `setup.rs`, `manager.rs` (the
//!   thread), `pool.rs` with `pool/submit.rs`, `pool/batches.rs` (`map`) and `pool/jobs.rs` (the
//!   API), `builder.rs`

mod arrival;
mod bell;
mod board;
mod builder;
mod chunk;
mod codec;
mod control;
mod counted;
mod crew;
mod entry;
mod fork_server;
mod image;
mod job;
mod limits;
mod manager;
mod measure;
mod member;
mod memory;
mod metrics;
mod panics;
mod parcel;
mod policy;
mod pool;
mod scene;
mod sealed;
mod segments;
mod server;
mod setup;
mod shared;
mod shared_bytes;
mod slot;
mod stamps;
mod stream;
mod sys;
mod tray;
mod view;
mod waiter;
mod watch;
mod wire;
mod worker;

pub use builder::ProcessPoolBuilder;
pub use fork_server::ForkServer;
pub use metrics::{JobPhases, ProcessPoolMetrics, ProcessWork, ProcessWorkerMetrics};
pub use policy::OnDeath;
pub use pool::{Jobs, ProcessPool};
pub use shared_bytes::SharedBytes;
