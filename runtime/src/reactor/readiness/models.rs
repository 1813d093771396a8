//! Loom: a source and its waiters against the thread that marks it.

use super::*;
use crate::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::Arc;
use std::task::Wake;
use tatkal_executor::Parker;

struct Unparker(Waker);

impl Wake for Unparker {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake_by_ref();
    }
}

/// A source as the kernel has it: bytes in a buffer, and one event per arrival.
#[derive(Default)]
struct Socket(AtomicUsize);

impl Socket {
    fn arrive(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn read(&self) -> Option<usize> {
        match self.0.swap(0, Ordering::AcqRel) {
            0 => None,
            bytes => Some(bytes),
        }
    }
}

/// Reads until `wanted` bytes have come. Hangs if an event is lost.
fn read_all(source: &Readiness, socket: &Socket, wanted: usize) {
    let mut parker = Parker::new();
    let waker = Waker::from(std::sync::Arc::new(Unparker(parker.unparker())));
    let mut got = 0;
    while got < wanted {
        let seen = match source.look(Direction::Read) {
            Look::Ready(seen) => {
                match socket.read() {
                    Some(bytes) => got += bytes,
                    None => source.note(seen, Direction::Read, Moved::Nothing),
                }
                continue;
            }
            Look::InDoubt { .. } => panic!("nobody notes a full read"),
            Look::Spent(seen) => seen,
        };
        let waiting = source
            .wait(seen, Direction::Read, &waker, Arming::Edge, |_| Ok(()))
            .unwrap();
        if waiting == Waiting::Stored {
            parker.park();
        }
    }
}

#[test]
fn no_event_is_lost_between_try_clear_and_wait() {
    // Everything takes minutes, and found no more than three switches against a thread's will.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new((Readiness::new(), Socket::default()));
        let driver = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                let (source, socket) = &*shared;
                for _ in 0..2 {
                    socket.arrive();
                    let mut wakes = Wakes::default();
                    source.mark(Ready::READABLE, Arming::Edge, &mut wakes);
                    wakes.call();
                }
            })
        };
        read_all(&shared.0, &shared.1, 2);
        driver.join().unwrap();
    });
}

/// The socket says how much it holds, and a read takes one: its buffer is full.
impl Socket {
    fn read_one(&self) -> Moved {
        let one = |bytes: usize| bytes.checked_sub(1);
        match self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one)
        {
            Ok(_) => Moved::All,
            Err(_) => Moved::Nothing,
        }
    }
}

/// Two readers, of whom one doubts (and the next one tries), on the thread that drives, and the other
/// may try at any time and then go away. Nobody may be left waiting while there is something to read.
fn a_doubt_between_two_readers(end: End, messages: usize, preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let source = Readiness {
            read: Side::before_a_try(),
            ..Readiness::new()
        };
        let shared = Arc::new((source, Socket(AtomicUsize::new(messages))));
        let other = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                let (source, socket) = &*shared;
                if let Look::Ready(seen) | Look::InDoubt { seen, .. } = source.look(Direction::Read)
                {
                    source.note(seen, Direction::Read, socket.read_one());
                }
            })
        };
        let (source, socket) = &*shared;
        let mut parker = Parker::new();
        let waker = Waker::from(std::sync::Arc::new(Unparker(parker.unparker())));
        let mut doubt = None;
        loop {
            let seen = match source.look(Direction::Read) {
                Look::Ready(seen) => {
                    source.note(seen, Direction::Read, socket.read_one());
                    continue;
                }
                Look::InDoubt { seen, .. } => {
                    doubt = Some(seen);
                    source.list(Direction::Read);
                    seen
                }
                Look::Spent(seen) => seen,
            };
            let stored = source.wait(seen, Direction::Read, &waker, Arming::Edge, |_| Ok(()));
            if stored.unwrap() == Waiting::TryAgain {
                continue;
            }
            // The turn, on this thread.
            let mut wakes = Wakes::default();
            if let Some(seen) = doubt.take()
                && source.is_still_in_doubt(seen)
            {
                source.end_doubt(end, &mut wakes);
            }
            if wakes.is_empty() {
                break; // It sleeps.
            }
            wakes.call();
            parker.park();
        }
        other.join().unwrap();
        assert_eq!(
            socket.0.load(Ordering::Relaxed),
            0,
            "left, and nobody reads"
        );
    });
}

#[test]
fn a_doubt_that_ends_by_force_is_not_lost_between_two_readers() {
    a_doubt_between_two_readers(End::Force, 3, 2);
}

/// Who guesses doubts again, so there is more to explore.
#[test]
fn a_doubt_that_ends_by_a_guess_is_not_lost_between_two_readers() {
    a_doubt_between_two_readers(End::Guess, 2, 2);
}

/// A task on a thread that drives nothing: it reads until it may wait, as `Registration::poll_ready`
/// has it there. True: its waker is stored.
fn read_until_it_waits(source: &Readiness, socket: &Socket, waker: &Waker) {
    loop {
        let seen = match source.look(Direction::Read) {
            Look::Ready(seen) | Look::InDoubt { seen, .. } => {
                source.note(seen, Direction::Read, socket.read_one());
                continue;
            }
            Look::Spent(seen) => seen,
        };
        let stored = source.wait(seen, Direction::Read, waker, Arming::Edge, |_| Ok(()));
        if stored.unwrap() == Waiting::Stored {
            return;
        }
    }
}

/// Workers, none of which drives: an event comes, another reader takes the first of two bytes and goes
/// away in doubt, all while the one that stays is about to wait. Nobody would end that doubt.
#[test]
fn nobody_waits_in_a_doubt_that_came_after_its_look() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let source = Readiness {
            read: Side::with_tries(0),
            ..Readiness::new()
        };
        let shared = Arc::new((source, Socket(AtomicUsize::new(0))));
        let woken = Arc::new(AtomicUsize::new(0));
        let stays = {
            let (shared, woken) = (shared.clone(), woken.clone());
            loom::thread::spawn(move || {
                let waker = Waker::from(std::sync::Arc::new(Count(woken)));
                read_until_it_waits(&shared.0, &shared.1, &waker);
            })
        };
        let (source, socket) = &*shared;
        socket.0.fetch_add(2, Ordering::AcqRel);
        let mut wakes = Wakes::default();
        source.mark(Ready::READABLE, Arming::Edge, &mut wakes);
        wakes.call();
        if let Look::Ready(seen) = source.look(Direction::Read) {
            source.note(seen, Direction::Read, socket.read_one());
        }
        stays.join().unwrap();
        let left = socket.0.load(Ordering::Relaxed);
        assert!(
            left == 0 || woken.load(Ordering::Relaxed) == 1,
            "{left} left, and nobody reads"
        );
    });
}

struct Count(Arc<AtomicUsize>);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn find_nothing(source: &Readiness, direction: Direction) {
    match source.look(direction) {
        Look::Ready(seen) => source.note(seen, direction, Moved::Nothing),
        look => panic!("{look:?}"),
    }
}

#[test]
fn halves_that_find_nothing_at_once_do_not_undo_each_other() {
    loom::model(|| {
        let source = Arc::new(Readiness::new());
        let writer = {
            let source = source.clone();
            loom::thread::spawn(move || {
                find_nothing(&source, Direction::Write);
            })
        };
        find_nothing(&source, Direction::Read);
        writer.join().unwrap();
        for direction in [Direction::Read, Direction::Write] {
            assert!(matches!(source.look(direction), Look::Spent(_)));
        }
    });
}
