//! Everything at once, at random, from many threads: spawn, wake, abort, steal, join, drop, shut
//! down, on one thread and on several. Every future is polled by one thread at a time, no more often
//! than there was a cause, and dropped once; and its handle tells what became of it.
//!
//! `SEED` repeats a run's choices, `TORTURE_SECONDS` prolongs it.

mod books;
mod gate;

use books::{Carried, Lock, Record, recorded};
use gate::within_a_minute;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tatkal_executor::{
    JoinHandle, LocalExecutor, MultiExecutor, MultiHandle, SpawnHandle, spawn, yield_now,
};

/// Threads that do something to the tasks from outside.
const TORMENTORS: u64 = 3;
/// What each of them does in a round.
const STEPS: u64 = 400;
/// Rounds of a run whose length nobody asked for.
const ROUNDS: u64 = 5;

/// xorshift64: all that is asked is that a seed repeats a run's choices.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// One of its own for somebody else.
    fn fork(&mut self) -> Self {
        Self::new(self.below(u64::MAX))
    }
}

/// What all threads and tasks of a round share.
#[derive(Default)]
struct Round {
    records: Lock<Vec<Arc<Record>>>,
    wakers: Lock<Vec<(Waker, Arc<Record>)>>,
    handles: Lock<Vec<(JoinHandle<()>, Arc<Record>)>>,
    /// Tasks stop waiting for wakes, and spawn no more.
    over: AtomicBool,
}

impl Round {
    fn made(&self) -> usize {
        self.records.with(|records| records.len())
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// A random task.
    fn task(
        self: &Arc<Self>,
        random: &mut Random,
    ) -> (Arc<Record>, impl Future<Output = ()> + Send + use<>) {
        let record = self.records.with(|records| {
            let record = Arc::new(Record::new(records.len()));
            records.push(record.clone());
            record
        });
        let body = body(self.clone(), record.clone(), random.fork());
        (record.clone(), recorded(body, Carried(record)))
    }

    fn keep(&self, record: Arc<Record>, handle: JoinHandle<()>) {
        self.handles.with(|handles| handles.push((handle, record)));
    }

    fn any_handle(&self, random: &mut Random) -> Option<(JoinHandle<()>, Arc<Record>)> {
        self.handles.with(|handles| {
            let len = handles.len() as u64;
            (len > 0).then(|| handles.swap_remove(random.below(len) as usize))
        })
    }

    /// Wakes a task that left its waker, in one of the ways there are.
    fn wake_one(&self, random: &mut Random) -> bool {
        let one = self.wakers.with(|wakers| {
            let len = wakers.len() as u64;
            let place = (len > 0).then(|| random.below(len) as usize)?;
            Some(if random.below(4) == 0 {
                wakers[place].clone()
            } else {
                wakers.swap_remove(place)
            })
        });
        // Outside the lock: a wake is the executor's code, and may run ours.
        let Some((waker, record)) = one else {
            return false;
        };
        record.wake(waker, random.below(2) == 0);
        true
    }
}

/// Pending until `left` wakes have come, or the round is over. Spurious polls count for a wake.
fn wait_for_wakes(
    round: &Arc<Round>,
    record: &Arc<Record>,
    mut left: u64,
) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let (round, record) = (round.clone(), record.clone());
    move |cx| {
        round.wakers.with(|wakers| {
            // Under the lock: whoever ends the round wakes every waker that it finds after that.
            if left == 0 || round.is_over() {
                return Poll::Ready(());
            }
            left -= 1;
            wakers.push((cx.waker().clone(), record.clone()));
            Poll::Pending
        })
    }
}

async fn body(round: Arc<Round>, record: Arc<Record>, mut random: Random) {
    for _ in 0..random.below(5) {
        match random.below(8) {
            0 | 1 => {
                for _ in 0..random.below(4) {
                    record.causes.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                }
            }
            2 | 3 => poll_fn(wait_for_wakes(&round, &record, 1 + random.below(2))).await,
            4 if !round.is_over() => {
                for _ in 0..random.below(20) {
                    let (child, future) = round.task(&mut random);
                    let handle = spawn(future);
                    match random.below(3) {
                        0 => handle.detach(),
                        _ => round.keep(child, handle),
                    }
                }
            }
            5 => {
                // Awaits another task, whose completion is a wake: a later one, or two could wait
                // for each other.
                if let Some((mut handle, other)) = round.any_handle(&mut random) {
                    if other.number <= record.number {
                        round.keep(other, handle);
                        continue;
                    }
                    let awaited = poll_fn(|cx| {
                        let polled = std::pin::Pin::new(&mut handle).poll(cx);
                        if polled.is_pending() {
                            record.causes.fetch_add(1, Ordering::SeqCst);
                        }
                        polled
                    });
                    other.tell(awaited.await);
                }
            }
            6 => {
                round.wake_one(&mut random);
            }
            _ => {
                if random.below(8) == 0 {
                    std::panic::panic_any("meant");
                }
                (0..random.below(300)).for_each(|_| std::hint::spin_loop());
            }
        }
    }
}

/// The executor, from outside.
enum Target {
    Multi(MultiHandle),
    Local(SpawnHandle),
}

