//! Whose runtime am I on? The one thread-local of this crate.
//!
//! A socket that is opened, or a sleep that is polled, needs the reactor and the timers of *some*
//! runtime. The thread knows: `block_on`, a worker thread and `Handle::enter` put the runtime here
//! and take it away when they end. A socket keeps what it needs, and is free afterwards.
//!
//! The thread also keeps its fresh timers here, those that nobody else has heard of yet, if it is
//! one that will publish them: `time/fresh.rs` has the table. And the reads that it has put off, if
//! it drives a one-thread runtime: `reactor/doubts.rs`.
//!
//! Holds     no user code runs while the thread-local is borrowed: a waker's clone or drop may
//!           well sleep, or enter another runtime.
//! Next: `driver.rs`.

use crate::reactor::{Doubt, Registry, Wakes};
use crate::time::{Clock, Closed, Entry, Fresh, Shelf, Timers};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;
use tatkal_executor::{MultiHandle, SpawnGuard, SpawnHandle, ThreadPool};

/// What sockets, sleeps and lookups use of a runtime.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) timers: Timers,
    /// For work that blocks.
    pub(crate) pool: ThreadPool,
    /// Set once, before the first task.
    pub(crate) spawner: OnceLock<Spawner>,
}

/// How to spawn on a runtime from any thread.
#[derive(Clone)]
pub(crate) enum Spawner {
    One(SpawnHandle),
    Many(MultiHandle),
}

impl Spawner {
    /// `spawn` on this thread goes to this runtime, while it runs no tasks itself.
    fn enter(&self) -> SpawnGuard {
        match self {
            Spawner::One(spawner) => spawner.enter(),
            Spawner::Many(spawner) => spawner.enter(),
        }
    }
}

/// The runtime of this thread.
struct Current {
    shared: Arc<Shared>,
    list: List,
}

/// Where this thread's fresh timers go, and its doubts.
enum List {
    /// It drives a one-thread runtime.
    Own(Own),
    /// It is a worker.
    Shelf(Arc<Shelf>),
    /// It only uses the runtime.
    None,
}

#[derive(Default)]
struct Own {
    fresh: Fresh,
    doubts: Vec<Doubt>,
}

impl Own {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.doubts.is_empty()
    }
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

/// The current runtime, if there is one.
pub(crate) fn try_shared() -> Option<Arc<Shared>> {
    with_current(|current| current.shared.clone())
}

