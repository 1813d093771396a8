//! A worker of a walk: the test plays it, step by step, on its real board.
//!
//! ```text
//!   claim ──> begin ──> (an item: claim, keep)* ──> answer, or nonsense ──> claim
//! ```
//!
//! It may die between any two steps. A parcel is played item by item; what it looks like, and what is
//! on the tray, is `parcel.rs`'s doing. Next: `maps.rs`.

use super::maps::{PARCEL, result_of_item};
use super::{Record, SETUP};
use crate::pool::process::board::{Board, Turn};
use crate::pool::process::control::Ticket;
use crate::pool::process::parcel::{ROOM, answer, push, split_record};
use crate::pool::process::wire::arrival::Views;
use crate::pool::process::wire::codec::{decode, encode_onto, new_memory, pack};
use crate::pool::process::wire::{BODY, Kind, Payload};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// See the file head.
pub(super) struct Played {
    pub(super) ticket: Ticket,
    pub(super) arrived: bool,
    channel: OwnedFd,
    board: Board,
    /// The number of the next job.
    next: u64,
    at: Option<At>,
    /// It has told nonsense.
    pub(super) is_mad: bool,
}

/// The job that a worker is at.
struct At {
    number: u64,
    /// Which one it is: what the test passes as its entry.
    entry: u64,
    has_begun: bool,
    /// Of a parcel: the items to do, the one it is at, and how many are done.
    items: VecDeque<usize>,
    item: Option<usize>,
    done: u32,
    /// A result for which the tray has no room.
    last: Option<Vec<u8>>,
}

impl At {
    /// See `Tray::cut`.
    fn is_cuttable(&self) -> bool {
        self.item.is_some() || self.done > 0
    }

    /// The item of a parcel that it is at is not done; the first one, when none has begun.
    fn lose(&self, records: &mut [Record]) {
        let first = self.items.front().filter(|_| !self.is_cuttable());
        if let Some(item) = self.item.as_ref().or(first) {
            records[*item].is_lost |= !records[*item].aborted;
        }
    }
}

