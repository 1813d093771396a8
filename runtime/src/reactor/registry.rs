//! From token to source, and never to the wrong one.
//!
//! ```text
//!   token = generation | index          slots: [ gen 3: source ] [ gen 7: vacant ] [ gen 0: ... ]
//!                |         |                        ^
//!                |         +------------------------+
//!                +-- must equal the slot's, or the event is about a source that is gone
//! ```
//!
//! A wait fetches events in batches. While one is being worked through, a task may close a socket
//! of the same batch and open another, which gets the slot (and the descriptor number) of the
//! first: without generations the old socket's event would wake the new one.
//!
//! Owns      the slots, under one lock; each source is shared with the I/O object that waits on it.
//! Touched   by any thread that opens or closes a source, and by the turn once per batch. A read
//!           or a write never comes here.
//! Holds     I1 a slot's generation moves each time it is vacated; I2 after `close`, every source,
//!           old or new, is orphaned: its waits fail instead of lasting for ever.
//!           I3 whoever registers a source while the loop sleeps deaf (`turn.rs`), or may do so without
//!              asking again, unparks it: `deaf` is set under the lock while there is no source, and
//!              cleared under it by the first that comes. A loop that still reads it as set finds the
//!              token. (The clearing comes before the token, so whoever has taken
//!              the token reads it as cleared. Relaxed otherwise: the lock and the token order.)
//! Lock order: slots, then a source's waiters. Wakers are called under neither.
//! Next: `turn.rs`.

use super::doubts::Doubt;
use super::interest::{Direction, Ready};
use super::poller::{Arming, Event, Selector, Token};
use super::readiness::{Readiness, Waiting};
use super::side::{End, Look, Moved, Seen};
use super::unpark::UnparkWord;
use super::wakes::Wakes;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

/// Half of a token is the index, half the generation. With 64 bits a stale event could be taken
/// for a fresh one after four thousand million reuses of one slot within one batch.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;
/// The largest indexes stay unused: backends keep the tokens near `usize::MAX` to themselves.
const MOST_SOURCES: usize = INDEX_MASK - 1;

pub(crate) struct Registry {
    selector: Arc<dyn Selector>,
    arming: Arming,
    slots: Mutex<Slots>,
    /// How many sources there are: written under the lock, a hint without it.
    len: AtomicUsize,
    sleep: Sleep,
}

/// What the loop and who unparks it touch, and nobody else: one cache line, whose way from one CPU to
/// the other is part of every wake-up.
#[repr(align(64))]
struct Sleep {
    word: UnparkWord,
    /// May the loop sleep deaf? (I3)
    deaf: AtomicBool,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    vacant: Vec<usize>,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    generation: usize,
    source: Option<Arc<Readiness>>,
}

impl Slots {
    fn insert(&mut self, source: Arc<Readiness>) -> io::Result<Token> {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None if self.slots.len() < MOST_SOURCES => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return Err(io::Error::other("the event loop has no token left")),
        };
        let slot = &mut self.slots[index];
        slot.source = Some(source);
        Ok(Token((slot.generation << INDEX_BITS) | index))
    }

    fn remove(&mut self, token: Token) {
        if self.get(token).is_none() {
            return;
        }
        let index = token.0 & INDEX_MASK;
        let slot = &mut self.slots[index];
        slot.source = None;
        slot.generation = (slot.generation + 1) & INDEX_MASK; // I1
        self.vacant.push(index);
    }

    fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    fn get(&self, token: Token) -> Option<&Arc<Readiness>> {
        let slot = self.slots.get(token.0 & INDEX_MASK)?;
        if slot.generation != token.0 >> INDEX_BITS {
            return None;
        }
        slot.source.as_ref()
    }

    fn end<'a>(
        &self,
        doubts: impl Iterator<Item = &'a Doubt>,
        end: End,
        wakes: &mut Wakes,
    ) -> usize {
        let mut ended = 0;
        for doubt in doubts {
            if let Some(source) = self.get(doubt.token)
                && source.is_still_in_doubt(doubt.seen)
            {
                source.end_doubt(end, wakes);
                ended += 1;
            }
        }
        ended
    }
}

impl Registry {
    pub(crate) fn new(selector: Arc<dyn Selector>) -> Self {
        Self {
            arming: selector.arming(),
            selector,
            slots: Mutex::default(),
            len: AtomicUsize::new(0),
            sleep: Sleep {
                word: UnparkWord::new(),
                deaf: AtomicBool::new(false),
            },
        }
    }

