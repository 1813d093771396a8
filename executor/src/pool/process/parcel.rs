//! Many items of a `map` in one job: their form on the way, and what the worker does with them.
//!
//! ```text
//!   pool    parcel:  [ length item | length item | length item | length item ]
//!                        |             |             |             not begun: told to stop
//!   worker             claim, decode, run, encode: each by itself, and its result to the tray
//!                        v             v             v
//!   pool    answer:  [ how many | kind length result | kind length result | kind length result ]
//! ```
//!
//! One slot, one promise and one ring for all of them, but each item keeps a fate of its own. A panic
//! is a record like a result. A worker that dies leaves the results that it had (`board/tray.rs`), so that
//! only the item it was at is lost. It begins no further item when it has a result for which the tray
//! has no room, or was told to stop (`Crew::relieve`, when one takes long): what has not begun then
//! is a job of its own (`chunk.rs`). So an item runs at most once.
//!
//! Holds     P1 an answer tells of the first n items, in order; the others have not begun. P2 lengths
//!           are checked against what is there. P3 what an item printed has left this process
//!           before its result is on the tray (that it is written as well, the parcel's end waits for).
//! Cost      four bytes and two copies of each item, five and four of each result.
//! Rejected  a worker that stops by itself after some time: it goes on with the next job that it was
//!           given in advance, and so that overtakes the rest. Next: `control.rs`.

use super::board::scene::{Scene, Step};
use super::entry::{Body, Reply};
use super::panics::{PanicText, catch};
use super::wire::codec::{Arrived, Fresh, carry, encode_onto, panicked, unpack};
use super::wire::{BODY, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::io::{self, Write};
use std::marker::PhantomData;

/// So much stays free on the tray: when a longer result cannot be sent, the reason still can.
const SPARE: usize = 1024;

/// So long the results on the tray may be together.
pub(super) const ROOM: usize = BODY - LENGTH - SPARE;

/// Items to send, encoded.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) bytes: Vec<u8>,
    pub(super) items: usize,
    /// Where the last one begins.
    last: usize,
}

impl Parcel {
    /// Puts one more in; or says why that cannot be done, and is as it was.
    pub(super) fn add<T: Serialize + 'static>(&mut self, item: &T) -> Result<(), String> {
        let start = self.bytes.len();
        let encoded = record(&mut self.bytes, |bytes| {
            catch(|| encode_onto(item, bytes)).unwrap_or_else(|panic| Err(panicked(&panic)))
        });
        match encoded {
            Ok(()) => (self.items, self.last) = (self.items + 1, start),
            Err(_) => self.bytes.truncate(start),
        }
        encoded
    }

    /// The last item, alone.
    pub(super) fn split_last(&mut self) -> Parcel {
        self.items -= 1;
        Parcel {
            bytes: self.bytes.split_off(self.last),
            items: 1,
            last: 0,
        }
    }

    /// What is sent when this is one item: as a job of its own.
    pub(super) fn into_argument(mut self) -> Vec<u8> {
        match self.items {
            1 => self.bytes.split_off(LENGTH),
            _ => self.bytes,
        }
    }
}

/// What is behind the first items of an encoded parcel.
pub(super) fn split_off(parcel: &mut Vec<u8>, items: usize) -> Vec<u8> {
    let mut rest = &parcel[..];
    for _ in 0..items {
        split_record(&mut rest);
    }
    let length = rest.len();
    parcel.split_off(parcel.len() - length)
}

/// How many bytes say how long a record is, and how many records there are.
const LENGTH: usize = 4;

/// Appends what `write` appends, with its length before it.
fn record<E>(
    bytes: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH]);
    write(bytes)?;
    // At most MAX_PAYLOAD, which fits.
    let length = (bytes.len() - start - LENGTH) as u32;
    bytes[start..start + LENGTH].copy_from_slice(&length.to_ne_bytes());
    Ok(())
}

/// Takes a length and as many bytes off the front; `None` at the end, or where that is not there.
pub(super) fn split_record<'bytes>(bytes: &mut &'bytes [u8]) -> Option<&'bytes [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_ne_bytes(*length) as usize;
    let (record, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(record)
}

/// How many results are in an answer, by itself.
pub(super) fn count_in(answer: &[u8]) -> usize {
    let count = answer.first_chunk::<LENGTH>();
    count.map_or(0, |count| u32::from_ne_bytes(*count) as usize)
}

/// The results in an answer.
pub(super) fn results_in(answer: &[u8]) -> Results<'_> {
    Results(answer.get(LENGTH..).unwrap_or_default())
}

/// Results, as they lie on the tray and in an answer. It ends where something else is.
pub(super) struct Results<'bytes>(pub(super) &'bytes [u8]);

