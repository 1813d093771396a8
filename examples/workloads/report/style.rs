//! Colour where a person looks at it, plain text everywhere else. Next: `table.rs`.

use crate::printer::Lines;
use std::env;

/// Whether a text may carry colour and drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours are welcome.
    pub colour: bool,
    /// A person reads it: bars may be drawn beside the numbers.
    pub drawings: bool,
}

/// The few roles that colour plays in a report.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// A title or a table head.
    Title,
    /// Something good: confirmed, the same.
    Good,
    /// Something bad: an error, not confirmed.
    Bad,
    /// Something secondary: an explanation, a bar.
    Quiet,
}

impl Style {
    /// Letters only.
    pub const PLAIN: Style = Style {
        colour: false,
        drawings: false,
    };

    /// What suits whoever reads `lines`: nothing but letters when it is a file or a pipe, no
    /// colour when NO_COLOR is set (no-color.org) or the terminal cannot show it.
    pub fn of(lines: Lines) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = lines.is_terminal() && !dumb;
        Self {
            colour: terminal && !set("NO_COLOR"),
            drawings: terminal,
        }
    }

    /// `text` in the colour of its role.
    pub fn paint(self, role: Role, text: &str) -> String {
        let code = match role {
            Role::Title => "1",
            Role::Good => "32",
            Role::Bad => "31",
            Role::Quiet => "2",
        };
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
