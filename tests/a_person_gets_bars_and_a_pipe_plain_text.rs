//! On a terminal: a progress bar while it runs, colours in the report. With `--verbose` no bar, with
//! NO_COLOR no colours, and through a pipe neither.

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use support::{example, run};

/// What `flags` writes to a terminal.
fn on_terminal(args: &str, no_color: &str) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let open = || File::options().read(true).write(true).open(&name).unwrap();
    let mut child = Command::new(example("flags"))
        .args(args.split_whitespace())
        .env("TERM", "xterm")
        .env("NO_COLOR", no_color)
        .stdin(Stdio::null())
        .stdout(open())
        .stderr(open())
        .spawn()
        .unwrap();
    // The terminal's last user gone, reading it is an error (EIO): what came before counts.
    let mut bytes = Vec::new();
    let _ = File::from(master).read_to_end(&mut bytes);
    assert!(child.wait().unwrap().success());
    String::from_utf8(bytes).unwrap()
}

const ARGS: &str = "ye zm --delay 20ms --mode sequential,processes";

/// The lines of a run of two flags in two modes are there, and whole.
#[track_caller]
fn has_lines(text: &str) {
    let lines = text.split(['\r', '\n']);
    let whole = |line: &&str| {
        let line = line.strip_prefix("\x1b[2K").unwrap_or(line); // where the bar was
        line.starts_with("downloaded ") && line.contains(" flag in process:")
    };
    assert_eq!(lines.filter(whole).count(), 4, "{text:?}");
}

#[test]
fn a_bar_stands_below_whole_lines() {
    let text = on_terminal(ARGS, "");
    has_lines(&text);
    assert!(text.contains("/2 0s"), "no bar in {text:?}");
    assert!(text.contains("\x1b[1m"), "no colours in {text:?}");
    let report = text.split("elapsed time").last().unwrap();
    assert!(!report.contains("/2 "), "a bar in the report: {report:?}");
}

#[test]
fn verbose_has_no_bar_and_says_more() {
    let text = on_terminal(&format!("{ARGS} --verbose"), "");
    has_lines(&text);
    assert!(!text.contains("/2 "), "a bar in {text:?}");
    assert!(text.contains(" bytes in "), "{text:?}");
}

#[test]
fn no_color_is_honoured() {
    let text = on_terminal(&format!("{ARGS} --verbose"), "1");
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_pipe_gets_letters_only() {
    let text = run("flags", ARGS).stdout;
    has_lines(&text);
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text:?}");
}
