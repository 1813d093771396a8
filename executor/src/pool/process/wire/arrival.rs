//! A long payload, by its receiver: taken from the channel, and read.
//!
//! ```text
//!   recvmsg: number, name, descriptor ──┬── no name: read from the file, and close it
//!                                       └── the file comes again and again: Views ──> map it once
//! ```
//!
//! Owns      the descriptor of a payload, or its share of a view. A side keeps the views of each of
//!           its senders apart, so names need to be unique among one sender's files only.
//! Holds     no length that another process states is believed before the kernel has confirmed it.
//!           A wrong name, from a sender gone mad, brings the bytes of another payload of that
//!           sender.
//!           Next: `stream.rs`.

use super::MAX_PAYLOAD;
use super::counted::Counted;
use super::memory::{STOCK_FILES, Words};
use super::sealed::Sealed;
use super::shared_bytes::SharedBytes;
use super::view::View;
use crate::pool::process::sys;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Messages of jobs that were taken back that a receiver passes over before it takes the sender
/// for mad. The channel's socket buffer does not hold as many.
const STALE_MESSAGES: usize = 4096;

/// See the file head.
#[derive(Debug)]
pub(in crate::pool::process) struct Arrival {
    place: Place,
    /// Of what is in the memory.
    length: usize,
    /// Taken out when it is opened.
    along: RefCell<Vec<Along>>,
}

/// A piece that came along: where it belongs, and where it lies in its file.
#[derive(Debug)]
struct Along {
    at: usize,
    start: usize,
    end: usize,
    file: Counted,
}

#[derive(Debug)]
enum Place {
    File(Counted),
    View(Arc<View>),
}

impl Arrival {
    /// How many bytes there are to decode: what came along is not.
    pub(in crate::pool::process) fn weight(&self) -> usize {
        self.length
    }

    pub(in crate::pool::process) fn has_along(&self) -> bool {
        !self.along.borrow().is_empty()
    }

    /// What came along, and where it belongs: behind so many bytes of the rest. What is not sealed is
    /// copied.
    pub(in crate::pool::process) fn open_along(&self) -> io::Result<Vec<(usize, SharedBytes)>> {
        let open = |Along {
                        at,
                        start,
                        end,
                        file,
                    }| {
            let bytes = match Sealed::open(file, end) {
                Ok(sealed) => SharedBytes::of(Arc::new(sealed)).slice(start..end),
                Err(file) if file.file().metadata()?.len() < end as u64 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(file) => sys::read_exact_at(file.file(), end - start, start)?.into(),
            };
            Ok((at, bytes))
        };
        self.along.take().into_iter().map(open).collect()
    }

    /// A copy of the bytes of the memory from `from` on.
    pub(in crate::pool::process) fn read(&self, from: usize) -> io::Result<Vec<u8>> {
        let from = from.min(self.length);
        match &self.place {
            Place::View(view) => view.copy_out(from, self.length),
            Place::File(file) => {
                let there = file.file().metadata()?.len();
                if self.length > MAX_PAYLOAD || there < self.length as u64 {
                    let text = format!("a payload of {} bytes in a file of {there}", self.length);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                sys::read_exact_at(file.file(), self.length - from, from)
            }
        }
    }

    /// A copy of the first bytes, at most so many.
    pub(in crate::pool::process) fn read_start(&self, most: usize) -> io::Result<Vec<u8>> {
        let end = most.min(self.length);
        match &self.place {
            Place::View(view) => view.copy_out(0, end),
            Place::File(file) => sys::read_exact_at(file.file(), end, 0),
        }
    }
}

/// A payload of either kind, taken in.
#[derive(Debug)]
pub(in crate::pool::process) enum Incoming {
    Bytes(Vec<u8>),
    Memory(Box<Arrival>),
}

impl Incoming {
    /// How many bytes there are to decode.
    pub(in crate::pool::process) fn weight(&self) -> usize {
        match self {
            Incoming::Bytes(bytes) => bytes.len(),
            Incoming::Memory(arrival) => arrival.weight(),
        }
    }
}

/// The files of one sender that come again and again.
#[derive(Debug)]
pub(in crate::pool::process) struct Views {
    /// The last one used is last.
    named: Vec<(u64, Arc<View>)>,
    /// At most so many: as a rule the sender's stock.
    limit: usize,
}

impl Default for Views {
    fn default() -> Views {
        let limit = STOCK_FILES;
        let named = Vec::new();
        Views { named, limit }
    }
}

impl Views {
    /// For a place where address space is limited.
    pub(in crate::pool::process) fn none() -> Views {
        let limit = 0;
        let named = Vec::new();
        Views { named, limit }
    }

    /// Takes what was handed over for job `number`, without waiting: it is there.
    pub(in crate::pool::process) fn receive(
        &mut self,
        channel: &OwnedFd,
        number: u64,
        length: usize,
    ) -> io::Result<Arrival> {
        let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "no such payload");
        for _ in 0..STALE_MESSAGES {
            let mut words: Words = [[0; 8]; _];
            let (count, fds) = sys::receive_with_fds(channel, words.as_flattened_mut())?;
            let words = words.map(u64::from_ne_bytes);
            let words = &words[..count / size_of::<u64>()];
            let [there, name, places @ ..] = words else {
                return Err(nonsense());
            };
            if *there == number {
                let mut files = fds.into_iter().map(Counted::new);
                // Without its descriptors: we have too many open.
                let mut next = || {
                    files
                        .next()
                        .ok_or(io::Error::from_raw_os_error(libc::EMFILE))
                };
                let file = next()?;
                let mut rest = length;
                let along = places.chunks_exact(3).map(|place| {
                    let [at, start, end] = [0, 1, 2].map(|word| place[word] as usize);
                    let piece = end
                        .checked_sub(start)
                        .filter(|_| end <= isize::MAX as usize);
                    rest = piece
                        .and_then(|piece| rest.checked_sub(piece))
                        .ok_or_else(nonsense)?;
                    let file = next()?;
                    Ok(Along {
                        at,
                        start,
                        end,
                        file,
                    })
                });
                let along = along.collect::<io::Result<Vec<_>>>()?;
                let length = rest;
                let place = match self.find(*name, &file, length) {
                    Some(view) => Place::View(view),
                    None => Place::File(file),
                };
                return Ok(Arrival {
                    place,
                    length,
                    along: RefCell::new(along),
                });
            }
        }
        Err(nonsense())
    }

