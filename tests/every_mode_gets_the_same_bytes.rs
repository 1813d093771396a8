//! The same work in every mode gives the same bytes, on the workers that the report names, in lines
//! that are never torn.

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::{Ended, Report, Scratch, run};
use workloads::digest::sha256;
use workloads::flags::countries;

const MODES: [&str; 5] = [
    "sequential",
    "threads",
    "processes",
    "async",
    "async-threads",
];

/// What `--json` wrote, and what was printed meanwhile.
fn measured(program: &str, args: &str, scratch: &Scratch) -> (Report, Ended) {
    let json = scratch.join("run.json");
    let ended = run(program, &format!("{args} --json {}", json.display()));
    let text = std::fs::read_to_string(&json).unwrap();
    assert_eq!(scratch.names(), ["run.json"], "nothing beside it");
    (Report::parse(&text), ended)
}

/// Digest by name.
fn digests<'a>(report: &'a Report, mode: &str) -> BTreeMap<&'a str, &'a str> {
    let pair = |item: &'a Value| {
        (
            item["name"].as_str().unwrap(),
            item["sha256"].as_str().unwrap(),
        )
    };
    report.items(mode).iter().map(pair).collect()
}

/// The distinct values of `key`.
fn distinct(report: &Report, mode: &str, key: &str) -> BTreeSet<u64> {
    let value = |item: &Value| item[key].as_u64().unwrap();
    report.items(mode).iter().map(value).collect()
}

#[test]
fn the_five_flags_of_the_talk() {
    let scratch = Scratch::new("talk");
    let (report, ended) = measured("flags", "--delay 20ms", &scratch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(report.modes(), MODES);
    assert_eq!(report.0["workload"], "flags");
    assert_eq!(report.0["machine"]["cpus"], tatkal::available_cpus());
    for mode in MODES {
        let names: Vec<_> = report
            .items(mode)
            .iter()
            .map(|item| &item["name"])
            .collect();
        let talk = ["yemen", "zambia", "vietnam", "venezuela", "ukraine"];
        assert_eq!(names, talk, "in the order asked, in every mode");
        for (name, digest) in digests(&report, mode) {
            let image = countries::by_name(name).unwrap().image;
            assert_eq!(digest, sha256(image), "{mode} {name}");
        }
    }
    assert!(
        ended
            .stdout
            .contains("Each mode: 5 flags: 5 ok, 0 not found, 0 errors")
    );
    assert!(
        ended
            .stdout
            .contains("threads ~ processes > sequential, for I/O")
    );
}

#[test]
fn items_name_the_workers_that_did_them_on_one_clock() {
    let scratch = Scratch::new("places");
    let (report, ended) = measured("flags", "--delay 100ms -w 3 -m 3", &scratch);
    let own = BTreeSet::from([u64::from(ended.pid)]);
    for mode in MODES {
        let (pids, tids) = (
            distinct(&report, mode, "pid"),
            distinct(&report, mode, "tid"),
        );
        let many = |set: &BTreeSet<u64>| (2..=3).contains(&set.len());
        match mode {
            "threads" => assert!(pids == own && many(&tids) && tids.is_disjoint(&own)),
            "processes" => assert!(many(&pids) && pids == tids && pids.is_disjoint(&own)),
            // Which of the three ends a download is chance; the main thread never does.
            "async-threads" => assert!(
                pids == own && tids.len() <= 3 && tids.is_disjoint(&own),
                "{tids:?}"
            ),
            _ => assert!(pids == own && tids == own, "{mode}: {pids:?} {tids:?}"),
        }
        let time = |value: &Value| value.as_f64().unwrap();
        for item in report.items(mode) {
            let (start, end) = (time(&item["start_s"]), time(&item["end_s"]));
            assert!(start >= 0.0 && end - start >= 0.1, "{mode} {item}");
            assert!(
                end <= time(&report.mode(mode)["elapsed_s"]),
                "{mode} {item}"
            );
            let line = format!(
                "downloaded {} flag in process:{}, thread:{}\n",
                item["name"].as_str().unwrap(),
                item["pid"],
                item["tid"]
            );
            assert!(
                ended.stdout.contains(&line),
                "no line '{line}' in {}",
                ended.stdout
            );
        }
    }
    assert_eq!(report.mode("threads")["workers"], 3);
    assert_eq!(report.mode("async-threads")["workers"], 3);
    assert_eq!(report.mode("sequential")["speedup"], 1.0);
}

#[test]
fn every_line_is_whole_however_many_workers_print() {
    let ended = run("flags", "--all --delay 1ms -w 16 -m 249");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines().filter(|line| line.contains("flag in"));
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let whole = || -> Option<String> {
            let (name, place) = line
                .strip_prefix("downloaded ")?
                .split_once(" flag in process:")?;
            let (pid, tid) = place.split_once(", thread:")?;
            (pid.parse::<u32>().is_ok() && tid.parse::<u32>().is_ok()).then(|| name.to_owned())
        };
        *names
            .entry(whole().unwrap_or_else(|| panic!("torn: {line}")))
            .or_default() += 1;
    }
    assert_eq!(names.len(), 249);
    assert!(
        names.values().all(|times| *times == MODES.len()),
        "{names:?}"
    );
}

