//! What a task knows of its executor, and what a thread does: where spawns and wakes go.
//!
//! ```text
//!   on one of the executor's workers:   spawn ──> its own list ──> its next slot
//!                                       wake ────────────────────> its next slot
//!   anywhere else:                      spawn ──> the outside list ──┐
//!                                       wake ────────────────────────┴> inject queue
//! ```
//!
//! Owns      the `Home` in every task, and the threads' note of whose `block_on` they are in.
//! Cost      a spawn or a wake on a worker: no count of the executor, no lock, no fence. From
//!           outside: one lock, and for a wake two counts of the executor.
//! Next: `executor.rs`.

use super::live::Chain;
use super::shared::Shared;
use super::worker::{current, with_current};
use crate::error::contain;
use crate::sync::thread_cell;
use crate::task::body::{Plain, new_listed_task_from};
use crate::task::cell::{Slot, Task};
use crate::task::join::JoinHandle;
use crate::task::schedule::{Schedule, Scheduled};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering;

thread_cell! {
    /// The executor whose `block_on` this thread is inside of, without being a worker.
    static OUTSIDE: *const Shared = ptr::null();
}

/// This thread is inside `block_on` of a multi-thread executor until this is dropped.
pub(crate) struct Outside<'a> {
    before: *const Shared,
    _shared: &'a Arc<Shared>,
}

impl<'a> Outside<'a> {
    pub(super) fn enter(shared: &'a Arc<Shared>) -> Self {
        Self {
            before: OUTSIDE.replace(Arc::as_ptr(shared)),
            _shared: shared,
        }
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        OUTSIDE.set(self.before);
    }
}

/// Spawns onto the executor that this thread works for; gives the future back when there is none.
pub(crate) fn spawn_here<F>(future: F) -> Result<JoinHandle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let shared = current().map_or(ptr::null(), |worker| Arc::as_ptr(worker.shared()));
    // SAFETY: this thread's worker holds a reference to the executor.
    unsafe { spawn_on(shared, future) }
}

/// Spawns onto the executor whose `block_on` this thread is in; gives the future back when there
/// is none.
pub(crate) fn spawn_outside<F>(future: F) -> Result<JoinHandle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // SAFETY: `Outside` holds a reference to the executor for as long as the pointer is set.
    unsafe { spawn_on(OUTSIDE.get(), future) }
}

/// # Safety
/// The pointer is null, or was made by `Arc::as_ptr` and somebody holds a reference meanwhile.
unsafe fn spawn_on<F>(shared: *const Shared, future: F) -> Result<JoinHandle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if shared.is_null() {
        return Err(future);
    }
    // SAFETY: by the caller; the Arc made here is not dropped.
    let shared = unsafe { ManuallyDrop::new(Arc::from_raw(shared)) };
    Ok(spawn(&shared, future))
}

/// (1) Spawns from a worker, or from any other thread.
pub(super) fn spawn<F>(shared: &Arc<Shared>, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let depot = Some(&*shared.depot);
    let (runnable, handle, task) = new_listed_task_from(depot, Plain(future), Home::of(shared));
    with_current(Arc::as_ptr(shared), |worker| {
        match worker {
            Some(worker) => match worker.enlist(task) {
                Ok(()) => worker.push_next(runnable),
                // Shutting down: dropping the runnable cancels the task.
                Err(task) => drop((runnable, task)),
            },
            None => shared.inject(runnable, |outsiders| {
                outsiders.listed += 1;
                shared.live[shared.workers()].insert(&mut outsiders.lister, task);
            }),
        }
    });
    handle
}

/// The executor that a task was spawned on: a pointer that is not counted.
///
/// A count would be a cache line that all workers write, twice for each task. None is needed: only
/// the holder of a task's runnable, or of its stage, goes through the pointer, and then
/// - the task is in its list: the executor is not gone, for it sweeps its lists first (`close`; what a
///   worker listed later, that worker, before it lets go of its reference); or
/// - it was swept: then the sweeper gave it a reference to the executor, before it took the task off
///   the list. Whoever completes the task finds it taken off, and gives that reference back; or
/// - it came too late to be listed: then it never ran, and who spawned it drops it.
#[derive(Clone, Copy)]
pub(super) struct Home(NonNull<Shared>);

