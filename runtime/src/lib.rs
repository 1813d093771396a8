//! tatkal: the runtime. WAITING: what are we waiting for?
//!
//! An event loop on mio (or polling), timers, sockets, and the [`Runtime`] that puts them under
//! the schedulers of `tatkal-executor`. Everything of that crate is here too, so one `use` does.
//!
//! ```text
//!        runtime.rs builder.rs handle.rs        one thread or many, under one roof
//!            |
//!   net/ signal.rs async_fd.rs time/{sleep..}   what a task awaits
//!            |            |
//!        driver.rs, context.rs           one park for both;  whose runtime am I on?
//!            |            |
//!        reactor/     time/{clock,wheel,timers}
//! ```
//!
//! Every arrow points down: a file uses only files that come earlier in this reading order.
//!
//! 1. `sync.rs` (and, for unit tests, `count.rs`), `reactor/` (its own order is in `reactor/mod.rs`)
//! 2. `time/`: `clock.rs`, `wheel.rs`, `entry.rs`, `fresh.rs`, `pending.rs`, `timers.rs`
//! 3. `context.rs`, `driver.rs`
//! 4. `time/`: `sleep.rs`, `timeout.rs`, `interval.rs`
//! 5. `blocking.rs`, `async_fd.rs`, `signal.rs`, `net/`
//! 6. `metrics.rs`, `handle.rs`, `local_set.rs`, `runtime.rs`, `builder.rs`
//!
//! Pages beside the code: [`docs::performance`] (where the speed comes from), and the process pool's,
//! `docs::process_pool`.
//!
//! # Unsafe code
//!
//! None, with one exception: `polling` marks the registration of a descriptor unsafe
//! (`reactor/polling.rs`, which argues for it).
#![deny(unsafe_code)]

mod async_fd;
mod blocking;
mod builder;
mod context;
#[cfg(test)]
mod count;
pub mod docs;
mod driver;
mod handle;
mod local_set;
mod metrics;
pub mod net;
mod reactor;
mod runtime;
pub mod signal;
mod sync;
pub mod time;

pub use async_fd::Async;
pub use blocking::spawn_blocking;
pub use builder::Builder;
pub use handle::{EnterGuard, Handle};
pub use local_set::LocalSet;
pub use metrics::RuntimeMetrics;
pub use reactor::Backend;
pub use runtime::{Runtime, block_on};
pub use signal::ctrl_c;
pub use tatkal_executor::*;
pub use time::{
    Elapsed, Interval, MissedTickBehavior, Sleep, TestClock, Timeout, interval, interval_at, sleep,
    sleep_until, timeout, timeout_at,
};
