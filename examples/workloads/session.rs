//! The run in progress: what is done so far, and the right to report it.
//!
//! ```text
//!   main:         begin ─> record, record, ... ─> complete ─> begin ─> ... ─> finish
//!   interrupt:                        └──────> interrupt: takes the lock and keeps it
//! ```
//!
//! Owns      the run, the progress bar, and how to stop what is running.
//! Holds     S1 the report is printed once: `finish` and `interrupt` both need the lock, and each
//!           sees whether the other was there. S2 after an interrupt nothing is recorded or printed
//!           by the program: everyone else waits for the lock until the process is gone.
//! Next: `interrupt.rs`.

use crate::door;
use crate::mode::Mode;
use crate::printer::Lines;
use crate::report::model::{Item, ModeRun, Run, Workload, plural};
use crate::report::progress::Progress;
use crate::report::style::{Role, Style};
use crate::report::{accounts, json, table, text};
use crate::stamp::Moment;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use tatkal::ProcessPoolMetrics;

/// Where a run's results go.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where lines and the report are printed.
    pub lines: Lines,
    /// Is a progress bar drawn? Then the session prints the items' lines, above it.
    pub bar: bool,
    /// Where the JSON document goes.
    pub json: Option<Json>,
    /// Is the account of the worker processes a part of the report?
    pub accounts: bool,
}

/// Where the JSON document goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// To standard output; the report for people then goes to standard error.
    Stdout,
    /// To this file.
    File(PathBuf),
}

impl Output {
    /// Where the items' own lines go: past the session when there is no bar.
    pub fn item_lines(&self) -> Lines {
        if self.bar { Lines::Nowhere } else { self.lines }
    }
}

/// A program's run from its first mode to its report.
pub struct Session {
    output: Output,
    style: Style,
    /// The line that an ended item prints, if any.
    line: fn(&Item) -> Option<String>,
    state: Mutex<State>,
}

struct State {
    run: Run,
    /// The items of the mode in progress, with their places in the order of asking.
    items: Vec<(usize, Item)>,
    progress: Progress,
    stop: Option<Stop>,
    tidy: Option<Arc<dyn Fn() + Send + Sync>>,
    finished: bool,
}

/// Ends what is running; when it returns, nothing of it runs any more.
type Stop = Box<dyn FnOnce() + Send>;

impl Session {
    /// A run of nothing yet.
    pub fn new(workload: Workload, output: Output, line: fn(&Item) -> Option<String>) -> Arc<Self> {
        Arc::new(Self {
            style: Style::of(output.lines),
            output,
            line,
            state: Mutex::new(State {
                run: Run::new(workload),
                items: Vec::new(),
                progress: Progress::default(),
                stop: None,
                tidy: None,
                finished: false,
            }),
        })
    }

    /// Where this session's output goes.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Prints one line of the program's own.
    pub fn say(&self, line: &str) {
        let _state = self.lock();
        self.output.lines.print(line);
    }

    /// What to do before the process ends, whichever way it ends: no worker runs any more then.
    pub fn before_exit(&self, tidy: impl Fn() + Send + Sync + 'static) {
        self.lock().tidy = Some(Arc::new(tidy));
    }

    /// A mode begins: its clock runs from now on.
    pub fn begin(&self, mode: Mode, workers: usize, tasks: Option<usize>, expected: usize) {
        let mut state = self.lock();
        let mode = ModeRun {
            mode,
            workers,
            tasks,
            began: Moment::now(),
            elapsed: Default::default(),
            complete: false,
            expected,
            pool: None,
            items: Vec::new(),
        };
        let crew = table::crew(state.run.workload, &mode);
        let title = self.style.paint(Role::Title, mode.mode.name());
        self.output.lines.print(&format!("\n{title}, {crew}"));
        if self.output.bar {
            state.progress = Progress::start(mode.mode.name(), expected);
        }
        state.run.modes.push(mode);
        // Again, after the slow terminal: the clock is for the work.
        let began = Moment::now();
        state.run.modes.last_mut().expect("just pushed").began = began;
    }

    /// How an interrupt ends the work in progress. Forgotten when the mode is complete.
    pub fn on_interrupt(&self, stop: impl FnOnce() + Send + 'static) {
        self.lock().stop = Some(Box::new(stop));
    }

    /// An item ended. `place` is its place in the order of asking.
    pub fn record(&self, place: usize, item: Item) {
        let mut state = self.lock();
        let line = (self.line)(&item).filter(|_| self.output.bar);
        state.progress.advance(self.output.lines, line.as_deref());
        state.items.push((place, item));
    }

    /// The last item of the mode was recorded: its clock stops.
    pub fn complete(&self) {
        let mut state = self.lock();
        state.stop = None;
        state.close_mode(true);
        let mode = state.run.modes.last().expect("a mode began");
        self.output.lines.print(&format!(
            "{}, elapsed time: {:.2}s",
            plural(mode.workers, "worker"),
            mode.elapsed.as_secs_f64()
        ));
    }

    /// What the workers of the mode that was just completed did, if they were processes.
    pub fn account(&self, pool: ProcessPoolMetrics) {
        if let Some(mode) = self.lock().run.modes.last_mut() {
            mode.pool = Some(pool);
        }
    }

