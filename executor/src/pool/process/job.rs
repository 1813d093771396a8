//! A job as the pool holds it: bytes to send, and somebody who waits for an answer.
//!
//! The types end here. Above, `submit` knows function, argument and result; below, everything is
//! an address and bytes. What is left of the result type sits behind [`RemoteJob`], which decodes.
//!
//! The result is decoded by the pool (its manager thread, or, when it is long, its porter; or by the
//! submitter, when it is short and there before `submit` is over) and not by whoever joins, so a
//! handle is the same in every mode, and an event loop does not wait for the decoding of 64 MiB. The
//! price: a decoder that waits makes others wait.
//!
//! Next: `measure.rs`.

use super::board::Answer;
use super::board::tray::Leftover;
use super::panics::{PanicText, catch};
use super::policy::Policy;
use super::stamps::Stamps;
use super::wire::arrival::Incoming;
use super::wire::codec::{Arrived, panicked, unpack};
use super::wire::{Kind, Payload};
use crate::error::{Crossing, JoinError, PanicReport};
use crate::task::promise::Promise;
use crate::task::schedule::{Schedule, TaskId};
use serde::de::DeserializeOwned;
use std::io;

/// A job that was submitted and has no result yet.
pub(super) struct Job {
    pub(super) remote: Box<dyn RemoteJob>,
    /// When it was accepted, compared with others. What is split off a parcel has the same place.
    pub(super) order: u64,
    /// Address of its `Entry`.
    pub(super) entry: u64,
    /// The encoded argument.
    pub(super) argument: Payload,
    /// None: the usual terms, and nothing has happened.
    pub(super) policy: Option<Box<Policy>>,
}

/// The order of a worker's setup: jobs count from 1.
pub(super) const FIRST: u64 = 0;

/// The side of a job that waits for the result.
pub(super) trait RemoteJob: Send {
    /// By what name `Schedule::abort_running` calls it.
    fn id(&self) -> TaskId;

    /// It leaves the queue. False: it was aborted there; drop it, outside the lock. True again
    /// when it was started before and comes from the queue a second time.
    fn start(&mut self) -> bool;

    /// When it is measured: what is noted of it.
    fn stamps(&mut self) -> Option<&mut Stamps> {
        None
    }

    /// How many items this answer tells of, and how many of the parcel have begun: one, unless it is
    /// a parcel. None: that is no answer.
    fn items_in(&self, answer: &Answer) -> Option<(usize, usize)> {
        let _ = answer;
        Some((1, 1))
    }

    /// Its worker has died in it, and has left this: how many items are done, and how many of the
    /// parcel are lost or done.
    fn inherit(&mut self, left: Leftover) -> (usize, usize) {
        let _ = left;
        (0, 1)
    }

    /// Of a parcel: makes a job of the items that have not begun.
    fn split(&mut self, begun: usize, argument: &mut Payload) -> Option<Part> {
        let _ = (begun, argument);
        None
    }

    /// Of a parcel whose worker is at the last item: makes a job, which is over, of those before.
    fn release(&mut self, left: Leftover) -> Option<Done> {
        let _ = left;
        None
    }

    /// The end: decodes the answer and completes the handle. Runs user code: not under a lock.
    fn finish(self: Box<Self>, outcome: Outcome);
}

/// A part of a parcel: the side that waits, and the encoded argument.
pub(super) type Part = (Box<dyn RemoteJob>, Payload);

/// A job that only has to be finished, and how many items it has.
pub(super) type Done = (Box<dyn RemoteJob>, usize);

/// How a job ended.
pub(super) enum Outcome {
    /// The worker answered.
    Answer(Answer),
    /// There is no answer.
    Failed(JoinError),
    /// It was aborted in the queue and its handle knows: only to be dropped.
    Husk,
}

impl Outcome {
    /// How many bytes there are to decode, or to give back to the system.
    pub(super) fn weight(&self) -> usize {
        match self {
            Outcome::Answer(answer) => answer.payload.weight().max(answer.spent.0.len()),
            Outcome::Failed(_) | Outcome::Husk => 0,
        }
    }
}

