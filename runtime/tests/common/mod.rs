//! What the tests share: both backends, and things to count.
#![allow(dead_code)] // each test uses its part

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Wake, Waker};
use std::time::Duration;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{Backend, Runtime};

pub const BACKENDS: [Backend; 2] = [Backend::Mio, Backend::Polling];

/// Far longer than any test takes: what has not ended by then hangs, and is better told so.
const HANGS: Duration = Duration::from_secs(60);

/// Runs a test on a fresh runtime over each backend.
pub fn on_both<F: Future>(test: impl Fn() -> F) {
    for backend in BACKENDS {
        println!("on {backend:?}");
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        runtime.block_on(async {
            let ended = tatkal::timeout(HANGS, test()).await;
            assert!(ended.is_ok(), "the test hangs on {backend:?}");
        });
    }
}

/// Runs a test that waits for ever when the promise is broken; then it fails instead.
pub fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, watch) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if let Err(RecvTimeoutError::Timeout) = watch.recv_timeout(HANGS) {
        panic!("the test hangs");
    }
    // It has ended, or panicked: then so do we.
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Two ends of a connection.
pub async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = futures_lite::future::zip(client, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

/// A waker that counts.
#[derive(Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(Waker::noop()))
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    // One of them is the listing's own; the same one each time.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
