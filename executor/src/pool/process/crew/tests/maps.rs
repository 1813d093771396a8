//! Maps of a walk: their jobs and handles are the real ones, and take an exact account.
//!
//! ```text
//!   extend_map ──> [ 4 5 6 | 7 | 8 9 ] ── settle ──> each item's record: how it ended
//!                      ^ rest, when a part is over       (so many results, and the rest: no item twice)
//!   abort_map ── from the back ──> either looks on, or lets go of all
//! ```
//!
//! An item is a record like a job. Next: `walk.rs`.

use super::walk::Walk;
use super::{Record, TIME, name_of};
use crate::error::{Crossing, JoinError};
use crate::pool::process::chunk::{ChunkJob, Opened, Sent};
use crate::pool::process::crew::Phase;
use crate::pool::process::job::Job;
use crate::pool::process::parcel::Parcel;
use crate::pool::process::wire::BODY;
use crate::pool::process::wire::codec::{carry, new_memory};
use crate::sync::lock;
use crate::task::promise::never_scheduled;
use crate::task::schedule::{Schedule, Scheduled, TaskId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the test passes as the entry of a parcel.
pub(super) const PARCEL: u64 = u64::MAX - 1;

/// What an item, or a job of this entry, comes to: mostly short.
pub(super) fn result_of_item(item: usize) -> Vec<u8> {
    let length = match item % 14 {
        0 => BODY + 1,
        7 => BODY / 2,
        _ => item % 200,
    };
    vec![item as u8; length]
}

/// See the file head.
#[derive(Default)]
pub(super) struct Map {
    /// The first item of each, and its handle.
    out: VecDeque<(usize, Sent<Vec<u8>>)>,
    is_aborted: bool,
}

/// Where handles say that their jobs are to be stopped.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<Mutex<Vec<TaskId>>>);

impl Schedule for Line {
    const CANCEL_IN_PLACE: bool = true;

    fn schedule(scheduled: Scheduled<Self>) {
        never_scheduled(scheduled)
    }

    fn abort_running(&self, id: TaskId) {
        lock(&self.0).push(id);
    }
}

impl Line {
    /// Who is to be stopped. Its handle, or that of which it is the rest, is still there.
    pub(super) fn next(&self) -> Option<TaskId> {
        lock(&self.0).pop()
    }
}

impl Walk {
    /// One more job of a map: of a few items, or of one.
    pub(super) fn extend_map(&mut self) {
        if self.below(3) == 0 || self.maps.last().is_none_or(|map| map.is_aborted) {
            self.maps.push(Map::default());
        }
        // Where jobs are counted there are no parcels: see `ParcelBatches`.
        let items = match self.crew.counts_jobs() {
            true => 1,
            false => 1 + self.below(9),
        };
        if self.crew.phase == Phase::Open {
            self.submit_items(items);
        }
    }

    /// A job of so many items, of the last map.
    pub(super) fn submit_items(&mut self, items: usize) {
        let first = self.records.lock().unwrap().len();
        let mut parcel = Parcel::default();
        for item in first..first + items {
            parcel.add(&item).unwrap();
            self.records.lock().unwrap().push(Record {
                is_item: true,
                submitted: TIME.get(),
                ..Record::default()
            });
        }
        let is_parcel = parcel.items > 1;
        let (remote, sent) = ChunkJob::new(self.line.clone(), items, is_parcel, None);
        self.maps.last_mut().unwrap().out.push_back((first, sent));
        let job = Job {
            remote: Box::new(remote),
            order: 0,
            entry: if is_parcel { PARCEL } else { first as u64 },
            argument: carry(parcel.into_argument(), &mut new_memory).unwrap(),
            policy: None,
        };
        self.accept(job, Walk::pass_while_woken);
    }

    /// Takes what maps have been told. False: nothing.
    pub(super) fn settle_maps(&mut self) -> bool {
        let mut settled = false;
        for map in &mut self.maps {
            settled |= map.settle(&mut self.records.lock().unwrap());
        }
        self.maps.retain(|map| !map.out.is_empty());
        settled
    }

    pub(super) fn abort_some_map(&mut self) {
        let index = self.below(self.maps.len().max(1));
        if self.maps.get(index).is_some_and(|map| !map.is_aborted) {
            let looks_on = self.below(2) == 0;
            self.abort_map(index, looks_on);
        }
    }

    /// A map is dropped; or another that looks on, as if it were. What has not begun never will.
    pub(super) fn abort_map(&mut self, index: usize, looks_on: bool) {
        let mut map = self.maps.swap_remove(index);
        map.is_aborted = true;
        self.call_off(&map, looks_on);
        if looks_on {
            for (_, sent) in map.out.iter().rev() {
                sent.handle.abort();
                self.settle();
            }
            self.maps.push(map);
            return self.settle();
        }
        while let Some((_, sent)) = map.out.pop_back() {
            sent.handle.abort();
            self.settle();
            drop(sent);
            self.settle();
        }
    }

    fn call_off(&mut self, map: &Map, looks_on: bool) {
        let records = &mut self.records.lock().unwrap();
        for (first, sent) in &map.out {
            for record in &mut records[*first..][..sent.items] {
                (record.aborted, record.is_off) = (true, true);
                record.is_unseen = !looks_on;
            }
        }
        self.workers.iter().for_each(|worker| worker.spare(records));
    }
}

impl Map {
    /// Takes the results that are there. False: there were none.
    fn settle(&mut self, records: &mut [Record]) -> bool {
        let is_over = |(_, sent): &(usize, Sent<_>)| sent.handle.is_finished();
        let Some(place) = self.out.iter().position(is_over) else {
            return false;
        };
        let (first, mut sent) = self.out.remove(place).expect("just found");
        let mut tell = |item: usize, how| {
            records[item].ended = TIME.get();
            records[item].ends.push(how);
        };
        match sent
            .handle
            .join_timeout(Duration::ZERO)
            .expect("it is over")
        {
            Ok(Opened { results, rest, .. }) => {
                let there = results.len() + rest.as_ref().map_or(0, |rest| rest.items);
                assert_eq!(there, sent.items, "items are lost, or there are more");
                for (item, result) in (first..).zip(&results) {
                    tell(item, name_of_result(item, result));
                }
                if let Some(rest) = rest {
                    if self.is_aborted {
                        rest.handle.abort();
                    }
                    self.out.insert(place, (first + results.len(), rest));
                }
            }
            // In the queue.
            Err(error) => (first..first + sent.items).for_each(|item| tell(item, name_of(&error))),
        }
        true
    }
}

fn name_of_result(item: usize, result: &Result<Vec<u8>, JoinError>) -> &'static str {
    match result {
        Ok(result) if *result == result_of_item(item) => "answer",
        Ok(_) => "another's answer",
        Err(JoinError::Codec {
            crossing: Crossing::DecodeArgument,
            reason,
        }) => match &**reason == "bad" && item.is_multiple_of(5) {
            true => "answer",
            false => "another's failure",
        },
        Err(error) => name_of(error),
    }
}
