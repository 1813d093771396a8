//! What travels between a pool and one of its workers: frames, and how they are cut out of bytes.
//!
//! ```text
//!   pool ── Job 7 | entry | argument ──> worker        one SOCK_STREAM socketpair per worker
//!   pool <── Done 7 | result ─────────── worker
//!
//!   frame:  | kind u32 | length u32 | number u64 | entry u64 |  length bytes of payload |
//!             what it    of the       which job:   address of
//!             carries    payload      replies      the job's code
//!                                     repeat it    (jobs only)
//! ```
//!
//! Owns      the layout of a frame, and `FrameReader`: bytes go in as they arrive, cut anywhere;
//!           frames come out. No system call here: the file is pure, and its tests are exhaustive.
//! Who       the pool's manager and the worker each have one reader per channel.
//! Holds     W1 a payload is never longer than `MAX_PAYLOAD`, checked before anything is allocated
//!           for it; W2 a stream that breaks the layout is an error and never a guess: the peer is
//!           then as good as dead; W3 numbers are in native order: both ends are one program.
//! Cost      a small frame is copied once out of the read buffer; of a large one all but the first
//!           piece is received straight into its own payload.
//! Source    length-prefixed framing, as old as the hills. Next: `ledger.rs`.

use std::fmt;

/// The longest payload. Not a limit of the layout (that would be 4 GiB) but a guard: a torn stream
/// shows itself as an absurd length, and is refused before memory is asked for it.
pub(super) const MAX_PAYLOAD: usize = 1 << 30;

/// Bytes of a frame before its payload.
pub(super) const HEADER: usize = 24;

/// What one `recv` may bring: many small frames at once, and few calls for a large one's start.
const READ_BUFFER: usize = 64 * 1024;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// To the worker: run this. The payload is the encoded argument.
    Job = 1,
    /// From the worker: the encoded result.
    Done = 2,
    /// The job panicked. The payload: an encoded `PanicText`.
    Panicked = 3,
    /// The worker could not decode the argument. The payload is the reason, as text.
    BadArgument = 4,
    /// The worker could not encode the result. The payload is the reason, as text.
    BadResult = 5,
    /// The worker does not know the job's code.
    UnknownEntry = 6,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Job,
        Kind::Done,
        Kind::Panicked,
        Kind::BadArgument,
        Kind::BadResult,
        Kind::UnknownEntry,
    ];
}

/// A frame without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Which job, counted per worker from 1.
    pub(super) number: u64,
    /// Address of the job's `Entry`; 0 in replies.
    pub(super) entry: u64,
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// The other side sent something that is no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WireError {
    Kind(u32),
    Length(u32),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Kind(kind) => write!(f, "a frame of unknown kind {kind}"),
            WireError::Length(length) => write!(f, "a frame of {length} bytes"),
        }
    }
}

impl Header {
    /// The bytes that go before a payload of `length` bytes.
    ///
    /// # Panics
    /// When `length` is above `MAX_PAYLOAD`: the sender checks it first.
    pub(super) fn encode(self, length: usize) -> [u8; HEADER] {
        assert!(length <= MAX_PAYLOAD, "a payload of {length} bytes");
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&(self.kind as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.entry.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER]) -> Result<(Header, usize), WireError> {
        let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let known = Kind::ALL.into_iter().find(|kind| *kind as u32 == half(0));
        let header = Header {
            kind: known.ok_or(WireError::Kind(half(0)))?,
            number: word(8),
            entry: word(16),
        };
        match usize::try_from(half(4)) {
            Ok(length) if length <= MAX_PAYLOAD => Ok((header, length)),
            _ => Err(WireError::Length(half(4))),
        }
    }
}

/// Cuts frames out of a stream.
///
/// The caller receives into [`space`](Self::space), says with [`filled`](Self::filled) how much
/// came, and takes frames with [`next`](Self::next) until there is none.
pub(super) struct FrameReader {
    buffer: Box<[u8]>,
    /// The bytes in the buffer that are not yet part of a frame: `start..end`.
    start: usize,
    end: usize,
    /// The frame under way, once its header is known: how much of the payload is there.
    partial: Option<(Frame, usize)>,
}

