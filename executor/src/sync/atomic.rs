//! Loom's atomics, with a repair: a load is seen as an access that the order of which matters.
//!
//! Loom 0.7 remembers one last access per atomic when it looks for orders to try. In
//!
//! ```text
//!     thread A                    thread B
//!     load x                      load x;  exchange x
//! ```
//!
//! the load of B hides the load of A from the exchange, and loom never tries the order in which A
//! sees the exchange: it reports success after one execution (tokio-rs/loom#166, #392). Nearly
//! every protocol here starts with such a load. So each load is preceded by a relaxed addition to
//! a word of its own beside the atomic: a write, which loom does order against every other one.
//! It synchronises nothing, and the load itself may still return an older value.
//!
//! Public under `--cfg loom`, for the models of the crate above; no part of what ships.

#![allow(missing_docs)]

pub use loom::sync::atomic::{Ordering, fence};

use loom::sync::atomic as bare;
use std::fmt;

/// Where loads line up.
#[derive(Debug, Default)]
struct Turnstile(bare::AtomicUsize);

impl Turnstile {
    fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! atomic {
    ($name:ident $(<$type:ident>)?, $value:ty) => {
        pub struct $name $(<$type>)? {
            atomic: bare::$name $(<$type>)?,
            loads: Turnstile,
        }

        impl $(<$type>)? fmt::Debug for $name $(<$type>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.atomic.fmt(f)
            }
        }

        #[allow(dead_code)] // not every type is used in every way
        impl $(<$type>)? $name $(<$type>)? {
            #[track_caller]
            pub fn new(value: $value) -> Self {
                Self {
                    atomic: bare::$name::new(value),
                    loads: Turnstile::default(),
                }
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                self.loads.pass();
                self.atomic.load(order)
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                self.atomic.store(value, order);
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.atomic.swap(value, order)
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.atomic.compare_exchange(current, new, success, failure)
            }

            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.atomic.compare_exchange_weak(current, new, success, failure)
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.loads.pass();
                self.atomic.fetch_update(set, fetch, f)
            }
        }
    };
}

macro_rules! integer {
    ($name:ident, $value:ty) => {
        atomic!($name, $value);

        impl Default for $name {
            fn default() -> Self {
                Self::new(0)
            }
        }

        #[allow(dead_code)]
        impl $name {
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.atomic.fetch_add(value, order)
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.atomic.fetch_sub(value, order)
            }

            #[track_caller]
            pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.atomic.fetch_or(value, order)
            }

            #[track_caller]
            pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.atomic.fetch_and(value, order)
            }

            #[track_caller]
            pub fn fetch_xor(&self, value: $value, order: Ordering) -> $value {
                self.atomic.fetch_xor(value, order)
            }
        }
    };
}

integer!(AtomicU8, u8);
integer!(AtomicU32, u32);
integer!(AtomicU64, u64);
integer!(AtomicUsize, usize);
atomic!(AtomicBool, bool);
atomic!(AtomicPtr<T>, *mut T);

impl Default for AtomicBool {
    fn default() -> Self {
        Self::new(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_load_does_not_hide_another_threads_load() {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let all = seen.clone();
        loom::model(move || {
            let word = Arc::new(AtomicUsize::new(0));
            let writer = word.clone();
            let thread = loom::thread::spawn(move || {
                let old = writer.load(Ordering::Relaxed);
                let _ = writer.compare_exchange(old, 1, Ordering::AcqRel, Ordering::Relaxed);
                writer.fetch_add(1, Ordering::AcqRel);
            });
            let value = word.load(Ordering::Relaxed);
            seen.lock().unwrap().insert(value);
            thread.join().unwrap();
        });
        assert_eq!(*all.lock().unwrap(), BTreeSet::from([0, 1, 2]));
    }
}
