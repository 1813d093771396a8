//! A job's data changes form four times. Where that fails, that job fails, and says where.

mod support;

use serde::de::Error as _;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::process;
use support::pool;
use tatkal_executor::{Crossing, JoinError, JoinHandle, ProcessPool};

tests![
    an_argument_that_cannot_be_encoded_fails_its_job_alone,
    an_argument_that_cannot_be_decoded_fails_its_job_alone,
    a_result_that_cannot_be_encoded_fails_its_job_alone,
    a_result_that_cannot_be_decoded_fails_its_job_alone,
    a_codec_that_ends_the_worker_costs_its_job_alone_and_is_named,
    an_argument_that_does_not_match_its_own_form_is_refused,
    payloads_of_every_size_arrive_whole,
    large_payloads_in_both_directions_at_once_do_not_block,
];

/// How a [`Moody`] behaves when it is encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u8)]
enum Mood {
    Fine,
    Fails,
    Panics,
    Exits,
    Aborts,
}

impl Mood {
    fn of(byte: u8) -> Mood {
        use Mood::{Aborts, Exits, Fails, Fine, Panics};
        [Fine, Fails, Panics, Exits, Aborts][usize::from(byte)]
    }

    fn show(self) -> Result<(), &'static str> {
        match self {
            Mood::Fine => Ok(()),
            Mood::Fails => Err("not today"),
            Mood::Panics => panic!("not at all"),
            Mood::Exits => process::exit(3),
            Mood::Aborts => process::abort(),
        }
    }
}

/// A value with a mood for its encoding and another for its decoding.
#[derive(Debug)]
struct Moody {
    encoded: Mood,
    decoded: Mood,
}

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoded.show().map_err(S::Error::custom)?;
        serializer.serialize_u8(self.decoded as u8)
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let decoded = Mood::of(u8::deserialize(deserializer)?);
        decoded.show().map_err(D::Error::custom)?;
        Ok(Moody {
            encoded: Mood::Fine,
            decoded,
        })
    }
}

fn argument(encoded: Mood, decoded: Mood) -> Moody {
    Moody { encoded, decoded }
}

/// A job whose result is moody.
fn moody_result((encoded, decoded): (u8, u8)) -> Moody {
    argument(Mood::of(encoded), Mood::of(decoded))
}

/// The job failed at this crossing; the reason is the codec's own; and the pool is well.
fn assert_failed<T: std::fmt::Debug>(
    pool: &ProcessPool,
    handle: JoinHandle<T>,
    expected: Crossing,
    expected_reason: &str,
) {
    match handle.join() {
        Err(JoinError::Codec { crossing, reason }) => {
            assert_eq!(crossing, expected, "{reason}");
            assert!(reason.contains(expected_reason), "{crossing:?}: {reason}");
        }
        other => panic!("{expected:?}: {other:?}"),
    }
    assert_well(pool);
}

