//! Work that blocks, off the event loop's thread.
//!
//! Next: `async_fd.rs`.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Runs `work` on a thread of its own. Dropping the future lets it run on, unheard.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    /// The result once it is there, and who waits for it.
    type Desk<T> = Mutex<(Option<io::Result<T>>, Option<Waker>)>;
    let desk: Arc<Desk<T>> = Arc::default();
    let theirs = desk.clone();
    std::thread::Builder::new()
        .name("tatkal-lookup".into())
        .spawn(move || {
            let result = work();
            let mut desk = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            desk.0 = Some(result);
            let waker = desk.1.take();
            drop(desk);
            if let Some(waker) = waker {
                waker.wake();
            }
        })?;
    poll_fn(|cx| {
        let waker = cx.waker().clone();
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        match desk.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                let old = desk.1.replace(waker);
                drop(desk);
                drop(old);
                Poll::Pending
            }
        }
    })
    .await
}