    /// Begins to watch `fd`, which the caller keeps open until it has called `deregister`.
    pub(crate) fn register(self: &Arc<Self>, fd: BorrowedFd<'_>) -> io::Result<Registration> {
        let source = Arc::new(Readiness::new());
        let (token, deaf) = {
            let mut slots = lock(&self.slots);
            if slots.closed {
                return Err(orphaned());
            }
            let token = slots.insert(source.clone())?;
            self.len.store(slots.len(), Ordering::Relaxed);
            (token, self.sleep.deaf.swap(false, Ordering::Relaxed))
        };
        if deaf {
            self.unpark(); // I3
        }
        // Outside the lock: a system call. The slot is there first, for the event that may come
        // before the call returns.
        if let Err(error) = self.selector.register(fd, token) {
            self.remove(token);
            return Err(error);
        }
        Ok(Registration {
            registry: self.clone(),
            token,
            source,
        })
    }

    /// Marks the sources of a batch of events, and takes the wakers of those that wait; then of
    /// those whose read was put off and who shall make it now.
    pub(super) fn dispatch<'a>(
        &self,
        events: &[Event],
        doubts: impl Iterator<Item = &'a Doubt>,
        wakes: &mut Wakes,
    ) {
        let arming = self.arming;
        let slots = lock(&self.slots);
        for event in events {
            if let Some(source) = slots.get(event.token) {
                source.mark(event.ready, arming, wakes);
            }
        }
        slots.end(doubts, End::Force, wakes);
    }

    /// Ends doubts: those whose read was put off shall make it now.
    pub(crate) fn end_doubts(&self, doubts: &[Doubt], wakes: &mut Wakes) {
        lock(&self.slots).end(doubts.iter(), End::Force, wakes);
    }

    /// As `end_doubts`, on the guess that there is something to read by now. Returns how many there
    /// were: an event may have ended some.
    pub(super) fn guess(&self, doubts: &[Doubt], wakes: &mut Wakes) -> usize {
        lock(&self.slots).end(doubts.iter(), End::Guess, wakes)
    }

    fn remove(&self, token: Token) {
        let mut slots = lock(&self.slots);
        slots.remove(token);
        self.len.store(slots.len(), Ordering::Relaxed);
    }

    /// How many sources there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.slots).len()
    }

    /// Is there no source? Then the loop may sleep deaf: the first one ends that. (I3)
    pub(super) fn may_be_deaf(&self) -> bool {
        // Relaxed: see I3; of the number it is the look under the lock that counts.
        if self.sleep.deaf.load(Ordering::Relaxed) {
            return true;
        }
        if self.len.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let slots = lock(&self.slots);
        let deaf = slots.len() == 0;
        self.sleep.deaf.store(deaf, Ordering::Relaxed);
        deaf
    }

    /// The word that the loop sleeps by.
    pub(super) fn word(&self) -> &UnparkWord {
        &self.sleep.word
    }

    /// Ends the current or the next turn, from any thread.
    #[inline]
    fn unpark(&self) {
        if self.sleep.word.unpark() {
            self.selector.ring();
        }
    }

    /// No event will come any more: every wait fails, now and later (I2).
    pub(crate) fn close(&self, wakes: &mut Wakes) {
        let arming = self.arming;
        let mut slots = lock(&self.slots);
        slots.closed = true;
        for source in slots.slots.iter().filter_map(|slot| slot.source.as_ref()) {
            source.mark(Ready::ORPHANED, arming, wakes);
        }
    }
}

/// A registry is its loop's unparker: a waker of its own would be one more thing to touch.
impl Wake for Registry {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

/// One watched descriptor, seen from the I/O object that owns it.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    token: Token,
    source: Arc<Readiness>,
}

