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
//!                              +─────────── Fork, Kill ──────────────|─────^        |
//! ```
//!
//! Three kinds of processes, each in its own files: the program (`pool`, `crew`, `member`,
//! `manager`), the fork server (`server`), the workers (`worker`). Why a server at all: `server.rs`.
//!
//! Reading order:
//! - what is shared: `sys.rs` (system calls), `wire.rs` (frames), `ledger.rs` (which jobs have
//!   begun), `image.rs` (whose code is known), `panics.rs`, `entry.rs` (a job's code as an address),
//!   `control.rs` (what pool and server say)
//! - the other processes: `worker.rs`, `server.rs`, `fork_server.rs` (how a program starts it)
//! - the pool: `job.rs`, `member.rs` (one worker), `crew.rs` (all of them, and the queue),
//!   `manager.rs` (the thread), `pool.rs` (the API)

mod control;
mod crew;
mod entry;
mod fork_server;
mod image;
mod job;
mod ledger;
mod manager;
mod member;
mod panics;
mod pool;
mod server;
mod sys;
mod wire;
mod worker;

pub use fork_server::ForkServer;
pub use pool::{ProcessPool, ProcessPoolBuilder};
