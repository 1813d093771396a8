//! Wakers taken out under a lock, to be called outside it.
//!
//! A waker is user code: it may take any lock, call back into the reactor, or panic. So everyone
//! who finds wakers under a lock puts them here, lets go of the lock, and then calls them. A panic
//! in one must not cost the others their wake-up. Next: `readiness.rs`.

use std::collections::VecDeque;
use std::task::Waker;

/// A list of wakers. Dropping it calls those that are left.
#[derive(Default)]
pub(crate) struct Wakes(VecDeque<Waker>);

impl Wakes {
    /// Calls them all, in order. (6 wake)
    pub(crate) fn call(&mut self) {
        struct Rest<'a>(&'a mut VecDeque<Waker>);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                // Reached with a non-empty list only while a waker's panic unwinds: the others
                // are called first. A second panic then aborts the process, as Rust has it.
                while let Some(waker) = self.0.pop_front() {
                    waker.wake();
                }
            }
        }

        let rest = Rest(&mut self.0);
        while let Some(waker) = rest.0.pop_front() {
            waker.wake();
        }
    }
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
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    #[test]
    fn a_panicking_waker_does_not_cost_the_others_their_wake_up() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let mut wakes = Wakes::default();
        wakes.extend([
            count.clone().into(),
            Arc::new(Panics).into(),
            count.clone().into(),
        ]);
        let result = catch_unwind(AssertUnwindSafe(|| wakes.call()));
        assert!(result.is_err());
        assert!(wakes.0.is_empty());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
