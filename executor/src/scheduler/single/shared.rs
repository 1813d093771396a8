//! What the tasks and the other threads know of a one-thread executor, and who may touch what.
//!
//! Owns      `Local`, the owner thread's, and `Inject`, behind a lock; see I1 to I3 in `../single.rs`.
//!           `Shared` itself is held by the executor (`Owner`), and by tasks, handles and wakers of
//!           the main future (`Home`).
//! Holds     CURRENT names an executor only on its owner's thread, and only while its `Owner` is
//!           borrowed: so whoever finds its executor there may touch what is the owner's.
//!           A `Home` may free, so its pointer is always a copy of the owner's, never a borrow's.
//! Next: `root.rs`.

use super::super::fifo::Fifo;
use super::super::live::LiveTasks;
use super::super::metrics::{Counter, Counters, WorkerMetrics};
use super::count::Count;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, UnsafeCell, lock, thread_cell};
use crate::task::body::{Plain, new_listed_task};
use crate::task::cell::{Slot, Task};
use crate::task::join::JoinHandle;
use crate::task::runnable::Runnable;
use crate::task::schedule::{Schedule, Scheduled};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::task::Waker;

/// What tasks and other threads know of the executor. In this order: what a wake-up from another
/// thread touches fills a cache line (and the next, if it is a task's), and all else lies apart.
#[repr(C, align(64))]
pub(super) struct Shared {
    pub(super) unparker: Waker,
    /// Was the main future woken from another thread? See `root.rs`.
    pub(super) root_woken: AtomicBool,
    /// Is there something in the inject queue? Only a hint that saves the owner a lock: set under
    /// the lock with each push, cleared under the lock when it is drained.
    pub(super) injected: AtomicBool,
    count: Count,
    pub(super) inject: Mutex<Inject>,
    /// The owner thread's; see the file head for who may come here.
    pub(super) local: UnsafeCell<Local>,
    /// Written on the owner's thread.
    pub(super) counters: Counters,
    /// How many tasks were ready, and alive, when the owner last looked at the driver.
    pub(super) ready: Counter,
    pub(super) live: Counter,
}

#[repr(align(64))]
pub(super) struct Local {
    pub(super) queue: Fifo,
    pub(super) live: LiveTasks,
    /// The inject queue's next memory: empty, and no larger than [`KEPT`].
    pub(super) spare: VecDeque<Injected>,
    /// Was the main future woken on this thread?
    pub(super) root_woken: bool,
    pub(super) closed: bool,
}

pub(super) struct Inject {
    pub(super) queue: VecDeque<Injected>,
    pub(super) closed: bool,
}

/// So much room the inject queue keeps, in entries of 24 bytes. One wake-up at a time, which is the
/// rule, needs no allocator on either side, where both threads have cold caches; what a burst needed
/// goes back.
pub(super) const KEPT: usize = 64;

pub(super) enum Injected {
    Wake(Runnable),
    Spawn(Runnable, Task),
}

// SAFETY: `local` is reached only by the owner's thread (`with_local` says how that is known);
// everything else is Send and Sync by itself.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

thread_cell! {
    /// The executor that this thread owns and is inside of right now.
    static CURRENT: *const Shared = ptr::null();
}

/// The executor's own hold on `Shared`.
pub(super) struct Owner {
    shared: NonNull<Shared>,
}

/// A counted hold on `Shared`: a task's way home.
pub(super) struct Home {
    shared: NonNull<Shared>,
}

// SAFETY: `Shared` is Send and Sync, and `Count` takes its references from any thread.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Owner {
    pub(super) fn new(unparker: Waker) -> Self {
        let shared = Shared {
            local: UnsafeCell::new(Local {
                queue: Fifo::default(),
                live: LiveTasks::new(0),
                spare: VecDeque::new(),
                root_woken: false,
                closed: false,
            }),
            inject: Mutex::new(Inject {
                queue: VecDeque::new(),
                closed: false,
            }),
            injected: AtomicBool::new(false),
            unparker,
            root_woken: AtomicBool::new(false),
            counters: Counters::default(),
            ready: Counter::default(),
            live: Counter::default(),
            count: Count::new(),
        };
        Self {
            shared: NonNull::from(Box::leak(Box::new(shared))),
        }
    }

    pub(super) fn as_raw(&self) -> NonNull<Shared> {
        self.shared
    }

    /// A reference for others.
    pub(super) fn new_home(&self) -> Home {
        // SAFETY: made by `new`, and ours.
        unsafe { Home::new(self.shared) }
    }
}

