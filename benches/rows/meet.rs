//! Where the contenders' tasks meet: a mailbox for two tasks, a countdown for many and one thread. And
//! what their meetings took, where the median counts.
//!
//! Every contender uses these same ones, so that what differs is the runtime alone; and they are
//! as plain as can be (a lock that nobody contends, no allocation), so that little else shows.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Room for one message, one sender and one receiver.
#[derive(Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    message: Option<u64>,
    receiver: Option<Waker>,
}

impl Mailbox {
    /// Puts a message in, and wakes the receiver if it waits.
    pub fn put(&self, message: u64) {
        let mut inner = self.inner.lock().unwrap();
        inner.message = Some(message);
        let receiver = inner.receiver.take();
        drop(inner); // a waker is not called under a lock
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Takes the message out, when there is one.
    pub async fn take(&self) -> u64 {
        poll_fn(|cx| {
            let mut inner = self.inner.lock().unwrap();
            if let Some(message) = inner.message.take() {
                return Poll::Ready(message);
            }
            inner.receiver = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Counts jobs down; the last one stops the clock and wakes the thread that waits.
pub struct Countdown {
    left: AtomicUsize,
    start: Instant,
    /// 0: not over yet.
    elapsed_ns: AtomicU64,
    waiter: Thread,
}

impl Countdown {
    /// Starts the clock, for `jobs` jobs; the calling thread will wait.
    pub fn start(jobs: usize) -> Countdown {
        Countdown {
            left: AtomicUsize::new(jobs),
            waiter: thread::current(),
            elapsed_ns: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    /// One job is over. True when it was the last.
    pub fn count_down(&self) -> bool {
        // Relaxed: the jobs share nothing else.
        let last = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            let elapsed = self.start.elapsed().as_nanos() as u64;
            // Release: pairs with the Acquire in `wait`.
            self.elapsed_ns.store(elapsed.max(1), Ordering::Release);
            self.waiter.unpark();
        }
        last
    }

    /// From the start to the end of the last job: how fast this thread wakes up does not count.
    pub fn wait(&self) -> Duration {
        loop {
            // Acquire: pairs with the Release in `count_down`.
            match self.elapsed_ns.load(Ordering::Acquire) {
                0 => thread::park(),
                elapsed => return Duration::from_nanos(elapsed),
            }
        }
    }
}

/// What each round trip took, where the median counts: `wake.rs` says why.
pub struct Laps {
    last: Instant,
    times: Vec<Duration>,
}

impl Laps {
    pub fn start(times: u64) -> Laps {
        Laps {
            times: Vec::with_capacity(times as usize),
            last: Instant::now(),
        }
    }

    pub fn end_one(&mut self) {
        let now = Instant::now();
        self.times.push(now - self.last);
        self.last = now;
    }

    /// What all of them would have taken.
    pub fn all_as_the_median(mut self) -> Duration {
        let laps = self.times.len();
        let (_, median, _) = self.times.select_nth_unstable(laps / 2);
        *median * laps as u32
    }
}
