//! One driver for every mode that is an `Executor`: submit, record what ends, go on.
//!
//! ```text
//!   jobs ──submit(work, job)──> Sequential | ThreadPool | ProcessPool ──handles──> as_completed
//!                                                                                      |
//!                                      session.record(place, item) <───────────────────┘
//! ```
//!
//! A job that came to nothing (its worker process was killed, it panicked) is an item like any
//! other, with its error: one failure never stops the rest. Next: `cli.rs`.

use crate::report::model::Item;
use crate::stamp::Place;
use tatkal::{JoinError, Portable};

/// What a job of either workload is: data that can be sent anywhere, with a name.
pub trait Job: Portable {
    /// What its item is called.
    fn name(&self) -> String;
}

/// The item of a job that came to nothing.
pub fn lost(name: &str, error: JoinError) -> Item {
    let mut item = Item::lost(name.to_owned(), error.to_string());
    if let JoinError::WorkerDied(exit) = error {
        item.place = Place {
            pid: exit.pid,
            tid: exit.pid,
        };
    }
    item
}