impl Target {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self {
            Self::Multi(handle) => handle.spawn(future),
            Self::Local(handle) => handle.spawn(future),
        }
    }
}

fn torment(round: &Arc<Round>, target: &Target, mut random: Random) {
    for _ in 0..STEPS {
        match random.below(8) {
            0..=2 => {
                let (record, future) = round.task(&mut random);
                let handle = target.spawn(future);
                match random.below(4) {
                    0 => handle.detach(),
                    _ => round.keep(record, handle),
                }
            }
            3 | 4 => {
                round.wake_one(&mut random);
            }
            5 => {
                if let Some((handle, record)) = round.any_handle(&mut random) {
                    record.abort_asked.store(true, Ordering::SeqCst);
                    let (abort, twice) = (handle.abort_handle(), random.below(2) == 0);
                    if twice {
                        round.keep(record, handle);
                    }
                    abort.abort();
                }
            }
            6 => {
                if let Some((mut handle, record)) = round.any_handle(&mut random) {
                    match handle.join_timeout(Duration::ZERO) {
                        Some(result) => record.tell(result),
                        None => round.keep(record, handle),
                    }
                }
            }
            _ => thread::yield_now(),
        }
    }
}

/// Wakes everybody who waits until nothing is alive. (A waker left in the list is no harm: its task
/// is cancelled, or will leave another.)
fn finish(round: &Round, random: &mut Random, live_tasks: impl Fn() -> usize) {
    round.over.store(true, Ordering::SeqCst);
    while live_tasks() > 0 {
        while round.wake_one(random) {}
        thread::yield_now();
    }
}

/// The handles that are left, and the books.
fn settle(round: &Round, cut: bool) {
    let handles = round.handles.with(std::mem::take);
    for (handle, record) in handles {
        record.tell(handle.join());
    }
    drop(round.wakers.with(std::mem::take));
    let records = round.records.with(std::mem::take);
    records.iter().for_each(|record| record.check(cut));
}

fn tormentors(
    round: &Arc<Round>,
    random: &mut Random,
    target: impl Fn() -> Target,
) -> Vec<thread::JoinHandle<()>> {
    let one = |_| {
        let (round, target, random) = (round.clone(), target(), random.fork());
        thread::spawn(move || torment(&round, &target, random))
    };
    (0..TORMENTORS).map(one).collect()
}

fn on_many_threads(seed: u64) {
    let mut random = Random::new(seed);
    let round = Arc::new(Round::default());
    let executor = MultiExecutor::new(1 + random.below(4) as usize).unwrap();
    let threads = tormentors(&round, &mut random, || Target::Multi(executor.handle()));
    let cut = random.below(2) == 0;
    if cut {
        // Somewhere in the middle.
        let after = random.below(TORMENTORS * STEPS / 2) as usize;
        while round.made() < after && threads.iter().any(|t| !t.is_finished()) {
            thread::yield_now();
        }
        match random.below(3) {
            0 => drop(executor),
            1 => executor.shutdown_timeout(Duration::MAX).unwrap(),
            _ => {
                // By one of its own tasks, which cannot wait for its own worker.
                let handle = executor.handle();
                let _ = handle.spawn(async move { drop(executor) }).join();
            }
        }
        round.over.store(true, Ordering::SeqCst);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        // The worker that dropped the executor may still be ending.
        let dropped = |record: &Arc<Record>| record.drops.load(Ordering::SeqCst) > 0;
        let all_dropped = || round.records.with(|records| records.iter().all(dropped));
        gate::wait_until(all_dropped);
    } else {
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        finish(&round, &mut random, || executor.live_tasks());
    }
    settle(&round, cut);
}

fn on_one_thread(seed: u64) {
    let mut random = Random::new(seed);
    let round = Arc::new(Round::default());
    let executor = LocalExecutor::default();
    let threads = tormentors(&round, &mut random, || Target::Local(executor.handle()));
    let cut = random.below(2) == 0;
    let after = random.below(TORMENTORS * STEPS / 2) as usize;
    let enough = || {
        let done = threads.iter().all(|thread| thread.is_finished());
        done || (cut && round.made() >= after)
    };
    executor.block_on(async {
        while !enough() {
            round.wake_one(&mut random);
            yield_now().await;
        }
    });
    if !cut {
        round.over.store(true, Ordering::SeqCst);
        executor.block_on(async {
            while executor.live_tasks() > 0 {
                round.wake_one(&mut random);
                yield_now().await;
            }
        });
    }
    drop(executor);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    settle(&round, cut);
}

fn run(round: fn(u64)) {
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
    };
    println!("SEED={seed}");
    let seconds = std::env::var("TORTURE_SECONDS").map(|text| text.parse().expect("a number"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    // Not the panics that are meant.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&"meant") {
            hook(info);
        }
    }));
    for n in 0.. {
        let more = match until {
            Ok(until) => Instant::now() < until,
            Err(_) => n < ROUNDS,
        };
        if !more {
            return;
        }
        let seed = seed.wrapping_add(n << 32);
        within_a_minute(move || round(seed));
    }
}

#[test]
fn every_task_on_many_threads_is_accounted_for() {
    run(on_many_threads);
}

#[test]
fn every_task_on_one_thread_is_accounted_for() {
    run(on_one_thread);
}
