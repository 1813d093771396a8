//! What travels between a pool and one of its workers: kinds of messages, and payloads.
//!
//! ```text
//!   pool ── Job | entry | argument ──> worker        through the worker's board, see `board.rs`
//!   pool <── Done | result ─────────── worker
//!
//!   payload:   Bytes    up to `BODY`: copied into the job's slot, and out of it
//!              Memory   longer, or of several pieces: a file in memory, whose descriptor
//!                       travels, with others that go along; see `wire/memory.rs`
//! ```
//!
//! Holds     W1 a payload is never longer than `MAX_PAYLOAD`, checked before anything is allocated
//!           for it; W2 numbers are in native order: both ends are one program.
//!
//! Reading order of the folder:
//! - files for what is long: `counted.rs` (descriptors), `view.rs` (files that are used again),
//!   `sealed.rs` and `shared_bytes.rs` with `shared_bytes/crossing.rs` (files that nobody can
//!   change), `memory.rs` (the sender's side), `arrival.rs` (the receiver's)
//! - values as payloads: `stream.rs`, `segments.rs`, `codec.rs`
//!
//! Next: `wire/counted.rs`.

pub(super) mod arrival;
pub(super) mod codec;
pub(super) mod counted;
pub(super) mod memory;
pub(super) mod sealed;
pub(super) mod segments;
pub(super) mod shared_bytes;
pub(super) mod stream;
pub(super) mod view;

use memory::Memory;

/// The longest payload. A guard: a mad worker shows itself by an absurd length, and is refused
/// before memory is asked for it.
pub(super) const MAX_PAYLOAD: usize = 1 << 30;

/// Payloads up to here lie in the job's slot of the board; longer ones travel as memory. Above this
/// the few system calls of that cost less than the copying does.
pub(super) const BODY: usize = 16 * 1024;

/// Can so many bytes cross (W1)?
pub(super) fn check_length(length: usize) -> Result<(), String> {
    match length <= MAX_PAYLOAD {
        true => Ok(()),
        false => Err(format!(
            "{length} bytes are more than the {MAX_PAYLOAD} that can cross"
        )),
    }
}

/// What a message carries.
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
    pub(super) const ALL: [Kind; 6] = [
        Kind::Job,
        Kind::Done,
        Kind::Panicked,
        Kind::BadArgument,
        Kind::BadResult,
        Kind::UnknownEntry,
    ];

    /// The kind that this number stands for, if any.
    pub(super) fn of(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// An encoded argument or result.
#[derive(Debug)]
pub(super) enum Payload {
    Bytes(Vec<u8>),
    Memory(Box<Memory>),
}

impl Payload {
    pub(super) fn len(&self) -> usize {
        match self {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Memory(memory) => memory.len(),
        }
    }
}
