//! Ctrl-C and SIGTERM in every mode: the partial report, once; no half file, no process left behind;
//! 130 or 143. Nothing here waits for luck: a signal is sent when the first item has been printed.

mod support;

use rustix::process::{Signal, kill_process};
use support::{Ended, Report, Scratch, start, start_into};
use workloads::flags::countries;
use workloads::report::model::thousands;

const MODES: [&str; 5] = [
    "sequential",
    "threads",
    "processes",
    "async",
    "async-threads",
];

/// The report of a run that was cut short in `mode` is there once and says so.
#[track_caller]
fn check(ended: &Ended, code: i32, json: &std::path::Path, mode: &str, expected: usize) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let heads = ended.stdout.matches("speed-up").count();
    assert_eq!(heads, 1, "one table: {}", ended.stdout);
    assert!(
        ended.stdout.contains("Interrupted by SIG"),
        "{}",
        ended.stdout
    );
    let report = Report::parse(&std::fs::read_to_string(json).unwrap());
    let done = report.items(mode).len();
    assert!(
        done < expected,
        "{done} of {expected}: it was not cut short"
    );
    let totals = format!("{done} of {}", thousands(expected as u64));
    assert!(
        ended.stdout.contains(&totals),
        "no '{totals}' in {}",
        ended.stdout
    );
}

/// Interrupts `flags` at its first flag; all that was saved must be whole.
fn interrupt_flags(mode: &str, signal: Signal, code: i32) {
    let scratch = Scratch::new(&format!("cut-{mode}-{}", signal.as_raw()));
    let out = Scratch::new(&format!("out-{mode}-{}", signal.as_raw()));
    let json = scratch.join("run.json");
    let args = format!(
        "--all --delay 50ms -w 3 -m 3 --mode {mode} --out {} --json {}",
        out.arg(),
        json.display()
    );
    let mut program = start("flags", &args);
    program.wait_for("downloaded");
    program.signal_group(signal);
    let ended = program.end();
    check(&ended, code, &json, mode, 249);
    assert_eq!(scratch.names(), ["run.json"]);
    for name in out.names() {
        let country = name.strip_suffix(".jpg").and_then(countries::by_name);
        let country = country.unwrap_or_else(|| panic!("a stray file {name}"));
        assert!(
            std::fs::read(out.join(&name)).unwrap() == country.image,
            "{name}"
        );
    }
}

#[test]
fn ctrl_c_in_sequential_flags() {
    interrupt_flags("sequential", Signal::INT, 130);
}

#[test]
fn ctrl_c_in_threads_flags() {
    interrupt_flags("threads", Signal::INT, 130);
}

#[test]
fn ctrl_c_in_processes_flags() {
    interrupt_flags("processes", Signal::INT, 130);
}

#[test]
fn ctrl_c_in_async_flags() {
    interrupt_flags("async", Signal::INT, 130);
}

#[test]
fn ctrl_c_in_async_threads_flags() {
    interrupt_flags("async-threads", Signal::INT, 130);
}

#[test]
fn sigterm_in_processes_flags() {
    interrupt_flags("processes", Signal::TERM, 143);
}

#[test]
fn ctrl_c_while_a_request_waits_is_not_delayed_by_it() {
    // One minute of delay: whoever waited for the answer would meet the watchdog, or its report
    // would tell of a flag.
    for mode in MODES {
        let args = format!("ye --delay 60s --timeout 60s --mode {mode}");
        let mut program = start("flags", &args);
        program.wait_for(mode);
        program.signal_group(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(130), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("0 of 1 flag"), "{mode}: {ended:?}");
    }
}

#[test]
fn ctrl_c_in_every_hash_mode() {
    for mode in MODES {
        interrupt_hash(mode, &format!("--mode {mode}"));
    }
    interrupt_hash("threads-gil", "--gil --mode threads");
}

fn interrupt_hash(mode: &str, args: &str) {
    let scratch = Scratch::new(&format!("cut-hash-{mode}"));
    let json = scratch.join("run.json");
    let args = format!(
        "--jobs 100000 --size 1MiB -w 2 {args} --json {}",
        json.display()
    );
    let mut program = start("hash", &args);
    program.wait_for("hashed");
    program.signal_group(Signal::INT);
    check(&program.end(), 130, &json, mode, 100_000);
}

#[test]
fn nothing_is_printed_after_the_report() {
    for mode in MODES {
        // Tiny jobs: their lines come as fast as they can be written.
        let args = format!("--jobs 100000 --size 1B -w 4 --mode {mode}");
        let mut program = start("hash", &args);
        program.wait_for("hashed");
        program.signal_group(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(130), "{mode}");
        let (_, report) = ended.stdout.split_once("Interrupted by SIGINT").unwrap();
        assert!(!report.contains("hashed"), "{mode}: {report}");
    }
}

#[test]
fn modes_that_were_done_stay_in_the_report() {
    let scratch = Scratch::new("second");
    let json = scratch.join("run.json");
    let args = "ye zm --delay 300ms --mode async,sequential --json";
    let mut program = start("flags", &format!("{args} {}", json.display()));
    program.wait_for("sequential");
    program.signal_group(Signal::INT);
    let ended = program.end();
    check(&ended, 130, &json, "sequential", 2);
    let report = Report::parse(&std::fs::read_to_string(json).unwrap());
    assert_eq!(report.with_status("async", "ok").len(), 2);
    assert_eq!(
        report.mode("sequential")["speedup"],
        serde_json::Value::Null
    );
}

#[test]
fn a_program_killed_outright_takes_its_workers_along() {
    let args = "--all --delay 10s --timeout 60s -w 3 --mode processes";
    let mut program = start("flags", args);
    program.wait_for("processes");
    let own = rustix::process::Pid::from_raw(program.pid() as i32).unwrap();
    kill_process(own, Signal::KILL).unwrap();
    // `end` fails when a process of the group stays.
    assert_eq!(program.end().code, None);
}

#[test]
fn a_second_ctrl_c_ends_what_the_first_could_not() {
    // Nobody reads what it prints into one page: soon a line does not fit, or else its report,
    // which is longer than what is left then.
    let pipe = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&pipe.0, 4096).unwrap();
    let args = "--jobs 100000 --size 1B --mode sequential";
    let mut program = start_into("hash", args, pipe);
    program.wait_until_full(200);
    while !program.has_ended() {
        program.signal_group(Signal::INT);
        // Two signals in quick succession count as one: see `interrupt.rs`.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ended = program.end();
    assert_eq!(ended.code, Some(130));
    assert!(
        !ended.stdout.contains("Interrupted"),
        "it was stuck: {ended:?}"
    );
}
