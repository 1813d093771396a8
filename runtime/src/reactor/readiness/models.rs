//! Loom: a source and its waiters against the thread that marks it.

use super::*;
use crate::sync::atomic::AtomicUsize;
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
        if let Some(seen) = source.look(Direction::Read) {
            match socket.read() {
                Some(bytes) => got += bytes,
                None => source.clear(seen, Direction::Read),
            }
            continue;
        }
        let waiting = source
            .wait(Direction::Read, &waker, Arming::Edge, |_| Ok(()))
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

#[test]
fn halves_that_clear_at_once_do_not_undo_each_other() {
    loom::model(|| {
        let source = Arc::new(Readiness::new());
        let writer = {
            let source = source.clone();
            loom::thread::spawn(move || {
                let seen = source.look(Direction::Write).unwrap();
                source.clear(seen, Direction::Write);
            })
        };
        let seen = source.look(Direction::Read).unwrap();
        source.clear(seen, Direction::Read);
        writer.join().unwrap();
        assert!(source.look(Direction::Read).is_none());
        assert!(source.look(Direction::Write).is_none());
    });
}
