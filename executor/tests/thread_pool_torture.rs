//! Everything at once, at random, from many threads: each job's closure is dropped exactly once,
//! each job runs at most once, and its handle tells which of it happened.

mod gate;

use gate::within_a_minute;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};
use tatkal_executor::{JoinError, JoinHandle, Shutdown, ThreadPool};

const SUBMITTERS: u64 = 4;
const STEPS: u64 = 300;
const ROUNDS: u64 = 20;

/// xorshift64: all that is asked is that a seed repeats a run's choices.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    ran: AtomicUsize,
    dropped: AtomicUsize,
    ok: AtomicUsize,
    failed: AtomicUsize,
    detached: AtomicUsize,
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// What every closure carries.
struct Carried(Arc<Counts>);

impl Carried {
    fn new(counts: &Arc<Counts>) -> Self {
        add(&counts.made);
        Self(counts.clone())
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        add(&self.0.dropped);
    }
}

fn job(counts: &Arc<Counts>, panics: bool) -> impl FnOnce() + Send + 'static {
    let carried = Carried::new(counts);
    move || {
        add(&carried.0.ran);
        assert!(!panics, "meant");
    }
}

/// Takes a handle's answer; `Ok` and a panic mean that the job ran.
fn settle(counts: &Counts, handle: JoinHandle<()>) {
    match handle.join() {
        Ok(()) | Err(JoinError::Panicked(_)) => add(&counts.ok),
        Err(JoinError::Cancelled | JoinError::Closed) => add(&counts.failed),
        Err(error) => panic!("{error:?}"),
    }
}

fn submitter(pool: &Arc<ThreadPool>, counts: &Arc<Counts>, mut random: Random) {
    let mut kept: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..STEPS {
        match random.below(10) {
            0..=3 => kept.push(pool.submit(job(counts, random.below(20) == 0))),
            4 => {
                add(&counts.detached);
                pool.submit(job(counts, false)).detach();
            }
            5 => match pool.try_submit(job(counts, false)) {
                Ok(handle) => kept.push(handle),
                // The closure came back, and goes here.
                Err(refused) => {
                    add(&counts.failed);
                    drop(refused.into_job());
                }
            },
            6 => {
                let (inside, counts) = (pool.clone(), counts.clone());
                kept.push(pool.submit({
                    let outer = job(&counts, false);
                    move || {
                        outer();
                        add(&counts.detached);
                        inside.submit(job(&counts, false)).detach();
                    }
                }));
            }
            7 => {
                if let Some(handle) = kept.last() {
                    handle.abort();
                }
            }
            8 if !kept.is_empty() => {
                let place = random.below(kept.len() as u64) as usize;
                settle(counts, kept.swap_remove(place));
            }
            _ => {
                if let Some(mut handle) = kept.pop() {
                    match handle.join_timeout(Duration::ZERO) {
                        None => kept.push(handle),
                        Some(Ok(()) | Err(JoinError::Panicked(_))) => add(&counts.ok),
                        Some(Err(_)) => add(&counts.failed),
                    }
                }
            }
        }
    }
    kept.into_iter().for_each(|handle| settle(counts, handle));
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let mut builder = ThreadPool::builder().threads(1 + random.below(4) as usize);
    if random.below(2) == 0 {
        builder = builder.capacity(random.below(8) as usize);
    }
    let pool = Arc::new(builder.build());
    let counts = Arc::new(Counts::default());
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|n| {
            let (pool, counts) = (pool.clone(), counts.clone());
            let random = Random(seed ^ ((n + 1) << 32));
            thread::spawn(move || submitter(&pool, &counts, random))
        })
        .collect();
    let how = Shutdown {
        wait: random.below(2) == 0,
        cancel_queued: random.below(2) == 0,
    };
    // Somewhere in the middle, or at the end.
    let after = random.below(2 * SUBMITTERS * STEPS / 3) as usize;
    while counts.made.load(Ordering::Relaxed) < after
        && submitters.iter().any(|thread| !thread.is_finished())
    {
        thread::yield_now();
    }
    pool.shutdown(how);
    submitters
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    pool.shutdown(Shutdown::finish());
    drop(pool);

    let get = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let made = get(&counts.made);
    assert_eq!(get(&counts.dropped), made, "each closure is dropped once");
    let settled = get(&counts.ok) + get(&counts.failed) + get(&counts.detached);
    assert_eq!(settled, made, "each handle told, or was let go");
    assert!(get(&counts.ok) <= get(&counts.ran), "who says it ran, ran");
    assert!(
        get(&counts.ran) <= get(&counts.ok) + get(&counts.detached),
        "who says it did not run, did not"
    );
}

#[test]
fn every_job_is_accounted_for() {
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            now.as_nanos() as u64 | 1
        }
    };
    println!("SEED={seed}");
    within_a_minute(move || (0..ROUNDS).for_each(|n| round(seed.wrapping_add(n << 8))));
}
