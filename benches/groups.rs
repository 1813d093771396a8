//! What does one workload cost, and is it more than before? The rows of `versus`, each a group of
//! criterion's: statistics of one contender, and a comparison with its last run.
//!
//! ```text
//!   cargo bench --bench groups                      all of them
//!   cargo bench --bench groups -- timeout           those with `timeout` in their name
//!   cargo bench --bench groups -- 'TCP.*tatkal'     ours only
//! ```
//!
//! Criterion runs one contender after the other, so for a comparison of two of them `versus` is the
//! better tool. The workloads are the same ones (`rows/`). One time is what the row's name says;
//! `BENCH_ALLOCATOR=mimalloc` changes the allocator.

#[path = "rows/mod.rs"]
mod rows;

use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, SamplingMode};
use rows::allocator::Chosen;
use rows::{Cost, Row};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

/// A good many groups: short ones. Criterion's own options go over this.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(1);
const SAMPLES: usize = 20;

fn main() {
    if rows::begin() {
        return;
    }
    let mut times = settings(Criterion::default());
    let mut bytes = settings(Criterion::default().with_measurement(bytes::Bytes));
    for row in rows::all() {
        match row.cost {
            Cost::Bytes => group(&mut bytes, &row, |bytes| bytes),
            Cost::Time | Cost::CpuTime | Cost::Lateness => {
                group::<WallTime>(&mut times, &row, |ns| Duration::from_nanos(ns as u64));
            }
        }
    }
    times.final_summary();
}

fn settings<M: Measurement + 'static>(criterion: Criterion<M>) -> Criterion<M> {
    criterion
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .sample_size(SAMPLES)
        .configure_from_args()
}

/// Nothing of a contender that the command line leaves out is started.
fn group<M: Measurement>(
    criterion: &mut Criterion<M>,
    row: &Row,
    value: impl Fn(f64) -> M::Value + Copy,
) {
    let mut group = criterion.benchmark_group(row.name());
    group.sampling_mode(SamplingMode::Flat);
    for contender in &row.contenders {
        let mut work = None;
        group.bench_function(contender.name, |bencher| {
            let work = work.get_or_insert_with(|| {
                println!("{}", row.note);
                (contender.start)()
            });
            bencher.iter_custom(|times| value(work(times)));
        });
    }
    group.finish();
}

/// Bytes instead of time, for criterion.
mod bytes {
    use criterion::Throughput;
    use criterion::measurement::{Measurement, ValueFormatter};

    pub struct Bytes;

    impl Measurement for Bytes {
        type Intermediate = ();
        type Value = f64;

        fn start(&self) {}

        fn end(&self, (): ()) -> f64 {
            0.0 // the rows say what they cost, nothing is measured from outside
        }

        fn add(&self, one: &f64, other: &f64) -> f64 {
            one + other
        }

        fn zero(&self) -> f64 {
            0.0
        }

        fn to_f64(&self, value: &f64) -> f64 {
            *value
        }

        fn formatter(&self) -> &dyn ValueFormatter {
            self
        }
    }

    impl ValueFormatter for Bytes {
        fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
            "B"
        }

        fn scale_throughputs(
            &self,
            _typical: f64,
            _throughput: &Throughput,
            _values: &mut [f64],
        ) -> &'static str {
            "B"
        }

        fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
            "B"
        }
    }
}
