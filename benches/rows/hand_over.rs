//! What does it cost that one task makes another run? Ping-pong, and chains of spawns.
//!
//! Two shapes of ping-pong. In the one of tokio's own bench, 1,000 pairs meet once each, over
//! oneshot channels (tokio's, on every side: they need no runtime), so that spawning is most of it.
//! In the other, 100 pairs hand a message to and fro 100 times, over a mailbox that allocates
//! nothing, so that waking is all of it.

use super::meet::Mailbox;
use super::sides::{Inside, Side};
use super::{Cost, Row, on_each_side};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const MEETINGS: u64 = 1_000;
const PAIRS: u64 = 100;
const EXCHANGES: u64 = 100;

pub fn rows() -> Vec<Row> {
    let row = |workload, note, contenders| Row {
        workload,
        threads: 2,
        note,
        cost: Cost::Time,
        contenders,
    };
    vec![
        row(
            "ping-pong: 1,000 pairs, once",
            "",
            on_each_side!(2, meet_once),
        ),
        row(
            "ping-pong: 100 pairs, 100 times",
            "",
            on_each_side!(2, ping_pong),
        ),
        row("chained spawn", "", on_each_side!(2, chained_spawn)),
    ]
}

fn meet_once<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let mut pairs = Vec::with_capacity(MEETINGS as usize);
        let start = Instant::now();
        for _ in 0..times {
            pairs.extend((0..MEETINGS).map(|_| {
                inside.spawn(async move {
                    let (ping, pinged) = oneshot::channel();
                    let (pong, ponged) = oneshot::channel();
                    inside.detach(async move {
                        pinged.await.unwrap();
                        pong.send(()).unwrap();
                    });
                    ping.send(()).unwrap();
                    ponged.await.unwrap();
                })
            }));
            for pair in pairs.drain(..) {
                pair.await;
            }
        }
        start.elapsed()
    })
}

fn ping_pong<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let start = Instant::now();
        let pairs = (0..PAIRS).map(|_| {
            let (pings, pongs) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
            let exchanges = times * EXCHANGES;
            let (from, to) = (pings.clone(), pongs.clone());
            inside.detach(async move {
                for _ in 0..exchanges {
                    to.put(from.take().await);
                }
            });
            inside.spawn(async move {
                for i in 0..exchanges {
                    pings.put(i);
                    assert_eq!(pongs.take().await, i);
                }
            })
        });
        for pair in pairs.collect::<Vec<_>>() {
            pair.await;
        }
        start.elapsed()
    })
}

/// Each task spawns the next and ends; one time is one link of the chain.
fn chained_spawn<S: Side>(side: &S, threads: usize, times: u64) -> Duration {
    let inside = side.inside();
    side.run(threads, async move {
        let end = Arc::new(Mailbox::default());
        link(inside, times, Instant::now(), end.clone());
        Duration::from_nanos(end.take().await)
    })
}

fn link<I: Inside>(inside: I, left: u64, start: Instant, end: Arc<Mailbox>) {
    inside.detach(async move {
        match left {
            0 => end.put(start.elapsed().as_nanos() as u64),
            _ => link(inside, left - 1, start, end),
        }
    });
}
