//! Where the time of the jobs in worker processes went: why processes are slower than threads, when
//! they are.
//!
//! Shown with `--verbose`, for a mode that ran on a process pool; JSON has the same numbers always.
//! Next: `json.rs`.

use super::model::{Run, plural, thousands};
use super::style::{Role, Style};
use crate::mode::Mode;
use crate::units::{show_duration, show_size};
use std::time::Duration;
use tatkal::{JobPhases, ProcessPoolMetrics, ProcessWork};

/// The accounts of every mode that has some, as lines with their ends.
pub fn accounts(run: &Run, style: Style) -> String {
    let modes = run.modes.iter();
    let with = modes.filter_map(|mode| Some((mode.mode, mode.pool.as_ref()?)));
    with.map(|(mode, pool)| account(mode, pool, style))
        .collect()
}

fn account(mode: Mode, pool: &ProcessPoolMetrics, style: Style) -> String {
    let mut text = String::new();
    if let Some(phases) = pool.phases.filter(|phases| phases.jobs > 0) {
        let jobs = match usize::try_from(phases.jobs) {
            Ok(jobs) => plural(jobs, "job"),
            Err(_) => format!("{} jobs", phases.jobs),
        };
        let title = format!("Where the time of a job went in {mode}: the mean of {jobs}");
        text += &format!("\n{}\n", style.paint(Role::Title, &title));
        for (name, time, meaning) in parts(&phases) {
            let mean = show_duration(time.div_f64(phases.jobs as f64));
            let share = 100.0 * time.as_secs_f64() / phases.total().as_secs_f64();
            let meaning = style.paint(Role::Quiet, meaning);
            text += &format!("  {name:<9}{mean:>9} {share:>5.1} %  {meaning}\n");
        }
    }
    for worker in &pool.workers {
        let rss = show_size(worker.rss_bytes);
        let who = format!("worker {}, {rss}", worker.pid);
        text += &format!("  {who}: {}\n", work(&worker.work));
    }
    if pool.left_workers > 0 {
        let dead = thousands(pool.left_workers);
        text += &format!("  dead workers, {dead}: {}\n", work(&pool.left));
    }
    text
}

/// The phases in the order in which a job goes through them.
fn parts(phases: &JobPhases) -> [(&'static str, Duration, &'static str); 5] {
    [
        ("encode", phases.encode, "argument and result into bytes"),
        ("queue", phases.queue, "until a worker was free"),
        ("transfer", phases.transfer, "the way there and back"),
        ("run", phases.run, "the work"),
        ("decode", phases.decode, "bytes into argument and result"),
    ]
}

fn work(work: &ProcessWork) -> String {
    format!(
        "{} jobs, {} CPU, {} in, {} out",
        thousands(work.jobs),
        show_duration(work.cpu_time),
        show_size(work.bytes_in),
        show_size(work.bytes_out),
    )
}

#[cfg(test)]
mod tests {
    use super::super::model::Workload;
    use super::super::model::tests::run;
    use super::super::table::WIDTH;
    use super::*;
    use tatkal::ProcessWorkerMetrics;

    #[test]
    fn only_a_process_pool_has_an_account() {
        let mut run = run(
            Workload::Hash,
            &[(Mode::Threads, 1.0), (Mode::Processes, 1.0)],
        );
        assert_eq!(accounts(&run, Style::PLAIN), "");
        let mut phases = JobPhases::default();
        phases.jobs = 4;
        phases.run = Duration::from_secs(3);
        phases.queue = Duration::from_secs(1);
        let mut worker = ProcessWorkerMetrics::default();
        worker.pid = 4_194_304;
        worker.rss_bytes = 1023 << 20;
        worker.work.jobs = 100_000; // the most that `hash` takes
        worker.work.bytes_in = 1023 << 30;
        worker.work.bytes_out = 1023 << 30;
        worker.work.cpu_time = Duration::from_secs(86_400);
        let mut pool = ProcessPoolMetrics::default();
        (pool.workers, pool.phases) = (vec![worker], Some(phases));
        (pool.left_workers, pool.left) = (12, worker.work);
        run.modes[1].pool = Some(pool);
        let text = accounts(&run, Style::PLAIN);
        assert!(text.contains("in processes: the mean of 4 jobs"), "{text}");
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains("run 0.75 s 75.0 % the work"), "{text}");
        assert!(squeezed.contains("queue 0.25 s 25.0 %"), "{text}");
        assert!(text.contains("dead workers, 12: 100,000 jobs"), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