// SAFETY: `Shared` is Send and Sync; that it is alive whenever it is used is said above.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Home {
    fn of(shared: &Arc<Shared>) -> Self {
        // SAFETY: an Arc's pointer is never null. By `as_ptr`, so that the count may be changed
        // through it.
        Self(unsafe { NonNull::new_unchecked(Arc::as_ptr(shared).cast_mut()) })
    }

    /// # Safety
    /// As said at the type.
    unsafe fn shared(&self) -> &Shared {
        // SAFETY: by the caller.
        unsafe { self.0.as_ref() }
    }

    /// A reference of its own, for whoever gives the runnable away and goes on.
    ///
    /// # Safety
    /// As said at the type.
    unsafe fn to_counted(self) -> Arc<Shared> {
        // SAFETY: by the caller; the pointer came from an Arc.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

impl Schedule for Home {
    // Any thread could drop the future, but not while it may be stolen and run.
    const CANCEL_IN_PLACE: bool = false;

    /// (7) On one of our workers its next slot; anywhere else the inject queue.
    #[inline]
    fn schedule(scheduled: Scheduled<Self>) {
        let home = *scheduled.scheduler();
        with_current(home.0.as_ptr(), |worker| match worker {
            Some(worker) => worker.push_next(scheduled.into_runnable()),
            // SAFETY: we hold the runnable.
            None => unsafe { home.to_counted() }.inject(scheduled.into_runnable(), |_| ()),
        });
    }

    /// Woken during its own poll (`yield_now`): behind everything else that is ready.
    #[inline]
    fn reschedule(scheduled: Scheduled<Self>) {
        let home = *scheduled.scheduler();
        with_current(home.0.as_ptr(), |worker| match worker {
            Some(worker) => worker.push_back(scheduled.into_runnable()),
            // SAFETY: we hold the runnable.
            None => unsafe { home.to_counted() }.inject(scheduled.into_runnable(), |_| ()),
        });
    }

    fn release(&self, slot: Slot) -> Option<Task> {
        if slot == Slot::NONE {
            return None; // it came too late
        }
        // SAFETY: called by the holder of the stage.
        let shared = unsafe { self.shared() };
        let list = &shared.live[slot.list as usize];
        let task = with_current(shared, |worker| match worker {
            Some(worker) => worker.strike_off(list, slot),
            None => {
                // Relaxed: a statistic.
                shared.ended_outside.fetch_add(1, Ordering::Relaxed);
                // While the executor shuts down: nobody will want the place.
                list.remove(slot.index, &mut Chain::EMPTY.clone())
            }
        });
        if task.is_none() {
            // SAFETY: swept, so `Shared::sweep` counted a reference before that. The pointer is an
            // Arc's, and nobody follows it from now on. (With the executor may go what the user gave it.)
            contain(|| unsafe { Arc::decrement_strong_count(self.0.as_ptr()) });
        }
        task
    }

    fn is_from_elsewhere(&self, slot: Slot) -> bool {
        with_current(self.0.as_ptr(), |worker| {
            worker.is_some_and(|worker| !worker.has_listed(slot))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::live::Lister;
    use super::*;
    use crate::park::Parker;
    use std::future::pending;

    /// A worker that looked before the close lists a task after the sweep, and its poll does not
    /// return; meanwhile another worker has polled the task, and is gone.
    #[test]
    fn what_was_listed_behind_the_sweep_is_cancelled_by_the_next_one() {
        let shared = Arc::new(Shared::new(1, Box::new(Parker::new()), None));
        shared.close();
        let body = Plain(pending::<()>());
        let (runnable, handle, task) = new_listed_task_from(None, body, Home::of(&shared));
        shared.live[0].insert(&mut Lister::new(), task);
        runnable.run();
        assert!(!handle.is_finished());
        shared.cancel_all();
        assert!(handle.is_finished());
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&shared), 1, "the task's went with it");
    }
}
