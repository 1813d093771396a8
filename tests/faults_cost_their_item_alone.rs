//! A failed download, a full disk, a killed worker: each is one item with its error; the others are
//! done, and the program exits with 1.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use support::{Report, Scratch, run, start};

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
    for mode in ["threads", "processes", "async"] {
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
    let args = "-s error --error-rate 50% --seed 3 --delay 1ms --all -l 60 --mode threads,async";
    let ended = run("flags", &format!("{args} --retries 20 --json -"));
    let report = Report::parse(&ended.stdout);
    for mode in ["threads", "async"] {
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
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
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
    // Having ended its first flag, the worker is at its second for half a second.
    let args = "--mode processes -w 2 --all -l 6 --delay 500ms";
    kill_a_worker("flags", args, "downloaded", 6);
}

#[test]
fn a_worker_killed_at_a_hash_job_costs_that_job_alone() {
    // A job takes some tenths of a second.
    let args = "--mode processes -w 2 --jobs 6 --size 1MiB --rounds 400";
    kill_a_worker("hash", args, "hashed", 6);
}

/// Kills the worker that ended the first item, when it is at its next.
fn kill_a_worker(program: &str, args: &str, done: &str, items: usize) {
    let scratch = Scratch::new(&format!("killed-{program}"));
    let json = scratch.join("run.json");
    let mut program = start(program, &format!("{args} --json {}", json.display()));
    let line = program.wait_for(done);
    let place = line.split_once("process:").unwrap().1;
    let worker: i32 = place.split_once(',').unwrap().0.parse().unwrap();
    assert_ne!(worker as u32, program.pid());
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    let ended = program.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = Report::parse(&std::fs::read_to_string(json).unwrap());
    assert_eq!(report.with_status("processes", "ok").len(), items - 1);
    let lost = report.with_status("processes", "error");
    assert_eq!(lost.len(), 1);
    let error = lost[0]["error"].as_str().unwrap();
    assert!(error.contains("killed by signal 9"), "{error}");
    assert_eq!(lost[0]["pid"], worker);
    let name = lost[0]["name"].as_str().unwrap();
    assert!(ended.stdout.contains(&format!("  {name}: ")), "{ended:?}");
}
