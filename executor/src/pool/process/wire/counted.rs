//! The descriptors of payloads, counted: a program has a thousand, as a rule, and other uses for them.
//!
//! Owns      the count of this process. Whoever could do without one more asks first.
//! Next: `view.rs`.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many may be open until [`Counted::may_wait`] says no.
const WAITING: usize = 128;

/// How many are open.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// One of them.
#[derive(Debug)]
pub(in crate::pool::process) struct Counted(File);

impl Counted {
    pub(in crate::pool::process) fn new(file: OwnedFd) -> Counted {
        // Relaxed, as everywhere: it is a number, and near enough.
        COUNT.fetch_add(1, Ordering::Relaxed);
        Counted(File::from(file))
    }

    pub(in crate::pool::process) fn file(&self) -> &File {
        &self.0
    }

    /// May one more be open only to wait?
    pub(in crate::pool::process) fn may_wait() -> bool {
        COUNT.load(Ordering::Relaxed) < WAITING
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
