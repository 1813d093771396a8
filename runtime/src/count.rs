//! A waker that counts: what unit tests and models wait with. Next: `reactor/`.

use crate::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Wake, Waker};

/// How often its waker was called.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// A count of nothing, and the waker that it is of.
    pub(crate) fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
