//! Wakers taken out under a lock, to be called outside it.
//!
//! A waker is user code: it may take any lock, call back into the reactor, or panic. So everyone
//! who finds wakers under a lock puts them here, lets go of the lock, and then calls them. A panic
//! in one must not cost the others their wake-up. Next: `waiters.rs`.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// A list of wakers. Dropping it calls those that are left.
#[derive(Default)]
pub(crate) struct Wakes(VecDeque<Waker>);

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push_back(waker);
    }

    #[cfg(all(test, loom))] // a model asks
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// (6) Calls them all, in order. The first panic goes on when all have been called.
    #[inline]
    pub(crate) fn call(&mut self) {
        if !self.0.is_empty() {
            self.call_some();
        }
    }

    fn call_some(&mut self) {
        let mut first = None;
        while let Some(waker) = self.0.pop_front() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                // Of the others the panic hook has printed the message. They are forgotten, not
                // dropped: that could panic in turn.
                match first {
                    None => first = Some(panic),
                    Some(_) => discard(panic),
                }
            }
        }
        match first {
            // Reached in a destructor, perhaps: a panic on top of a panic would be the end.
            Some(panic) if std::thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

/// Drops a waker that is not called. A panic of that goes no further.
pub(crate) fn drop_contained(waker: Waker) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(waker))) {
        discard(panic);
    }
}

/// Drops what a waker panicked with. Its drop may panic in turn: that one's memory is the price.
fn discard(panic: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(std::mem::forget);
}

impl Extend<Waker> for Wakes {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        self.0.extend(wakers);
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.call();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::count::Count;
    use std::sync::Arc;
    use std::task::Wake;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    #[test]
    fn wakers_that_panic_do_not_cost_the_others_their_wake_up() {
        for unwinding in [false, true] {
            let (count, waker) = Count::new();
            let panics = || Arc::new(Panics).into();
            let mut wakes = Wakes::default();
            wakes.extend([
                waker.clone(),
                panics(),
                waker.clone(),
                panics(),
                waker.clone(),
            ]);
            let result = catch_unwind(AssertUnwindSafe(|| {
                let _wakes = wakes;
                assert!(!unwinding, "the owner of the list");
            }));
            assert!(result.is_err());
            assert_eq!(count.get(), 3);
        }
    }
}
