//! Whole lines out of pieces: what has not come to the end of its line is kept.
//!
//! ```text
//!   "one\ntw"  ──> "one\n"          kept: "tw"
//!   "o\nthree" ──> "two\n"          kept: "three"
//!   the end    ──> "three"
//! ```
//!
//! A line that is longer than `LONGEST` is given away in pieces, so that one that never ends does not
//! become all the program's memory: nothing of it is lost, but others may come in between.
//!
//! Holds     every byte comes out once, in order; a piece given out ends a line, or the line is longer
//!           than `LONGEST`, or it was asked for. Next: `relay.rs`.

use std::io;
use std::time::Instant;

/// How much of a line is kept at most. (It comes in pieces of a pipe's length, and the last one
/// counts.)
pub(super) const LONGEST: usize = 1024 * 1024;

/// What is kept of one worker.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<u8>,
    /// When the last piece came of what is kept.
    since: Option<Instant>,
}

impl Lines {
    /// Is nothing kept?
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Since when has nothing been added to what is kept?
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_empty())
    }

    /// Takes a piece in, and gives out what is whole.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        give: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = piece.iter().rposition(|byte| *byte == b'\n');
        let (whole, rest) = piece.split_at(end.map_or(0, |at| at + 1));
        if self.is_empty() && !whole.is_empty() {
            give(whole)?; // without a copy
        } else if !whole.is_empty() {
            self.kept.extend_from_slice(whole);
            self.give_all(give)?;
        }
        self.kept.extend_from_slice(rest);
        self.since = Some(Instant::now());
        match self.kept.len() > LONGEST {
            true => self.give_all(give),
            false => Ok(()),
        }
    }

    /// Gives out what is kept, whole or not.
    pub(super) fn give_all(
        &mut self,
        give: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let kept = std::mem::take(&mut self.kept); // the memory goes as well
        match kept.is_empty() {
            true => Ok(()),
            false => give(&kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pieces_of(lines: &mut Lines, pieces: &[&str]) -> Vec<String> {
        let mut given = Vec::new();
        for piece in pieces {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let mut give = |bytes: &[u8]| {
                given.push(text(bytes));
                Ok(())
            };
            lines.take(piece.as_bytes(), &mut give).unwrap();
        }
        given
    }

    #[test]
    fn only_whole_lines_are_given_out() {
        let mut lines = Lines::default();
        let pieces = ["one\ntw", "o\nthree", "", "\n", "\n", "four\nfive\nsi", "x"];
        let given = pieces_of(&mut lines, &pieces);
        assert_eq!(
            given,
            ["one\n", "two\n", "three\n", "\n", "four\nfive\n"],
            "kept: {lines:?}"
        );
        assert!(lines.since().is_some());
        let mut last = Vec::new();
        let mut give = |bytes: &[u8]| last.write_all(bytes);
        lines.give_all(&mut give).unwrap();
        lines.give_all(&mut give).unwrap();
        assert_eq!(last, b"six");
        assert!(lines.is_empty() && lines.since().is_none());
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let mut lines = Lines::default();
        let piece = "x".repeat(LONGEST / 2);
        let given = pieces_of(&mut lines, &[&piece, &piece]);
        assert!(given.is_empty(), "as long as may be");
        let given = pieces_of(&mut lines, &["y", "z\n"]);
        assert_eq!(given.len(), 2);
        assert_eq!(given[0].len(), LONGEST + 1);
        assert_eq!(given[1], "z\n");
    }
}
