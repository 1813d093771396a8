//! `SharedBytes`: bytes that cross to another process without being copied.
//!
//! Owns      its share of a sealed file, or of a vector that may yet be copied into one.
//!           Next: `shared_bytes/crossing.rs`, how it crosses.

mod crossing;

pub(in crate::pool::process) use crossing::{offered, with_arrived};

use super::counted::Counted;
use super::sealed::Sealed;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Bound, Deref, RangeBounds};
use std::sync::{Arc, OnceLock};

/// Shorter bytes are copied: the system calls that a file costs, and its new pages, would take longer.
pub(in crate::pool::process) const SHARE: usize = 256 * 1024;

/// Bytes that a [`ProcessPool`](crate::ProcessPool) hands from process to process without copying
/// them.
///
/// As a job's argument or result, or anywhere within one, long `SharedBytes` arrive as a view of the
/// memory in which the sender has them: nothing is decoded, and nothing is copied, however long they
/// are. They can be sent on, to as many workers as one likes, and all look at the same memory. They
/// dereference to `[u8]`, are cheap to clone and to [`slice`](Self::slice), and can go to any thread.
///
/// Nobody can change them, nor take them away: the memory is sealed by the system against all who
/// have it, the worker that wrote it included, and stays until the last view is dropped, also when
/// that worker is long dead.
///
/// To any other serializer they are bytes like others.
///
/// # Cost
/// Made from a vector, they stay where they are until they cross for the first time; then they are
/// copied once, into memory of the system's, which their clones use as well. [`filled`](Self::filled)
/// writes them there in the first place. Arriving costs a mapping (a few system calls) and, where
/// they are looked at, a page fault for every 64 KiB.
///
/// Such memory is new every time, which makes it dear to write, 0.2 ms a MiB (0.4 in place); a `Vec<u8>` goes
/// through memory that is used again, and is copied twice (0.1 ms a MiB) and a third time into memory
/// that may be new as well. So a `Vec<u8>` is as fast for what is used once and dropped. `SharedBytes`
/// win when they are long, are kept, are looked at in part, are sent on, or when the receiver has no
/// time: an event loop.
///
/// Below 256 KiB they are copied like a vector; so are those beyond the 15th in one argument or
/// result, those that a `map` hands over together with many short items, and those for which there are
/// not enough file descriptors. (One is open for each that arrived, as long as there are few.)
///
/// # Example
/// ```
/// # fn main() -> std::io::Result<()> {
/// use tatkal_executor::{ForkServer, ProcessPool, SharedBytes};
///
/// ForkServer::start()?; // first line of main
/// let pool = ProcessPool::new(2)?;
/// let noise = |length: usize| {
///     SharedBytes::filled(length, |bytes| {
///         bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
///     })
/// };
/// let noise = pool.submit(noise, 4 << 20).join().unwrap();
/// assert!(noise.is_shared());
/// assert_eq!(noise[..3], [0, 1, 2]);
///
/// // On to others: the same memory.
/// let sum = |bytes: SharedBytes| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
/// let halves = [noise.slice(..2 << 20), noise.slice(2 << 20..)];
/// let sums = halves.map(|half| pool.submit(sum, half));
/// assert_eq!(sums.map(|sum| sum.join().unwrap()), [255 << 20; 2]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SharedBytes {
    store: Store,
    start: usize,
    end: usize,
}

#[derive(Clone)]
enum Store {
    Own(Arc<Own>),
    Sealed(Arc<Sealed>),
}

/// Bytes of this process.
struct Own {
    bytes: Vec<u8>,
    /// A copy of all of them, for other processes.
    sealed: OnceLock<Arc<Sealed>>,
}

impl Store {
    fn bytes(&self) -> &[u8] {
        match self {
            Store::Own(own) => &own.bytes,
            Store::Sealed(sealed) => sealed.bytes(),
        }
    }
}

impl SharedBytes {
    /// Bytes that are written where others can have them: `fill` gets `length` zeros, and writes what
    /// it likes.
    ///
    /// # Panics
    /// When `fill` does, and when there is no memory.
    ///
    /// # Example
    /// ```
    /// let bytes = tatkal_executor::SharedBytes::filled(3, |bytes| bytes[1] = 7);
    /// assert_eq!(bytes[..], [0, 7, 0]);
    /// ```
    pub fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> SharedBytes {
        let mut fill = Some(fill);
        let mut run = |bytes: &mut [u8]| {
            if let Some(fill) = fill.take() {
                fill(bytes);
            }
        };
        if length >= SHARE
            && Counted::may_wait()
            && let Ok(filled) = Sealed::filled(length, &mut run)
        {
            return match filled {
                Ok(sealed) => SharedBytes::of(Arc::new(sealed)),
                Err(bytes) => SharedBytes::from(bytes),
            };
        }
        let mut bytes = vec![0; length];
        run(&mut bytes);
        SharedBytes::from(bytes)
    }

