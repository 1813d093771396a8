//! The free functions `spawn` and `spawn_local`: onto whichever executor this thread is inside of.
//! The end of this room; next: `../group/`.

use super::{guest, multi, single};
use crate::task::join::JoinHandle;

/// Spawns a future onto the executor that this thread is inside of: as one of its workers, in its
/// `block_on`, or between `enter` and the drop of its guard.
///
/// # Panics
/// Outside of an executor.
///
/// # Cancellation
/// Dropping the handle detaches the task; `abort` drops it at its next await; so does dropping the
/// executor.
///
/// # Example
/// ```
/// use tatkal_executor::{LocalExecutor, spawn};
/// let answer = LocalExecutor::default().block_on(async {
///     let task = spawn(async { 6 * 7 });
///     task.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // A one-thread executor first: inside of it no other can be entered, so it is the innermost.
    match single::spawn_here(future) {
        Ok(handle) => handle,
        Err(future) => multi::spawn_here(future)
            .or_else(guest::spawn_here)
            .or_else(multi::spawn_outside)
            .unwrap_or_else(|_| {
                panic!(
                    "there is no executor on this thread: call `spawn` from inside `block_on`, or \
                     use the executor's handle"
                )
            }),
    }
}

/// Spawns a future that need not be `Send` onto the one-thread executor that this thread is inside
/// of. As [`spawn`] otherwise.
///
/// # Panics
/// Outside of a one-thread executor's `block_on`; a worker of a multi-thread executor counts as
/// outside, since its tasks move between threads.
#[track_caller]
pub fn spawn_local<F: Future + 'static>(future: F) -> JoinHandle<F::Output>
where
    F::Output: 'static,
{
    match single::spawn_here(future) {
        Ok(handle) => handle,
        Err(_) => panic!(
            "there is no one-thread executor on this thread: call `spawn_local` from inside the \
             `block_on` of a one-thread runtime, a `LocalSet` or a `LocalExecutor`"
        ),
    }
}
