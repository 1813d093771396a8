//! Who waits on a source is woken, whoever else does, and whatever happens to the source.

mod common;

use common::{BACKENDS, Count, on_both, pair};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;
use tatkal::net::TcpStream;
use tatkal::{Runtime, sleep, spawn_local, yield_now};

async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

/// Polls a read once, with the given waker.
fn poll_read(mut stream: &TcpStream, cx: &mut Context<'_>) -> bool {
    let mut buffer = [0; 1];
    Pin::new(&mut stream.read(&mut buffer)).poll(cx).is_ready()
}

#[test]
fn two_readers_of_one_socket_are_both_woken() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let client = Rc::new(client);
        let got = Rc::new(RefCell::new(Vec::new()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (client, got) = (client.clone(), got.clone());
                spawn_local(async move {
                    let mut byte = [0];
                    (&*client).read_exact(&mut byte).await.unwrap();
                    got.borrow_mut().push(byte[0]);
                })
            })
            .collect();
        settle().await;
        server.write_all(b"ab").await.unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
        got.borrow_mut().sort();
        assert_eq!(*got.borrow(), *b"ab");
    });
}

#[test]
fn a_reader_and_a_writer_wait_at_once_and_each_is_woken_by_its_own() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let (mut read, mut write) = client.into_split();
        let reader = spawn_local(async move { read.read(&mut [0; 8]).await.unwrap() });
        let writer = spawn_local(async move {
            // Until the buffers are full, and then some.
            write.write_all(&vec![0; 8 << 20]).await.unwrap();
        });
        settle().await;
        assert!(!reader.is_finished() && !writer.is_finished());
        server.write_all(b"x").await.unwrap();
        assert_eq!(reader.await.unwrap(), 1);
        assert!(!writer.is_finished());
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 8 << 20);
        writer.await.unwrap();
    });
}

#[test]
fn a_read_moved_to_another_task_wakes_that_task() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        let (first, first_waker) = Count::waker();
        let (second, second_waker) = Count::waker();
        assert!(!poll_read(&client, &mut Context::from_waker(&first_waker)));
        settle().await;
        assert!(!poll_read(&client, &mut Context::from_waker(&second_waker)));
        server.write_all(b"x").await.unwrap();
        settle().await;
        assert_eq!(second.get(), 1);
        assert!(
            first.get() <= 1,
            "a spurious wake-up is allowed, a storm is not"
        );
    });
}

#[test]
fn an_event_before_the_wait_is_not_missed() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        for round in 0..100 {
            // The loop sees the event of this byte before, after, or while the reader comes.
            server.write_all(&[round]).await.unwrap();
            if round % 2 == 0 {
                settle().await;
            }
            let mut byte = [0];
            (&client).read_exact(&mut byte).await.unwrap();
            assert_eq!(byte[0], round);
        }
    });
}

#[test]
fn a_source_dropped_while_it_is_waited_on_wakes_nobody_and_harms_no_successor() {
    on_both(|| async {
        for _ in 0..20 {
            let (client, mut server) = pair().await;
            let (woken, waker) = Count::waker();
            assert!(!poll_read(&client, &mut Context::from_waker(&waker)));
            // An event for it is in the kernel, or on its way, when it goes.
            server.write_all(b"x").await.unwrap();
            drop(client);
            // The successor gets its slot and its descriptor number.
            let (successor, _peer) = pair().await;
            let (disturbed, waker) = Count::waker();
            assert!(!poll_read(&successor, &mut Context::from_waker(&waker)));
            settle().await;
            assert_eq!(woken.get(), 0);
            assert!(disturbed.get() <= 1); // its own first event, if any
            assert!(!poll_read(&successor, &mut Context::from_waker(&waker)));
        }
    });
}

#[test]
fn a_socket_that_outlives_its_runtime_fails_and_does_not_hang() {
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        let (client, _server) = runtime.block_on(pair());
        let (woken, waker) = Count::waker();
        runtime.block_on(async {
            assert!(!poll_read(&client, &mut Context::from_waker(&waker)));
        });
        drop(runtime);
        assert_eq!(woken.get(), 1);
        let error = tatkal::block_on((&client).read(&mut [0; 8])).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
    }
}

#[test]
fn a_sleep_that_outlives_its_runtime_goes_on_in_the_next_one() {
    let runtime = Runtime::new().unwrap();
    let (woken, waker) = Count::waker();
    let mut sleep = sleep(Duration::from_millis(5));
    runtime.block_on(async {
        assert!(
            Pin::new(&mut sleep)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    });
    drop(runtime);
    assert_eq!(woken.get(), 1); // told, not left waiting
    let deadline = sleep.deadline();
    tatkal::block_on(&mut sleep);
    assert!(std::time::Instant::now() >= deadline);
}

#[test]
fn a_sleep_that_is_polled_on_another_runtime_moves_there() {
    // Nobody drives the first one any more, though it is alive.
    for workers in [false, true] {
        let first = Runtime::new().unwrap();
        let (woken, waker) = Count::waker();
        let mut sleep = sleep(Duration::from_millis(5));
        first.block_on(async {
            assert!(
                Pin::new(&mut sleep)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        });
        let deadline = sleep.deadline();
        let second = match workers {
            false => Runtime::new(),
            true => Runtime::builder().worker_threads(1).build(),
        };
        second.unwrap().block_on(&mut sleep);
        assert!(std::time::Instant::now() >= deadline);
        // The first one has forgotten it.
        first.block_on(tatkal::sleep(Duration::from_millis(5)));
        assert_eq!(woken.get(), 0);
    }
}

#[test]
fn a_socket_is_used_from_a_thread_that_does_not_drive_it() {
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        let (client, mut server) = runtime.block_on(pair());
        let (started, start) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            started.send(()).unwrap();
            // The executor's own block_on: no event loop here, it is over there.
            let mut buffer = [0; 8];
            let mut client = &client;
            futures_lite::future::block_on(client.read(&mut buffer)).unwrap()
        });
        runtime.block_on(async {
            start.recv().unwrap();
            sleep(Duration::from_millis(1)).await;
            server.write_all(b"hello").await.unwrap();
            while !reader.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(reader.join().unwrap(), 5);
    }
}