    /// A part of them. The rest stays in memory as long as the part does.
    ///
    /// # Panics
    /// When the range is not within them.
    ///
    /// # Example
    /// ```
    /// let bytes = tatkal_executor::SharedBytes::from(vec![1, 2, 3, 4]);
    /// assert_eq!(bytes.slice(1..).slice(..2)[..], [2, 3]);
    /// ```
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> SharedBytes {
        let from = match range.start_bound() {
            Bound::Included(from) => Some(*from),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.checked_add(1),
            Bound::Excluded(to) => Some(*to),
            Bound::Unbounded => Some(self.len()),
        };
        match (from, to) {
            (Some(from), Some(to)) if from <= to && to <= self.len() => SharedBytes {
                store: self.store.clone(),
                start: self.start + from,
                end: self.start + to,
            },
            _ => panic!("a range of {from:?} to {to:?} of {} bytes", self.len()),
        }
    }

    /// Do they lie where other processes can have them without a copy? So do those that arrived long,
    /// those that were [`filled`](Self::filled) long, and those that were sent long before.
    pub fn is_shared(&self) -> bool {
        match &self.store {
            Store::Own(own) => own.sealed.get().is_some(),
            Store::Sealed(_) => true,
        }
    }

    /// All of a file.
    pub(in crate::pool::process) fn of(sealed: Arc<Sealed>) -> SharedBytes {
        let end = sealed.bytes().len();
        let store = Store::Sealed(sealed);
        SharedBytes {
            store,
            start: 0,
            end,
        }
    }

    /// The file, and where in it they are; made now, if need be. None: they have to be copied.
    pub(in crate::pool::process) fn file(&self) -> Option<(Arc<Sealed>, usize)> {
        let sealed = match &self.store {
            Store::Sealed(sealed) => sealed.clone(),
            Store::Own(own) => match own.sealed.get() {
                Some(sealed) => sealed.clone(),
                None if !Counted::may_wait() => return None,
                None => {
                    let sealed = Arc::new(Sealed::of(&own.bytes).ok()?);
                    // Another thread may have been faster.
                    own.sealed.get_or_init(|| sealed).clone()
                }
            },
        };
        sealed.file()?;
        Some((sealed, self.start))
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.store.bytes()[self.start..self.end]
    }
}

impl From<Vec<u8>> for SharedBytes {
    /// No copy.
    fn from(bytes: Vec<u8>) -> SharedBytes {
        let end = bytes.len();
        let sealed = OnceLock::new();
        let store = Store::Own(Arc::new(Own { bytes, sealed }));
        SharedBytes {
            store,
            start: 0,
            end,
        }
    }
}

impl From<&[u8]> for SharedBytes {
    fn from(bytes: &[u8]) -> SharedBytes {
        SharedBytes::from(bytes.to_vec())
    }
}

impl Default for SharedBytes {
    fn default() -> SharedBytes {
        SharedBytes::from(Vec::new())
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for SharedBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for SharedBytes {
    fn eq(&self, other: &SharedBytes) -> bool {
        self[..] == other[..]
    }
}

impl Eq for SharedBytes {}

// As `Borrow` asks: the same as of the bytes.
impl Hash for SharedBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBytes({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::crossing::arrived;
    use super::*;

    #[test]
    fn a_slice_is_a_part_and_ranges_are_checked() {
        let bytes = SharedBytes::from(vec![0, 1, 2, 3, 4]);
        assert_eq!(bytes.slice(1..4)[..], [1, 2, 3]);
        assert_eq!(bytes.slice(1..=4).slice(2..)[..], [3, 4]);
        assert_eq!(bytes.slice(5..)[..], []);
        for (from, to) in [(0, 6), (6, 6), (usize::MAX, usize::MAX)] {
            let slice = || bytes.slice(from..to);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(slice)).is_err());
        }
    }

    #[test]
    fn a_file_is_made_once_and_only_of_what_has_arrived_are_slices_its() {
        let bytes = SharedBytes::from(vec![7; SHARE]);
        assert!(!bytes.is_shared());
        let (file, start) = bytes.slice(100..).file().unwrap();
        let (again, _) = bytes.file().unwrap();
        assert!(bytes.is_shared() && start == 100 && Arc::ptr_eq(&file, &again));
        let arrived_there = SharedBytes::of(file);
        let part = &arrived_there[10..];
        assert!(arrived(part).is_none());
        with_arrived(vec![arrived_there.clone()], || {
            assert!(std::ptr::eq(&*arrived(part).unwrap(), part));
            assert!(arrived(&bytes).is_none());
            with_arrived(Vec::new(), || assert!(arrived(part).is_none()));
            assert!(arrived(part).is_some());
        });
        assert!(arrived(part).is_none());
    }
}
