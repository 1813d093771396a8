//! From values to payloads and back.
//!
//! serde and postcard do the work. One type goes by a shorter way, because serde knows a `Vec<u8>`
//! only as a sequence of numbers that it visits one by one (a MiB takes it 0.7 ms to encode and 1.2
//! to decode, copying it 0.04): its bytes are copied as a whole. The form is the same, a length and
//! the bytes, so that either side may take either way.
//!
//! What is long goes straight into memory that crosses (`stream.rs`), and so do pieces that are not
//! copied at all (`shared_bytes.rs`); a payload of several pieces is read where they lie
//! (`segments.rs`).
//!
//! Holds     all of a payload is used: what is left over would be somebody's lost data. A payload
//!           is at most `MAX_PAYLOAD` long.
//! Cost      a long `Vec<u8>` is copied once on each side, between it and the file in memory; any
//!           other long value once more, by serde. Next: `../board/bell.rs`.

use super::arrival::Arrival;
pub(in crate::pool::process) use super::memory::{Fresh, new_memory};
use super::segments::Segments;
use super::shared_bytes::{SharedBytes, with_arrived};
use super::stream::Stream;
use super::{BODY, Payload, check_length};
use crate::pool::process::panics::PanicText;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::Cell;
use std::io;

/// A payload that arrived.
#[derive(Clone, Copy)]
pub(in crate::pool::process) enum Arrived<'payload> {
    Bytes(&'payload [u8]),
    Memory(&'payload Arrival),
}

/// Turns a value into the bytes that cross, or says why it cannot be done.
pub(in crate::pool::process) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let bytes = postcard::to_stdvec(value).map_err(|error| error.to_string())?;
    check_length(bytes.len())?;
    Ok(bytes)
}

/// Appends a value's bytes to others. After an error, or a panic of the value's own code, a part of
/// them may be there.
pub(in crate::pool::process) fn encode_onto<T: Serialize + 'static>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    let start = bytes.len();
    if let Some(own) = (value as &dyn Any).downcast_ref::<Vec<u8>>() {
        bytes.extend_from_slice(Length::of(own.len()).bytes());
        bytes.extend_from_slice(own);
    } else {
        postcard::to_extend(value, Onto(bytes)).map_err(|error| error.to_string())?;
    }
    check_length(bytes.len() - start)
}

/// Where `encode_onto` appends: `to_extend` takes what it extends, and keeps it when it fails.
struct Onto<'bytes>(&'bytes mut Vec<u8>);

impl Extend<u8> for Onto<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

/// Turns bytes back into a value.
pub(in crate::pool::process) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// Turns a value into what crosses.
pub(in crate::pool::process) fn pack<T: Serialize + 'static>(
    value: &T,
    fresh: &mut Fresh<'_>,
) -> Result<Payload, String> {
    if let Some(bytes) = (value as &dyn Any).downcast_ref::<Vec<u8>>()
        && bytes.len() > BODY
    {
        check_length(bytes.len() + Length::MOST)?;
        return pack_long(&[Length::of(bytes.len()).bytes(), bytes], fresh);
    }
    let mut trouble = None;
    let packed = postcard::serialize_with_flavor(value, Stream::new(fresh, &mut trouble));
    packed.map_err(|error| trouble.unwrap_or_else(|| error.to_string()))
}

/// Puts bytes into the form in which they cross.
pub(in crate::pool::process) fn carry(
    bytes: Vec<u8>,
    fresh: &mut Fresh<'_>,
) -> Result<Payload, String> {
    match bytes.len() <= BODY {
        true => Ok(Payload::Bytes(bytes)),
        false => pack_long(&[&bytes], fresh),
    }
}

fn pack_long(parts: &[&[u8]], fresh: &mut Fresh<'_>) -> Result<Payload, String> {
    let written = fresh().and_then(|memory| match memory {
        Some(mut memory) => {
            for part in parts {
                memory.append(part)?;
            }
            Ok(Payload::Memory(memory))
        }
        None => Ok(Payload::Bytes(parts.concat())),
    });
    written.map_err(|error| format!("there is no room for it: {error}"))
}

/// Turns what crossed back into a value.
pub(in crate::pool::process) fn unpack<T: DeserializeOwned + 'static>(
    payload: Arrived<'_>,
) -> Result<T, String> {
    if let Arrived::Memory(memory) = payload
        && memory.has_along()
    {
        return unpack_along(memory);
    }
    // In one piece. The two that are bytes as a whole are copied as a whole.
    let mut value = None::<T>;
    let slot = &mut value as &mut dyn Any;
    if let Some(bytes) = slot.downcast_mut::<Option<Vec<u8>>>() {
        *bytes = Some(unpack_bytes(payload)?);
    } else if let Some(bytes) = slot.downcast_mut::<Option<SharedBytes>>() {
        *bytes = Some(unpack_bytes(payload)?.into());
    }
    match (value, payload) {
        (Some(value), _) => Ok(value),
        (None, Arrived::Bytes(bytes)) => decode(bytes),
        (None, Arrived::Memory(memory)) => decode(&said(memory.read(0))?),
    }
}

