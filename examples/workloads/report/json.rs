//! The run for programs: one JSON document, written whole or not at all.
//!
//! ```text
//! {"workload": "flags", "machine": {"cpus": 2},
//!  "modes": [{"mode": "threads", "workers": 5, "elapsed_s": 0.21, "speedup": 4.9,
//!             "items": [{"name": "yemen", "status": "ok", "bytes": 1523, "sha256": "…",
//!                        "pid": 4101, "tid": 4103, "start_s": 0.001, "end_s": 0.204,
//!                        "error": null}]}]}
//! ```
//!
//! A mode that ran on a process pool to its end also has `"processes"`: what each worker did, what
//! the dead ones did together, and where the time of the jobs went, as sums over `jobs` jobs:
//!
//! ```text
//! {"phases": {"jobs": 5, "encode_s": …, "queue_s": …, "transfer_s": …, "run_s": …, "decode_s": …},
//!  "workers": [{"pid": 4101, "rss_bytes": 3145728, "jobs": 5, "cpu_s": 0.2, "bytes_in": 310,
//!               "bytes_out": 900}],
//!  "dead_workers": {"count": 0, "jobs": 0, "cpu_s": 0.0, "bytes_in": 0, "bytes_out": 0}}
//! ```
//!
//! `status` is `ok`, `not_found` or `error`. `start_s` and `end_s` count from the moment when their
//! mode began, by one clock for all processes, so that modes can be drawn above each other.
//! `speedup` is null where there is no complete sequential run to compare with. An interrupted run
//! has the items that were done. Next: `progress.rs`.

use super::model::{Item, ModeRun, Run, Status};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use tatkal::{JobPhases, ProcessPoolMetrics, ProcessWork, ProcessWorkerMetrics};

#[derive(Serialize)]
struct Document<'a> {
    workload: &'static str,
    machine: Machine,
    modes: Vec<ModeView<'a>>,
}

#[derive(Serialize)]
struct Machine {
    cpus: usize,
}

#[derive(Serialize)]
struct ModeView<'a> {
    mode: &'static str,
    workers: usize,
    elapsed_s: f64,
    speedup: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<ProcessesView>,
    items: Vec<ItemView<'a>>,
}

#[derive(Serialize)]
struct ProcessesView {
    phases: Option<PhasesView>,
    workers: Vec<WorkerView>,
    dead_workers: DeadView,
}

#[derive(Serialize)]
struct PhasesView {
    jobs: u64,
    encode_s: f64,
    queue_s: f64,
    transfer_s: f64,
    run_s: f64,
    decode_s: f64,
}

#[derive(Serialize)]
struct WorkerView {
    pid: u32,
    rss_bytes: u64,
    #[serde(flatten)]
    work: WorkView,
}

#[derive(Serialize)]
struct DeadView {
    count: u64,
    #[serde(flatten)]
    work: WorkView,
}

#[derive(Serialize)]
struct WorkView {
    jobs: u64,
    cpu_s: f64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Serialize)]
struct ItemView<'a> {
    name: &'a str,
    status: &'static str,
    bytes: u64,
    sha256: Option<&'a str>,
    pid: u32,
    tid: u32,
    start_s: f64,
    end_s: f64,
    error: Option<&'a str>,
}

/// The document of `run`, ended by a newline.
pub fn document(run: &Run) -> String {
    let document = Document {
        workload: run.workload.name(),
        machine: Machine { cpus: run.cpus },
        modes: run.modes.iter().map(|mode| view(run, mode)).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("strings and finite numbers always have a JSON form");
    text.push('\n');
    text
}

fn view<'a>(run: &Run, mode: &'a ModeRun) -> ModeView<'a> {
    ModeView {
        mode: mode.mode.name(),
        workers: mode.workers,
        elapsed_s: mode.elapsed.as_secs_f64(),
        speedup: run.speedup(mode),
        processes: mode.pool.as_ref().map(processes_view),
        items: mode.items.iter().map(|i| item_view(mode, i)).collect(),
    }
}

