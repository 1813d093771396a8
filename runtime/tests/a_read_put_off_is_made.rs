//! A read that would probably find nothing is put off (`reactor/doubts.rs`): it is made in the end,
//! whoever else is busy, whoever reads next, and wherever.

mod common;

use common::{BACKENDS, on_both, pair};
use futures_io::AsyncRead;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{Handle, Runtime, spawn_local, yield_now};

/// More messages than a source wants to see before it puts reads off, and enough to be in the middle
/// of its tries at any rate.
const MESSAGES: usize = 40;

/// Messages to and fro that fill the reader's buffer, until both ends expect nothing after one.
async fn settle(near: &mut TcpStream, far: &mut TcpStream) {
    let mut message = [7; 8];
    for _ in 0..MESSAGES {
        near.write_all(&message).await.unwrap();
        far.read_exact(&mut message).await.unwrap();
        far.write_all(&message).await.unwrap();
        near.read_exact(&mut message).await.unwrap();
    }
}

/// A connection of which both ends put reads off, each from its own task.
async fn settled_pair() -> (TcpStream, TcpStream) {
    let (mut near, mut far) = pair().await;
    let server = spawn_local(async move {
        let mut message = [0; 8];
        for _ in 0..MESSAGES {
            far.read_exact(&mut message).await.unwrap();
            far.write_all(&message).await.unwrap();
        }
        far
    });
    let mut message = [7; 8];
    for _ in 0..MESSAGES {
        near.write_all(&message).await.unwrap();
        near.read_exact(&mut message).await.unwrap();
    }
    (near, server.await.unwrap())
}

#[test]
fn what_comes_with_the_message_is_read_though_nothing_follows() {
    on_both(|| async {
        for more in 0..32 {
            let (mut near, mut far) = settled_pair().await;
            let sent = vec![1; 8 + more];
            near.write_all(&sent).await.unwrap();
            let mut got = [0; 8];
            far.read_exact(&mut got).await.unwrap();
            let mut rest = vec![0; more];
            far.read_exact(&mut rest).await.unwrap();
            assert!(rest.iter().all(|byte| *byte == 1));
        }
    });
}

#[test]
fn the_end_that_came_with_the_message_is_heard() {
    on_both(|| async {
        let (mut near, mut far) = settled_pair().await;
        near.write_all(&[1; 8]).await.unwrap();
        drop(near);
        far.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn others_that_are_always_busy_do_not_keep_it_from_being_made() {
    on_both(|| async {
        let (mut near, mut far) = settled_pair().await;
        let (mut left, mut right) = settled_pair().await;
        let over = Arc::new(AtomicBool::new(false));
        let busy = spawn_local({
            let over = over.clone();
            async move {
                while !over.load(Ordering::Relaxed) {
                    settle(&mut left, &mut right).await;
                }
            }
        });
        near.write_all(&[1; 64 * 8]).await.unwrap();
        for _ in 0..64 {
            far.read_exact(&mut [0; 8]).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        busy.await.unwrap();
    });
}

/// A message whose read is put off by the thread that drives, if it is: then the stream, with the
/// message in it.
async fn put_off() -> Option<TcpStream> {
    let (mut near, mut far) = settled_pair().await;
    near.write_all(&[1; 16]).await.unwrap();
    far.read_exact(&mut [0; 8]).await.unwrap();
    let mut rest = [0; 8];
    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut far).poll_read(cx, &mut rest))).await;
    std::mem::forget(near); // no event of its end
    polled.is_pending().then_some(far)
}

#[test]
fn another_thread_makes_it_at_once_though_nobody_drives() {
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        let mut far = runtime.block_on(put_off()).expect("it is put off");
        let handle = runtime.handle();
        let (tell, told) = channel();
        let reader = thread::spawn(move || {
            let mut rest = [0; 8];
            let read = handle.block_on(async { far.read(&mut rest).await });
            tell.send(read.unwrap()).unwrap();
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(8));
        reader.join().unwrap();
    }
}

#[test]
fn a_thread_that_is_a_guest_meanwhile_forgets_no_read() {
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = settled_pair().await;
            near.write_all(&[1; 16]).await.unwrap();
            let first = Rc::new(Cell::new(false));
            let reader = spawn_local({
                let first = first.clone();
                async move {
                    let mut got = [0; 8];
                    far.read_exact(&mut got).await.unwrap();
                    first.set(true);
                    far.read_exact(&mut got).await.unwrap(); // put off
                    got
                }
            });
            while !first.get() {
                yield_now().await;
            }
            // From here the list of this thread's doubts is out of sight.
            let guard = Handle::current().enter();
            assert_eq!(reader.await.unwrap(), [1; 8]);
            drop(guard);
            drop(near);
        });
    }
}

#[test]
fn guesses_that_are_always_right_do_not_keep_the_loop_from_listening() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let over = Rc::new(Cell::new(false));
        let (mut left, mut right) = settled_pair().await;
        let answers = spawn_local(async move {
            let mut message = [0; 8];
            while right.read_exact(&mut message).await.is_ok() {
                right.write_all(&message).await.unwrap();
            }
        });
        let busy = spawn_local({
            let over = over.clone();
            async move {
                let mut message = [7; 8];
                while !over.get() {
                    left.write_all(&message).await.unwrap();
                    left.read_exact(&mut message).await.unwrap();
                }
            }
        });
        let client = thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let mut byte = [0];
            std::io::Read::read(&mut stream, &mut byte).unwrap()
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[1]).await.unwrap();
        drop(stream);
        over.set(true);
        busy.await.unwrap();
        answers.await.unwrap();
        assert_eq!(client.join().unwrap(), 1);
    });
}
