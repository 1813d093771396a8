//! A job's code, in a form that can cross: the address of a constant.
//!
//! ```text
//!   pool                                     worker (a copy of the same program)
//!   Entry::of(&function) ── address ──────>  Entry::at(address)? ── entry.run(argument) ──> reply
//! ```
//!
//! A function cannot be sent, but it need not be: the worker has it already. For every [`Body`] (what
//! is done with which function, argument type and result type) the compiler makes one `Entry` in the
//! program's constants; its address is the same on both sides of a fork. The worker never jumps to a
//! number that it was sent: it checks that the number lies where constants can lie and that the magic
//! word stands there, and then calls the pointer that stands beside it in its own memory.
//!
//! Only functions without state can cross like this: function items and closures that capture
//! nothing. That is `size_of::<F>() == 0`, checked at compile time, and `F: Copy` because the
//! worker makes its own.
//!
//! Holds     E1 the entry of a body is given out only for a value of its function, so that there is
//!           one to make another of; E2 nothing that a job's code does unwinds out of `run`.
//! Assumes   that a value without size says nothing about its process. (A closure can capture a
//!           token of size zero; what such a token promises must hold in the workers too.)
//! Rejected  the function's own address, alone: a wrong one would be called. A table of registered
//!           names: nothing to gain between copies of one program, and a line to forget.
//!           Next: `parcel.rs`.

use super::board::scene::{Scene, Step};
use super::image::Images;
use super::panics::{PanicText, catch};
use super::wire::codec::{Arrived, Fresh, carry, pack, panicked, unpack};
use super::wire::{Kind, Payload};
use crate::pool::executor::refuse_captures;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Stands at the start of every `Entry` and hardly anywhere else.
const MAGIC: u64 = 0xf0e1_7a7c_a15e_ed5d;

/// What the worker does for a job. A type, so that there is a constant for each.
pub(super) trait Body: 'static {
    /// The function of the job, whose type is all there is of it.
    type Function: Copy + 'static;

    /// Decodes the argument, calls the function, encodes the result. The scene is told how far it is.
    /// Does not unwind (E2).
    fn run(
        function: Self::Function,
        argument: Arrived<'_>,
        scene: &Scene,
        fresh: &mut Fresh<'_>,
    ) -> Reply;
}

/// The constant that stands for one body.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Entry {
    magic: u64,
    run: fn(Arrived<'_>, &Scene, &mut Fresh<'_>) -> Reply,
}

/// What a worker answers to a job.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) payload: Payload,
}

impl Entry {
    /// The entry of the body that runs `function`.
    pub(super) fn of<B: Body>(function: &B::Function) -> &'static Entry {
        // The reference is the evidence for E1; a value of no size has nothing to read.
        let _ = function;
        const {
            &Entry {
                magic: MAGIC,
                run: begin::<B>,
            }
        }
    }

    /// What is sent.
    pub(super) fn address(&'static self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// The entry at an address that was received, if it can be one.
    pub(super) fn at(address: u64, images: &Images) -> Option<&'static Entry> {
        let start = usize::try_from(address).ok()?;
        if !start.is_multiple_of(align_of::<Entry>()) || !images.contains(start, size_of::<Entry>())
        {
            return None;
        }
        let entry = start as *const Entry;
        // SAFETY: these bytes are mapped, readable and aligned (just checked), and any bytes are a
        // valid u64. They belong to a loaded file, so they are initialised.
        let magic = unsafe { (&raw const (*entry).magic).read() };
        // SAFETY: the magic word says that this is an `Entry`, which is never changed or freed.
        (magic == MAGIC).then(|| unsafe { &*entry })
    }

    /// Runs the job.
    pub(super) fn run(&self, argument: Arrived<'_>, scene: &Scene, fresh: &mut Fresh<'_>) -> Reply {
        (self.run)(argument, scene, fresh)
    }
}

/// Begins a job, in the worker. Private: reached only through an `Entry` (E1).
fn begin<B: Body>(argument: Arrived<'_>, scene: &Scene, fresh: &mut Fresh<'_>) -> Reply {
    refuse_captures::<B::Function>();
    // SAFETY: the function has no size, so there is nothing to read and any aligned pointer will do.
    // There is a value of it in the process that sent the job (E1), and it is Copy: this is another
    // one, in a copy of that process.
    let function = unsafe { NonNull::<B::Function>::dangling().read() };
    B::run(function, argument, scene, fresh)
}