    /// The view of this file, if it is to have one and can.
    fn find(&mut self, name: u64, file: &Counted, length: usize) -> Option<Arc<View>> {
        if name == 0 || self.limit == 0 || length > MAX_PAYLOAD {
            return None;
        }
        let known = self.named.iter().position(|(known, _)| *known == name);
        let known = known.map(|index| self.named.remove(index).1);
        let view = match known.filter(|view| length <= view.len()) {
            Some(view) => view,
            None => Arc::new(View::to_read(file.file(), length).ok()?),
        };
        if self.named.len() == self.limit {
            self.named.remove(0);
        }
        self.named.push((name, view.clone()));
        Some(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::process::wire::memory::{Memory, Stock};
    use std::os::unix::fs::FileExt;
    use std::time::Instant;

    fn holding(bytes: &[u8]) -> Box<Memory> {
        let mut memory = Memory::new().unwrap();
        memory.append(bytes).unwrap();
        memory
    }

    #[test]
    fn a_payload_crosses_and_stale_ones_are_passed_over() {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        for number in 1..=3_u64 {
            let bytes = vec![number as u8; 100_000];
            holding(&bytes).send(&ours, number, false).unwrap();
        }
        let mut views = Views::default();
        let third = views.receive(&theirs, 3, 100_000).unwrap();
        assert_eq!(third.read(0).unwrap(), vec![3; 100_000]);
        assert_eq!(
            views.receive(&theirs, 4, 1).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_length_that_the_file_does_not_have_is_refused_before_it_is_allocated() {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        let mut stock = Stock::new(true);
        for length in [6, MAX_PAYLOAD, MAX_PAYLOAD + 1, usize::MAX] {
            for _ in 0..2 {
                // New, and used.
                let mut memory = stock.take().unwrap_or_else(|| Memory::new().unwrap());
                memory.append(b"short").unwrap();
                memory.send(&ours, 1, false).unwrap();
                stock.put(memory, Instant::now());
                let arrival = Views::default().receive(&theirs, 1, length).unwrap();
                assert_eq!(
                    arrival.read(0).unwrap_err().kind(),
                    io::ErrorKind::InvalidData
                );
            }
        }
    }

    #[test]
    fn a_file_that_is_used_again_is_mapped_once_on_each_side() {
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        let (mut stock, mut views) = (Stock::new(true), Views::default());
        let lengths = [50_000, 40_000, 50_000, 1, 70_000, 60_000, 70_000];
        let mut places = Vec::new();
        for (number, length) in (1..).zip(lengths) {
            let mut memory = stock.take().unwrap_or_else(|| Memory::new().unwrap());
            let bytes: Vec<u8> = (0..length).map(|at| (at * number) as u8).collect();
            let (start, rest) = bytes.split_at(length / 3);
            memory.append(start).unwrap();
            memory.append(rest).unwrap();
            memory.send(&ours, number as u64, false).unwrap();
            let arrival = views.receive(&theirs, number as u64, length).unwrap();
            assert_eq!(arrival.read(0).unwrap(), bytes);
            assert_eq!(arrival.read(length / 2).unwrap(), bytes[length / 2..]);
            places.push(match &arrival.place {
                Place::File(_) => None,
                Place::View(view) => Some(Arc::as_ptr(view)),
            });
            stock.put(memory, Instant::now());
        }
        // New; mapped; again; again; longer, and mapped anew; and from then on the same.
        assert_eq!(places[0], None);
        assert!(places[1].is_some() && places[1] == places[2] && places[2] == places[3]);
        assert!(places[4].is_some() && places[4] == places[5] && places[5] == places[6]);
        assert_eq!(views.named.len(), 1);
    }

    #[test]
    fn a_file_that_could_be_cut_is_read_and_not_mapped() {
        let file = sys::memory(c"cut").unwrap();
        let file = Counted::new(file);
        file.file().write_all_at(&[7; 10_000], 0).unwrap();
        assert!(Views::default().find(5, &file, 10_000).is_none());
        sys::seal(file.file(), libc::F_SEAL_SHRINK).unwrap();
        assert!(Views::default().find(5, &file, 10_000).is_some());
        assert!(Views::default().find(5, &file, 10_001).is_none());
        assert!(Views::none().find(5, &file, 10_000).is_none());
    }

    #[test]
    fn what_goes_back_to_the_system_reads_as_zeros_where_it_is_still_mapped() {
        let mut stock = Stock::new(true);
        stock.put(holding(&[7; 10_000]), Instant::now());
        let mut memory = stock.take().unwrap();
        memory.append(&[7; 10_000]).unwrap();
        let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        memory.send(&ours, 1, false).unwrap();
        let arrival = Views::default().receive(&theirs, 1, 10_000).unwrap();
        assert_eq!(arrival.read(0).unwrap(), vec![7; 10_000]);
        stock.put(memory, Instant::now());
        drop(stock);
        assert_eq!(arrival.read(0).unwrap(), vec![0; 10_000]);
    }
}