impl<'bytes> Iterator for Results<'bytes> {
    type Item = (Kind, &'bytes [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, mut rest) = self.0.split_first()?;
        let kind = Kind::of(u32::from(*kind)).filter(|kind| *kind != Kind::Job)?;
        let result = split_record(&mut rest)?;
        self.0 = rest;
        Some((kind, result))
    }
}

/// The body of a parcel's job.
pub(super) struct Several<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Body for Several<F, A, R>
where
    F: Fn(A) -> R + Copy + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    type Function = F;

    fn run(function: F, parcel: Arrived<'_>, scene: &Scene, fresh: &mut Fresh<'_>) -> Reply {
        let bytes = match parcel {
            Arrived::Bytes(bytes) => Cow::Borrowed(bytes),
            Arrived::Memory(memory) => match memory.read(0) {
                Ok(bytes) => Cow::Owned(bytes),
                Err(error) => return Reply::text(Kind::BadArgument, error.to_string(), fresh),
            },
        };
        let (mut items, mut count, mut result) = (&bytes[..], 0, Vec::new());
        while let Some(item) = split_record(&mut items) {
            // First this: whoever has claimed an item is at it.
            scene.enter(Step::Decoding);
            if !scene.tray.claim() {
                break;
            }
            run_item(function, item, scene, &mut result);
            scene.enter(Step::Between);
            let _ = io::stdout().flush(); // P3
            count += 1;
            if !scene.tray.keep(&result, ROOM) {
                break; // The last one: should it be lost on its way, then it alone.
            }
            result.clear();
        }
        answer(count, &result, scene, fresh)
    }
}

/// What is on the tray, and a last result that has no room there.
pub(super) fn answer(count: u32, last: &[u8], scene: &Scene, fresh: &mut Fresh<'_>) -> Reply {
    let with = |last: &[u8]| {
        let mut answer = count.to_ne_bytes().to_vec();
        scene.tray.append_to(&mut answer);
        answer.extend_from_slice(last);
        answer
    };
    let payload = carry(with(last), fresh).or_else(|reason| {
        let mut failure = Vec::new();
        let reason = reason.as_bytes();
        let most = SPARE - 1 - LENGTH;
        push(
            &mut failure,
            Kind::BadResult,
            &reason[..reason.len().min(most)],
        );
        carry(with(&failure), fresh) // short enough to need no memory
    });
    Reply::of(Kind::Done, payload)
}

/// Runs one item, and adds the record of what came of it.
fn run_item<F, A, R>(function: F, item: &[u8], scene: &Scene, answer: &mut Vec<u8>)
where
    F: Fn(A) -> R,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let argument = match catch(|| unpack::<A>(Arrived::Bytes(item))) {
        Ok(Ok(argument)) => argument,
        Ok(Err(reason)) => return push(answer, Kind::BadArgument, reason.as_bytes()),
        Err(panic) => return push(answer, Kind::BadArgument, panicked(&panic).as_bytes()),
    };
    scene.enter(Step::Running);
    let result = match catch(|| function(argument)) {
        Ok(result) => result,
        Err(panic) => return push_panic(answer, &panic),
    };
    scene.enter(Step::Encoding);
    let start = answer.len();
    answer.push(Kind::Done as u8);
    // The result is dropped in there too: that is user code as well.
    let encoded = record(answer, |answer| {
        catch(|| encode_onto(&{ result }, answer)).unwrap_or_else(|panic| Err(panicked(&panic)))
    });
    if let Err(reason) = encoded {
        answer.truncate(start);
        push(answer, Kind::BadResult, reason.as_bytes());
    }
}

pub(super) fn push(answer: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    answer.push(kind as u8);
    let _ = record(answer, |answer| {
        answer.extend_from_slice(payload);
        Ok::<_, ()>(())
    });
}

