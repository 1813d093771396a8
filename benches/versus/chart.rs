//! The chart: a bar for each row, from 1.0 (as fast as tokio) to the ratio, on a logarithmic axis,
//! so that twice as fast and half as fast are bars of one length.
//!
//! ```text
//!                              0.5     1      2      4      8
//!   spawn one and join (1)              |==============|==>       ours against tokio, whiskers
//!                                       |       o   |  6.9        from quartile to quartile
//!   chained spawn (2)          <========|           |             a loss goes the other way
//!                                               ^   ^
//!                          another peer against tokio, and the bar of the row
//! ```
//!
//! An SVG by hand, with colours for a light and for a dark page in its style sheet.

use crate::result::{Measured, Peer, Report, Row};
use crate::table::digits;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
/// Where the labels end and the axis begins.
const LEFT: f64 = 310.0;
const RIGHT: f64 = WIDTH - 122.0;
/// Where the numbers end that are beside the bars, by allocator.
const NUMBERS: [(f64, &str); 2] = [(RIGHT + 50.0, "ink"), (RIGHT + 110.0, "soft")];
/// Where the first row begins.
const TOP: f64 = 112.0;
const BAR: f64 = 9.0;
/// Between two rows.
const GAP: f64 = 9.0;

/// The axis goes from here to there, unless a bar goes further.
const AXIS: (f64, f64) = (0.5, 16.0);
/// Beyond this, other peers and limits are not drawn where they would be but at the edge.
const EDGE: f64 = 64.0;

