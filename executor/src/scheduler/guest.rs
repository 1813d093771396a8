//! A thread that uses an executor without being one of its own: `block_on` from outside, `enter`.
//!
//! ```text
//!   this thread runs            spawn goes to
//!   a LocalExecutor, or is a worker   it
//!   inside a guard of `enter`         the executor entered last      (GUEST)
//!   a MultiExecutor's block_on        it                             (`Outside`)
//! ```
//!
//! Owns      the thread's host: `enter` keeps a handle of the executor there, and its guard the one
//!           that was there before. Owned, not pointed to: guards may be dropped in any order.
//! Holds     no user code runs while the host is borrowed: it is cloned to spawn on it.
//! Next: `spawn.rs`.

use super::multi::{MultiExecutor, MultiHandle};
use super::single::SpawnHandle;
use crate::block_on::block_on_entered;
use crate::task::join::JoinHandle;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

/// The executor that a thread is a guest of.
#[derive(Clone)]
enum Host {
    One(SpawnHandle),
    Many(MultiHandle),
}

thread_local! {
    static GUEST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// While it is alive, [`spawn`](crate::spawn) on this thread goes to the executor whose `enter`
/// made it, unless the thread runs an executor itself.
#[must_use = "the thread leaves the executor when the guard is dropped"]
pub struct SpawnGuard {
    before: Option<Host>,
    /// Belongs to the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl SpawnGuard {
    fn enter(host: Option<Host>) -> Self {
        Self {
            before: GUEST.replace(host),
            _not_send: PhantomData,
        }
    }
}

impl Drop for SpawnGuard {
    fn drop(&mut self) {
        let before = self.before.take();
        // A thread that ends may have dropped its host already. The old one is dropped last: it
        // may be an executor's last owner, whose wakers are user code.
        let _left = GUEST.try_with(|guest| guest.replace(before));
    }
}

/// Spawns onto the executor that this thread is a guest of; gives the future back when there is
/// none.
pub(super) fn spawn_here<F>(future: F) -> Result<JoinHandle<F::Output>, F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let host = GUEST.try_with(|guest| guest.borrow().clone()).ok();
    match host.flatten() {
        Some(Host::One(handle)) => Ok(handle.spawn(future)),
        Some(Host::Many(handle)) => Ok(handle.spawn(future)),
        None => Err(future),
    }
}

impl SpawnHandle {
    /// Has [`spawn`](crate::spawn) on this thread go to this executor until the guard is dropped.
    pub fn enter(&self) -> SpawnGuard {
        SpawnGuard::enter(Some(Host::One(self.clone())))
    }

    /// Runs `future` on the calling thread, which is not the executor's; what it spawns runs
    /// there, inside the executor's own `block_on`.
    ///
    /// # Panics
    /// On a thread that runs an executor. Panics of the future pass through.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _guest = self.enter();
        block_on_entered(future)
    }
}

impl MultiHandle {
    /// Has [`spawn`](crate::spawn) on this thread go to this executor until the guard is dropped.
    pub fn enter(&self) -> SpawnGuard {
        SpawnGuard::enter(Some(Host::Many(self.clone())))
    }

    /// As [`MultiExecutor::block_on`].
    ///
    /// # Panics
    /// On a thread that runs an executor. Panics of the future pass through.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _innermost = SpawnGuard::enter(None);
        let _outside = self.outside();
        block_on_entered(future)
    }
}

impl MultiExecutor {
    /// Runs `future` on the calling thread, which is no worker; what it spawns runs on the workers.
    ///
    /// # Panics
    /// On a thread that runs an executor, or is in the `block_on` of one. Panics of the future
    /// pass through.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _innermost = SpawnGuard::enter(None);
        let _outside = self.outside();
        block_on_entered(future)
    }
}

impl fmt::Debug for SpawnGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnGuard").finish_non_exhaustive()
    }
}
