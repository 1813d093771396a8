//! A failed download, a full disk, a killed worker: each is one item with its error; the others are
//! done, and the program exits with 1.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use support::{Ended, Report, Scratch, run, start};

#[test]
fn the_error_server_fails_the_same_flags_in_every_mode() {
    let ended = run(
        "flags",
        "--all -l 60 -s error --seed 3 --delay 1ms --json -",
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&ended.stdout);
    let statuses = |mode: &str| -> BTreeMap<String, String> {
        let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
        let pair = |item: &Value| (text(item, "name"), text(item, "status"));
        report.items(mode).iter().map(pair).collect()
    };
    let expected = statuses("sequential");
    let failed = expected
        .values()
        .filter(|status| *status == "error")
        .count();
    assert!((1..60).contains(&failed), "{failed} of 60 failed");
    for mode in ["threads", "processes", "async", "async-threads"] {
        assert_eq!(statuses(mode), expected, "{mode}");
        for item in report.with_status(mode, "error") {
            let error = item["error"].as_str().unwrap();
            assert!(
                error.contains("418") && error.contains("http://127.0.0.1"),
                "{error}"
            );
            assert_eq!(
                (&item["bytes"], &item["sha256"]),
                (&Value::from(0), &Value::Null)
            );
        }
    }
    assert!(ended.stderr.contains("(every mode)"), "{}", ended.stderr);
}

#[test]
fn retries_give_failed_flags_another_chance() {
    let modes = ["threads", "async", "async-threads"];
    let args = "-s error --error-rate 50% --seed 3 --delay 1ms --all -l 60 --retries 20 --json -";
    let ended = run("flags", &format!("{args} --mode {}", modes.join(",")));
    let report = Report::parse(&ended.stdout);
    for mode in modes {
        assert_eq!(report.with_status(mode, "ok").len(), 60, "{mode}");
    }
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_late_answer_is_an_error_that_says_so() {
    let ended = run("flags", "ye zm --delay 5s --timeout 50ms --json -");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&ended.stdout);
    for mode in report.modes() {
        for item in report.items(mode) {
            let error = item["error"].as_str().unwrap();
            assert!(error.contains("timed out"), "{mode}: {error}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_every_item() {
    // A port that was free a moment ago, and that we do not listen on.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let ended = run(
        "flags",
        &format!("ye zm -s http://127.0.0.1:{port} --json -"),
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&ended.stdout);
    for mode in report.modes() {
        let failed = report.with_status(mode, "error");
        assert_eq!(failed.len(), 2, "{mode}");
        let error = failed[0]["error"].as_str().unwrap();
        assert!(error.contains("cannot connect"), "{mode}: {error}");
    }
}

#[test]
fn a_flag_that_cannot_be_saved_is_its_own_error() {
    let scratch = Scratch::new("unsaved");
    std::fs::create_dir(scratch.join("zambia.jpg")).unwrap();
    let ended = run(
        "flags",
        &format!("--delay 1ms --json - --out {}", scratch.arg()),
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&ended.stdout);
    for mode in report.modes() {
        let failed = report.with_status(mode, "error");
        assert_eq!(failed.len(), 1, "{mode}");
        assert_eq!(failed[0]["name"], "zambia");
        assert!(failed[0]["error"].as_str().unwrap().contains("cannot save"));
    }
    assert_eq!(
        scratch.names().len(),
        5,
        "four flags and the directory in the way"
    );
}

#[test]
fn a_worker_killed_at_a_flag_costs_that_flag_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let scratch = Scratch::new("killed-flags");
    let json = scratch.join("run.json");
    let args = format!("ye zm vn --mode processes -w 1 -s {url} --path /{{cc}} --json");
    let mut program = start("flags", &format!("{args} {}", json.display()));
    let mut first = Asked::next(&listener);
    first.answer();
    let worker = worker_of(&program.wait_for("downloaded yemen"));
    // Its second request has come and is not answered: it is at that flag.
    assert_eq!(first.read_path(), "/zm");
    kill_process(worker, Signal::KILL).unwrap();
    let mut third = Asked::next(&listener);
    assert_eq!(third.path, "/vn");
    third.answer();
    check_one_lost(&program.end(), &json, worker, "zambia", 3);
}

/// A connection to this test's own server, and what was asked over it last.
struct Asked {
    stream: BufReader<TcpStream>,
    path: String,
}

impl Asked {
    fn next(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut asked = Self {
            stream: BufReader::new(stream),
            path: String::new(),
        };
        asked.read_path();
        asked
    }

    fn read_path(&mut self) -> &str {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        self.path = head.split(' ').nth(1).unwrap().to_owned();
        &self.path
    }

    fn answer(&mut self) {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nflag";
        self.stream.get_mut().write_all(answer).unwrap();
    }
}

#[test]
fn a_worker_killed_at_a_hash_job_costs_that_job_alone() {
    let scratch = Scratch::new("killed-hash");
    let json = scratch.join("run.json");
    let args = "--mode processes -w 2 --jobs 6 --size 1MiB --rounds 400 --json";
    let mut program = start("hash", &format!("{args} {}", json.display()));
    let worker = worker_of(&program.wait_for("hashed"));
    // A job takes far more CPU time than this, and all that lies between two jobs takes far less.
    let then = cpu_ticks(worker);
    while cpu_ticks(worker) < then + 5 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill_process(worker, Signal::KILL).unwrap();
    check_one_lost(&program.end(), &json, worker, "job-", 6);
}

/// CPU time that a process has used, in hundredths of a second: see proc_pid_stat(5).
fn cpu_ticks(process: Pid) -> u64 {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let field = |number: usize| fields.split(' ').nth(number - 2).unwrap();
    field(14).parse::<u64>().unwrap() + field(15).parse::<u64>().unwrap()
}

/// The worker that printed `line`.
fn worker_of(line: &str) -> Pid {
    let place = line.split_once("process:").unwrap().1;
    Pid::from_raw(place.split_once(',').unwrap().0.parse().unwrap()).unwrap()
}

/// Of all items the one that `worker` was at is in error, and says why.
#[track_caller]
fn check_one_lost(ended: &Ended, json: &Path, worker: Pid, name: &str, items: usize) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&std::fs::read_to_string(json).unwrap());
    assert_eq!(report.with_status("processes", "ok").len(), items - 1);
    let lost = report.with_status("processes", "error");
    assert_eq!(lost.len(), 1);
    assert!(lost[0]["name"].as_str().unwrap().starts_with(name));
    let error = lost[0]["error"].as_str().unwrap();
    assert!(error.contains("killed by signal 9 (SIGKILL)"), "{error}");
    assert_eq!(lost[0]["pid"], worker.as_raw_nonzero().get());
    assert!(ended.stdout.contains(error), "{ended:?}");
}