/// Same worker, next job.
fn assert_well(pool: &ProcessPool) {
    let workers = pool.worker_pids();
    assert_eq!(pool.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
    if !workers.is_empty() {
        assert_eq!(pool.worker_pids(), workers);
    }
}

/// What codecs say themselves, and what is said for one that panics.
const REASONS: [(Mood, &str); 2] = [(Mood::Fails, ""), (Mood::Panics, "panicked")];

fn an_argument_that_cannot_be_encoded_fails_its_job_alone() {
    let pool = pool(1);
    for (mood, reason) in REASONS {
        let handle = pool.submit(|_: Moody| (), argument(mood, Mood::Fine));
        assert_failed(&pool, handle, Crossing::EncodeArgument, reason);
    }
}

fn an_argument_that_cannot_be_decoded_fails_its_job_alone() {
    let pool = pool(1);
    for (mood, reason) in REASONS {
        let handle = pool.submit(|_: Moody| (), argument(Mood::Fine, mood));
        assert_failed(&pool, handle, Crossing::DecodeArgument, reason);
    }
}

fn a_result_that_cannot_be_encoded_fails_its_job_alone() {
    let pool = pool(1);
    for (mood, reason) in REASONS {
        let handle = pool.submit(moody_result, (mood as u8, 0));
        assert_failed(&pool, handle, Crossing::EncodeResult, reason);
    }
}

fn a_result_that_cannot_be_decoded_fails_its_job_alone() {
    let pool = pool(1);
    for (mood, reason) in REASONS {
        let handle = pool.submit(moody_result, (0, mood as u8));
        assert_failed(&pool, handle, Crossing::DecodeResult, reason);
    }
}

fn a_codec_that_ends_the_worker_costs_its_job_alone_and_is_named() {
    let pool = pool(1);
    for (mood, code) in [(Mood::Exits, Some(3)), (Mood::Aborts, None)] {
        let in_decode = argument(Mood::Fine, mood);
        let in_decode = pool.submit(|_: Moody| (), in_decode).join().map(drop);
        let in_encode = pool.submit(moody_result, (mood as u8, 0)).join().map(drop);
        let crossings = [Crossing::DecodeArgument, Crossing::EncodeResult];
        for (result, crossing) in [in_decode, in_encode].into_iter().zip(crossings) {
            let error = result.unwrap_err();
            let text = error.to_string();
            let JoinError::WorkerDied(exit) = error else {
                panic!("{error:?}");
            };
            assert_eq!((exit.code, exit.crossing), (code, Some(crossing)), "{text}");
            assert!(text.contains(&crossing.to_string()), "{text}");
        }
    }
    // A function is no crossing, whatever came before it.
    let die = |_: u8| -> u8 { process::exit(4) };
    match pool.submit(die, 1).join() {
        Err(JoinError::WorkerDied(exit)) => assert_eq!((exit.code, exit.crossing), (Some(4), None)),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.submit(|n: u32| n + 1, 1).join().unwrap(), 2);
}

/// Says that it has two elements and has three.
#[derive(Debug)]
struct Liar;

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(2))?;
        for element in 0..3_u8 {
            list.serialize_element(&element)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Liar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|_| Liar)
    }
}

fn an_argument_that_does_not_match_its_own_form_is_refused() {
    let pool = pool(1);
    let handle = pool.submit(|_: Liar| (), Liar);
    assert_failed(
        &pool,
        handle,
        Crossing::DecodeArgument,
        "1 bytes are left over",
    );
}

/// Text that differs from block to block, so that a piece in the wrong place is seen. (Text and not
/// bytes because it is encoded as a whole and not element by element.)
fn text(length: usize, seed: u32) -> String {
    const BLOCK: usize = 1024;
    let block = |number| format!("{:08x}{:08x}", number, seed).repeat(BLOCK / 16);
    let mut text: String = (0..=length / BLOCK).map(block).collect();
    text.truncate(length);
    text
}

fn payloads_of_every_size_arrive_whole() {
    fn check((argument, seed): (String, u32)) -> String {
        assert!(
            argument == text(argument.len(), seed),
            "the argument is damaged"
        );
        argument
    }
    let pool = pool(2);
    let mut sizes = vec![0, 1, 23, 24, 25, 4095, 4096];
    // Around the read buffer and what a socket holds, where frames are cut.
    for power in [16, 17, 18, 20, 23] {
        sizes.extend([
            (1 << power) - 30,
            (1 << power) - 1,
            1 << power,
            (1 << power) + 1,
        ]);
    }
    for (seed, size) in (0..).zip(sizes) {
        let result = pool.submit(check, (text(size, seed), seed)).join().unwrap();
        assert!(
            result == text(size, seed),
            "a result of {size} bytes is damaged"
        );
    }
}

fn large_payloads_in_both_directions_at_once_do_not_block() {
    const LARGE: usize = 8 << 20;
    let pool = pool(2);
    // Many at once: while a worker sends a result, the next argument is on its way to it.
    let handles: Vec<_> = (0..12)
        .map(|seed| pool.submit(|argument: String| argument, text(LARGE, seed)))
        .collect();
    for (seed, handle) in (0..).zip(handles) {
        assert!(handle.join().unwrap() == text(LARGE, seed), "job {seed}");
    }
}