/// Of a payload in several pieces.
fn unpack_along<T: DeserializeOwned>(arrival: &Arrival) -> Result<T, String> {
    let stream = said(arrival.read(0))?;
    let along = said(arrival.open_along())?;
    let mut segments = Vec::with_capacity(2 * along.len() + 1);
    let mut from = 0;
    for (at, piece) in &along {
        let between = stream.get(from..*at).ok_or("a piece out of its place")?;
        segments.extend([between, piece]);
        from = *at;
    }
    segments.push(&stream[from..]);
    let is_torn = Cell::new(false);
    let arrived = along.iter().map(|(_, piece)| piece.clone()).collect();
    let decoded = with_arrived(arrived, || {
        let mut reader = postcard::Deserializer::from_flavor(Segments::new(&segments, &is_torn));
        let value = T::deserialize(&mut reader)?;
        Ok::<_, postcard::Error>((value, reader.finalize()?))
    });
    match decoded {
        Ok((value, 0)) => Ok(value),
        Ok((_, left)) => Err(format!("{left} bytes are left over")),
        Err(_) if is_torn.get() => decode(&segments.concat()),
        Err(error) => Err(error.to_string()),
    }
}

fn unpack_bytes(payload: Arrived<'_>) -> Result<Vec<u8>, String> {
    let (prefix, total) = match payload {
        Arrived::Bytes(bytes) => (Length::read(bytes), bytes.len()),
        Arrived::Memory(memory) => {
            let start = said(memory.read_start(Length::MOST))?;
            (Length::read(&start), memory.weight())
        }
    };
    let (length, prefix) = prefix.ok_or("its length is no number")?;
    match total.checked_sub(prefix) {
        Some(there) if there == length => {}
        there => {
            return Err(format!(
                "{length} bytes are announced, and {there:?} are there"
            ));
        }
    }
    match payload {
        Arrived::Bytes(bytes) => Ok(bytes[prefix..].to_vec()),
        Arrived::Memory(memory) => said(memory.read(prefix)),
    }
}

fn said<T>(result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// A length as postcard writes it: seven bits a byte, the lowest first.
struct Length {
    bytes: [u8; Length::MOST],
    used: usize,
}

impl Length {
    const MOST: usize = 10;

    fn of(mut length: usize) -> Length {
        let mut bytes = [0; Length::MOST];
        let mut used = 0;
        while length > 0x7f {
            bytes[used] = length as u8 | 0x80;
            length >>= 7;
            used += 1;
        }
        bytes[used] = length as u8;
        Length {
            bytes,
            used: used + 1,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// The length at the start of these bytes, and how many it takes.
    fn read(bytes: &[u8]) -> Option<(usize, usize)> {
        let mut start = bytes.iter().take(Length::MOST);
        let used = 1 + start.position(|byte| byte & 0x80 == 0)?;
        let mut length = 0_usize;
        for byte in bytes[..used].iter().rev() {
            length = length.checked_mul(0x80)? | usize::from(byte & 0x7f);
        }
        Some((length, used))
    }
}

/// How a panic in an encoder or a decoder is reported: as the reason why the crossing failed.
pub(in crate::pool::process) fn panicked((message, place, _): &PanicText) -> String {
    match place {
        Some(place) => format!("it panicked at {place}: {message}"),
        None => format!("it panicked: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::process::sys;
    use crate::pool::process::wire::arrival::Views;
    use crate::pool::process::wire::memory::Memory;

    /// What the receiver finds.
    fn arrival(memory: &Memory) -> Arrival {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        memory.send(&ours, 1, false).unwrap();
        let mut views = Views::default();
        views.receive(&theirs, 1, memory.len()).unwrap()
    }

    fn crossed<T: Serialize + DeserializeOwned + 'static>(value: &T) -> T {
        match pack(value, &mut new_memory).unwrap() {
            Payload::Bytes(bytes) => unpack(Arrived::Bytes(&bytes)).unwrap(),
            Payload::Memory(memory) => unpack(Arrived::Memory(&arrival(&memory))).unwrap(),
        }
    }

    #[test]
    fn bytes_of_every_length_cross_by_either_way() {
        for length in [0, 1, 127, 128, BODY - 2, BODY, BODY + 1, 100_000, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            assert_eq!(crossed(&bytes), bytes, "{length}");
            assert_eq!(
                crossed(&(bytes.clone(), 7_u8)),
                (bytes.clone(), 7),
                "{length}"
            );
            // The short way's form is postcard's.
            let long = encode(&bytes).unwrap();
            assert_eq!(unpack::<Vec<u8>>(Arrived::Bytes(&long)).unwrap(), bytes);
            let Payload::Memory(memory) = pack(&vec![1_u8; BODY + 1], &mut new_memory).unwrap()
            else {
                panic!("not long");
            };
            assert_eq!(
                arrival(&memory).read(0).unwrap(),
                encode(&vec![1_u8; BODY + 1]).unwrap()
            );
        }
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for bytes in [
            &[][..],
            &[3, 1, 2],
            &[1, 1, 2],
            &[0x80],
            &[0xff; 10],
            &[0xff; 30],
        ] {
            assert!(
                unpack::<Vec<u8>>(Arrived::Bytes(bytes)).is_err(),
                "{bytes:?}"
            );
            assert!(decode::<Vec<u8>>(bytes).is_err(), "{bytes:?}");
        }
    }
}
