//! What does it cost to wake a thread? Two one-thread runtimes, each on a CPU of its own, hand a
//! message to and fro.
//!
//! Every wake-up finds the other runtime asleep in its event loop, so a round trip is two of them
//! and the two CPUs' way out of idleness. Pinned apart, because the kernel's choice would decide:
//! on one CPU the same round trip is a twentieth of it. Below them stands a bare futex between two
//! threads: the least that wakes one.
//!
//! What counts is the median of a turn's round trips. One that the host or another program delays takes
//! ten times as long, and a mean of a turn is mostly a count of these: the ratio of two means in
//! neighbouring turns has quartiles of 0.90 and 1.02, that of two medians of 0.95 and 1.00.

use super::meet::{Laps, Mailbox};
use super::place::Pinned;
use super::sides::{Ours, Side, Smol, Tokio};
use super::{Contender, Cost, Row};
use rustix::thread::futex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Tells the far side to end.
const END: u64 = u64::MAX;

pub fn rows() -> Vec<Row> {
    vec![Row {
        workload: "cross-thread wake, round trip",
        threads: 1,
        note: "two one-thread runtimes, pinned apart; the median round trip",
        cost: Cost::Time,
        contenders: vec![
            Contender::plain(Ours::NAME, hand_over::<Ours>),
            Contender::plain(Tokio::NAME, hand_over::<Tokio>),
            Contender::plain(Smol::NAME, hand_over::<Smol>),
            Contender::plain("bare futex", futexes),
        ],
    }]
}

fn hand_over<S: Side>(times: u64) -> Duration {
    let (pings, pongs) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    let (from, to) = (pings.clone(), pongs.clone());
    let far = thread::spawn(move || {
        let _pinned = Pinned::to(1);
        let side = S::new(1);
        side.run(1, async move {
            loop {
                match from.take().await {
                    END => break,
                    message => to.put(message),
                }
            }
        });
    });
    let _pinned = Pinned::to(0);
    let side = S::new(1);
    let elapsed = side.run(1, async move {
        // Not timed: the far runtime starts.
        pings.put(0);
        pongs.take().await;
        let mut laps = Laps::start(times);
        for i in 0..times {
            pings.put(i);
            assert_eq!(pongs.take().await, i);
            laps.end_one();
        }
        pings.put(END);
        laps.all_as_the_median()
    });
    far.join().unwrap();
    elapsed
}

/// Whose turn it is.
const NEAR: u32 = 0;
const FAR: u32 = 1;

fn futexes(times: u64) -> Duration {
    let turn = Arc::new(AtomicU32::new(NEAR));
    let seen = turn.clone();
    let far = thread::spawn(move || {
        let _pinned = Pinned::to(1);
        for _ in 0..=times {
            wait_for(&seen, FAR);
            pass_to(&seen, NEAR);
        }
    });
    let _pinned = Pinned::to(0);
    // Not timed: the far thread starts.
    pass_to(&turn, FAR);
    wait_for(&turn, NEAR);
    let mut laps = Laps::start(times);
    for _ in 0..times {
        pass_to(&turn, FAR);
        wait_for(&turn, NEAR);
        laps.end_one();
    }
    far.join().unwrap();
    laps.all_as_the_median()
}

fn pass_to(turn: &AtomicU32, who: u32) {
    // Release: pairs with the Acquire in `wait_for`.
    turn.store(who, Ordering::Release);
    futex::wake(turn, futex::Flags::PRIVATE, 1).unwrap();
}

fn wait_for(turn: &AtomicU32, who: u32) {
    loop {
        // Acquire: pairs with the Release in `pass_to`.
        match turn.load(Ordering::Acquire) {
            now if now == who => return,
            // An error is a turn that changed just now, or an interruption: look again.
            other => drop(futex::wait(turn, futex::Flags::PRIVATE, other, None)),
        }
    }
}
