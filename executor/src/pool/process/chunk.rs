//! A job of a `map`, as the pool holds it: one item, or a parcel of many, and who waits for them.
//!
//! ```text
//!   [ 0 1 2 3 4 5 6 7 ] ── answered, died or cut ──> [ 0 1 2 ]   over: results for the handle
//!                                                        | rest
//!                                                        v
//!                                                    [ 3 4 5 6 7 ]   a job of its own, in the queue
//! ```
//!
//! Whatever ends a parcel early, its head is what has begun, and the rest becomes another job with a
//! handle of its own, at that moment, under the pool's lock: it keeps its place, and is never out of
//! the pool, so that a shutdown that lets accepted jobs run finds it too. The map comes to that
//! handle with the results of the head. A parcel whose worker is at one item for long is taken apart
//! in the same way, into what is done, that item, and the rest.
//!
//! Holds     K1 every item is in one job, and its result or error is told once. K2 what cannot be read
//!           (a worker went mad) is an error of all items that it could stand for: they may have run.
//!           K3 whoever drops a rest unread aborts it, as a map that is dropped aborts all it has.
//!           Next: `member.rs`.

use super::board::Answer;
use super::board::tray::Leftover;
use super::job::{Done, Outcome, Part, RemoteJob, copy_of, result_from, result_of};
use super::measure::Account;
use super::parcel::{Results, count_in, results_in, split_off};
use super::stamps::Stamps;
use super::sys;
use super::wire::arrival::Incoming;
use super::wire::codec::Arrived;
use super::wire::{Kind, Payload};
use crate::error::{Crossing, JoinError};
use crate::task::join::JoinHandle;
use crate::task::promise::{Promise, promise};
use crate::task::schedule::{Schedule, TaskId};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What became of a job's items.
pub(super) struct Opened<R> {
    /// Of the first ones, or of all.
    pub(super) results: Vec<Result<R, JoinError>>,
    /// How long they took the worker, and how many bytes their results have, if it told.
    pub(super) took: Option<(Duration, usize)>,
    /// The others are here.
    pub(super) rest: Option<Sent<R>>,
}

/// The handle of a job with so many items, those that are split off it included. Dropped, it aborts
/// them (K3).
pub(super) struct Sent<R> {
    pub(super) handle: JoinHandle<Opened<R>>,
    pub(super) items: usize,
    /// How long their arguments are, encoded, if that is known.
    pub(super) bytes: usize,
}

impl<R> Drop for Sent<R> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// See the file head.
pub(super) struct ChunkJob<R, S: Schedule> {
    promise: Promise<Opened<R>, S>,
    scheduler: S,
    items: usize,
    /// How many items of the parcel come before, which are another's by now.
    skip: usize,
    /// Its form is that of `parcel.rs`, and not that of a single job.
    is_parcel: bool,
    /// What was on the worker's tray: from the parcel's first item on.
    left: Vec<u8>,
    rest: Option<Sent<R>>,
    /// Where jobs are measured.
    measure: Option<(Stamps, Arc<Account>)>,
}

impl<R, S: Schedule + Clone> ChunkJob<R, S> {
    /// The job for so many items, and its handle.
    pub(super) fn new(
        scheduler: S,
        items: usize,
        is_parcel: bool,
        measure: Option<(Stamps, Arc<Account>)>,
    ) -> (ChunkJob<R, S>, Sent<R>) {
        let (promise, handle) = promise(scheduler.clone());
        let job = ChunkJob {
            promise,
            scheduler,
            items,
            skip: 0,
            is_parcel,
            left: Vec::new(),
            rest: None,
            measure,
        };
        let sent = Sent {
            handle,
            items,
            bytes: 0,
        };
        (job, sent)
    }
}

