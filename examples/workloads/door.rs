//! A door that every visible deed goes through, so that it can be shut before the last report.
//!
//! Saving a file and printing a line happen inside `pass`. Once `shut` has returned, no thread of
//! this process is inside and none will come in again: whoever tries waits there until the process
//! is gone. So nothing is printed after the report of an interrupted run, and no file appears
//! after its directory was swept. Worker processes have doors of their own, which nobody shuts:
//! they are killed instead. Next: `session.rs`.

use std::sync::RwLock;

static DOOR: RwLock<()> = RwLock::new(());

/// Does a visible deed, unless the door is shut; then it never returns.
pub fn pass<R>(deed: impl FnOnce() -> R) -> R {
    // A deed that panicked left nothing behind in here: poison means nothing.
    let _inside = DOOR.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    deed()
}

/// Waits until nobody is inside and lets nobody in again. The process is about to end.
pub fn shut() {
    let shut = DOOR
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    std::mem::forget(shut);
}
