//! Whose runtime am I on? The one thread-local of this crate.
//!
//! A socket that is opened, or a sleep that is polled, needs the reactor and the timers of *some*
//! runtime. The thread knows: `block_on`, a worker thread and `Handle::enter` put the runtime here
//! and take it away when they end. A socket keeps what it needs, and is free afterwards.
//!
//! The thread that drives a runtime also keeps its fresh timers here (see `time/timers.rs`). Any
//! other thread may not: nobody would ever publish them, so its timers are published at once.
//!
//! Holds     no user code runs while the thread-local is borrowed: a waker's clone or drop may
//!           well sleep, or enter another runtime.
//! Next: `driver.rs`.

use crate::reactor::Registry;
use crate::time::{Closed, Entry, Fresh, Timers};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use tatkal_executor::{SpawnHandle, ThreadPool};

/// What sockets, sleeps and lookups use of a runtime.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) timers: Timers,
    /// For work that blocks.
    pub(crate) pool: ThreadPool,
}

/// The runtime of this thread.
struct Current {
    shared: Arc<Shared>,
    spawner: SpawnHandle,
    /// `Some` on the thread that drives the runtime.
    fresh: Option<Fresh>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Runs `f` on the current runtime, if there is one. `f` must not run user code.
fn with_current<R>(f: impl FnOnce(&mut Current) -> R) -> Option<R> {
    // A thread that ends runs destructors after this thread-local is gone: then there is none.
    CURRENT
        .try_with(|current| current.borrow_mut().as_mut().map(f))
        .ok()
        .flatten()
}

/// Is there a runtime?
pub(crate) fn exists() -> bool {
    with_current(|_| ()).is_some()
}

/// The current runtime.
///
/// # Panics
/// If there is none, naming the cure.
#[track_caller]
pub(crate) fn shared() -> Arc<Shared> {
    match with_current(|current| current.shared.clone()) {
        Some(shared) => shared,
        None => no_runtime(),
    }
}

/// The current runtime and the way to spawn on it, if there is one.
pub(crate) fn try_all() -> Option<(Arc<Shared>, SpawnHandle)> {
    with_current(|current| (current.shared.clone(), current.spawner.clone()))
}

#[track_caller]
pub(crate) fn no_runtime() -> ! {
    panic!(
        "there is no tatkal runtime on this thread: sockets and timers work inside \
         `tatkal::block_on(async {{ .. }})`, in tasks spawned there, and while the guard of \
         `Handle::enter` is alive"
    )
}

/// The time on the current runtime's clock; the machine's outside of one.
pub(crate) fn now() -> Instant {
    with_current(|current| current.shared.timers.clock().now()).unwrap_or_else(Instant::now)
}

/// Starts a timer on the current runtime, which calls `waker` at `deadline`.
///
/// # Panics
/// If there is no runtime, or it has been shut down.
#[track_caller]
pub(crate) fn start_timer(deadline: Instant, waker: Waker) -> Arc<Entry> {
    let entry = Arc::new(Entry::new(waker));
    let mut fresh = Fresh::default();
    let unpublished = with_current(|current| {
        let shared = &current.shared;
        let deadline = shared.timers.clock().nanos(deadline);
        let list = current.fresh.as_mut();
        let drives = list.is_some();
        list.unwrap_or(&mut fresh).push(deadline, entry.clone());
        (!drives).then(|| shared.clone())
    });
    match unpublished {
        None => no_runtime(),
        Some(None) => {}
        Some(Some(shared)) => match shared.timers.publish(&mut fresh) {
            Ok(()) => {}
            Err(Closed) => panic!("this tatkal runtime has been shut down: no timer will fire"),
        },
    }
    entry
}

/// Stops a timer. Returns its waker, if it had not fired, to be dropped or used.
pub(crate) fn stop_timer(entry: Arc<Entry>) -> Option<Waker> {
    match with_current(|current| current.fresh.as_mut()?.pop(&entry)).flatten() {
        // Nobody else has heard of it: no lock.
        Some(popped) => {
            drop(popped);
            Arc::into_inner(entry)?.into_waker()
        }
        None => entry.cancel(),
    }
}

/// Publishes the fresh timers of this thread, if it drives `shared`.
pub(crate) fn publish_fresh(shared: &Arc<Shared>) {
    // The list is taken out: publishing calls an unparker, which is not ours to trust with a
    // borrowed thread-local.
    let take = |current: &mut Current| {
        let fresh = current.fresh.as_mut()?;
        (Arc::ptr_eq(&current.shared, shared) && !fresh.is_empty()).then(|| std::mem::take(fresh))
    };
    let Some(mut fresh) = with_current(take).flatten() else {
        return;
    };
    // Closed: the driver is still parking, so it is not.
    let _ = shared.timers.publish(&mut fresh);
    // The memory goes back, for the next ones.
    with_current(|current| {
        if let Some(list) = current.fresh.as_mut().filter(|list| list.is_empty()) {
            *list = fresh;
        }
    });
}

/// How a thread is on a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// It runs the runtime's tasks, and its park publishes its timers.
    Driver,
    /// It only uses it.
    Guest,
}

/// While this is alive, the thread is on a runtime; afterwards it is where it was before.
pub(crate) struct Entered {
    before: Option<Current>,
    /// Belongs to the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

pub(crate) fn enter(shared: Arc<Shared>, spawner: SpawnHandle, role: As) -> Entered {
    // A driver that becomes a guest (of itself, or of another runtime, perhaps across an await)
    // would hide its list from its park: the list goes out first.
    if let Some(driven) = with_current(|current| current.shared.clone()) {
        publish_fresh(&driven);
    }
    let current = Current {
        shared,
        spawner,
        fresh: (role == As::Driver).then(Fresh::default),
    };
    Entered {
        before: CURRENT.replace(Some(current)),
        _not_send: PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        let Ok(ended) = CURRENT.try_with(|current| current.replace(before)) else {
            return;
        };
        // Timers whose sleeps live on: another thread may come and drive this runtime.
        if let Some(Current {
            shared,
            fresh: Some(mut fresh),
            ..
        }) = ended
        {
            let _ = shared.timers.publish(&mut fresh);
        }
    }
}
