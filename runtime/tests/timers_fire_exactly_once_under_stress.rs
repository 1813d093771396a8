//! Timers are started, nested, moved, reset, dropped and fired by many threads at once, on a clock
//! that another thread drives. Every sleep that is waited for ends, once, and not early.
//!
//! Seeded: what each task does does not depend on the time. The seed is printed; a run that hangs
//! (a timer that never fired) is ended by the watchdog.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use std::time::Duration;
use tatkal::{Runtime, Sleep, TestClock, sleep, sleep_until, spawn, timeout, yield_now};

const TASKS: u64 = 40;
const STEPS: usize = 60;
/// A deadline is this far away at most.
const FAR: u64 = 40_000;

/// xorshift64*: small and seeded.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }

    /// Of many scales: some in the same tick of the wheel, some in higher levels, some at once.
    fn duration(&mut self) -> Duration {
        let scale = self.below(FAR) + 1;
        Duration::from_micros(self.below(scale))
    }
}

/// One task's steps; returns how many sleeps it has seen end.
async fn task(mut random: Random, clock: TestClock) -> usize {
    let mut ended = 0;
    for _ in 0..STEPS {
        let deadline = clock.now() + random.duration();
        match random.below(6) {
            // Waits to the end, and is polled twice at most: too early, and woken. (In a task that
            // no other timer has ever woken.)
            0 => {
                let polls = spawn(polls(sleep_until(deadline))).await.unwrap();
                assert!((1..=2).contains(&polls), "polled {polls} times");
            }
            // Timeouts that do not happen, one in the other, in either order.
            1 => {
                let mut sleeps = [0; 3].map(|_| sleep(random.duration()));
                for sleep in &mut sleeps {
                    let _ = poll_once(sleep).await;
                }
                let [first, second, third] = sleeps;
                if random.below(2) == 0 {
                    drop((third, second, first));
                } else {
                    drop(first);
                    yield_now().await;
                    drop((second, third));
                }
                continue;
            }
            // Moves its deadline while it waits, to and fro.
            2 => {
                let mut sleep = sleep_until(deadline);
                for _ in 0..random.below(4) {
                    let _ = poll_once(&mut sleep).await;
                    sleep.reset(clock.now() + random.duration());
                    yield_now().await;
                }
                let deadline = sleep.deadline();
                sleep.await;
                assert!(clock.now() >= deadline);
                ended += 1;
                continue;
            }
            // Is started here, and waited for by another task, on another thread perhaps.
            3 => {
                let mut sleep = sleep_until(deadline);
                let _ = poll_once(&mut sleep).await;
                spawn(sleep).await.unwrap();
            }
            // A timeout that may happen.
            4 => {
                let limit = random.duration();
                let before = clock.now();
                let inner = sleep_until(deadline);
                match timeout(limit, inner).await {
                    Ok(()) => assert!(clock.now() >= deadline),
                    Err(_) => assert!(clock.now() >= before + limit),
                }
                ended += 1;
                continue;
            }
            // Many at once, so that they crowd.
            _ => {
                let crowd: Vec<_> = (0..10).map(|_| spawn(sleep_until(deadline))).collect();
                for sleep in crowd {
                    sleep.await.unwrap();
                }
            }
        }
        assert!(clock.now() >= deadline);
        ended += 1;
    }
    ended
}

async fn poll_once(sleep: &mut Sleep) -> Poll<()> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *sleep).poll(cx))).await
}

/// Waits for it, and counts the polls.
async fn polls(mut sleep: Sleep) -> usize {
    let mut polls = 0;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        polls += 1;
        Pin::new(&mut sleep).poll(cx)
    })
    .await;
    polls
}

fn stress(seed: u64, workers: usize) {
    println!("seed {seed:#x}, {workers} workers");
    let clock = TestClock::new();
    let builder = Runtime::builder().clock(clock.clone());
    let runtime = match workers {
        0 => builder.build(),
        workers => builder.worker_threads(workers).build(),
    };
    let runtime = runtime.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mover = std::thread::spawn({
        let (clock, stop, mut random) = (clock.clone(), stop.clone(), Random(seed ^ 1));
        move || {
            while !stop.load(Ordering::SeqCst) {
                clock.advance(random.duration() / 16);
                std::thread::yield_now();
            }
        }
    });
    let ended: usize = runtime.block_on(async {
        let mut seeds = Random(seed);
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let random = Random(seeds.below(u64::MAX) | 1);
                spawn(task(random, clock.clone()))
            })
            .collect();
        let mut ended = 0;
        for task in tasks {
            ended += task.await.unwrap();
        }
        ended
    });
    stop.store(true, Ordering::SeqCst);
    mover.join().unwrap();
    assert_eq!(ended, planned(seed), "sleeps that ended, and that should");
    assert_eq!(runtime.live_tasks(), 0);
}

/// How many sleeps the tasks of a seed wait for: their steps, without the clock.
fn planned(seed: u64) -> usize {
    let mut seeds = Random(seed);
    (0..TASKS)
        .map(|_| planned_by_one(Random(seeds.below(u64::MAX) | 1)))
        .sum()
}

fn planned_by_one(mut random: Random) -> usize {
    let mut ended = 0;
    for _ in 0..STEPS {
        random.duration();
        match random.below(6) {
            1 => {
                for _ in 0..3 {
                    random.duration();
                }
                random.below(2);
                continue;
            }
            2 => {
                for _ in 0..random.below(4) {
                    random.duration();
                }
            }
            4 => {
                random.duration();
            }
            _ => {}
        }
        ended += 1;
    }
    ended
}

#[test]
fn every_sleep_that_is_waited_for_ends_once_and_not_early() {
    let (ended, watched) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hangs = std::sync::mpsc::RecvTimeoutError::Timeout;
        if watched.recv_timeout(Duration::from_secs(120)) == Err(hangs) {
            eprintln!("a timer has not fired");
            std::process::abort();
        }
    });
    for seed in 1..=4_u64 {
        for workers in [0, 1, 2, 4] {
            stress(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), workers);
        }
    }
    drop(ended);
    watchdog.join().unwrap();
}
