//! Rounds: the contenders of a row take turns, and each turn is a sample.
//!
//! First each contender works alone, ever longer, until one go takes a turn's time: that warms it
//! up and says how many times the work fits. Then the rounds: in each, every contender has one
//! turn, and the order moves on by one, so that nobody always follows the same.

use crate::options::Options;
use crate::rows::{self, Cost, Row, Work};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The allocators, by the names that `rows::allocator` knows.
pub const ALLOCATORS: [&str; 2] = ["system", "mimalloc"];

/// How many rounds a row has even when someone in it is slow beyond the row's limit.
const MIN_ROUNDS: usize = 3;

/// A row, measured with one allocator.
#[derive(Serialize, Deserialize)]
pub struct Samples {
    pub workload: String,
    pub threads: usize,
    pub note: String,
    pub cost: Cost,
    /// Ours first.
    pub contenders: Vec<Contender>,
}

/// A contender's share of the samples.
#[derive(Clone, Serialize, Deserialize)]
pub struct Contender {
    pub name: String,
    /// How often the work was done in each turn.
    pub times: u64,
    /// The cost of doing it once, by round.
    pub costs: Vec<f64>,
}

/// Measures with the allocator that this program has, and prints the samples.
pub fn measure(options: &Options) {
    let wanted = |row: &Row| {
        let name = row.name();
        options.only.is_empty() || options.only.iter().any(|only| name.contains(only))
    };
    let samples: Vec<_> = rows::all()
        .into_iter()
        .filter(wanted)
        .map(|row| take(&row, options))
        .collect();
    println!("{}", serde_json::to_string(&samples).expect("plain data"));
}

fn take(row: &Row, options: &Options) -> Samples {
    let start = Instant::now();
    let mut turns: Vec<_> = row
        .contenders
        .iter()
        .map(|contender| Turn::new(contender.name, (contender.start)(), options.turn()))
        .collect();
    let contenders = turns.len();
    for round in 0..options.rounds() as usize {
        if round >= MIN_ROUNDS && start.elapsed() > options.row_limit() {
            break;
        }
        for place in 0..contenders {
            turns[(round + place) % contenders].take();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{seconds:6.1} s  {}", row.name());
    Samples {
        workload: row.workload.to_owned(),
        threads: row.threads,
        note: row.note.to_owned(),
        cost: row.cost,
        contenders: turns.into_iter().map(|turn| turn.contender).collect(),
    }
}

struct Turn {
    work: Work,
    contender: Contender,
}

impl Turn {
    /// Warms up.
    fn new(name: &str, mut work: Work, length: Duration) -> Turn {
        let mut times = 1;
        // Of everything, what the work leaves out of its cost included: it is to fit as well.
        let mut took = duration(&mut work, times);
        while took < length / 2 && times < 1 << 40 {
            let fit = length.as_secs_f64() / took.as_secs_f64().max(1e-9);
            // Step by step: the first goes are cold, and say little about the later ones.
            times = (times as f64 * fit.clamp(1.5, 10.0)) as u64 + 1;
            took = duration(&mut work, times);
        }
        Turn {
            work,
            contender: Contender {
                name: name.to_owned(),
                times,
                costs: Vec::new(),
            },
        }
    }

    fn take(&mut self) {
        let cost = (self.work)(self.contender.times);
        self.contender
            .costs
            .push(cost / self.contender.times as f64);
    }
}

fn duration(work: &mut Work, times: u64) -> Duration {
    let start = Instant::now();
    work(times);
    start.elapsed()
}
