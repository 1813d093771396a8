//! One table: a row for each mode, as wide as it must be and never wider than 80 columns.
//!
//! The bar beside a row is its elapsed time, so that the eye sees what the numbers say; it is drawn
//! for a person only. Next: `findings.rs`.

use super::model::{ModeRun, Run, Workload};
use super::style::{Role, Style};
use crate::mode::Mode;

/// A terminal's usual width: what a report keeps to.
pub const WIDTH: usize = 80;

/// A bar shorter than this says nothing, so it is left out.
const SHORTEST_BAR: usize = 8;

/// Between two columns.
const GAP: usize = 2;

/// A column: its head and its cells.
struct Column {
    head: &'static str,
    right: bool,
    cells: Vec<Cell>,
}

struct Cell {
    text: String,
    role: Option<Role>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell { text, role: None }
    }
}

/// The table of `run`, one line a mode under a line of heads, each ended by a newline.
pub fn table(run: &Run, style: Style) -> String {
    let columns = columns(run);
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let bars = bars(run, style, widths.iter().map(|width| width + GAP).sum());
    let mut lines = String::new();
    let heads = columns.iter().map(|column| Cell {
        text: column.head.into(),
        role: Some(Role::Title),
    });
    push_row(&mut lines, style, &columns, heads, "");
    for (index, bar) in bars.iter().enumerate() {
        let cells = columns.iter().map(|column| {
            let cell = &column.cells[index];
            Cell {
                text: cell.text.clone(),
                role: cell.role,
            }
        });
        push_row(&mut lines, style, &columns, cells, bar);
    }
    lines
}

/// Pads before it paints: colour codes have no width.
fn push_row(
    lines: &mut String,
    style: Style,
    columns: &[Column],
    cells: impl Iterator<Item = Cell>,
    bar: &str,
) {
    let mut row = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        let pad = " ".repeat(column.width() - width(&cell.text));
        let text = match cell.role {
            Some(role) => style.paint(role, &cell.text),
            None => cell.text,
        };
        row += &match column.right {
            true => format!("{pad}{text}"),
            false => format!("{text}{pad}"),
        };
        row += &" ".repeat(GAP);
    }
    row += &style.paint(Role::Quiet, bar);
    lines.push_str(row.trim_end());
    lines.push('\n');
}

