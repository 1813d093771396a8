//! A relay without a thread, as it is where the system gives none: who is served, and when.

use super::*;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A relay to a pipe, one worker's board and stdout, and where it comes out.
struct Table {
    relay: Relay,
    board: Arc<Board>,
    stdout: OwnedFd,
    /// Where it leads to (to be open is all that it does), and where that is read.
    _place: OwnedFd,
    out: Option<OwnedFd>,
}

const TICKET: Ticket = 7;

impl Table {
    fn new() -> Table {
        let (out, place) = sys::pipe().unwrap();
        Table::to(place, Some(out))
    }

    fn to(place: OwnedFd, out: Option<OwnedFd>) -> Table {
        let relay = Relay::new(place.as_raw_fd(), true).unwrap();
        let board = Arc::new(Board::create().unwrap().0);
        Table {
            stdout: relay.admit(TICKET, &board).unwrap(),
            relay,
            board,
            _place: place,
            out,
        }
    }

    fn print(&self, text: &str) {
        sys::write(self.stdout.as_raw_fd(), text.as_bytes()).unwrap();
    }

    fn is_clear(&self) -> bool {
        self.board.outlet().is_clear(|| sys::unread(&self.stdout))
    }

    /// One turn, and what came out.
    fn turn(&self) -> String {
        let sources = self.relay.sources();
        let mut fds = self.relay.interests(&sources);
        sys::poll(&mut fds, Some(Duration::ZERO)).unwrap();
        self.relay.turn(&sources, &fds, &|| {});
        let mut text = Vec::new();
        if let Some(out) = &self.out {
            let _ = sys::read_onto(&mut text, out, 1000);
        }
        String::from_utf8(text).unwrap()
    }
}

#[test]
fn half_a_line_comes_when_it_is_asked_for() {
    let table = Table::new();
    assert!(table.is_clear(), "nothing printed");
    table.print("a line\nhalf");
    assert!(!table.is_clear(), "it is in the pipe");
    assert_eq!(table.turn(), "a line\n");
    assert!(!table.is_clear(), "half of it is kept");
    assert!(table.board.outlet().ask());
    assert_eq!(table.turn(), "half");
    assert!(table.is_clear() && table.board.outlet().is_settled());
}

#[test]
fn the_last_words_of_the_dead_come_without_asking() {
    let table = Table::new();
    assert!(table.relay.is_through_with(TICKET));
    table.print("half");
    assert_eq!(table.turn(), "");
    assert!(!table.relay.is_through_with(TICKET));
    assert_eq!(table.turn(), "half", "though a child may hold the pipe");
    assert!(table.relay.is_through_with(TICKET));
}

#[test]
fn what_is_written_is_seen_by_portions() {
    let long = "x".repeat(libc::PIPE_BUF);
    let lines = "a line\n".repeat(libc::PIPE_BUF / 4);
    let text = format!("{lines}half{long}{long}\n{lines}");
    let mut rest = text.as_bytes();
    let mut portions = Vec::new();
    while !rest.is_empty() {
        let next = relay::portion(rest);
        portions.push(std::str::from_utf8(next).unwrap());
        rest = &rest[next.len()..];
    }
    assert_eq!(portions.concat(), text);
    let fit = |it: &&str| (1..=libc::PIPE_BUF).contains(&it.len());
    assert!(portions.iter().all(fit), "a pipe takes it whole");
    // Only the long line is cut, where it is too long.
    let cut = portions.iter().filter(|it| !it.ends_with('\n'));
    assert!(cut.clone().all(|it| it.len() == libc::PIPE_BUF));
    assert_eq!(cut.count(), 2);
}

#[test]
fn whoever_waits_for_a_stdout_that_breaks_is_told() {
    let mut table = Table::new();
    table.print("a line\n");
    assert!(table.board.outlet().ask());
    drop(table.out.take());
    table.turn();
    assert!(table.board.outlet().is_settled() && table.is_clear());
    assert!(!table.board.outlet().ask(), "nobody would answer");
    let error = sys::write(table.stdout.as_raw_fd(), b"again").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
}

#[test]
fn one_that_prints_for_ever_is_not_waited_for() {
    let null = File::options().write(true).open("/dev/null").unwrap();
    let table = Table::to(null.into(), None);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                table.print("line\n");
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_micros(2) {}
            }
        });
        for _ in 0..100 {
            assert!(table.board.outlet().ask());
            while !table.board.outlet().is_settled() {
                table.turn();
            }
        }
        stop.store(true, Ordering::Relaxed);
        table.turn();
    });
}