impl Registration {
    /// Waits until a system call in `direction` is worth trying. `fd` is the registered one.
    ///
    /// `put_off`: if the calling thread drives this registry, takes a read that is in doubt on its
    /// list (unless it is listed, says the flag, or need not be).
    ///
    /// # Errors
    /// The reactor is gone, or a oneshot OS refuses to be armed.
    #[inline]
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        fd: BorrowedFd<'_>,
        put_off: impl Fn(&Arc<Registry>, Doubt, bool) -> bool,
    ) -> Poll<io::Result<Seen>> {
        loop {
            let seen = match self.source.look(direction) {
                Look::Ready(seen) if seen.is_orphaned() => return Poll::Ready(Err(orphaned())),
                Look::Ready(seen) => return Poll::Ready(Ok(seen)),
                Look::InDoubt { seen, listed } => {
                    if !self.put_off(seen, listed, direction, &put_off) {
                        return Poll::Ready(Ok(seen));
                    }
                    seen
                }
                Look::Spent(seen) => seen,
            };
            match self.wait(cx, seen, direction, fd)? {
                Waiting::Stored => return Poll::Pending,
                Waiting::TryAgain => {}
            }
        }
    }

    /// True: the doubt will end, and whoever waits until then may sleep.
    fn put_off(
        &self,
        seen: Seen,
        listed: bool,
        direction: Direction,
        put_off: impl Fn(&Arc<Registry>, Doubt, bool) -> bool,
    ) -> bool {
        // A oneshot OS answers at the next arming: nobody need remember.
        let needless = self.registry.arming == Arming::Oneshot;
        let token = self.token;
        let here = put_off(&self.registry, Doubt { token, seen }, listed || needless);
        if here && !listed && !needless {
            self.source.list(direction);
        }
        here
    }

    fn wait(
        &self,
        cx: &mut Context<'_>,
        seen: Seen,
        direction: Direction,
        fd: BorrowedFd<'_>,
    ) -> io::Result<Waiting> {
        let arm = |interest| self.registry.selector.rearm(fd, self.token, interest);
        self.source
            .wait(seen, direction, cx.waker(), self.registry.arming, arm)
    }

    /// What the system call came to, after `poll_ready` said that it was worth trying.
    #[inline]
    pub(crate) fn note(&self, seen: Seen, direction: Direction, moved: Moved) {
        self.source.note(seen, direction, moved);
    }

    /// Stops watching. Before the descriptor is closed, always.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        // The token goes first: whatever is still fetched under it finds nobody.
        self.registry.remove(self.token);
        // An error says that the OS does not watch it: which is what we wanted.
        let _ = self.registry.selector.deregister(fd);
    }
}

fn orphaned() -> io::Error {
    io::Error::other("the runtime that this I/O object was made on has been shut down")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_reused_slot_does_not_reach_the_new_source() {
        let mut slots = Slots::default();
        let old = slots.insert(Arc::new(Readiness::new())).unwrap();
        slots.remove(old);
        let new = slots.insert(Arc::new(Readiness::new())).unwrap();
        assert_eq!(old.0 & INDEX_MASK, new.0 & INDEX_MASK); // the same slot
        assert!(slots.get(old).is_none());
        assert!(slots.get(new).is_some());
    }

    #[test]
    fn removing_twice_does_not_free_the_next_owner() {
        let mut slots = Slots::default();
        let old = slots.insert(Arc::new(Readiness::new())).unwrap();
        slots.remove(old);
        let new = slots.insert(Arc::new(Readiness::new())).unwrap();
        slots.remove(old);
        assert!(slots.get(new).is_some());
        assert!(slots.vacant.is_empty());
    }

    #[test]
    fn tokens_of_the_backends_are_nobodys() {
        let slots = Slots::default();
        assert!(slots.get(Token(usize::MAX)).is_none());
        assert!(slots.get(Token(usize::MAX - 1)).is_none());
        const { assert!(MOST_SOURCES < INDEX_MASK) };
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::super::interest::Interest;
    use super::*;
    use std::os::fd::AsFd;

    /// An OS that watches anything.
    struct Watches;

    impl Selector for Watches {
        fn arming(&self) -> Arming {
            Arming::Edge
        }

        fn register(&self, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
            Ok(())
        }

        fn rearm(&self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&self, _: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }

        fn ring(&self) {}
    }

    #[test]
    fn a_loop_that_sleeps_deaf_hears_of_each_first_source() {
        loom::model(|| {
            let registry = Arc::new(Registry::new(Arc::new(Watches)));
            for _ in 0..2 {
                let opener = loom::thread::spawn({
                    let registry = registry.clone();
                    move || registry.register(std::io::stdin().as_fd()).unwrap()
                });
                // Ends only if the opener ends the sleep.
                while registry.may_be_deaf() {
                    registry.word().sleep_deaf();
                }
                assert_eq!(registry.len(), 1);
                let registration = opener.join().unwrap();
                registration.deregister(std::io::stdin().as_fd());
            }
        });
    }
}
