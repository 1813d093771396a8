//! Work that blocks, off the event loop's thread.
//!
//! Each runtime has a [`ThreadPool`] for that, of the executor's default size unless the builder
//! says otherwise. It has no thread until the first job comes.
//!
//! When the runtime goes, queued jobs are cancelled, and it does not wait for the running ones: a
//! lookup that hangs in the system's resolver must not keep `block_on` from returning. Whoever
//! needs a job to finish awaits its handle.
//! Next: `async_fd.rs`.

use crate::context;
use tatkal_executor::{JoinHandle, Shutdown, ThreadPool};

/// Linux shows 15 bytes of a thread's name: this leaves room for two digits.
const NAME: &str = "tatkal-block";

/// The pool of one runtime. `threads`: `None` for the default.
pub(crate) fn pool(threads: Option<usize>) -> ThreadPool {
    let builder = ThreadPool::builder().name(NAME);
    match threads {
        Some(threads) => builder.threads(threads).build(),
        None => builder.build(),
    }
}

/// The runtime goes.
pub(crate) fn close(pool: &ThreadPool) {
    pool.shutdown(Shutdown::cancel().without_waiting());
}

/// Runs a closure that blocks, or computes for long, on a thread of the current runtime's pool.
///
/// The handle can be awaited in a task and joined by a thread.
///
/// # Cancellation
/// Dropping the handle detaches the job. `abort` drops a job that is still queued; one that runs,
/// runs on. When the runtime is dropped, queued jobs are cancelled and running ones run on,
/// without anybody waiting for them.
///
/// # Panics
/// Outside of a runtime. A panic of the job reaches its handle.
///
/// # Example
/// ```
/// tatkal::block_on(async {
///     let sum = tatkal::spawn_blocking(|| (1..=1_000_000_u64).sum::<u64>());
///     assert_eq!(sum.await.unwrap(), 500_000_500_000);
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<T, F>(job: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    context::shared().pool.submit(job)
}
