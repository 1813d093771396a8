//! The table: a line for each row and peer, columns for each allocator. It is Markdown, with its
//! columns aligned, so that it reads the same in a terminal and in a README.

use crate::result::{Measured, Peer, Report, Row, Spread, Verdict};
use crate::rows::Cost;
use std::fmt::Write as _;

/// The table, the notes and the means.
pub fn draw(report: &Report) -> String {
    let mut lines = vec![head(report)];
    for row in &report.rows {
        lines.extend(lines_of(row));
    }
    let mut text = align(&lines);
    text.push('\n');
    for row in report.rows.iter().filter(|row| !row.note.is_empty()) {
        let _ = writeln!(text, "{}: {}.", row.name(), row.note);
    }
    text.push('\n');
    for mean in &report.means {
        let _ = writeln!(
            text,
            "Geometric mean of {} ratios to tokio, {} allocator: {}{}",
            mean.rows,
            mean.allocator,
            digits(mean.ratio),
            mean.bar
                .map_or(String::new(), |bar| format!(" ({})", at_least(bar))),
        );
    }
    let _ = writeln!(text, "\n{}.", report.machine.line());
    text.push_str(
        "Ratio: the peer's cost divided by ours, median of the rounds (and their quartiles).\n\
         Runtimes of two threads, on every side: each worker pinned to a CPU of its own.\n",
    );
    text
}

fn head(report: &Report) -> Vec<String> {
    let mut cells = vec!["workload (threads)".to_owned(), "peer".to_owned()];
    let allocators = report.rows.first().map_or(&[][..], |row| &row.measured);
    for measured in allocators {
        let allocator = &measured.allocator;
        cells.extend([
            format!("{allocator}: ours"),
            "peer".to_owned(),
            "ratio".to_owned(),
            "bar".to_owned(),
        ]);
    }
    cells
}

/// A line for each peer. The name, ours and a bar on our own cost stand in the first.
fn lines_of(row: &Row) -> Vec<Vec<String>> {
    let peers = row
        .measured
        .first()
        .map_or(0, |measured| measured.peers.len());
    let line = |place: usize| {
        let first = place == 0;
        let mut cells = vec![if first { row.name() } else { String::new() }];
        cells.push(row.measured[0].peers[place].name.clone());
        for measured in &row.measured {
            cells.extend(cells_of(row.cost, measured, &measured.peers[place], first));
        }
        cells
    };
    (0..peers).map(line).collect()
}

fn cells_of(cost: Cost, measured: &Measured, peer: &Peer, first: bool) -> [String; 4] {
    let own = measured.bar.filter(|_| first);
    let bar = match (peer.bar, own) {
        (Some(bar), _) => at_least(bar),
        (None, Some(bar)) => format!("<= {}: {}", amount(cost, bar.value), word(bar)),
        (None, None) => String::new(),
    };
    [
        if first {
            amount(cost, measured.ours.median)
        } else {
            String::new()
        },
        amount(cost, peer.cost.median),
        ratio(peer.ratio),
        bar,
    ]
}

fn at_least(bar: Verdict) -> String {
    format!(">= {}: {}", digits(bar.value), word(bar))
}

fn word(bar: Verdict) -> &'static str {
    if bar.met { "met" } else { "MISSED" }
}

fn ratio(ratio: Spread) -> String {
    format!(
        "{} ({}-{})",
        digits(ratio.median),
        digits(ratio.lower_quartile),
        digits(ratio.upper_quartile)
    )
}

/// A cost with its unit.
pub fn amount(cost: Cost, value: f64) -> String {
    if cost == Cost::Bytes {
        return format!("{value:.0} B");
    }
    let (value, unit) = match value {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Three digits that count.
pub fn digits(value: f64) -> String {
    match value {
        small if small < 0.995 => format!("{small:.3}"),
        one if one < 9.995 => format!("{one:.2}"),
        ten if ten < 99.95 => format!("{ten:.1}"),
        many => format!("{many:.0}"),
    }
}

/// As a Markdown table; the first line is the head.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}