impl FrameReader {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            partial: None,
        }
    }

    /// Where the next bytes go. Never empty once `next` has returned `None`.
    pub(super) fn space(&mut self) -> &mut [u8] {
        match &mut self.partial {
            // The buffer is empty by now (see `next`), so these bytes belong to the payload.
            Some((frame, have)) => &mut frame.payload[*have..],
            None => &mut self.buffer[self.end..],
        }
    }

    /// `count` bytes came into `space`.
    pub(super) fn filled(&mut self, count: usize) {
        match &mut self.partial {
            Some((_, have)) => *have += count,
            None => self.end += count,
        }
    }

    /// The next whole frame, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, WireError> {
        if self.partial.is_none() {
            self.begin()?;
        }
        Ok(self
            .partial
            .take_if(|(frame, have)| *have == frame.payload.len())
            .map(|(frame, _)| frame))
    }

    /// Part of a frame is there, and part of it is not: what an end of the stream cuts in half.
    #[cfg(test)]
    fn is_mid_frame(&self) -> bool {
        self.partial.is_some() || self.start != self.end
    }

    /// Starts the next frame when its header is there, with what the buffer has of its payload.
    fn begin(&mut self) -> Result<(), WireError> {
        let Some(bytes) = self.buffer[self.start..self.end].first_chunk::<HEADER>() else {
            // Half a header: make room behind it, so that the whole one fits.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            return Ok(());
        };
        let (header, length) = Header::decode(bytes)?;
        self.start += HEADER;
        let have = length.min(self.end - self.start);
        // Zeroed memory of this size comes fresh from the kernel, untouched until it is filled.
        let mut payload = vec![0; length];
        payload[..have].copy_from_slice(&self.buffer[self.start..self.start + have]);
        self.start += have;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        self.partial = Some((Frame { header, payload }, have));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind, number: u64) -> Header {
        Header {
            kind,
            number,
            entry: number * 3,
        }
    }

    /// Bytes of the frames with these payload lengths, and the frames.
    fn stream(lengths: &[usize]) -> (Vec<u8>, Vec<Frame>) {
        let mut bytes = Vec::new();
        let mut frames = Vec::new();
        for (index, &length) in lengths.iter().enumerate() {
            let header = header(Kind::ALL[index % Kind::ALL.len()], index as u64 + 1);
            let payload: Vec<u8> = (0..length).map(|at| (at * 7 + index) as u8).collect();
            bytes.extend(header.encode(length));
            bytes.extend(&payload);
            frames.push(Frame { header, payload });
        }
        (bytes, frames)
    }

    /// Feeds the pieces as they would arrive, each as far as the reader has room for it.
    fn read(pieces: &[&[u8]]) -> Result<(Vec<Frame>, bool), WireError> {
        let mut reader = FrameReader::new();
        let mut frames = Vec::new();
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                let space = reader.space();
                let count = space.len().min(piece.len());
                assert_ne!(count, 0, "no room to read into");
                space[..count].copy_from_slice(&piece[..count]);
                reader.filled(count);
                piece = &piece[count..];
                while let Some(frame) = reader.next()? {
                    frames.push(frame);
                }
            }
        }
        Ok((frames, reader.is_mid_frame()))
    }

    #[test]
    fn frames_come_out_whole_wherever_the_stream_is_cut_in_three() {
        let (bytes, frames) = stream(&[0, 1, HEADER, 40, 0]);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    read(&pieces).unwrap(),
                    (stream(&[0, 1, HEADER, 40, 0]).1, false)
                );
            }
        }
        assert_eq!(frames.len(), 5);
    }

    #[test]
    fn frames_come_out_whole_byte_by_byte() {
        let (bytes, frames) = stream(&[3, 0, 100]);
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&pieces).unwrap(), (frames, false));
    }

    #[test]
    fn frames_larger_than_the_read_buffer_come_out_whole() {
        for size in [
            READ_BUFFER - HEADER,
            READ_BUFFER,
            READ_BUFFER + 1,
            5 * READ_BUFFER,
        ] {
            for cut in [
                1,
                HEADER,
                READ_BUFFER - 1,
                READ_BUFFER,
                READ_BUFFER + HEADER,
            ] {
                let (bytes, frames) = stream(&[10, size, 0, size, 1]);
                let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
                assert_eq!(
                    read(&pieces).unwrap(),
                    (frames, false),
                    "size {size}, cut {cut}"
                );
            }
        }
    }

    #[test]
    fn an_end_anywhere_inside_a_frame_is_seen() {
        let (bytes, _) = stream(&[5]);
        for end in 1..bytes.len() {
            assert_eq!(
                read(&[&bytes[..end]]).unwrap(),
                (Vec::new(), true),
                "end at {end}"
            );
        }
        assert!(!read(&[]).unwrap().1);
        assert!(!read(&[&bytes]).unwrap().1);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        let mut bytes = header(Kind::Done, 1).encode(MAX_PAYLOAD);
        assert_eq!(
            Header::decode(&bytes),
            Ok((header(Kind::Done, 1), MAX_PAYLOAD))
        );
        let length = MAX_PAYLOAD as u32 + 1;
        bytes[4..8].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(read(&[&bytes]), Err(WireError::Length(length)));
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        for kind in [0, Kind::ALL.len() as u32 + 1, u32::MAX] {
            let mut bytes = header(Kind::Done, 1).encode(0);
            bytes[0..4].copy_from_slice(&kind.to_ne_bytes());
            assert_eq!(read(&[&bytes]), Err(WireError::Kind(kind)));
        }
    }

    #[test]
    #[should_panic(expected = "a payload of")]
    fn the_sender_may_not_go_beyond_the_limit() {
        header(Kind::Job, 1).encode(MAX_PAYLOAD + 1);
    }
}
