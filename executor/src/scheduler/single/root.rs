//! The waker of `block_on`'s own future. Next: `../single.rs`.

use super::shared::Shared;
use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Wake;

/// The waker of `block_on`'s own future, which is no task: a flag beside the queue.
pub(super) struct Root {
    pub(super) woken: AtomicBool,
    pub(super) shared: Arc<Shared>,
}

impl Root {
    pub(super) fn is_woken(&self) -> bool {
        // Relaxed: a look; `take_woken` orders.
        self.woken.load(Ordering::Relaxed)
    }

    pub(super) fn take_woken(&self) -> bool {
        // Acquire: pairs with the Release in `wake`. The first look saves the locked instruction.
        self.is_woken() && self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire in `take_woken`. A swap, not a store: a flag that is
        // already set must carry this wake's work too. Before the unpark, as in I3.
        self.woken.swap(true, Ordering::Release);
        if !self.shared.is_current() {
            self.shared.unparker.wake_by_ref();
        }
    }
}