/// The body of a job of one argument and one result.
pub(super) struct Single<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Body for Single<F, A, R>
where
    F: Fn(A) -> R + Copy + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    type Function = F;

    fn run(function: F, argument: Arrived<'_>, scene: &Scene, fresh: &mut Fresh<'_>) -> Reply {
        scene.enter(Step::Decoding);
        let argument = match catch(|| unpack::<A>(argument)) {
            Ok(Ok(argument)) => argument,
            Ok(Err(reason)) => return Reply::text(Kind::BadArgument, reason, fresh),
            Err(panic) => return Reply::text(Kind::BadArgument, panicked(&panic), fresh),
        };
        scene.enter(Step::Running);
        match catch(|| function(argument)) {
            Ok(result) => {
                scene.enter(Step::Encoding);
                encode_result(result, fresh)
            }
            Err(panic) => Reply::panicked(&panic, fresh),
        }
    }
}

fn encode_result<R: Serialize + 'static>(result: R, fresh: &mut Fresh<'_>) -> Reply {
    match catch(|| pack(&result, fresh)) {
        Ok(Ok(payload)) => Reply::of(Kind::Done, Ok(payload)),
        Ok(Err(reason)) => Reply::text(Kind::BadResult, reason, fresh),
        Err(panic) => Reply::text(Kind::BadResult, panicked(&panic), fresh),
    }
}

impl Reply {
    pub(super) fn text(kind: Kind, text: String, fresh: &mut Fresh<'_>) -> Reply {
        Reply::of(kind, carry(text.into_bytes(), fresh))
    }

    fn panicked(panic: &PanicText, fresh: &mut Fresh<'_>) -> Reply {
        // Strings: there is nothing in them that could fail to encode.
        Reply::of(Kind::Panicked, pack(panic, fresh))
    }

    /// When the system has no room for a payload, that is the answer.
    pub(super) fn of(kind: Kind, payload: Result<Payload, String>) -> Reply {
        match payload {
            Ok(payload) => Reply { kind, payload },
            Err(reason) => Reply {
                kind: Kind::BadResult,
                payload: Payload::Bytes(reason.into_bytes()),
            },
        }
    }

    /// The worker's answer to a job that it does not know.
    pub(super) fn unknown_entry() -> Reply {
        Reply::of(Kind::UnknownEntry, Ok(Payload::Bytes(Vec::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::process::wire::codec::{decode, encode, new_memory};

    fn run(entry: &Entry, argument: &[u8]) -> (Kind, Vec<u8>) {
        let reply = entry.run(Arrived::Bytes(argument), &Scene::default(), &mut new_memory);
        let Payload::Bytes(bytes) = reply.payload else {
            panic!("no job here has a long result");
        };
        (reply.kind, bytes)
    }

    fn double(number: u32) -> u32 {
        number.checked_mul(2).expect("too large to double")
    }

    fn entry_of<F: Fn(u32) -> u32 + Copy + 'static>(function: F) -> &'static Entry {
        Entry::of::<Single<F, u32, u32>>(&function)
    }

    #[test]
    fn the_address_leads_back_to_the_code() {
        let images = Images::now();
        let address = entry_of(double).address();
        let entry = Entry::at(address, &images).unwrap();
        let (kind, payload) = run(entry, &encode(&21_u32).unwrap());
        assert_eq!((kind, decode::<u32>(&payload)), (Kind::Done, Ok(42)));
    }

    #[test]
    fn an_address_without_an_entry_is_refused() {
        let images = Images::now();
        let address = entry_of(double).address();
        let heap = Box::new(Entry {
            magic: MAGIC,
            run: |_, _, _| Reply::unknown_entry(),
        });
        let wrong = [
            0,
            1,
            u64::MAX,
            address + 1,
            address + 8,
            double as fn(u32) -> u32 as usize as u64 & !7,
            &raw const *heap as u64,
        ];
        for address in wrong {
            assert!(Entry::at(address, &images).is_none(), "{address:#x}");
        }
    }

    #[test]
    fn a_panic_becomes_a_reply_with_its_message() {
        let (kind, payload) = run(entry_of(double), &encode(&u32::MAX).unwrap());
        let (message, ..): PanicText = decode(&payload).unwrap();
        assert_eq!(
            (kind, message.as_str()),
            (Kind::Panicked, "too large to double")
        );
    }

    #[test]
    fn bytes_left_over_or_missing_are_errors() {
        let bytes = encode(&(1_u8, 2_u8)).unwrap();
        assert_eq!(
            decode::<u8>(&bytes),
            Err("1 bytes are left over".to_owned())
        );
        assert!(decode::<(u8, u8, u8)>(&bytes).is_err());
        assert_eq!(run(entry_of(double), &[]).0, Kind::BadArgument);
    }
}