#[test]
fn what_is_no_country_is_not_found_and_no_failure() {
    let scratch = Scratch::new("pairs");
    let (report, ended) = measured("flags", "--every -l 40 --delay 1ms", &scratch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let known = countries::pairs()
        .take(40)
        .filter(|cc| countries::by_code(cc).is_some());
    let known = known.count();
    for mode in MODES {
        assert_eq!(report.with_status(mode, "ok").len(), known);
        let missing = report.with_status(mode, "not_found");
        assert_eq!(missing.len(), 40 - known);
        for item in missing {
            assert!(item["error"].as_str().unwrap().contains("404"), "{item}");
            assert_eq!(item["sha256"], Value::Null);
        }
    }
}

#[test]
fn saved_flags_are_the_flags_and_nothing_else_is_there() {
    let scratch = Scratch::new("saved");
    let ended = run(
        "flags",
        &format!("--delay 1ms -a -l 20 --out {}", scratch.arg()),
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(scratch.names().len(), 20);
    for country in &countries::all()[..20] {
        let saved = std::fs::read(scratch.join(&format!("{}.jpg", country.name))).unwrap();
        assert!(saved == country.image, "{}", country.name);
    }
}

#[test]
fn hash_jobs_with_a_seed_give_the_same_digests_in_every_mode_and_run() {
    let scratch = Scratch::new("hash");
    let args = "--gil --jobs 6 --size 300KiB --rounds 2 --seed 7 -w 2";
    let (first, ended) = measured("hash", args, &scratch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let with_gil = [&MODES[..1], &["threads-gil"], &MODES[1..]].concat();
    assert_eq!(first.modes(), with_gil);
    let expected = digests(&first, "sequential");
    assert_eq!(expected.values().collect::<BTreeSet<_>>().len(), 6);
    let (second, _) = measured("hash", args, &scratch);
    for mode in first.modes() {
        assert_eq!(digests(&first, mode), expected, "{mode}");
        assert_eq!(digests(&second, mode), expected, "{mode}");
        assert!(
            first
                .items(mode)
                .iter()
                .all(|item| item["bytes"] == 2 * 300 * 1024)
        );
    }
    assert!(
        ended.stdout.contains("2 workers, elapsed time: "),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("hashed job-06 in process:"),
        "{ended:?}"
    );
}

#[test]
fn tasks_that_compute_are_spread_over_the_workers() {
    let scratch = Scratch::new("spread");
    // A fifth of a second each: a worker that is free has time to steal.
    let args = "--jobs 4 --size 1MiB --rounds 200 -w 2 --mode async-threads";
    let (report, ended) = measured("hash", args, &scratch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let tids = distinct(&report, "async-threads", "tid");
    assert_eq!(tids.len(), 2, "{tids:?}");
    assert!(!tids.contains(&u64::from(ended.pid)));
}

#[test]
fn the_process_pools_account_is_in_the_json_and_with_verbose_in_the_report() {
    let scratch = Scratch::new("account");
    let args = "--jobs 12 --size 64KiB -w 2 --mode threads,processes";
    let (report, ended) = measured("hash", args, &scratch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("Where the time"), "{ended:?}");
    let modes = &report.0["modes"];
    assert!(modes[0].get("processes").is_none(), "{}", modes[0]);
    let account = &modes[1]["processes"];
    let workers = account["workers"].as_array().unwrap();
    let sum = |key: &str| -> u64 {
        let of = |worker: &Value| worker[key].as_u64().unwrap();
        workers.iter().map(of).sum()
    };
    assert_eq!(
        (sum("jobs"), &account["dead_workers"]["jobs"]),
        (12, &0.into())
    );
    assert!(
        sum("bytes_in") > 12 && sum("bytes_out") > 12 * 64,
        "{account}"
    );
    let pids: BTreeSet<_> = workers.iter().map(|w| w["pid"].as_u64().unwrap()).collect();
    assert!(pids.is_superset(&distinct(&report, "processes", "pid")));
    let phases = &account["phases"];
    assert_eq!(phases["jobs"], 12);
    // What the jobs say of themselves is a part of what they ran.
    let inside: f64 = report.items("processes").iter().map(spent).sum();
    assert!(
        phases["run_s"].as_f64().unwrap() >= inside,
        "{phases} {inside}"
    );

    let ended = run("hash", &format!("{args} -v"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = &ended.stdout;
    assert!(
        text.contains("in processes: the mean of 12 jobs\n"),
        "{text}"
    );
    for phase in ["encode", "queue", "transfer", "run", "decode", "worker"] {
        let line = format!("\n  {phase} ");
        assert!(text.contains(&line), "{phase}: {text}");
    }
}

/// Seconds from the start of an item to its end.
fn spent(item: &Value) -> f64 {
    let time = |key: &str| item[key].as_f64().unwrap();
    time("end_s") - time("start_s")
}

#[test]
fn json_on_standard_output_is_all_there_is_on_it() {
    let ended = run(
        "hash",
        "--jobs 2 --size 1KiB --mode threads,threads --json -",
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(Report::parse(&ended.stdout).modes(), ["threads"]);
    assert!(ended.stderr.contains("hashed job-01"), "{ended:?}");
}