impl<R, S> RemoteJob for Promise<R, S>
where
    R: DeserializeOwned + Send + 'static,
    S: Schedule,
{
    fn id(&self) -> TaskId {
        Promise::id(self)
    }

    fn start(&mut self) -> bool {
        Promise::start(self)
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        match outcome {
            Outcome::Answer(answer) => self.complete(result_of(answer)),
            Outcome::Failed(error) => self.complete(Err(error)),
            Outcome::Husk => {}
        }
    }
}

/// What an answer says.
pub(super) fn result_of<R: DeserializeOwned + 'static>(answer: Answer) -> Result<R, JoinError> {
    let payload = match &answer.payload {
        Incoming::Bytes(bytes) => Arrived::Bytes(bytes),
        Incoming::Memory(memory) => Arrived::Memory(memory),
    };
    result_from(answer.kind, payload)
}

/// What an answer of this kind says.
pub(super) fn result_from<R: DeserializeOwned + 'static>(
    kind: Kind,
    payload: Arrived<'_>,
) -> Result<R, JoinError> {
    let failed = |crossing, reason: String| {
        let reason = reason.into_boxed_str();
        Err(JoinError::Codec { crossing, reason })
    };
    let text = || match payload {
        Arrived::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Arrived::Memory(memory) => match memory.read(0) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => error.to_string(),
        },
    };
    match kind {
        Kind::Done => match catch(|| unpack::<R>(payload)) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(reason)) => failed(Crossing::DecodeResult, reason),
            Err(panic) => failed(Crossing::DecodeResult, panicked(&panic)),
        },
        Kind::Panicked => match unpack::<PanicText>(payload) {
            Ok((message, place, backtrace)) => {
                let report = PanicReport::from_text(message, place, backtrace);
                Err(JoinError::Panicked(report))
            }
            Err(reason) => failed(Crossing::DecodeResult, reason),
        },
        Kind::BadArgument => failed(Crossing::DecodeArgument, text()),
        Kind::BadResult => failed(Crossing::EncodeResult, text()),
        Kind::UnknownEntry | Kind::Job => Err(JoinError::Start(unknown_code())),
    }
}

/// The same error for another of many: `JoinError` cannot be cloned, because of what is in some.
pub(super) fn copy_of(error: &JoinError) -> JoinError {
    match error {
        JoinError::Cancelled => JoinError::Cancelled,
        JoinError::WorkerDied(exit) => JoinError::WorkerDied(*exit),
        JoinError::Broken(reason) => JoinError::Broken(reason.clone()),
        JoinError::Start(error) => JoinError::Start(copy_of_io(error)),
        JoinError::Codec { crossing, reason } => JoinError::Codec {
            crossing: *crossing,
            reason: reason.clone(),
        },
        JoinError::Closed => JoinError::Closed,
        // A parcel has no terms of its own: only a worker gone mad says so of all its items.
        other => JoinError::Codec {
            crossing: Crossing::DecodeResult,
            reason: other.to_string().into_boxed_str(),
        },
    }
}

/// `io::Error` cannot be cloned.
pub(super) fn copy_of_io(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Why a job's code cannot be run by the workers.
pub(super) fn unknown_code() -> io::Error {
    io::Error::other(
        "the job's code was loaded after the fork server started, so the workers do not have it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::WorkerExit;

    #[test]
    fn a_copy_of_an_error_says_the_same() {
        let exit = WorkerExit {
            pid: 7,
            signal: Some(9),
            code: None,
            limit: None,
            crossing: Some(Crossing::DecodeArgument),
        };
        for error in [
            JoinError::Cancelled,
            JoinError::Closed,
            JoinError::WorkerDied(exit),
            JoinError::Broken("the reason".into()),
            JoinError::Start(io::Error::from_raw_os_error(libc::EAGAIN)),
            JoinError::Start(io::Error::other("the server is gone")),
            JoinError::Codec {
                crossing: Crossing::EncodeResult,
                reason: "no".into(),
            },
        ] {
            assert_eq!(format!("{:?}", copy_of(&error)), format!("{error:?}"));
        }
    }
}
