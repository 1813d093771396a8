//! A runtime with workers: sockets and timers work from every thread, and a worker that is stuck
//! stops nobody else.

mod common;

use common::{BACKENDS, Count, pair};
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};
use tatkal::net::{TcpListener, TcpStream, UnixStream};
use tatkal::{Handle, Runtime, interval, sleep, sleep_until, spawn, timeout, yield_now};

const MS: Duration = Duration::from_millis(1);

/// Runs a test over both backends, with one worker, two and four.
fn on_workers(test: impl Fn(&Runtime)) {
    for backend in BACKENDS {
        for workers in [1, 2, 4] {
            println!("on {backend:?} with {workers} workers");
            let builder = Runtime::builder().backend(backend).worker_threads(workers);
            test(&builder.build().unwrap());
        }
    }
}

async fn echo(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        spawn(async move {
            let (mut read, mut write) = stream.split();
            futures_lite::io::copy(&mut read, &mut write).await.unwrap();
        })
        .detach();
    }
}

#[test]
fn connections_echo_from_every_thread() {
    on_workers(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(echo(listener));
            let clients: Vec<_> = (0..100_u8)
                .map(|n| {
                    spawn(async move {
                        let mut stream = TcpStream::connect(address).await.unwrap();
                        for round in 0..10 {
                            stream.write_all(&[n, round]).await.unwrap();
                            let mut back = [0; 2];
                            stream.read_exact(&mut back).await.unwrap();
                            assert_eq!(back, [n, round]);
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for client in clients {
                client.await.unwrap();
            }
            server.abort();
        });
    });
}

#[test]
fn sleeps_end_wherever_they_were_started_and_none_early() {
    on_workers(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..2000_u32)
                .map(|n| {
                    spawn(async move {
                        let deadline = Instant::now() + (n * 7 % 20) * MS;
                        if n % 3 == 0 {
                            yield_now().await; // perhaps to another worker
                        }
                        // Most of these are dropped, from whichever worker it is by then.
                        let _ = timeout(Duration::from_secs(60), yield_now()).await;
                        sleep_until(deadline).await;
                        assert!(Instant::now() >= deadline);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn a_timer_of_the_main_future_fires_although_no_worker_knows_it() {
    on_workers(|runtime| {
        runtime.block_on(async {
            sleep(2 * MS).await;
            let mut interval = interval(MS);
            for _ in 0..3 {
                interval.tick().await;
            }
        });
    });
}

#[test]
fn a_worker_that_is_stuck_takes_nobodys_timers_and_sockets_with_it() {
    for backend in BACKENDS {
        let runtime = Runtime::builder()
            .backend(backend)
            .worker_threads(2)
            .build()
            .unwrap();
        let (client, mut server) = runtime.block_on(pair());
        let (go, stuck) = channel::<()>();
        let (done, outcome) = channel();
        runtime
            .spawn(async move {
                // On the worker that will be stuck: a task that sleeps (its timer is known to this
                // worker only) and one that reads.
                let sleeper = spawn(sleep(5 * MS));
                let mut client = client;
                let reader = spawn(async move { client.read(&mut [0; 8]).await.unwrap() });
                let mut turns = 0;
                while turns < 3 {
                    yield_now().await; // both have been polled, here or by the other worker
                    turns += 1;
                }
                spawn(async move {
                    sleeper.await.unwrap();
                    done.send(reader.await.unwrap()).unwrap();
                })
                .detach();
                let _ = stuck.recv(); // blocks this worker
            })
            .detach();
        runtime.block_on(async {
            sleep(MS).await;
            server.write_all(b"abc").await.unwrap();
        });
        // Without the watch this would not come while `go` lives: the limit is for that alone.
        let got = outcome.recv_timeout(Duration::from_secs(30));
        assert_eq!(got, Ok(3), "{backend:?}");
        drop(go);
    }
}

/// Each event is heard by another worker, which then gets stuck, until one worker is left.
#[test]
fn with_all_workers_stuck_but_one_that_one_hears_of_everything() {
    const WORKERS: usize = 3;
    for backend in BACKENDS {
        let builder = Runtime::builder().backend(backend).worker_threads(WORKERS);
        let runtime = builder.build().unwrap();
        let (go, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut readers = Vec::new();
        for round in 0..WORKERS {
            let (mut client, server) = runtime.block_on(pair());
            let (heard, hears) = channel();
            let gate = gate.clone();
            runtime
                .spawn(async move {
                    let read = client.read(&mut [0; 8]).await.unwrap();
                    heard.send(read).unwrap();
                    if round < WORKERS - 1 {
                        let _ = gate.lock().unwrap().recv(); // blocks this worker
                    }
                })
                .detach();
            readers.push((server, hears));
        }
        for (round, (mut server, hears)) in readers.into_iter().enumerate() {
            // From here on nothing is spawned and no timer is made: that would wake a worker.
            std::thread::sleep(5 * MS); // by now all sleep that can, mostly
            runtime.block_on(server.write_all(b"abc")).unwrap();
            // The limit is for a runtime that does not hand its loop on.
            let read = hears.recv_timeout(Duration::from_secs(30));
            assert_eq!(read, Ok(3), "{backend:?}, with {round} workers stuck");
        }
        drop(go);
    }
}

#[test]
fn hooks_and_names_belong_to_the_workers_and_the_hooks_run_on_the_runtime() {
    let started = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::new(AtomicUsize::new(0));
    let count = |counter: &Arc<AtomicUsize>| {
        let counter = counter.clone();
        move || {
            assert!(Handle::try_current().is_some());
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let runtime = Runtime::builder()
        .worker_threads(3)
        .thread_name("mill")
        .on_thread_start(count(&started))
        .on_thread_stop(count(&stopped))
        .build()
        .unwrap();
    let name = runtime.spawn(async { std::thread::current().name().map(str::to_owned) });
    assert!(name.join().unwrap().unwrap().starts_with("mill-"));
    drop(runtime);
    assert_eq!(started.load(Ordering::SeqCst), 3);
    assert_eq!(stopped.load(Ordering::SeqCst), 3);
}

#[test]
fn a_socket_fails_after_the_runtime_although_a_handle_lives() {
    for backend in BACKENDS {
        let builder = Runtime::builder().backend(backend).worker_threads(2);
        let runtime = builder.build().unwrap();
        let handle = runtime.handle();
        let (client, _server) = runtime.block_on(pair());
        let (woken, waker) = Count::waker();
        let mut reader = &client;
        let mut buffer = [0; 1];
        let mut read = reader.read(&mut buffer);
        let poll = Pin::new(&mut read).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        drop(runtime);
        assert_eq!(woken.get(), 1);
        assert!(futures_lite::future::block_on(read).is_err());
        assert!(handle.spawn(async {}).join().unwrap_err().is_cancelled());
    }
}

#[test]
fn a_runtime_is_used_from_other_threads_through_its_handle() {
    on_workers(|runtime| {
        let handle = runtime.handle();
        let thread = std::thread::spawn(move || {
            let task = handle.spawn(async {
                sleep(MS).await;
                7
            });
            let listener = handle.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            handle.block_on(async { TcpStream::connect(listener.local_addr()?).await })?;
            Ok::<_, std::io::Error>(task.join().unwrap())
        });
        assert_eq!(thread.join().unwrap().unwrap(), 7);
    });
}

#[test]
fn what_does_not_stop_in_time_is_counted() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let (go, stuck) = channel::<()>();
    let (started, start) = channel();
    runtime
        .spawn(async move {
            started.send(()).unwrap();
            let _ = stuck.recv();
        })
        .detach();
    start.recv().unwrap();
    let still = runtime.shutdown_timeout(5 * MS).unwrap_err();
    // The stuck one; on a busy machine the other one may need longer than that, too.
    assert!((1..=2).contains(&still.workers), "{still:?}");
    drop(go);
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    runtime.spawn(std::future::pending::<()>()).detach();
    runtime.shutdown_timeout(Duration::MAX).unwrap();
}

#[test]
#[should_panic(expected = "must be `Send`")]
fn a_local_task_on_many_threads_is_refused() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    runtime.spawn_local(async {}).detach();
}

#[test]
fn a_loop_that_watches_nothing_hears_of_the_first_socket_of_another_thread() {
    for backend in BACKENDS {
        for _ in 0..20 {
            let runtime = Runtime::builder().backend(backend).build().unwrap();
            let handle = runtime.handle();
            let (opened, other) = (runtime.metrics().workers[0].parks, runtime.handle());
            let job = runtime.spawn_blocking(move || {
                // The loop has gone to sleep, or is about to, with nothing to watch.
                while other.metrics().workers[0].parks == opened {
                    std::thread::yield_now();
                }
                handle.block_on(async {
                    let (mut near, mut far) = UnixStream::pair().unwrap();
                    let mut byte = [0];
                    let (read, written) = zip(far.read(&mut byte), near.write(&[7])).await;
                    assert_eq!((read.unwrap(), written.unwrap(), byte), (1, 1, [7]));
                });
            });
            runtime.block_on(job).unwrap();
        }
    }
}

/// Sockets that come, speak and go, and timers, of a thread that does not drive: each of them finds
/// the loop asleep with nothing to watch, or on its way there, or just out of it.
#[test]
fn a_loop_that_watches_nothing_again_and_again_hears_of_whatever_is_new() {
    let builders = [
        Runtime::builder,
        || Runtime::builder().worker_threads(1),
        || Runtime::builder().worker_threads(3),
    ];
    for (backend, builder) in BACKENDS
        .into_iter()
        .zip([builders; 2])
        .flat_map(|(backend, builders)| builders.map(|builder| (backend, builder)))
    {
        let runtime = builder().backend(backend).build().unwrap();
        let handle = runtime.handle();
        let job = runtime.spawn_blocking(move || {
            for round in 0..200_u8 {
                handle.block_on(async {
                    if round % 3 == 0 {
                        sleep(MS / 20).await;
                    }
                    let (mut near, mut far) = UnixStream::pair().unwrap();
                    let mut byte = [0];
                    let (read, written) = zip(far.read(&mut byte), near.write(&[round])).await;
                    assert_eq!((read.unwrap(), written.unwrap(), byte), (1, 1, [round]));
                });
                if round % 7 == 0 {
                    std::thread::sleep(MS / 10);
                }
                let task = handle.spawn(async move { round });
                assert_eq!(task.join().unwrap(), round);
            }
        });
        runtime.block_on(job).unwrap();
    }
}