impl Played {
    pub(super) fn new(ticket: Ticket, channel: OwnedFd, board: Board) -> Played {
        Played {
            ticket,
            arrived: false,
            channel,
            board,
            next: 1,
            at: None,
            is_mad: false,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.at.is_some()
    }

    /// Which job or item would be lost with it: the place of its record.
    pub(super) fn stake(&self) -> Option<usize> {
        match self.at.as_ref()? {
            At {
                entry: PARCEL,
                item,
                ..
            } => *item,
            At { entry: SETUP, .. } => None,
            At { entry, .. } => Some(*entry as usize),
        }
    }

    /// It dies.
    pub(super) fn fall(&self, records: &mut [Record]) {
        if let Some(stake) = self.stake() {
            records[stake].falls += 1;
            records[stake].is_lost |= !records[stake].aborted;
        }
        if let Some(at) = &self.at {
            at.lose(records);
        }
    }

    /// What it has not begun of a parcel that it is in the middle of, it is not to begin. (But what was
    /// cut off is elsewhere, and what was spared when it was aborted is spared.)
    pub(super) fn call_off(&self, records: &mut [Record]) {
        if let Some(at) = &self.at
            && at.is_cuttable()
            && !self.board.scene().tray.is_cut()
        {
            let items = at.items.iter();
            items.for_each(|item| records[*item].is_off |= !records[*item].aborted);
        }
    }

    /// A parcel that has begun, but no item of it, is not to be cut.
    pub(super) fn spare(&self, records: &mut [Record]) {
        if let Some(at) = self.at.as_ref().filter(|at| !at.is_cuttable()) {
            at.items
                .iter()
                .for_each(|item| records[*item].is_off = false);
        }
    }

    /// One step. Whom it has to wake, if it is one that wakes. `goes_mad`: should it come to answer a
    /// parcel, then with nonsense. `is_emptied`: nothing that waits is to begin any more.
    pub(super) fn step(
        &mut self,
        records: &mut [Record],
        goes_mad: bool,
        is_emptied: bool,
    ) -> Option<u32> {
        match &self.at {
            _ if self.is_mad => None,
            None => {
                self.claim(records);
                None
            }
            Some(at) if at.entry == PARCEL => self.step_in_parcel(records, goes_mad, is_emptied),
            Some(at) => {
                let result = result_of_item(at.entry as usize);
                let result = pack(&result, &mut new_memory).unwrap();
                Some(self.answer(Kind::Done, &result))
            }
        }
    }

    fn claim(&mut self, records: &mut [Record]) {
        match self.board.next(self.next) {
            Turn::Nothing => {
                self.board.may_sleep(self.next);
                return;
            }
            Turn::Over => {}
            Turn::Nonsense => panic!("nobody writes nonsense on this side"),
            Turn::Mine { entry, length } => {
                let items = match entry {
                    PARCEL => items_in(self.board.argument(self.next, length)),
                    _ => VecDeque::new(),
                };
                if length > BODY {
                    let mut views = Views::default();
                    views.receive(&self.channel, self.next, length).unwrap();
                }
                self.at = Some(At {
                    number: self.next,
                    entry,
                    has_begun: false,
                    items,
                    item: None,
                    done: 0,
                    last: None,
                });
                if let Some(job) = self.stake() {
                    assert!(!records[job].is_off, "begun in spite of all");
                    records[job].begun += 1;
                }
            }
        }
        self.next += 1;
    }

    fn step_in_parcel(
        &mut self,
        records: &mut [Record],
        goes_mad: bool,
        is_emptied: bool,
    ) -> Option<u32> {
        let at = self.at.as_mut().expect("a parcel");
        let scene = self.board.scene();
        if !at.has_begun {
            scene.tray.begin(at.number);
            at.has_begun = true;
            return None;
        }
        if let (Some(item), None) = (at.item, &at.last) {
            let mut result = Vec::new();
            result_of(item, &mut result);
            at.done += 1;
            match scene.tray.keep(&result, ROOM) {
                true => at.item = None,
                false => at.last = Some(result),
            }
            return None;
        }
        if at.last.is_none() && !at.items.is_empty() && scene.tray.claim() {
            let item = at.items.pop_front().expect("just seen");
            assert!(!records[item].is_off, "begun in spite of all");
            records[item].begun += 1;
            at.item = Some(item);
            return None;
        }
        // What the tray had no room for waits again, or is over.
        if !scene.tray.is_cut() {
            let items = at.items.iter();
            items.for_each(|item| records[*item].is_off |= is_emptied || records[*item].aborted);
        }
        if goes_mad {
            self.is_mad = true;
            at.lose(records);
            let nothing = Payload::Bytes(Vec::new());
            let number = at.number;
            return Some(
                self.board
                    .answer(number, Kind::Done, &nothing, Duration::ZERO),
            );
        }
        let last = at.last.take().unwrap_or_default();
        let reply = answer(at.done, &last, scene, &mut new_memory);
        Some(self.answer(reply.kind, &reply.payload))
    }

    fn answer(&mut self, kind: Kind, result: &Payload) -> u32 {
        let At { number, entry, .. } = self.at.take().expect("it is at a job");
        if let Payload::Memory(memory) = result {
            memory.send(&self.channel, number, false).unwrap();
        }
        // Some are long: then fewer are given in advance.
        let took = Duration::from_micros(entry % 50);
        self.board.answer(number, kind, result, took)
    }
}

fn items_in(mut parcel: &[u8]) -> VecDeque<usize> {
    std::iter::from_fn(|| split_record(&mut parcel))
        .map(|item| decode::<usize>(item).unwrap())
        .collect()
}

/// The record of an item's result, as a worker makes it: of some the argument is bad.
fn result_of(item: usize, bytes: &mut Vec<u8>) {
    if item.is_multiple_of(5) {
        return push(bytes, Kind::BadArgument, b"bad");
    }
    let mut result = Vec::new();
    encode_onto(&result_of_item(item), &mut result).unwrap();
    push(bytes, Kind::Done, &result);
}