/// The current runtime.
///
/// # Panics
/// If there is none, naming the cure.
#[track_caller]
pub(crate) fn shared() -> Arc<Shared> {
    match try_shared() {
        Some(shared) => shared,
        None => no_runtime(),
    }
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

/// A timer that runs, and the runtime that will fire it.
pub(crate) struct Timer {
    pub(crate) entry: Arc<Entry>,
    /// The address of its `Shared`: a name, not a reference. (One that is used again belongs to a
    /// runtime whose predecessor has abandoned its timers.)
    home: usize,
}

impl Timer {
    /// Is this thread on another runtime than the one that will fire it?
    pub(crate) fn is_elsewhere(&self) -> bool {
        with_current(|current| name(&current.shared) != self.home).unwrap_or(false)
    }
}

fn name(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Starts a timer on the current runtime, which calls `waker` at the deadline that `at` says, and
/// returns that as well. `at` runs no user code.
///
/// # Panics
/// If there is no runtime, or it has been shut down.
#[track_caller]
pub(crate) fn start_timer(at: impl FnOnce(&Clock) -> Instant, waker: Waker) -> (Instant, Timer) {
    let mut waker = Some(waker);
    let started = with_current(|current| {
        let clock = current.shared.timers.clock();
        let at = at(clock);
        let deadline = clock.nanos(at);
        let waker = waker.take()?;
        let entry = match &mut current.list {
            List::Own(own) => own.fresh.start(deadline, waker),
            List::Shelf(shelf) => shelf.start(deadline, waker),
            List::None => return Some(Err((current.shared.clone(), at, deadline, waker))),
        };
        let home = name(&current.shared);
        Some(Ok((at, Timer { entry, home })))
    });
    match started.flatten() {
        Some(Ok(started)) => started,
        Some(Err((shared, at, deadline, waker))) => {
            let mut fresh = Fresh::default();
            let entry = fresh.start(deadline, waker);
            if let Err(Closed) = shared.timers.publish(&mut fresh) {
                panic!("this tatkal runtime has been shut down: no timer will fire");
            }
            let home = name(&shared);
            (at, Timer { entry, home })
        }
        None => no_runtime(),
    }
}

/// Stops a timer. Returns its waker, to be dropped or used, if it had not fired and the waker is
/// within reach; `unreachable` has to see to one that is on a list.
pub(crate) fn stop_timer(
    timer: Timer,
    unreachable: impl FnOnce(&Entry) -> Option<Waker>,
) -> Option<Waker> {
    let mut left = Some(timer.entry);
    let waker = with_current(|current| {
        let entry = left.take()?;
        let stopped = match &mut current.list {
            List::Own(own) => own.fresh.stop(entry),
            List::Shelf(shelf) => shelf.stop(entry),
            List::None => Err(entry),
        };
        stopped.map_err(|entry| left = Some(entry)).ok()
    });
    match left {
        None => waker.flatten(), // Nobody else had heard of it.
        Some(entry) => unreachable(&entry),
    }
}

/// Puts a read off, if this thread drives the registry: then it is on the thread's list afterwards
/// (`listed`: it is already), and the next turn takes it in.
pub(crate) fn put_off(registry: &Arc<Registry>, doubt: Doubt, listed: bool) -> bool {
    let put_off = with_current(|current| match &mut current.list {
        List::Own(own) if Arc::ptr_eq(&current.shared.registry, registry) => {
            if !listed {
                own.doubts.push(doubt);
            }
            true
        }
        _ => false,
    });
    put_off.unwrap_or(false)
}

/// The thread is about to park: `take_in` gets its doubts, if it has a list of them, and its fresh
/// timers are published.
pub(crate) fn prepare_to_park(take_in: impl FnOnce(&mut Vec<Doubt>)) {
    let fresh = with_current(|current| match &mut current.list {
        List::Own(own) => {
            take_in(&mut own.doubts);
            !own.fresh.is_empty()
        }
        List::Shelf(_) => true,
        List::None => false,
    });
    if fresh.unwrap_or(false) {
        hand_over();
    }
}

/// Publishes the fresh timers of this thread, and ends its doubts.
pub(crate) fn hand_over() {
    // The list is taken out: publishing calls an unparker, which is not ours to trust with a
    // borrowed thread-local.
    let taken = with_current(|current| {
        let list = match &mut current.list {
            List::Own(own) if !own.is_empty() => List::Own(std::mem::take(own)),
            List::Shelf(shelf) if !shelf.is_empty() => List::Shelf(shelf.clone()),
            _ => return None,
        };
        Some((current.shared.clone(), list))
    });
    let Some((shared, mut list)) = taken.flatten() else {
        return;
    };
    publish(&shared, &mut list);
    // The memory goes back, for the next ones.
    with_current(|current| {
        if let (List::Own(current), List::Own(emptied)) = (&mut current.list, list)
            && current.is_empty()
        {
            *current = emptied;
        }
    });
}

fn publish(shared: &Shared, list: &mut List) {
    match list {
        List::Own(own) => {
            // Closed: its tasks have been told.
            let _ = shared.timers.publish_own(&mut own.fresh);
            let mut wakes = Wakes::default();
            shared.registry.end_doubts(&own.doubts, &mut wakes);
            own.doubts.clear();
        }
        List::Shelf(shelf) => shared.timers.publish_shelf(shelf),
        List::None => {}
    }
}

/// How a thread is on a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// It runs the tasks of a one-thread runtime, and its park publishes its timers.
    Driver,
    /// It is a worker, and publishes its timers before it sleeps.
    Worker,
    /// It only uses the runtime.
    Guest,
}

/// While this is alive, the thread is on a runtime; afterwards it is where it was before.
pub(crate) struct Entered {
    before: Option<Current>,
    _spawns: Option<SpawnGuard>,
    /// Belongs to the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

pub(crate) fn enter(shared: Arc<Shared>, role: As) -> Entered {
    // A driver that becomes a guest (of itself, or of another runtime, perhaps across an await)
    // would hide its list from its park: the list goes out first.
    hand_over();
    let list = match role {
        As::Driver => List::Own(Own::default()),
        As::Worker => List::Shelf(shared.timers.new_shelf()),
        As::Guest => List::None,
    };
    let spawns = match role {
        As::Guest => shared.spawner.get().map(Spawner::enter),
        As::Driver | As::Worker => None,
    };
    Entered {
        _spawns: spawns,
        before: CURRENT.replace(Some(Current { shared, list })),
        _not_send: PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        let Ok(Some(mut ended)) = CURRENT.try_with(|current| current.replace(before)) else {
            return;
        };
        // Timers whose sleeps live on, and reads of sockets that may be read elsewhere next.
        publish(&ended.shared, &mut ended.list);
        if let List::Shelf(shelf) = &ended.list {
            ended.shared.timers.remove_shelf(shelf);
        }
    }
}

thread_local! {
    static FOR_LIFE: RefCell<Option<Entered>> = const { RefCell::new(None) };
}

/// This thread is on a runtime from its first task or job until `leave`, after its last.
pub(crate) fn enter_for_life(shared: Arc<Shared>, role: As) {
    let entered = enter(shared, role);
    drop(FOR_LIFE.replace(Some(entered)));
}

pub(crate) fn leave() {
    drop(FOR_LIFE.take());
}