impl Column {
    fn new<C: Into<Cell>>(head: &'static str, right: bool, cells: impl Iterator<Item = C>) -> Self {
        Self {
            head,
            right,
            cells: cells.map(Into::into).collect(),
        }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| width(&cell.text));
        cells.max().unwrap_or(0).max(width(self.head))
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn columns(run: &Run) -> Vec<Column> {
    let modes = &run.modes;
    let same = match run.workload {
        Workload::Flags => "same bytes?",
        Workload::Hash => "same?", // digests; the narrow head keeps the table narrow
    };
    let mut columns = vec![
        Column::new("mode", false, modes.iter().map(|m| m.mode.to_string())),
        Column::new(
            "workers",
            false,
            modes.iter().map(|m| crew(run.workload, m)),
        ),
        Column::new("elapsed", true, elapsed(run).into_iter()),
        Column::new("speed-up", true, modes.iter().map(|m| speedup(run, m))),
    ];
    if run.workload == Workload::Hash {
        columns.push(Column::new("MB/s", true, modes.iter().map(megabytes)));
        columns.push(Column::new("fill", true, modes.iter().map(fill_share)));
    }
    columns.push(Column::new(
        same,
        false,
        modes.iter().map(|m| sameness(run, m)),
    ));
    columns
}

/// Who did the work, in words: `5 threads`, `1 thread, 5 tasks`, `1 loop, 2 threads`.
pub fn crew(workload: Workload, run: &ModeRun) -> String {
    use super::model::plural;
    match (run.mode, workload) {
        (Mode::Sequential, _) => "1 thread".into(),
        (Mode::Threads, _) => plural(run.workers, "thread"),
        (Mode::ThreadsGil, _) => format!("{}, 1 lock", plural(run.workers, "thread")),
        (Mode::Processes, _) => plural(run.workers, "process"),
        (Mode::Async | Mode::AsyncThreads, Workload::Flags) => {
            let tasks = plural(run.tasks.unwrap_or(run.expected), "task");
            format!("{}, {tasks}", plural(run.workers, "thread"))
        }
        // Their tasks are the jobs.
        (Mode::AsyncThreads, Workload::Hash) => {
            format!("{}, stealing", plural(run.workers, "thread"))
        }
        (Mode::Async, Workload::Hash) => format!("1 loop, {}", plural(run.workers, "thread")),
    }
}

/// In seconds, with a third digit where the whole run is a matter of milliseconds.
fn elapsed(run: &Run) -> Vec<String> {
    let seconds = |m: &ModeRun| m.elapsed.as_secs_f64();
    let longest = run.modes.iter().map(seconds).fold(0.0, f64::max);
    let digits = if longest < 1.0 { 3 } else { 2 };
    let show = |m: &ModeRun| format!("{:.digits$} s", seconds(m));
    run.modes.iter().map(show).collect()
}

fn speedup(run: &Run, mode: &ModeRun) -> String {
    match run.speedup(mode) {
        Some(times) => format!("{times:.1}x"),
        None => "-".into(),
    }
}

fn megabytes(run: &ModeRun) -> String {
    format!("{:.0}", run.bytes_per_second() / 1e6)
}

/// How much of the time inside the jobs went into random bytes; the rest is hashing.
fn fill_share(run: &ModeRun) -> String {
    let split = run.split();
    let total = (split.fill + split.hash).as_secs_f64();
    if total == 0.0 {
        return "-".into();
    }
    format!("{:.0} %", split.fill.as_secs_f64() / total * 100.0)
}

fn sameness(run: &Run, mode: &ModeRun) -> Cell {
    let reference = &run.modes[0];
    let said = |text: &str, role| Cell {
        text: text.into(),
        role,
    };
    if run.modes.len() == 1 {
        return said("-", None);
    }
    if std::ptr::eq(reference, mode) {
        return said("reference", Some(Role::Quiet));
    }
    let comparison = mode.compare(reference);
    match (comparison.different, comparison.one_sided) {
        (1.., _) => said(
            &format!("NO, {} differ", comparison.different),
            Some(Role::Bad),
        ),
        (0, 1..) => said(&format!("but {}", comparison.one_sided), Some(Role::Bad)),
        (0, 0) if mode.items.is_empty() => said("-", None),
        (0, 0) if !mode.complete || !reference.complete => said("yes, so far", Some(Role::Good)),
        (0, 0) => said("yes", Some(Role::Good)),
    }
}

/// A bar for each mode in what is left of the line; empty ones when that is too little.
fn bars(run: &Run, style: Style, taken: usize) -> Vec<String> {
    let room = WIDTH.saturating_sub(taken + 1);
    let seconds = |m: &ModeRun| m.elapsed.as_secs_f64();
    let longest = run.modes.iter().map(seconds).fold(0.0, f64::max);
    let bar = |m: &ModeRun| {
        if !style.drawings || room < SHORTEST_BAR || longest == 0.0 {
            return String::new();
        }
        draw(seconds(m) / longest * room as f64)
    };
    run.modes.iter().map(bar).collect()
}

/// A bar of that many cells, the last one in eighths.
fn draw(cells: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (cells * 8.0).round().max(1.0) as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.push(EIGHTHS[eighths % 8]);
    bar.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{item, run};
    use super::*;

    fn talk() -> Run {
        let mut run = run(
            Workload::Flags,
            &[
                (Mode::Sequential, 16.29),
                (Mode::Threads, 4.0),
                (Mode::Processes, 4.0),
                (Mode::Async, 3.3),
                (Mode::AsyncThreads, 3.3),
            ],
        );
        run.modes[3].workers = 1;
        run.modes[3].tasks = Some(5);
        run.modes[4].workers = 2;
        run.modes[4].tasks = Some(5);
        run
    }

    #[test]
    fn a_table_reads_well_as_plain_text() {
        let expected = "\
mode        workers          elapsed  speed-up  same bytes?
sequential  1 thread         16.29 s      1.0x  reference
threads     5 threads         4.00 s      4.1x  yes
processes   5 processes       4.00 s      4.1x  yes
async       1 thread, 5 tasks 3.30 s      4.9x  yes
async-threads 2 threads, 5 tasks 3.30 s   4.9x  yes
";
        let shown = table(&talk(), Style::PLAIN);
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&shown), squeeze(expected), "\n{shown}");
    }

    #[test]
    fn colours_and_bars_keep_the_columns_and_the_width() {
        let style = Style {
            colour: false,
            drawings: true,
        };
        let drawn = table(&talk(), style);
        assert!(drawn.lines().all(|line| width(line) <= WIDTH), "\n{drawn}");
        assert!(drawn.contains('█'), "\n{drawn}");
        let style = Style {
            colour: true,
            drawings: false,
        };
        let coloured = table(&talk(), style);
        let mut bare = coloured.clone();
        for code in ["\x1b[1m", "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"] {
            bare = bare.replace(code, "");
        }
        assert_ne!(coloured, bare);
        let trimmed: Vec<_> = bare.lines().map(str::trim_end).collect();
        let plain = table(&talk(), Style::PLAIN);
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }

    #[test]
    fn the_widest_hash_table_keeps_to_the_width() {
        let mut run = run(
            Workload::Hash,
            &[
                (Mode::Sequential, 100.0),
                (Mode::ThreadsGil, 100.0),
                (Mode::Processes, 100.0),
                (Mode::Async, 100.0),
                (Mode::AsyncThreads, 100.0),
            ],
        );
        for mode in &mut run.modes {
            mode.workers = 64;
            mode.items[0].bytes = 4_000_000_000_000;
        }
        let shown = table(&run, Style::PLAIN);
        assert!(shown.lines().all(|line| width(line) <= WIDTH), "\n{shown}");
    }

    #[test]
    fn different_and_missing_bytes_are_called_that() {
        let mut run = talk();
        run.modes[1].items[0].sha256 = Some("bb".into());
        run.modes[2].items[0] = item("yemen", None);
        run.modes[3].complete = false;
        let shown = table(&run, Style::PLAIN);
        let ends: Vec<_> = shown.lines().skip(1).collect();
        assert!(ends[0].ends_with("reference"), "\n{shown}");
        assert!(ends[1].ends_with("NO, 1 differ"), "\n{shown}");
        assert!(ends[2].ends_with("but 1"), "\n{shown}");
        assert!(ends[3].ends_with("yes, so far"), "\n{shown}");
    }
}