fn processes_view(pool: &ProcessPoolMetrics) -> ProcessesView {
    let phases = |phases: JobPhases| PhasesView {
        jobs: phases.jobs,
        encode_s: phases.encode.as_secs_f64(),
        queue_s: phases.queue.as_secs_f64(),
        transfer_s: phases.transfer.as_secs_f64(),
        run_s: phases.run.as_secs_f64(),
        decode_s: phases.decode.as_secs_f64(),
    };
    let worker = |worker: &ProcessWorkerMetrics| WorkerView {
        pid: worker.pid,
        rss_bytes: worker.rss_bytes,
        work: work_view(&worker.work),
    };
    ProcessesView {
        phases: pool.phases.map(phases),
        workers: pool.workers.iter().map(worker).collect(),
        dead_workers: DeadView {
            count: pool.left_workers,
            work: work_view(&pool.left),
        },
    }
}

fn work_view(work: &ProcessWork) -> WorkView {
    WorkView {
        jobs: work.jobs,
        cpu_s: work.cpu_time.as_secs_f64(),
        bytes_in: work.bytes_in,
        bytes_out: work.bytes_out,
    }
}

fn item_view<'a>(mode: &ModeRun, item: &'a Item) -> ItemView<'a> {
    ItemView {
        name: &item.name,
        status: match item.status {
            Status::Ok => "ok",
            Status::NotFound => "not_found",
            Status::Error => "error",
        },
        bytes: item.bytes,
        sha256: item.sha256.as_deref(),
        pid: item.place.pid,
        tid: item.place.tid,
        start_s: item.start.since(mode.began).as_secs_f64(),
        end_s: item.end.since(mode.began).as_secs_f64(),
        error: item.error.as_deref(),
    }
}

/// Writes the document of `run` to `path`: aside first, then renamed, so that a reader finds the
/// old file or the whole new one. A path that is no regular file (`/dev/stdout`, a named pipe)
/// is written to as it is.
///
/// # Errors
/// Those of creating, writing and renaming; nothing is left behind then.
pub fn write(run: &Run, path: &Path) -> io::Result<()> {
    let text = document(run);
    // Through a symbolic link to what it names, so that the link stays one.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(target)?
            .write_all(text.as_bytes());
    }
    let mut aside = target.clone().into_os_string();
    aside.push(format!(".{}.part", std::process::id()));
    let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, &target));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::model::Workload;
    use super::super::model::tests::{item, run};
    use super::*;
    use crate::mode::Mode;
    use serde_json::Value;

    #[test]
    fn the_document_has_the_promised_keys_and_no_others() {
        let mut run = run(
            Workload::Flags,
            &[(Mode::Sequential, 1.0), (Mode::Threads, 0.25)],
        );
        run.modes[1].items.push(item("zambia", None));
        let value: Value = serde_json::from_str(&document(&run)).unwrap();
        let keys = |value: &Value| {
            let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(keys(&value), "machine modes workload");
        assert_eq!(value["machine"], serde_json::json!({"cpus": 2}));
        let threads = &value["modes"][1];
        assert_eq!(keys(threads), "elapsed_s items mode speedup workers");
        assert_eq!(threads["speedup"], 4.0);
        assert_eq!(threads["mode"], "threads");
        assert_eq!(
            keys(&threads["items"][0]),
            "bytes end_s error name pid sha256 start_s status tid"
        );
        assert_eq!(threads["items"][0]["error"], Value::Null);
        assert_eq!(threads["items"][1]["status"], "error");
        assert_eq!(threads["items"][1]["error"], "refused");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let dir = std::env::temp_dir().join(format!("tatkal-json-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("run.json");
        fs::write(&path, "old").unwrap();
        let run = run(Workload::Hash, &[(Mode::Sequential, 1.0)]);
        write(&run, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), document(&run));
        // A directory cannot be replaced by a file: an error, and no file aside.
        let refused = dir.join("refused");
        fs::create_dir(&refused).unwrap();
        write(&run, &refused).unwrap_err();
        write(&run, &dir.join("no/such/dir.json")).unwrap_err();
        let mut names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["refused", "run.json"]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let run = run(Workload::Hash, &[(Mode::Sequential, 1.0)]);
        write(&run, Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
