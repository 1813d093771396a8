//! reactor/: from what the operating system says to wakers that are called.
//!
//! ```text
//!   a socket's poll_read                                 the thread in Driver::park
//!        |                                                        |
//!        | try the system call first                              | (4) wait on the OS
//!        | WouldBlock: what it had seen is used up                | (5) event: token -> source,
//!        | (3) leave a waker at the source, look once more        |     mark ready, take wakers
//!        v                                                        v
//!     readiness.rs  <-------- two numbers a side, one lock -- turn.rs ---> (6) outside locks
//!                                                                 |
//!                                       poller.rs (trait):  mio.rs (edge)  or  polling.rs (oneshot)
//! ```
//!
//! The numbers are those of a wake-up's life, in `lib.rs` of `tatkal-executor`.
//!
//! Reading order: `interest.rs`, `poller.rs`, `alarm.rs`, `mio.rs`, `polling.rs`, `unpark.rs`,
//! `wakes.rs`, `waiters.rs`, `side.rs`, `readiness.rs`, `doubts.rs`, `registry.rs`, `turn.rs`.

#[cfg(target_os = "linux")]
mod alarm;
mod doubts;
mod interest;
mod mio;
mod poller;
mod polling;
mod readiness;
mod registry;
mod side;
mod turn;
mod unpark;
mod waiters;
mod wakes;

pub(crate) use doubts::Doubt;
pub(crate) use interest::Direction;
pub use poller::Backend;
pub(crate) use poller::Limit;
pub(crate) use registry::{Registration, Registry};
pub(crate) use side::{Moved, Seen};
pub(crate) use turn::Reactor;
pub(crate) use wakes::{Wakes, drop_contained};
