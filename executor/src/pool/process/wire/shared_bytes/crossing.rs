//! How `SharedBytes` cross: beside serde.
//!
//! ```text
//!   worker                                         program
//!   SharedBytes ── serialize_bytes(&[u8]) ──+   +── visit_borrowed_bytes(&[u8]) ──> SharedBytes
//!      |              (this very slice?)    |   |      (a slice of what has arrived?)   |
//!   OFFERED <───────────── stream.rs ───────+   +──── segments.rs ─────────────> ARRIVED
//!                             |  the file's descriptor     ^
//!                             +────────────────────────────+
//! ```
//!
//! To serde it is bytes, whatever the serializer. What is special happens beside serde: while it
//! hands its slice to a serializer it also lies in `OFFERED`, and the pool's own serializer, when it
//! is given a slice, looks whether that one is on offer: then the file goes, and no bytes. On the
//! other side the pool's deserializer hands out a slice of the file that has arrived, and a visitor
//! that finds its slice in `ARRIVED` keeps the file. Addresses decide, so no form of its own has to
//! be told apart from a user's, and a serializer within a serializer finds plain bytes.
//!
//! Owns      the two places, one of each for every thread, for as long as something is encoded or
//!           decoded there.
//! Holds     H1 a slice is taken for a file's only when it lies in that file's mapping.
//!           Next: `../memory.rs`.

use super::{SHARE, SharedBytes, Store};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

thread_local! {
    /// What is handed to a serializer at this moment.
    static OFFERED: RefCell<Option<SharedBytes>> = const { RefCell::new(None) };
    /// What came with the payload that is being decoded.
    static ARRIVED: RefCell<Vec<SharedBytes>> = const { RefCell::new(Vec::new()) };
}

/// By the pool's serializer, of a slice that it was given: are these bytes on offer?
pub(in crate::pool::process) fn offered(bytes: &[u8]) -> Option<SharedBytes> {
    let offered = OFFERED.with_borrow(Option::clone)?;
    std::ptr::eq(&*offered, bytes).then_some(offered)
}

/// Decodes something with which these have arrived.
pub(in crate::pool::process) fn with_arrived<T>(
    arrived: Vec<SharedBytes>,
    decode: impl FnOnce() -> T,
) -> T {
    /// What was there before: a decoder may decode something else.
    struct Before(Vec<SharedBytes>);
    impl Drop for Before {
        fn drop(&mut self) {
            drop(ARRIVED.replace(std::mem::take(&mut self.0)));
        }
    }
    let _before = Before(ARRIVED.replace(arrived));
    decode()
}

/// These bytes without a copy, if they have arrived (H1).
pub(super) fn arrived(bytes: &[u8]) -> Option<SharedBytes> {
    ARRIVED.with_borrow(|arrived| {
        let mut found = arrived.iter().filter_map(|whole| {
            let Store::Sealed(sealed) = &whole.store else {
                return None;
            };
            let start = sealed.offset_of(bytes)?;
            let (store, end) = (whole.store.clone(), start + bytes.len());
            Some(SharedBytes { store, start, end })
        });
        found.next()
    })
}

impl Serialize for SharedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Takes the offer back, also when the serializer panics.
        struct Offer(Option<SharedBytes>);
        impl Drop for Offer {
            fn drop(&mut self) {
                drop(OFFERED.replace(self.0.take()));
            }
        }
        let _offer = match self.len() >= SHARE {
            true => Some(Offer(OFFERED.replace(Some(self.clone())))),
            false => None,
        };
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for SharedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedBytes, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = SharedBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<SharedBytes, E> {
                Ok(match bytes.len() >= SHARE {
                    true => arrived(bytes).unwrap_or_else(|| SharedBytes::from(bytes)),
                    false => SharedBytes::from(bytes),
                })
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<SharedBytes, E> {
                Ok(SharedBytes::from(bytes))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<SharedBytes, E> {
                Ok(SharedBytes::from(bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SharedBytes, E> {
                Ok(SharedBytes::from(text.as_bytes()))
            }

            // A serializer without bytes, such as JSON's, made a sequence of numbers of them.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SharedBytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                Ok(SharedBytes::from(bytes))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
