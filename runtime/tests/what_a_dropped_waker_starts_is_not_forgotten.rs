//! Wakers are user code, their drop too. Just before the event loop sleeps, it drops those that timers
//! do not need any more: a timer that such a drop starts fires, and a read that it puts off is made.

mod common;

use common::{BACKENDS, pair};
use futures_io::AsyncRead;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use tatkal::net::TcpStream;
use tatkal::{Runtime, Sleep, sleep, spawn_local};

/// A waker that does something when it is dropped.
struct OnDrop<F: FnMut() + Send>(Mutex<F>);

impl<F: FnMut() + Send> Wake for OnDrop<F> {
    fn wake(self: Arc<Self>) {}
}

impl<F: FnMut() + Send> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0.get_mut().unwrap())();
    }
}

/// A timer whose first waker is out of date: its drop does this.
fn timer_with_stale_waker(on_drop: impl FnMut() + Send + 'static) -> Pin<Box<Sleep>> {
    let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
    let stale = Waker::from(Arc::new(OnDrop(Mutex::new(on_drop))));
    for waker in [&stale, Waker::noop()] {
        assert!(
            timer
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    timer
}

/// Runs a test on a thread of its own, over each backend.
fn does_not_hang(test: fn(Runtime)) {
    for backend in BACKENDS {
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            test(Runtime::builder().backend(backend).build().unwrap());
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20))
            .expect("it hangs");
        thread.join().unwrap();
    }
}

#[test]
fn a_timer_fires() {
    does_not_hang(|runtime| {
        runtime.block_on(async {
            let started = Arc::new(Mutex::new(None::<Pin<Box<Sleep>>>));
            let mut outer = None;
            poll_fn(|cx| {
                if outer.is_none() {
                    let (waker, started) = (cx.waker().clone(), started.clone());
                    outer = Some(timer_with_stale_waker(move || {
                        let mut timer = Box::pin(sleep(Duration::from_millis(1)));
                        let polled = timer.as_mut().poll(&mut Context::from_waker(&waker));
                        assert!(polled.is_pending());
                        *started.lock().unwrap() = Some(timer);
                    }));
                }
                match &mut *started.lock().unwrap() {
                    Some(timer) => timer.as_mut().poll(cx),
                    None => Poll::Pending,
                }
            })
            .await;
        });
    });
}

/// A connection of which the far end puts reads off after eight bytes.
async fn settled() -> (TcpStream, TcpStream) {
    let (mut near, mut far) = pair().await;
    let echo = spawn_local(async move {
        let mut message = [0; 8];
        for _ in 0..40 {
            far.read_exact(&mut message).await.unwrap();
            far.write_all(&message).await.unwrap();
        }
        far
    });
    let mut message = [7; 8];
    for _ in 0..40 {
        near.write_all(&message).await.unwrap();
        near.read_exact(&mut message).await.unwrap();
    }
    (near, echo.await.unwrap())
}

#[test]
fn a_read_that_is_put_off_is_made() {
    does_not_hang(|runtime| {
        runtime.block_on(async {
            let (mut near, mut far) = settled().await;
            near.write_all(&[1; 16]).await.unwrap();
            far.read_exact(&mut [0; 8]).await.unwrap();
            let far = Arc::new(Mutex::new(far));
            let mut outer = None;
            poll_fn(|cx| {
                if outer.is_none() {
                    let (waker, far) = (cx.waker().clone(), far.clone());
                    outer = Some(timer_with_stale_waker(move || {
                        let cx = &mut Context::from_waker(&waker);
                        let polled = Pin::new(&mut *far.lock().unwrap()).poll_read(cx, &mut [0; 8]);
                        assert!(polled.is_pending(), "not put off");
                    }));
                    return Poll::Pending;
                }
                Pin::new(&mut *far.lock().unwrap())
                    .poll_read(cx, &mut [0; 8])
                    .map(drop)
            })
            .await;
        });
    });
}

#[test]
fn a_task_that_is_woken_runs() {
    does_not_hang(|runtime| {
        runtime.block_on(async {
            let mut outer = None;
            poll_fn(|cx| {
                if outer.is_none() {
                    let waker = cx.waker().clone();
                    outer = Some(timer_with_stale_waker(move || waker.wake_by_ref()));
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        });
    });
}
