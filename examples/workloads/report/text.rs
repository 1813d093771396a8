//! The report as it is printed: table, totals, what went wrong, findings. Next: `accounts.rs`.

use super::findings::{Finding, findings};
use super::model::{ModeRun, Run, Status, Workload, thousands};
use super::style::{Role, Style};
use super::table::{WIDTH, table};
use crate::mode::Mode;

/// How many failures are listed one by one; the rest is a number (JSON has them all).
const FAILURES_SHOWN: usize = 5;

/// The whole report of a run, complete or interrupted, as lines with their ends.
pub fn report(run: &Run, style: Style) -> String {
    let mut text = String::from("\n");
    if let Some(cause) = run.interrupted {
        let done = format!("Interrupted by {cause}: this is what was done until then.");
        text += &style.paint(Role::Bad, &done);
        text += "\n\n";
    }
    if run.modes.is_empty() {
        text += "Nothing was done.\n";
        return text;
    }
    text += &table(run, style);
    text.push('\n');
    text += &totals(run);
    text += &failures(run, style);
    let found = findings(run);
    if !found.is_empty() {
        text += &format!("\n{}\n", style.paint(Role::Title, "Findings"));
        for finding in &found {
            text += &show(finding, style);
        }
    }
    text
}

/// How many items ended how: in one line where every mode says the same.
fn totals(run: &Run) -> String {
    let first = total(run, &run.modes[0]);
    if run.modes.iter().all(|m| total(run, m) == first) {
        let who = match run.modes.len() {
            1 => String::new(),
            _ => "Each mode: ".into(),
        };
        return format!("{who}{first}.\n");
    }
    const NAME: usize = Mode::NAME_WIDTH;
    let line = |m: &ModeRun| format!("{:<NAME$} {}.\n", m.mode.name(), total(run, m));
    run.modes.iter().map(line).collect()
}

/// `5 flags: 5 ok, 0 not found, 0 errors; 13,404 bytes`.
pub fn total(run: &Run, mode: &ModeRun) -> String {
    let items = run.workload.items(mode.expected);
    let expected = match mode.items.len() {
        done if done == mode.expected => items,
        done => format!("{} of {items}", thousands(done as u64)),
    };
    let errors = mode.count(Status::Error);
    let missing = match run.workload {
        Workload::Flags => format!(" {} not found,", mode.count(Status::NotFound)),
        Workload::Hash => String::new(),
    };
    format!(
        "{expected}: {} ok,{missing} {errors} {}; {} bytes",
        mode.count(Status::Ok),
        if errors == 1 { "error" } else { "errors" },
        thousands(mode.bytes()),
    )
}

/// Every item in error, once for all the modes in which it failed alike.
fn failures(run: &Run, style: Style) -> String {
    let mut known: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for mode in &run.modes {
        for item in mode.items.iter().filter(|i| i.status == Status::Error) {
            let (name, error) = (&*item.name, item.error.as_deref().unwrap_or("unknown"));
            match known.iter_mut().find(|k| (k.0, k.1) == (name, error)) {
                Some((_, _, modes)) => modes.push(mode.mode.name()),
                None => known.push((name, error, vec![mode.mode.name()])),
            }
        }
    }
    const REASON: &str = "      ";
    let mut text = String::new();
    for (name, error, modes) in known.iter().take(FAILURES_SHOWN) {
        let modes = match (modes.len() == run.modes.len(), run.modes.len()) {
            (_, 1) => String::new(),
            (true, _) => " (every mode)".into(),
            (false, _) => format!(" ({})", modes.join(", ")),
        };
        text += &format!("  {}{modes}\n", style.paint(Role::Bad, name));
        for line in wrap(error, WIDTH - REASON.len()) {
            text += &format!("{REASON}{line}\n");
        }
    }
    if known.len() > FAILURES_SHOWN {
        let rest = known.len() - FAILURES_SHOWN;
        text += &format!("  ... and {rest} more; --json FILE lists them all\n");
    }
    text
}

/// The verdict in a column of its own, the claim beside it, the numbers below.
fn show(finding: &Finding, style: Style) -> String {
    const VERDICT: usize = 15;
    let (verdict, role) = match finding.holds {
        Some(true) => ("confirmed", Role::Good),
        Some(false) => ("not confirmed", Role::Bad),
        None => ("not judged", Role::Quiet),
    };
    let pad = " ".repeat(VERDICT - verdict.len());
    let margin = " ".repeat(2 + VERDICT);
    let mut text = format!("  {}{pad}{}\n", style.paint(role, verdict), finding.claim);
    for line in wrap(&finding.evidence, WIDTH - margin.len()) {
        text += &format!("{margin}{}\n", style.paint(Role::Quiet, &line));
    }
    text
}

/// Breaks at spaces, so that no line is wider than `width` unless a single word is.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{item, run};
    use super::*;

    #[test]
    fn equal_totals_are_said_once_and_different_ones_by_mode() {
        let mut run = run(
            Workload::Flags,
            &[(Mode::Sequential, 1.0), (Mode::Threads, 0.5)],
        );
        let text = report(&run, Style::PLAIN);
        let line = "Each mode: 1 flag: 1 ok, 0 not found, 0 errors; 1,000 bytes.";
        assert!(text.contains(line), "{text}");
        run.modes[1].items[0] = item("yemen", None);
        let text = report(&run, Style::PLAIN);
        assert!(text.contains("threads       1 flag: 0 ok, 0 not found, 1 error;"));
        assert!(
            text.contains("  yemen (threads)\n      refused\n"),
            "{text}"
        );
    }

    #[test]
    fn the_same_failure_in_every_mode_is_one_line() {
        let mut run = run(
            Workload::Flags,
            &[(Mode::Sequential, 1.0), (Mode::Threads, 0.5)],
        );
        for mode in &mut run.modes {
            mode.items = (0..20).map(|n| item(&format!("n{n}"), None)).collect();
        }
        let text = report(&run, Style::PLAIN);
        assert_eq!(
            text.matches(" (every mode)\n      refused\n").count(),
            FAILURES_SHOWN
        );
        assert!(text.contains("... and 15 more"), "{text}");
    }

    #[test]
    fn an_interrupted_run_says_so_and_how_far_it_came() {
        let mut run = run(Workload::Hash, &[(Mode::Threads, 1.0)]);
        run.interrupted = Some("SIGINT");
        run.modes[0].complete = false;
        run.modes[0].expected = 20;
        let text = report(&run, Style::PLAIN);
        assert!(text.contains("Interrupted by SIGINT"), "{text}");
        assert!(text.contains("1 of 20 jobs: 1 ok"), "{text}");
    }

    #[test]
    fn the_report_keeps_to_the_width() {
        let text = report(
            &run(
                Workload::Flags,
                &[
                    (Mode::Sequential, 999.0),
                    (Mode::Threads, 999.0),
                    (Mode::Processes, 999.0),
                    (Mode::Async, 999.0),
                    (Mode::AsyncThreads, 999.0),
                ],
            ),
            Style::PLAIN,
        );
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