impl Deref for Owner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        // SAFETY: freed after `settle` at the earliest, and only ever shared.
        unsafe { self.shared.as_ref() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: an `Owner` does not leave its thread (its executor does not), and it goes once.
        // Nobody is inside the executor (`Current` borrows the owner), so nobody counts here
        // from now on.
        if unsafe { self.count.settle() } {
            // SAFETY: allocated by `new`, and no reference is left.
            drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
        }
    }
}

impl Home {
    /// One more reference.
    ///
    /// # Safety
    /// `Owner::new` made the pointer, and somebody has a reference meanwhile.
    #[inline]
    pub(super) unsafe fn new(shared: NonNull<Shared>) -> Self {
        // SAFETY: alive, by the caller; and as in `drop`.
        unsafe {
            let now = shared.as_ref();
            now.count.up(now.is_current());
        }
        Self { shared }
    }

    pub(super) fn into_raw(self) -> NonNull<Shared> {
        ManuallyDrop::new(self).shared
    }

    /// # Safety
    /// The caller gives up one reference, one that `into_raw` returned.
    pub(super) unsafe fn from_raw(shared: NonNull<Shared>) -> Self {
        Self { shared }
    }

    /// Spawns on this executor; the task keeps this reference.
    ///
    /// # Safety
    /// The caller is on the owner's thread, and the executor exists.
    #[inline]
    pub(super) unsafe fn spawn_here<F: Future + 'static>(self, future: F) -> JoinHandle<F::Output>
    where
        F::Output: 'static,
    {
        // SAFETY: alive, by the caller.
        let shared = unsafe { self.shared.as_ref() };
        let (runnable, handle, task) = new_listed_task(Plain(future), self);
        // SAFETY: the owner's thread; moving pointers runs no user code.
        let refused = unsafe {
            shared.with_local(|local| {
                if local.closed {
                    return Some((runnable, task));
                }
                local.live.insert(task);
                local.queue.push(runnable);
                None
            })
        };
        // Shutting down: the runnable cancels the task as it is dropped, here, by its owner.
        drop(refused);
        handle
    }
}

impl Deref for Home {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        // SAFETY: our reference keeps it alive, and it is only ever shared.
        unsafe { self.shared.as_ref() }
    }
}

impl Clone for Home {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: our reference.
        unsafe { Self::new(self.shared) }
    }
}

impl Drop for Home {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: our reference goes. Inside the executor, so on the owner's thread and before
        // `settle`, it counts here.
        if unsafe { self.count.down(self.is_current()) } {
            // SAFETY: allocated by `Owner::new`, and no reference is left.
            drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
        }
    }
}

impl Shared {
    /// # Safety
    /// The caller is on the owner's thread. `f` runs no user code: it would come back here.
    #[inline]
    pub(super) unsafe fn with_local<R>(&self, f: impl FnOnce(&mut Local) -> R) -> R {
        // SAFETY: one thread, and no second borrow while `f` runs.
        self.local.with_mut(|local| f(unsafe { &mut *local }))
    }

    #[inline]
    pub(super) fn is_current(&self) -> bool {
        ptr::eq(CURRENT.get(), self)
    }

    /// Hands work over from another thread. Gives it back when the executor is gone.
    pub(super) fn inject(&self, work: Injected) -> Result<(), Injected> {
        let mut inject = lock(&self.inject);
        if inject.closed {
            return Err(work);
        }
        inject.queue.push_back(work);
        // Relaxed: the owner's look under the lock is what counts; the flag only saves it the
        // lock, and the unpark below orders this store before the look that follows a park.
        self.injected.store(true, Ordering::Relaxed);
        drop(inject);
        // I3: after the push.
        self.unparker.wake_by_ref();
        Ok(())
    }

