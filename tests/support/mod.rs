//! Runs the example programs as a user does, and looks at what they leave behind.
//!
//! Each program gets a process group of its own, as a shell gives it, so that a signal to the group
//! is a Ctrl-C and an empty group proves that nothing of it still runs. A watchdog kills a program
//! that hangs: its test then fails instead of waiting for ever.
#![allow(dead_code)] // each test file uses its part

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde_json::Value;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// A program still running after this long hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// What is killed needs a moment to be gone.
const GONE: Duration = Duration::from_secs(20);

/// Where cargo puts the examples, seen from a test's executable in `deps`. A plain `cargo test` builds them
/// first; with `--test` it does not, and then they are as old as the last `cargo build --examples`.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --examples`",
        path.display()
    );
    path
}

/// A program that is running.
pub struct Running {
    child: Child,
    group: Pid,
    lines: BufReader<PipeReader>,
    seen: String,
    stderr: JoinHandle<String>,
    watchdog: Sender<()>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All it printed.
    pub stdout: String,
    /// All it complained of.
    pub stderr: String,
    /// Its own process id.
    pub pid: u32,
}

/// Runs `name` with `args`, a line as one would type it, to its end.
pub fn run(name: &str, args: &str) -> Ended {
    start(name, args).end()
}

/// Starts `name` with `args`, a line as one would type it.
pub fn start(name: &str, args: &str) -> Running {
    start_into(name, args, std::io::pipe().unwrap())
}

/// As `start`, with the pipe that it prints into.
pub fn start_into(name: &str, args: &str, pipe: (PipeReader, PipeWriter)) -> Running {
    start_command(Command::new(example(name)), args, pipe)
}

/// Runs `name` with `args` under limits, as a shell sets them: `-n 12`, `-v 100000`.
pub fn run_limited(limits: &str, name: &str, args: &str) -> Ended {
    let mut shell = Command::new("sh");
    let line = format!("ulimit {limits}; exec \"$0\" \"$@\"");
    shell.arg("-c").arg(line).arg(example(name));
    start_command(shell, args, std::io::pipe().unwrap()).end()
}

fn start_command(mut command: Command, args: &str, pipe: (PipeReader, PipeWriter)) -> Running {
    use std::os::unix::process::CommandExt;
    let (reader, writer) = pipe;
    let mut child = command
        .args(args.split_whitespace())
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Pid::from_child(&child);
    let (watchdog, ended) = channel();
    spawn(move || {
        if ended.recv_timeout(WATCHDOG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    });
    let stderr: ChildStderr = child.stderr.take().unwrap();
    Running {
        group,
        lines: BufReader::new(reader),
        seen: String::new(),
        stderr: spawn(move || std::io::read_to_string(stderr).unwrap()),
        child,
        watchdog,
    }
}

impl Running {
    /// Reads what it prints up to the first line that contains `text`, and returns that line.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let start = self.seen.len();
            let read = self.lines.read_line(&mut self.seen).unwrap();
            assert!(read > 0, "no line with '{text}' in:\n{}", self.seen);
            if self.seen[start..].contains(text) {
                return self.seen[start..].trim_end().to_owned();
            }
        }
    }

    /// Sends a signal to the program and all its workers, as a terminal does for Ctrl-C.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.group, signal).unwrap();
    }

    /// Waits until the pipe it prints into has less than `room` bytes left.
    pub fn wait_until_full(&self, room: u64) {
        let pipe = self.lines.get_ref();
        let size = rustix::pipe::fcntl_getpipe_size(pipe).unwrap() as u64;
        while rustix::io::ioctl_fionread(pipe).unwrap() + room < size {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has it ended? Does not wait.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, and until nothing of its process group is left.
    pub fn end(mut self) -> Ended {
        let pid = self.pid();
        // Workers hold the pipe too: its end is the end of them all.
        self.lines.read_to_string(&mut self.seen).unwrap();
        let code = self.child.wait().unwrap().code();
        let stderr = self.stderr.join().unwrap();
        wait_until_gone(self.group);
        let _ = self.watchdog.send(());
        Ended {
            code,
            stdout: self.seen,
            stderr,
            pid,
        }
    }
}

/// Fails when a process of `group`, zombies included, is there for long after its leader's end.
fn wait_until_gone(group: Pid) {
    let deadline = Instant::now() + GONE;
    while test_kill_process_group(group).is_ok() {
        assert!(Instant::now() < deadline, "a process was left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An empty directory that goes when the test ends well (a failed test leaves it to be looked at).
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A directory of its own for the test called `name`.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tatkal-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// The path of `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its own path, as an argument.
    pub fn arg(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The names in it, hidden ones included, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A JSON report.
pub struct Report(pub Value);

impl Report {
    /// Reads one from `text`.
    pub fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}")))
    }

    /// The modes' names, in order.
    pub fn modes(&self) -> Vec<&str> {
        let modes = self.0["modes"].as_array().unwrap();
        modes.iter().map(|m| m["mode"].as_str().unwrap()).collect()
    }

    /// One mode.
    pub fn mode(&self, name: &str) -> &Value {
        let modes = self.0["modes"].as_array().unwrap();
        let found = modes.iter().find(|mode| mode["mode"] == name);
        found.unwrap_or_else(|| panic!("no mode '{name}'"))
    }

    /// The items of one mode.
    pub fn items(&self, mode: &str) -> &[Value] {
        self.mode(mode)["items"].as_array().unwrap()
    }

    /// The items of one mode that ended as `status`.
    pub fn with_status(&self, mode: &str, status: &str) -> Vec<&Value> {
        let ended = |item: &&Value| item["status"] == status;
        self.items(mode).iter().filter(ended).collect()
    }
}