    /// The end of the run: prints the report, writes the JSON. The program's exit code is 1 when
    /// an item failed, modes differ or the JSON could not be written.
    pub fn finish(&self) -> ExitCode {
        let mut state = self.lock();
        state.finished = true;
        let reported = self.report(&mut state);
        if state.run.failed() || !reported {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    /// The end of a run that cannot go on, as when a pool could not be made: reports what was done,
    /// and then why there is no more.
    pub fn give_up(&self, error: &str) -> ExitCode {
        self.lock().close_mode(false);
        self.finish();
        Lines::Stderr.print(&format!("error: {error}"));
        ExitCode::FAILURE
    }

    /// Stops the work, reports what was done and leaves the process with `code`. Returns only
    /// when the run was finished already and its own exit is under way.
    pub fn interrupt(&self, cause: &'static str, code: i32) {
        let mut state = self.lock();
        if state.finished {
            return;
        }
        // First our own threads, then the workers: nothing is printed or saved after this.
        door::shut();
        if let Some(stop) = state.stop.take() {
            stop();
        }
        state.close_mode(false);
        state.run.interrupted = Some(cause);
        self.report(&mut state);
        // The lock is never given back (S2).
        std::process::exit(code);
    }

    /// True when everything that was to be written is.
    fn report(&self, state: &mut State) -> bool {
        state.progress.clear();
        if let Some(tidy) = state.tidy.clone() {
            tidy();
        }
        let mut text = text::report(&state.run, self.style);
        if self.output.accounts {
            text += &accounts::accounts(&state.run, self.style);
        }
        let printed = self.output.lines.print_text(&text);
        let saved = match &self.output.json {
            None => true,
            Some(Json::Stdout) => {
                let document = json::document(&state.run);
                written("the JSON", Lines::Stdout.print_text(&document))
            }
            Some(Json::File(path)) => {
                let name = format!("'{}'", path.display());
                written(&name, json::write(&state.run, path))
            }
        };
        written("the report", printed) && saved
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in here would be a bug; the report is worth more than the poison.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Says on standard error why `what` could not be written, if it could not.
fn written(what: &str, result: io::Result<()>) -> bool {
    if let Err(error) = &result {
        Lines::Stderr.print(&format!("error: cannot write {what}: {error}"));
    }
    result.is_ok()
}

impl State {
    /// Stops the clock of the mode in progress, if there is one, and puts its items in order.
    fn close_mode(&mut self, complete: bool) {
        let Some(mode) = self.run.modes.last_mut() else {
            return;
        };
        if mode.complete {
            return;
        }
        mode.elapsed = Moment::now().since(mode.began);
        mode.complete = complete;
        let mut items = std::mem::take(&mut self.items);
        items.sort_by_key(|(place, _)| *place);
        mode.items = items.into_iter().map(|(_, item)| item).collect();
        self.progress.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::tests::item;

    fn session() -> Arc<Session> {
        let output = Output {
            lines: Lines::Nowhere,
            bar: false,
            json: None,
            accounts: false,
        };
        Session::new(Workload::Flags, output, |_| None)
    }

    #[test]
    fn items_stand_in_the_order_asked_whatever_order_they_end_in() {
        let session = session();
        session.begin(Mode::Threads, 2, None, 3);
        for place in [2, 0, 1] {
            session.record(place, item(&place.to_string(), Some("aa")));
        }
        session.complete();
        let state = session.lock();
        let mode = &state.run.modes[0];
        let names: Vec<_> = mode.items.iter().map(|item| &*item.name).collect();
        assert_eq!(names, ["0", "1", "2"]);
        assert!(mode.complete && !mode.elapsed.is_zero());
    }

    #[test]
    fn the_end_of_a_mode_forgets_how_to_stop_it() {
        let session = session();
        session.begin(Mode::Processes, 2, None, 0);
        let pool = Arc::new(());
        let held = pool.clone();
        session.on_interrupt(move || drop(held));
        session.complete();
        assert_eq!(Arc::strong_count(&pool), 1, "nothing holds the pool");
    }

    #[test]
    fn a_finished_run_is_not_reported_again() {
        let session = session();
        session.begin(Mode::Sequential, 1, None, 1);
        session.record(0, item("yemen", None));
        session.complete();
        assert_eq!(session.finish(), ExitCode::FAILURE, "an item failed");
        // Would leave the process if it took the run for unfinished.
        session.interrupt("SIGINT", 130);
    }

    #[test]
    fn a_run_that_cannot_go_on_reports_what_was_done_and_fails() {
        let json = std::env::temp_dir().join(format!("tatkal-gave-up-{}", std::process::id()));
        let output = Output {
            lines: Lines::Nowhere,
            bar: false,
            json: Some(Json::File(json.clone())),
            accounts: false,
        };
        let session = Session::new(Workload::Flags, output, |_| None);
        session.begin(Mode::Sequential, 1, None, 1);
        session.record(0, item("yemen", Some("aa")));
        session.complete();
        session.begin(Mode::Processes, 1, None, 1);
        let code = session.give_up("no workers, said the test");
        assert_eq!(code, ExitCode::FAILURE, "a mode is missing");
        let report = std::fs::read_to_string(&json).unwrap();
        std::fs::remove_file(json).unwrap();
        assert!(report.contains("yemen") && report.contains("processes"));
    }

    #[test]
    fn a_json_file_that_cannot_be_written_fails_the_run() {
        let output = Output {
            lines: Lines::Nowhere,
            bar: false,
            json: Some(Json::File("/no/such/directory/run.json".into())),
            accounts: false,
        };
        let session = Session::new(Workload::Flags, output, |_| None);
        assert_eq!(session.finish(), ExitCode::FAILURE);
    }
}
