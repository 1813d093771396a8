//! The conformance suite, over every executor of this crate: one test for each promise and mode.

mod support;

use libtest_mimic::{Failed, Trial};
use support::pool;
use tatkal_executor::testing::Conformance;
use tatkal_executor::{Executor, Sequential, ThreadPool};

fn main() {
    let mut trials = Vec::new();
    add(&mut trials, "sequential", Sequential::new);
    add(&mut trials, "one thread", || ThreadPool::new(1));
    add(&mut trials, "threads", || ThreadPool::new(3));
    add(&mut trials, "bounded threads", || {
        ThreadPool::builder().threads(2).capacity(64).build()
    });
    add(&mut trials, "one process", || pool(1));
    add(&mut trials, "processes", || pool(2));
    support::run_trials(trials)
}

fn add<E>(trials: &mut Vec<Trial>, mode: &str, make: fn() -> E)
where
    E: Executor + Send + Sync + 'static,
{
    for name in Conformance::<E>::names() {
        trials.push(Trial::test(format!("{mode}: {name}"), move || {
            let report = Conformance::new(make).only(name).run();
            match report.broken().next() {
                None => Ok(()),
                Some(_) => Err(Failed::from(report.to_string())),
            }
        }));
    }
}