impl<R, S> RemoteJob for ChunkJob<R, S>
where
    R: DeserializeOwned + Send + 'static,
    S: Schedule + Clone,
{
    fn id(&self) -> TaskId {
        self.promise.id()
    }

    fn start(&mut self) -> bool {
        self.promise.start()
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        self.measure.as_mut().map(|(stamps, _)| stamps)
    }

    fn items_in(&self, answer: &Answer) -> Option<(usize, usize)> {
        if !self.is_parcel || answer.kind != Kind::Done {
            return Some((self.items, self.skip + self.items));
        }
        let count = match &answer.payload {
            Incoming::Bytes(bytes) => count_in(bytes),
            Incoming::Memory(memory) => memory
                .read_start(size_of::<u32>())
                .map_or(0, |start| count_in(&start)),
        };
        let items = count.checked_sub(self.skip)?.min(self.items);
        (items > 0).then_some((items, self.skip + items))
    }

    fn inherit(&mut self, left: Leftover) -> (usize, usize) {
        let all = self.skip + self.items;
        let mut results = Results(&left.bytes);
        let done = results.by_ref().take(all).count();
        let lost = match results.0.is_empty() {
            // The item it was at. One at least is over, or a worker that dies each time before the
            // first would be followed by another for ever.
            true if done >= self.skip => usize::from(left.begun > done || done == 0),
            _ => all, // K2
        };
        self.left = left.bytes;
        (done.saturating_sub(self.skip), all.min(done + lost))
    }

    fn split(&mut self, begun: usize, argument: &mut Payload) -> Option<Part> {
        let Payload::Bytes(bytes) = argument else {
            return None; // a single one
        };
        let here = begun.saturating_sub(self.skip);
        if here >= self.items {
            return None;
        }
        // The whole way of all items counts once, and it is that of the head: the rest begins now.
        let measure = self.measure.as_ref().map(|(_, account)| {
            let now_ns = sys::now_ns();
            let stamps = Stamps {
                submitted_ns: now_ns,
                accepted_ns: now_ns,
                ..Stamps::default()
            };
            (stamps, account.clone())
        });
        let (scheduler, items) = (self.scheduler.clone(), self.items - here);
        let (mut job, mut sent) = ChunkJob::<R, S>::new(scheduler, items, true, measure);
        // A second split is of the head of the first.
        job.rest = self.rest.take();
        sent.items += job.rest.as_ref().map_or(0, |rest| rest.items);
        self.rest = Some(sent);
        self.items = here;
        let rest = split_off(bytes, self.skip + here);
        Some((Box::new(job), Payload::Bytes(rest)))
    }

    fn release(&mut self, left: Leftover) -> Option<Done> {
        let all = self.skip + self.items;
        let done = Results(&left.bytes).take(all).count();
        let items = done.checked_sub(self.skip).filter(|items| *items > 0)?;
        if items == self.items {
            return None; // the answer is about to come
        }
        let (scheduler, running) = (self.scheduler.clone(), self.items - items);
        // What is measured is the whole, when it is over.
        let measure = self.measure.take();
        let (mut job, mut sent) = ChunkJob::<R, S>::new(scheduler, running, true, measure);
        job.skip = done;
        job.start();
        job.rest = self.rest.take();
        sent.items += job.rest.as_ref().map_or(0, |rest| rest.items);
        self.left = left.bytes;
        self.rest = Some(sent);
        self.items = items;
        Some((Box::new(std::mem::replace(self, job)), items))
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let begun_ns = self.measure.as_ref().map(|_| sys::now_ns());
        let mut took = None;
        let results = match outcome {
            Outcome::Answer(answer) => {
                took = Some((answer.took, answer.payload.weight()));
                match self.is_parcel {
                    true => self.open(answer),
                    false => vec![result_of(answer)],
                }
            }
            Outcome::Failed(error) => {
                let results = self.read(Results(&self.left));
                self.fill(results, || copy_of(&error))
            }
            Outcome::Husk => return,
        };
        if let (Some(_), Some((stamps, account))) = (took, &self.measure) {
            let begun_ns = begun_ns.unwrap_or_default();
            let mut phases = stamps.phases(begun_ns, sys::now_ns());
            phases.jobs = (self.skip + self.items) as u64;
            account.add(phases);
        }
        let ChunkJob { promise, rest, .. } = *self;
        promise.complete(Ok(Opened {
            results,
            took,
            rest,
        }));
    }
}

impl<R: DeserializeOwned + 'static, S: Schedule> ChunkJob<R, S> {
    /// The results in an answer, if that is what it is.
    fn open(&self, answer: Answer) -> Vec<Result<R, JoinError>> {
        if answer.kind != Kind::Done {
            let error = result_of::<()>(answer).err().unwrap_or_else(unreadable);
            return self.fill(Vec::new(), || copy_of(&error));
        }
        let bytes = match &answer.payload {
            Incoming::Bytes(bytes) => Cow::Borrowed(bytes),
            Incoming::Memory(memory) => Cow::Owned(memory.read(0).unwrap_or_default()),
        };
        let results = self.read(results_in(&bytes));
        self.fill(results, unreadable) // K2
    }

    /// Decodes the results of the items that are here.
    fn read(&self, results: Results<'_>) -> Vec<Result<R, JoinError>> {
        let own = results.skip(self.skip).take(self.items);
        own.map(|(kind, bytes)| result_from(kind, Arrived::Bytes(bytes)))
            .collect()
    }

    /// A result for each item: for those that have none, an error.
    fn fill(
        &self,
        mut results: Vec<Result<R, JoinError>>,
        error: impl Fn() -> JoinError,
    ) -> Vec<Result<R, JoinError>> {
        results.resize_with(self.items, || Err(error()));
        results
    }
}