const STYLE: &str = "
    svg { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif }
    .paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
    .title { font-size: 17px; font-weight: 600 }
    .grid { stroke: #d1d9e0; stroke-width: 1 } .one { stroke: #1f2328; stroke-width: 1.5 }
    .whisker { stroke: #1f2328; stroke-width: 1.2 }
    .win0 { fill: #0969da } .win1 { fill: #80b8f5 } .loss0 { fill: #bc4c00 } .loss1 { fill: #f0a35e }
    .goal { stroke: #8250df; stroke-width: 2.5 } .peer { fill: #ffffff; stroke: #1f2328 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
      .grid { stroke: #2f3742 } .one { stroke: #f0f6fc } .whisker { stroke: #f0f6fc }
      .win0 { fill: #4493f8 } .win1 { fill: #1f4f8f } .loss0 { fill: #e0823d } .loss1 { fill: #7d4317 }
      .goal { stroke: #ab7df8 } .peer { fill: #0d1117; stroke: #f0f6fc }
    }
  ";

/// The whole file.
pub fn draw(report: &Report) -> String {
    let axis = Axis::over(report);
    let rows: Vec<&Row> = report.rows.iter().collect();
    let bars = rows.first().map_or(0, |row| row.measured.len()) as f64;
    let pitch = bars.max(1.5) * BAR + GAP;
    let bottom = TOP + rows.len() as f64 * pitch;
    let height = bottom + 52.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"tatkal beside tokio: ratios by workload\">\n  <style>{STYLE}</style>\n  \
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
    );
    text(
        &mut svg,
        16.0,
        28.0,
        "start",
        "ink title",
        "tatkal beside tokio",
    );
    text(
        &mut svg,
        16.0,
        47.0,
        "start",
        "soft",
        "tokio's cost divided by ours, median of the rounds; to the right of 1 ours is better",
    );
    legend(&mut svg, report);
    axis.draw(&mut svg, bottom);
    let allocators = rows.first().map_or(&[][..], |row| &row.measured);
    for (measured, (x, shade)) in allocators.iter().zip(NUMBERS) {
        let name = measured.allocator.to_string();
        text(&mut svg, x, TOP - 28.0, "end", shade, &name);
    }
    for (number, row) in rows.iter().enumerate() {
        draw_row(&mut svg, &axis, row, TOP + number as f64 * pitch, pitch);
    }
    line(&mut svg, "one", axis.x(1.0), TOP - 6.0, axis.x(1.0), bottom);
    text(
        &mut svg,
        16.0,
        height - 14.0,
        "start",
        "soft",
        &report.machine.line(),
    );
    svg.push_str("</svg>\n");
    svg
}

/// From a ratio to a place.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// Wide enough for every whisker and every other peer.
    fn over(report: &Report) -> Axis {
        let (mut low, mut high) = AXIS;
        for measured in report.rows.iter().flat_map(|row| &row.measured) {
            let Some(tokio) = measured.peer("tokio") else {
                continue;
            };
            low = low.min(tokio.ratio.lower_quartile);
            high = high.max(tokio.ratio.upper_quartile);
            for peer in &measured.peers {
                high = high.max(beside(tokio, peer).min(EDGE));
            }
        }
        // To the next power of two, and not so far that nothing else is to be seen.
        Axis {
            low: low.max(1.0 / EDGE).log2().floor().exp2(),
            high: high.min(EDGE).log2().ceil().exp2(),
        }
    }

    fn x(&self, ratio: f64) -> f64 {
        let share =
            (ratio.clamp(self.low, self.high) / self.low).log2() / (self.high / self.low).log2();
        LEFT + share * (RIGHT - LEFT)
    }

    fn draw(&self, svg: &mut String, bottom: f64) {
        let mut tick = self.low;
        while tick <= self.high {
            let x = self.x(tick);
            line(svg, "grid", x, TOP - 6.0, x, bottom);
            for y in [TOP - 12.0, bottom + 16.0] {
                text(svg, x, y, "middle", "soft", &tick.to_string());
            }
            tick *= 2.0;
        }
    }
}

/// How much better a peer is than tokio.
fn beside(tokio: &Peer, peer: &Peer) -> f64 {
    tokio.cost.median / peer.cost.median
}

/// A row: its name, a bar for each allocator, and the marks of the first of them.
fn draw_row(svg: &mut String, axis: &Axis, row: &Row, top: f64, pitch: f64) {
    let base = top + (pitch - GAP) / 2.0 + 4.0;
    text(svg, LEFT - 14.0, base, "end", "ink", &row.name());
    for (number, measured) in row.measured.iter().enumerate() {
        let Some(tokio) = measured.peer("tokio") else {
            continue;
        };
        draw_bar(svg, axis, tokio, number, top + number as f64 * BAR);
        let (x, shade) = NUMBERS[number.min(1)];
        text(svg, x, base, "end", shade, &digits(tokio.ratio.median));
        if number == 0 {
            draw_marks(svg, axis, measured, tokio, top);
        }
    }
}

/// A bar with its whiskers.
fn draw_bar(svg: &mut String, axis: &Axis, tokio: &Peer, number: usize, top: f64) {
    let ratio = tokio.ratio;
    let (from, to) = (axis.x(ratio.median.min(1.0)), axis.x(ratio.median.max(1.0)));
    let class = if ratio.median >= 1.0 { "win" } else { "loss" };
    let shade = number.min(1);
    let (height, width) = (BAR - 1.0, to - from);
    let _ = writeln!(
        svg,
        "  <rect class=\"{class}{shade}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
         height=\"{height}\"/>"
    );
    let middle = top + height / 2.0;
    let (low, high) = (axis.x(ratio.lower_quartile), axis.x(ratio.upper_quartile));
    line(svg, "whisker", low, middle, high, middle);
    for x in [low, high] {
        line(svg, "whisker", x, middle - 2.5, x, middle + 2.5);
    }
}

/// Where the bar of the row is, and where the other peers are.
fn draw_marks(svg: &mut String, axis: &Axis, measured: &Measured, tokio: &Peer, top: f64) {
    if let Some(goal) = tokio.bar {
        let x = axis.x(goal.value);
        line(svg, "goal", x, top - 2.0, x, top + BAR + 1.0);
    }
    for peer in measured.peers.iter().filter(|peer| peer.name != "tokio") {
        let ratio = beside(tokio, peer);
        let (x, y) = (axis.x(ratio), top + BAR / 2.0 - 0.5);
        let shape = if peer.name == "smol" { SMOL } else { OTHER };
        let _ = writeln!(
            svg,
            "  <g transform=\"translate({x:.1} {y:.1})\">{shape}<title>{}: {}</title></g>",
            peer.name,
            digits(ratio)
        );
    }
}

/// Marks of peers, around the origin.
const SMOL: &str = "<circle class=\"peer\" r=\"3.4\"/>";
const OTHER: &str = "<path class=\"peer\" d=\"M0 -4.2l4.2 4.2l-4.2 4.2l-4.2 -4.2z\"/>";

fn legend(svg: &mut String, report: &Report) {
    let (mut x, y) = (16.0, 68.0);
    let mut entry = |shape: String, words: &str| {
        let _ = writeln!(svg, "  <g transform=\"translate({x} {y})\">{shape}</g>");
        text(svg, x + 22.0, y + 4.0, "start", "soft", words);
        x += 40.0 + 6.1 * words.chars().count() as f64;
    };
    let allocators = report.rows.first().map_or(&[][..], |row| &row.measured);
    for (number, measured) in allocators.iter().enumerate() {
        let shade = number.min(1);
        let half = |class, x| {
            format!("<rect class=\"{class}{shade}\" x=\"{x}\" y=\"-4\" width=\"8\" height=\"8\"/>")
        };
        entry(
            half("win", 0) + &half("loss", 9),
            &format!("{} allocator", measured.allocator),
        );
    }
    entry(
        "<line class=\"goal\" x1=\"9\" y1=\"-6\" x2=\"9\" y2=\"6\"/>".to_owned(),
        "the bar",
    );
    entry(
        format!("<g transform=\"translate(9 0)\">{SMOL}</g>"),
        "smol",
    );
    entry(
        format!("<g transform=\"translate(9 0)\">{OTHER}</g>"),
        "another peer, or a limit",
    );
    entry(
        "<path class=\"whisker\" d=\"M1 0h16M1 -2.5v5M17 -2.5v5\"/>".to_owned(),
        "quartiles",
    );
}

fn line(svg: &mut String, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
    let _ = writeln!(
        svg,
        "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}