    /// Writes down for other threads how many tasks there are.
    ///
    /// # Safety
    /// The caller is on the owner's thread.
    pub(super) unsafe fn note(&self) {
        // SAFETY: the owner's thread; reading numbers runs no user code.
        let (ready, live) =
            unsafe { self.with_local(|local| (local.queue.len(), local.live.len())) };
        self.ready.set(ready);
        self.live.set(live);
    }

    /// What the owner has done, and what waited when it last looked at the driver.
    pub(super) fn metrics(&self) -> WorkerMetrics {
        self.counters.read(self.ready.get() as usize)
    }

    pub(super) fn inject_depth(&self) -> usize {
        lock(&self.inject).queue.len()
    }

    /// Moves what other threads handed over into the local queue.
    ///
    /// # Safety
    /// The caller is on the owner's thread.
    pub(super) unsafe fn drain_inject(&self) {
        // Relaxed: see `inject`.
        if !self.injected.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the owner's thread; moving memory runs no user code.
        let mut work = unsafe { self.with_local(|local| std::mem::take(&mut local.spare)) };
        {
            let mut inject = lock(&self.inject);
            self.injected.store(false, Ordering::Relaxed);
            std::mem::swap(&mut inject.queue, &mut work);
        }
        self.counters.wakes.add(work.len() as u64);
        // SAFETY: the owner's thread; moving pointers runs no user code.
        unsafe {
            self.with_local(|local| {
                for entry in work.drain(..) {
                    match entry {
                        Injected::Wake(runnable) => local.queue.push(runnable),
                        Injected::Spawn(runnable, task) => {
                            local.live.insert(task);
                            local.queue.push(runnable);
                        }
                    }
                }
                if work.capacity() <= KEPT {
                    local.spare = work;
                }
            });
        }
    }
}

impl Schedule for Home {
    const CANCEL_IN_PLACE: bool = false;
    // `block_on` runs tasks and `drop` shuts them down, on the owner's thread; the executor is
    // borrowed by the one and gone with the other, so never inside a task. What another thread
    // cancels (a spawn that came too late) nobody else has heard of.
    const AT_HOME: bool = true;

    /// (7) To the local queue on the owner's thread, through the inject queue from any other.
    #[inline]
    fn schedule(scheduled: Scheduled<Self>) {
        if scheduled.scheduler().is_current() {
            // SAFETY: CURRENT names this executor only on the owner's thread, and is cleared
            // before the executor's own reference goes, so it is alive.
            let shared = unsafe { &*CURRENT.get() };
            // SAFETY: the owner's thread; a push runs no user code.
            unsafe { shared.with_local(|local| local.queue.push(scheduled.into_runnable())) };
            return;
        }
        let shared = scheduled.scheduler().clone();
        if let Err(Injected::Wake(runnable)) =
            shared.inject(Injected::Wake(scheduled.into_runnable()))
        {
            // The executor is shutting down and cancels every live task on its own thread;
            // dropping the runnable here could drop a future that is not `Send` (I1).
            runnable.discard();
        }
    }

    fn release(&self, slot: Slot) -> Option<Task> {
        if !self.is_current() {
            // Completed away from home: only a task whose spawn came too late to be listed.
            return None;
        }
        // SAFETY: the owner's thread; taking a pointer out runs no user code.
        unsafe { self.with_local(|local| local.live.remove(slot.index)) }
    }
}

/// Spawns onto the one-thread executor that this thread is inside of; gives the future back when
/// there is none.
pub(in crate::scheduler) fn spawn_here<F: Future + 'static>(
    future: F,
) -> Result<JoinHandle<F::Output>, F>
where
    F::Output: 'static,
{
    let Some(shared) = NonNull::new(CURRENT.get().cast_mut()) else {
        return Err(future);
    };
    // SAFETY: CURRENT is set only while the executor's `Owner` lives (`Current` borrows it), to a
    // copy of its pointer, and only on the owner's thread.
    Ok(unsafe { Home::new(shared).spawn_here(future) })
}

/// The thread is inside an executor until this is dropped; then inside the one before it.
pub(super) struct Current<'a> {
    before: *const Shared,
    _executor: PhantomData<&'a Owner>,
}

impl<'a> Current<'a> {
    pub(super) fn set(owner: &'a Owner) -> Self {
        Self {
            before: CURRENT.replace(owner.shared.as_ptr()),
            _executor: PhantomData,
        }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}
