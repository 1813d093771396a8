//! Work that blocks, off the event loop's thread.
//!
//! Each runtime has a [`ThreadPool`] for that, of the executor's default size unless the builder
//! says otherwise. It has no thread until the first job comes. Its threads are on the runtime: a
//! job may spawn, open sockets, and wait for them with `Handle::block_on`.
//!
//! When the runtime goes, queued jobs are cancelled, and it does not wait for the running ones: a
//! lookup that hangs in the system's resolver must not keep `block_on` from returning. Whoever
//! needs a job to finish awaits its handle.
//! Next: `async_fd.rs`.

use crate::context::{self, As, Shared};
use std::sync::{Arc, OnceLock, Weak};
use tatkal_executor::{JoinHandle, Shutdown, ThreadPool};

/// Linux shows 15 bytes of a thread's name: this leaves room for two digits.
const NAME: &str = "tatkal-block";

/// The runtime whose pool it is, which is made after the pool. Weak: the pool is its part.
pub(crate) type Home = Arc<OnceLock<Weak<Shared>>>;

/// The pool of one runtime. `None` for the default number of threads, and size of their stacks.
pub(crate) fn pool(threads: Option<usize>, stack_size: Option<usize>, home: Home) -> ThreadPool {
    let mut builder = ThreadPool::builder()
        .name(NAME)
        .on_thread_start(move || {
            if let Some(shared) = home.get().and_then(Weak::upgrade) {
                context::enter_for_life(shared, As::Guest);
            }
        })
        .on_thread_stop(context::leave);
    if let Some(threads) = threads {
        builder = builder.threads(threads);
    }
    if let Some(bytes) = stack_size {
        builder = builder.stack_size(bytes);
    }
    builder.build()
}

/// The runtime goes.
pub(crate) fn close(pool: &ThreadPool) {
    pool.shutdown(Shutdown::cancel().without_waiting());
}

/// Runs a closure that blocks, or computes for long, on a thread of the current runtime's pool.
///
/// The handle can be awaited in a task and joined by a thread. The job is on the runtime: in it,
/// [`spawn`](crate::spawn) and [`Handle::current`](crate::Handle::current) work, and
/// [`Handle::block_on`](crate::Handle::block_on) may wait.
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
