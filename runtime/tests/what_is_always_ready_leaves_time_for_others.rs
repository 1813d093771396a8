//! A task that always finds something ready is interrupted by its budget: a timeout around it
//! still fires, what stands beside it is heard, and its neighbours get their turn.
//!
//! Without the budget each of these tests hangs; `ends` then ends the process and names the test.

mod common;

use common::BACKENDS;
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tatkal::budget::{BUDGET, consume_budget, cooperative};
use tatkal::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tatkal::{Runtime, TestClock, as_completed, interval, sleep, spawn, timeout};

const SOON: Duration = Duration::from_millis(5);

/// Runs a test over both backends on one thread, one worker, and two workers.
fn everywhere<F>(name: &str, test: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for backend in BACKENDS {
        for workers in [0, 1, 2] {
            let builder = Runtime::builder().backend(backend);
            let runtime = match workers {
                0 => builder.build(),
                workers => builder.worker_threads(workers).build(),
            };
            let task = test();
            ends(&format!("{name}, {backend:?}, {workers} workers"), || {
                let runtime = runtime.unwrap();
                runtime.block_on(async { spawn(task).await.unwrap() });
            });
        }
    }
}

/// A future that hangs inside one poll cannot be timed out from inside.
fn ends(name: &str, test: impl FnOnce()) {
    let (ended, watched) = channel::<()>();
    let name = name.to_owned();
    let watchdog = std::thread::spawn(move || {
        if watched.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name}: starved");
            std::process::abort();
        }
    });
    test();
    drop(ended);
    watchdog.join().unwrap();
}

/// Writes to itself and reads it back: always room, always bytes.
async fn bytes_for_ever() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    loop {
        one.write_all(b"again").await.unwrap();
        other.read_exact(&mut [0; 5]).await.unwrap();
    }
}

async fn datagrams_for_ever() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(socket.local_addr().unwrap()).await.unwrap();
    loop {
        socket.send(b"again").await.unwrap();
        socket.recv(&mut [0; 8]).await.unwrap();
    }
}

/// Accepts what it has connected the moment before.
async fn connections_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    loop {
        // Reset, not closed in order: nothing is left in TIME_WAIT.
        let client = TcpStream::connect(address).await.unwrap();
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(listener.accept().await.unwrap());
    }
}

async fn items_for_ever() {
    loop {
        cooperative(std::future::ready(())).await;
    }
}

async fn sleeps_of_no_length_for_ever() {
    loop {
        sleep(Duration::ZERO).await;
    }
}

async fn timeouts_for_ever() {
    loop {
        let _ = timeout(SOON, consume_budget()).await;
    }
}

/// Every kind of always ready, with a name.
macro_rules! each_kind {
    ($check:expr) => {
        $check("bytes", bytes_for_ever);
        $check("datagrams", datagrams_for_ever);
        $check("connections", connections_for_ever);
        $check("items", items_for_ever);
        $check("sleeps", sleeps_of_no_length_for_ever);
        $check("timeouts", timeouts_for_ever);
    };
}

#[test]
fn a_timeout_around_it_fires() {
    fn check<F: Future<Output = ()> + Send + 'static>(name: &str, busy: fn() -> F) {
        everywhere(name, || async move {
            assert!(timeout(SOON, busy()).await.is_err());
        });
    }
    each_kind!(check);
}

#[test]
fn a_timeout_of_the_main_future_fires() {
    for workers in [false, true] {
        let mut builder = Runtime::builder();
        if workers {
            builder = builder.worker_threads(1);
        }
        let runtime = builder.build().unwrap();
        ends("main", || {
            runtime.block_on(async {
                assert!(timeout(SOON, bytes_for_ever()).await.is_err());
                assert!(timeout(SOON, items_for_ever()).await.is_err());
            });
        });
    }
}

#[test]
fn the_branch_beside_it_is_heard_even_if_it_always_comes_second() {
    fn check<F: Future<Output = ()> + Send + 'static>(name: &str, busy: fn() -> F) {
        everywhere(name, || async move {
            or(busy(), sleep(SOON)).await;
            or(busy(), async {
                spawn(sleep(SOON)).await.unwrap();
            })
            .await;
        });
    }
    each_kind!(check);
}

#[test]
fn its_neighbours_get_their_turn() {
    fn check<F: Future<Output = ()> + Send + 'static>(name: &str, busy: fn() -> F) {
        everywhere(name, || async move {
            // One per worker, so that no neighbour is saved by being stolen.
            let busy = [spawn(busy()), spawn(busy())];
            for _ in 0..100 {
                spawn(async {}).await.unwrap();
            }
            busy.iter().for_each(|task| task.abort());
            for task in busy {
                assert!(task.await.is_err());
            }
        });
    }
    each_kind!(check);
}

#[test]
fn results_that_are_all_there_are_taken_in_portions() {
    everywhere("results", || async {
        for ordered in [false, true] {
            let pool = tatkal::ThreadPool::new(1);
            let handles: Vec<_> = (0..3 * BUDGET).map(|n| pool.submit(move || n)).collect();
            while !handles.iter().all(|handle| handle.is_finished()) {
                tatkal::yield_now().await;
            }
            let polls = polls(async {
                let mut sum = 0;
                if ordered {
                    for handle in handles {
                        sum += handle.await.unwrap();
                    }
                } else {
                    let mut results = as_completed(handles).into_stream();
                    while let Some((_, n)) = results.next().await {
                        sum += n.unwrap();
                    }
                }
                assert_eq!(sum, (0..3 * BUDGET).sum());
            })
            .await;
            assert_eq!(polls, 3);
        }
    });
}

/// In how many polls a future gets ready.
async fn polls<F: Future<Output = ()>>(future: F) -> usize {
    // Starts with a full budget.
    tatkal::yield_now().await;
    let mut polls = 0;
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    polls
}

#[test]
fn an_interval_that_catches_up_does_not_do_it_in_one_go() {
    let clock = TestClock::new();
    let runtime = Runtime::builder().clock(clock.clone()).build().unwrap();
    ends("interval", || {
        runtime.block_on(async {
            let mut ticks = interval(Duration::from_millis(1));
            ticks.tick().await;
            clock.advance(Duration::from_millis(3 * BUDGET as u64));
            let polls = polls(async {
                for _ in 0..3 * BUDGET {
                    ticks.tick().await;
                }
            })
            .await;
            assert_eq!(polls, 3);
        });
    });
}

#[test]
fn a_busy_future_is_timed_out_as_soon_as_its_budget_ends() {
    // Within one poll of the task after the deadline: the event loop, which would fire the timer,
    // need not have had its turn.
    let clock = TestClock::new();
    let runtime = Runtime::builder().clock(clock.clone()).build().unwrap();
    ends("exact", || {
        runtime.block_on(async {
            let mut items = 0;
            let start = Instant::now();
            let busy = async {
                loop {
                    consume_budget().await;
                    items += 1;
                    if items == 2 * BUDGET {
                        clock.advance(SOON);
                    }
                    assert!(items <= 3 * BUDGET, "after {:?}", start.elapsed());
                }
            };
            let busy = polls(async {
                let _: Result<(), _> = timeout(SOON, busy).await;
            });
            assert_eq!(busy.await, 2);
        });
    });
}
