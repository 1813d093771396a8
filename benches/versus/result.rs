//! Results: from samples to ratios and to what became of the bars. As JSON it is the record of a
//! run, samples included.
//!
//! A round gives one ratio, the peer's cost divided by ours of a moment before or after; the ratio
//! of a row is the median of its rounds' ratios, and its spread their quartiles.

use crate::bars::{self, Bar};
use crate::machine::Machine;
use crate::rows::Cost;
use crate::samples::{Contender, Samples};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    pub rows: Vec<Row>,
    pub means: Vec<Mean>,
}

#[derive(Serialize, Deserialize)]
pub struct Row {
    pub workload: String,
    pub threads: usize,
    pub note: String,
    pub cost: Cost,
    /// By allocator, in the order of the run.
    pub measured: Vec<Measured>,
}

/// A row with one allocator.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub allocator: String,
    pub ours: Spread,
    /// What became of a bar on our own cost.
    pub bar: Option<Verdict>,
    pub peers: Vec<Peer>,
    pub samples: Vec<Contender>,
}

#[derive(Serialize, Deserialize)]
pub struct Peer {
    pub name: String,
    pub cost: Spread,
    /// The peer's cost divided by ours.
    pub ratio: Spread,
    pub bar: Option<Verdict>,
}

/// Of one number by rounds.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub struct Spread {
    pub min: f64,
    pub lower_quartile: f64,
    pub median: f64,
    pub upper_quartile: f64,
    pub max: f64,
}

/// A bar, and whether the median is on the right side of it.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub struct Verdict {
    pub value: f64,
    pub met: bool,
}

/// The geometric mean of the ratios to tokio, over the rows that have a bar against it.
#[derive(Serialize, Deserialize)]
pub struct Mean {
    pub allocator: String,
    pub rows: usize,
    pub ratio: f64,
    pub bar: Option<Verdict>,
}

impl Report {
    /// Puts the rows of several runs together, in order: the ratios and means anew, the machine of
    /// this one.
    pub fn joined(reports: Vec<Report>) -> Report {
        let mut samples: Vec<(String, Vec<Samples>)> = Vec::new();
        for row in reports.iter().flat_map(|report| &report.rows) {
            for measured in &row.measured {
                let place = samples
                    .iter()
                    .position(|(name, _)| *name == measured.allocator);
                let place = place.unwrap_or_else(|| {
                    samples.push((measured.allocator.clone(), Vec::new()));
                    samples.len() - 1
                });
                samples[place].1.push(row.samples(measured));
            }
        }
        Report::new(samples)
    }

    /// `samples`: by allocator, the same rows for each.
    pub fn new(samples: Vec<(String, Vec<Samples>)>) -> Report {
        let mut rows: Vec<Row> = Vec::new();
        let mut means = Vec::new();
        for (allocator, samples) in samples {
            let measured: Vec<_> = samples
                .iter()
                .map(|row| Measured::new(&allocator, row))
                .collect();
            means.extend(Mean::new(&allocator, &samples, &measured));
            if rows.is_empty() {
                rows = samples.iter().map(Row::new).collect();
            }
            for (row, measured) in rows.iter_mut().zip(measured) {
                row.measured.push(measured);
            }
        }
        Report {
            machine: Machine::this(),
            rows,
            means,
        }
    }
}

impl Row {
    fn new(samples: &Samples) -> Row {
        Row {
            workload: samples.workload.clone(),
            threads: samples.threads,
            note: samples.note.clone(),
            cost: samples.cost,
            measured: Vec::new(),
        }
    }

    /// What it was made from.
    fn samples(&self, measured: &Measured) -> Samples {
        Samples {
            workload: self.workload.clone(),
            threads: self.threads,
            note: self.note.clone(),
            cost: self.cost,
            contenders: measured.samples.clone(),
        }
    }

    /// As in the table.
    pub fn name(&self) -> String {
        format!("{} ({})", self.workload, self.threads)
    }
}

impl Measured {
    fn new(allocator: &str, samples: &Samples) -> Measured {
        let (ours, peers) = samples.contenders.split_first().expect("ours is there");
        let bar = bars::absolute(&samples.workload, samples.threads);
        let cost = Spread::of(ours.costs.clone());
        Measured {
            allocator: allocator.to_owned(),
            ours: cost,
            bar: verdict(bar, allocator, |value| cost.median <= value),
            peers: peers
                .iter()
                .map(|peer| Peer::new(allocator, samples, ours, peer))
                .collect(),
            samples: samples.contenders.clone(),
        }
    }

    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }
}

impl Peer {
    fn new(allocator: &str, row: &Samples, ours: &Contender, peer: &Contender) -> Peer {
        let rounds = peer.costs.iter().zip(&ours.costs);
        let ratio = Spread::of(rounds.map(|(theirs, ours)| theirs / ours).collect());
        let bar = bars::against(&row.workload, row.threads, &peer.name);
        Peer {
            name: peer.name.clone(),
            cost: Spread::of(peer.costs.clone()),
            ratio,
            bar: verdict(bar, allocator, |value| ratio.median >= value),
        }
    }
}

fn verdict(bar: Option<&Bar>, allocator: &str, met: impl Fn(f64) -> bool) -> Option<Verdict> {
    let value = bar?.value(allocator)?;
    Some(Verdict {
        value,
        met: met(value),
    })
}

impl Mean {
    fn new(allocator: &str, samples: &[Samples], measured: &[Measured]) -> Option<Mean> {
        let counts = |row: &Samples| bars::against(&row.workload, row.threads, "tokio").is_some();
        let logarithms: Vec<f64> = samples
            .iter()
            .zip(measured)
            .filter(|(row, _)| counts(row))
            .filter_map(|(_, measured)| Some(measured.peer("tokio")?.ratio.median.ln()))
            .collect();
        if logarithms.is_empty() {
            return None;
        }
        let ratio = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
        let bar = (allocator == "system").then_some(Verdict {
            value: bars::MEAN,
            met: ratio >= bars::MEAN,
        });
        Some(Mean {
            allocator: allocator.to_owned(),
            rows: logarithms.len(),
            ratio,
            bar,
        })
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        // Between two values, as far as the fraction says.
        let quantile = |fraction: f64| {
            let place = fraction * (values.len() - 1) as f64;
            let (below, above) = (
                values[place.floor() as usize],
                values[place.ceil() as usize],
            );
            below + (above - below) * place.fract()
        };
        Spread {
            min: quantile(0.0),
            lower_quartile: quantile(0.25),
            median: quantile(0.5),
            upper_quartile: quantile(0.75),
            max: quantile(1.0),
        }
    }
}