fn push_panic(answer: &mut Vec<u8>, panic: &PanicText) {
    let mut text = Vec::new();
    match encode_onto(panic, &mut text) {
        Ok(()) => push(answer, Kind::Panicked, &text),
        // Longer than can cross.
        Err(reason) => push(answer, Kind::BadResult, reason.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::process::entry::Entry;
    use crate::pool::process::wire::Payload;
    use crate::pool::process::wire::codec::{decode, new_memory};

    fn parcel(items: std::ops::Range<u32>) -> Parcel {
        let mut parcel = Parcel::default();
        items.for_each(|item| parcel.add(&item).unwrap());
        parcel
    }

    fn answer<F>(function: F, parcel: &Parcel, scene: &Scene) -> Vec<u8>
    where
        F: Fn(u32) -> u32 + Copy + 'static,
    {
        let entry = Entry::of::<Several<F, u32, u32>>(&function);
        let reply = entry.run(Arrived::Bytes(&parcel.bytes), scene, &mut new_memory);
        let Payload::Bytes(bytes) = reply.payload else {
            panic!("no answer here is long");
        };
        assert_eq!(reply.kind, Kind::Done);
        bytes
    }

    #[test]
    fn an_answer_tells_of_each_item_and_lies_on_the_tray() {
        let (scene, tenfold) = (Scene::default(), |n: u32| n * 10);
        scene.tray.begin(1);
        let mut parcel = parcel(0..4);
        parcel.bytes.extend_from_slice(&[1, 0, 0, 0, 0x80]); // one that cannot be decoded
        let answer = answer(tenfold, &parcel, &scene);
        let results: Vec<_> = results_in(&answer).collect();
        assert_eq!((count_in(&answer), results.len()), (5, 5));
        for (n, (kind, bytes)) in (0_u32..4).zip(&results) {
            assert_eq!((*kind, decode(bytes)), (Kind::Done, Ok(n * 10)));
        }
        assert_eq!(results[4].0, Kind::BadArgument);
        let left = scene.tray.left(1);
        assert_eq!((left.begun, &left.bytes[..]), (5, &answer[LENGTH..]));
    }

    #[test]
    fn one_that_is_told_to_stop_answers_with_what_has_begun() {
        static SCENE: std::sync::LazyLock<Watched> = std::sync::LazyLock::new(Watched::default);
        #[derive(Default)]
        struct Watched(Scene);
        // SAFETY: used by this test's thread only.
        unsafe impl Sync for Watched {}
        let cut_at_once = |n: u32| {
            assert_eq!(SCENE.0.tray.cut(5), Some(1));
            n
        };
        SCENE.0.tray.begin(5);
        let answer = answer(cut_at_once, &parcel(0..9), &SCENE.0);
        let results: Vec<_> = results_in(&answer).map(|(kind, _)| kind).collect();
        assert_eq!((count_in(&answer), results), (1, vec![Kind::Done]));
    }

    /// The tray keeps room to say so.
    #[test]
    fn a_long_result_without_memory_costs_no_other_one() {
        /// So many of these fill the tray.
        const SHORT: usize = 95;
        const FIT: usize = ROOM / (1 + LENGTH + 1 + SHORT);
        let the_last_is_long = |n: u32| vec![0_u8; if (n as usize) < FIT { SHORT } else { BODY }];
        fn entry_of<F: Fn(u32) -> Vec<u8> + Copy + 'static>(function: F) -> &'static Entry {
            Entry::of::<Several<F, u32, Vec<u8>>>(&function)
        }
        let scene = Scene::default();
        scene.tray.begin(1);
        let parcel = parcel(0..FIT as u32 + 9);
        let mut refuses = || Err(io::Error::other("no".repeat(SPARE)));
        let entry = entry_of(the_last_is_long);
        let reply = entry.run(Arrived::Bytes(&parcel.bytes), &scene, &mut refuses);
        let Payload::Bytes(bytes) = reply.payload else {
            panic!("there is no memory");
        };
        let kinds: Vec<_> = results_in(&bytes).map(|(kind, _)| kind).collect();
        let expected = [vec![Kind::Done; FIT], vec![Kind::BadResult]].concat();
        assert_eq!((reply.kind, kinds), (Kind::Done, expected));
        assert_eq!(count_in(&bytes), FIT + 1);
    }

    #[test]
    fn what_is_split_off_is_what_was_behind() {
        for at in 0..=5 {
            let mut head = parcel(0..5).bytes;
            let rest = split_off(&mut head, at);
            assert_eq!(head, parcel(0..at as u32).bytes);
            assert_eq!(rest, parcel(at as u32..5).bytes);
        }
        let mut whole = parcel(3..5);
        assert_eq!(whole.split_last().into_argument(), encode_one(4));
        assert_eq!(whole.into_argument(), encode_one(3));
    }

    fn encode_one(item: u32) -> Vec<u8> {
        crate::pool::process::wire::codec::encode(&item).unwrap()
    }

    /// P2: whatever a worker gone mad has written.
    #[test]
    fn lengths_that_lie_end_the_results() {
        for bytes in [
            &[][..],
            &[1],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 7],
            &[9, 0, 0, 0, Kind::Job as u8, 0, 0, 0, 0],
            &[9, 0, 0, 0, 77, 0, 0, 0, 0],
        ] {
            assert_eq!(results_in(bytes).count(), 0, "{bytes:?}");
        }
        assert_eq!(count_in(&[1, 0, 0]), 0);
    }
}
