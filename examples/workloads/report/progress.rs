//! A progress bar for a person who waits; nothing at all for a file or a pipe.
//!
//! The bar is drawn on standard error. While it stands, nobody else may print to the terminal, so
//! it is the parent that prints each item's line, above the bar. Next: `../session.rs`.

use crate::mode::Mode;
use crate::printer::Lines;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the clock beside the bar moves while no item ends.
const TICK: Duration = Duration::from_millis(100);

/// A bar, or nothing.
#[derive(Debug, Default)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Is there a person to draw a bar for?
    pub fn wanted(lines: Lines) -> bool {
        lines.is_terminal() && std::io::stderr().is_terminal()
    }

    /// A bar of `length` items named `title`.
    pub fn start(title: &str, length: usize) -> Self {
        let name = Mode::NAME_WIDTH;
        let template = format!("{{prefix:<{name}}} {{wide_bar}} {{pos}}/{{len}} {{elapsed}}");
        let style = ProgressStyle::with_template(&template)
            .expect("the template is a constant and well formed");
        let bar = ProgressBar::new(length as u64)
            .with_style(style)
            .with_prefix(title.to_owned());
        bar.enable_steady_tick(TICK);
        Self { bar: Some(bar) }
    }

    /// Is a bar being drawn?
    pub fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    /// One item more is done; `line` is printed above the bar.
    pub fn advance(&self, lines: Lines, line: Option<&str>) {
        let Some(bar) = &self.bar else { return };
        bar.inc(1);
        if let Some(line) = line {
            bar.suspend(|| lines.print(line));
        }
    }

    /// Takes the bar off the screen. Nothing is drawn after this returns.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