fn unreadable() -> JoinError {
    JoinError::Codec {
        crossing: Crossing::DecodeResult,
        reason: "the worker's answer to several items is none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::WorkerExit;
    use crate::pool::process::parcel::{Parcel, push};
    use crate::pool::process::wire::codec::encode;
    use crate::pool::process::wire::memory::Along;
    use crate::task::schedule::Nowhere;

    /// A parcel of the items from 0 on, the side that waits for it, and its argument.
    fn parcel(items: u32) -> (ChunkJob<u32, Nowhere>, Sent<u32>, Payload) {
        let (mut job, sent) = ChunkJob::new(Nowhere, items as usize, true, None);
        assert!(job.start());
        let mut parcel = Parcel::default();
        (0..items).for_each(|item| parcel.add(&item).unwrap());
        (job, sent, Payload::Bytes(parcel.into_argument()))
    }

    /// The results of these items, as they lie on a tray: tenfold.
    fn results(items: std::ops::Range<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        items.for_each(|item| push(&mut bytes, Kind::Done, &encode(&(item * 10)).unwrap()));
        bytes
    }

    fn answer(items: u32) -> Answer {
        let bytes = [&items.to_ne_bytes()[..], &results(0..items)].concat();
        Answer {
            kind: Kind::Done,
            payload: Incoming::Bytes(bytes),
            took: Duration::ZERO,
            spent: (Along::default(), None, None),
        }
    }

    fn opened(mut sent: Sent<u32>) -> Opened<u32> {
        let opened = sent.handle.join_timeout(Duration::ZERO);
        opened.expect("it is over").expect("it was not dropped")
    }

    fn are_tenfold(results: &[Result<u32, JoinError>], items: std::ops::Range<u32>) -> bool {
        let results = results.iter().map(|result| *result.as_ref().unwrap());
        results.eq(items.map(|item| item * 10))
    }

    fn died() -> Outcome {
        let nothing = WorkerExit {
            pid: 1,
            signal: None,
            code: None,
            limit: None,
            crossing: None,
        };
        Outcome::Failed(JoinError::WorkerDied(nothing))
    }

    /// K2: the third result, or what of it is here, may stand for any item from there on.
    #[test]
    fn what_cannot_be_read_stands_for_all_items_behind_it() {
        let (mut job, sent, mut argument) = parcel(6);
        let bytes = [results(0..2), vec![0xff; 7]].concat();
        assert_eq!(job.inherit(Leftover { begun: 3, bytes }), (2, 6));
        assert!(job.split(6, &mut argument).is_none(), "it may have run");
        Box::new(job).finish(died());
        let opened = opened(sent);
        assert!(are_tenfold(&opened.results[..2], 0..2));
        let is_lost = |result: &Result<_, _>| matches!(result, Err(JoinError::WorkerDied(_)));
        assert!(opened.results.len() == 6 && opened.results[2..].iter().all(is_lost));
    }

    /// What was cut off may be run elsewhere by now: the results of this worker do not count.
    #[test]
    fn a_worker_that_goes_on_in_spite_of_all_is_not_heeded() {
        let (mut job, sent, mut argument) = parcel(6);
        assert!(job.split(2, &mut argument).is_some());
        let answer = answer(6);
        assert_eq!(job.items_in(&answer), Some((2, 2)));
        assert!(job.split(2, &mut argument).is_none());
        Box::new(job).finish(Outcome::Answer(answer));
        let opened = opened(sent);
        assert!(are_tenfold(&opened.results, 0..2));
        assert_eq!(opened.rest.unwrap().items, 4);
    }

    /// So does a worker that tells of fewer items than had begun.
    #[test]
    fn what_is_split_off_twice_is_in_order() {
        let (mut job, sent, mut argument) = parcel(6);
        let (behind, _) = job.split(4, &mut argument).unwrap();
        let answer = answer(1);
        let (_, begun) = job.items_in(&answer).unwrap();
        let (next, bytes) = job.split(begun, &mut argument).unwrap();
        let Payload::Bytes(bytes) = bytes else {
            panic!("it was short");
        };
        let mut expected = Parcel::default();
        (1..4).for_each(|item: u32| expected.add(&item).unwrap());
        assert_eq!(bytes, expected.bytes);
        Box::new(job).finish(Outcome::Answer(answer));
        next.finish(died());
        behind.finish(died());
        let first = opened(sent);
        assert!(are_tenfold(&first.results, 0..1));
        let rest = first.rest.unwrap();
        assert_eq!(rest.items, 5);
        let second = opened(rest);
        assert_eq!(second.results.len(), 3);
        let third = opened(second.rest.unwrap());
        assert!(third.results.len() == 2 && third.rest.is_none());
    }

    #[test]
    fn what_was_released_is_not_told_again() {
        let (mut job, sent, _) = parcel(3);
        let left = || Leftover {
            begun: 3,
            bytes: results(0..2),
        };
        let (done, items) = job.release(left()).unwrap();
        assert_eq!(items, 2);
        done.finish(Outcome::Failed(JoinError::Cancelled));
        let first = opened(sent);
        assert!(are_tenfold(&first.results, 0..2));
        assert!(job.release(left()).is_none(), "there is no more");
        assert_eq!(job.items_in(&answer(1)), None, "fewer than there were");
        assert_eq!(job.items_in(&answer(2)), None);
        assert_eq!(job.items_in(&answer(3)), Some((1, 3)));
        Box::new(job).finish(Outcome::Answer(answer(3)));
        let last = opened(first.rest.unwrap());
        assert!(are_tenfold(&last.results, 2..3) && last.rest.is_none());
    }
}
