//! Checks: what fails, fails alone, and says why. Next: `stopping.rs`.

use super::bed::Bed;
use super::{Verdict, ensure};
use crate::error::{Crossing, JoinError};
use crate::pool::Executor;
use crate::task::join::JoinHandle;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

/// More panics than workers: no worker may be lost by them.
const TURNS: u64 = 24;

pub(super) fn a_panic_reaches_its_handle_only<E: Executor>(bed: &Bed<E>) -> Verdict {
    fn odd_panics(n: u64) -> u64 {
        assert!(n.is_multiple_of(2), "{n} is odd");
        n
    }
    let executor = bed.executor();
    let jobs = (0..TURNS).map(|n| executor.submit(odd_panics, n));
    let jobs: Vec<_> = jobs.collect();
    for (n, job) in (0..TURNS).zip(jobs) {
        match bed.result(job)? {
            Ok(value) => ensure!(value == n && n % 2 == 0, "job {n} gave {value}"),
            Err(JoinError::Panicked(report)) => {
                let message = report.message().to_owned();
                ensure!(
                    n % 2 == 1 && message.contains(&format!("{n} is odd")),
                    "job {n} is said to have panicked with {message:?}"
                );
                let told = report
                    .location()
                    .is_some_and(|place| place.contains(file!()));
                ensure!(
                    told || report.into_payload().is_some(),
                    "a panic came without its payload and without its place"
                );
            }
            Err(error) => return Err(format!("the panic of job {n} came as: {error}")),
        }
    }
    Ok(())
}

pub(super) fn a_value_that_cannot_cross<E: Executor>(bed: &Bed<E>) -> Verdict {
    use Crossing::{DecodeArgument, DecodeResult, EncodeArgument, EncodeResult};
    let executor = bed.executor();
    let failed = [
        (
            EncodeArgument,
            crossed(bed, executor.submit(|_: NoWayOut| (), NoWayOut))?,
        ),
        (
            DecodeArgument,
            crossed(bed, executor.submit(|_: NoWayIn| (), NoWayIn))?,
        ),
        (
            EncodeResult,
            crossed(bed, executor.submit(|()| NoWayOut, ()))?,
        ),
        (
            DecodeResult,
            crossed(bed, executor.submit(|()| NoWayIn, ()))?,
        ),
    ];
    // A mode that encodes nothing has nothing that could fail.
    let encodes = failed.iter().any(|(_, said)| said.is_some());
    for (crossing, said) in failed {
        ensure!(
            !encodes || said == Some(crossing),
            "{crossing} failed, and the handle says {said:?}"
        );
    }
    let after = bed.value(executor.submit(|n: u64| n, 7))?;
    ensure!(after == 7, "the job after them gave {after}");
    Ok(())
}

/// Which crossing the handle says has failed.
fn crossed<E: Executor, T>(
    bed: &Bed<E>,
    handle: JoinHandle<T>,
) -> Result<Option<Crossing>, String> {
    match bed.result(handle)? {
        Ok(_) => Ok(None),
        Err(JoinError::Codec { crossing, .. }) => Ok(Some(crossing)),
        Err(error) => Err(format!("a value that cannot cross came as: {error}")),
    }
}

/// A value that cannot be encoded.
struct NoWayOut;

/// A value that cannot be decoded.
struct NoWayIn;

impl Serialize for NoWayOut {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("there is no way out"))
    }
}

impl<'de> Deserialize<'de> for NoWayOut {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

impl Serialize for NoWayIn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for NoWayIn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("there is no way in"))
    }
}
