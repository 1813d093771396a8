//! A download under way: what to ask for next, what to make of the answer, and its end.
//!
//! No I/O up to the end, so whoever drives it may block or await. The end saves the file and prints
//! the line: both visible deeds, done behind the door (`door.rs`). Next: `blocking.rs`.

use super::job::Job;
use crate::digest::sha256;
use crate::door;
use crate::http::{self, Deadline, Response, Url};
use crate::report::model::{Item, Status, thousands};
use crate::server::retry_target;
use crate::stamp::{Moment, Place};
use crate::units::show_duration;

/// The line that an ended item prints. What was not found was no download: it has none.
pub fn line(item: &Item) -> Option<String> {
    let (name, place) = (&item.name, item.place);
    match item.status {
        Status::Ok => Some(format!("downloaded {name} flag in {place}")),
        Status::NotFound => None,
        Status::Error => {
            let error = item.error.as_deref().unwrap_or("unknown");
            Some(format!("failed {name} flag in {place}: {error}"))
        }
    }
}

/// A download under way: which attempt, since when, where.
pub(super) struct Download {
    job: Job,
    attempt: u32,
    start: Moment,
    place: Place,
}

/// How the last attempt went.
pub(super) enum Outcome {
    Got(Vec<u8>),
    NotFound(String),
    Failed(String),
}

impl Download {
    pub(super) fn of(job: Job) -> Self {
        Self {
            job,
            attempt: 1,
            start: Moment::now(),
            place: Place::here(),
        }
    }

    /// What this attempt asks for.
    pub(super) fn url(&self) -> Result<Url, http::Error> {
        let Job { base, target, .. } = &self.job;
        match self.job.embedded {
            true => Url::parse(&format!("{base}{}", retry_target(target, self.attempt))),
            false => Url::parse(&format!("{base}{target}")),
        }
    }

    /// Will the end of it wait for a disk?
    pub(super) fn saves(&self) -> bool {
        self.job.save.is_some()
    }

    /// Each attempt has the whole timeout.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.job.timeout)
    }

    /// What to make of an answer: `None` is one attempt more.
    pub(super) fn answered(&mut self, answer: Result<Response, http::Error>) -> Option<Outcome> {
        let outcome = match answer {
            Ok(response) if response.status == 404 => {
                Outcome::NotFound(format!("{}: 404 Not Found", response.url.as_str()))
            }
            other => match other.and_then(Response::ok) {
                Ok(response) => Outcome::Got(response.body),
                Err(error) => Outcome::Failed(error.to_string()),
            },
        };
        if matches!(outcome, Outcome::Failed(_)) && self.attempt < self.job.attempts {
            self.attempt += 1;
            return None;
        }
        Some(outcome)
    }

    pub(super) fn failed(self, error: String) -> Item {
        self.end(Outcome::Failed(error))
    }

    /// Saves what came (may wait for the disk), prints the line, and makes the item.
    pub(super) fn end(self, outcome: Outcome) -> Item {
        let mut item = Item {
            name: self.job.name.clone(),
            status: Status::Ok,
            bytes: 0,
            sha256: None,
            place: self.place,
            start: self.start,
            end: self.start,
            error: None,
            split: None,
        };
        door::pass(|| {
            self.settle(&mut item, outcome);
            item.end = Moment::now();
            if let Some(line) = self.line(&item) {
                self.job.lines.print(&line);
            }
        });
        item
    }

    fn settle(&self, item: &mut Item, outcome: Outcome) {
        let (status, error) = match outcome {
            Outcome::Got(bytes) => match self.save(&bytes) {
                Ok(()) => {
                    item.bytes = bytes.len() as u64;
                    item.sha256 = Some(sha256(&bytes));
                    return;
                }
                Err(error) => (Status::Error, error),
            },
            Outcome::NotFound(error) => (Status::NotFound, error),
            Outcome::Failed(error) => (Status::Error, error),
        };
        item.status = status;
        item.error = Some(error);
    }

    fn save(&self, bytes: &[u8]) -> Result<(), String> {
        match &self.job.save {
            Some((folder, name)) => folder.save(name, bytes),
            None => Ok(()),
        }
    }

    /// The item's line; with `--verbose` what was asked for and what came, for every item.
    fn line(&self, item: &Item) -> Option<String> {
        if !self.job.verbose {
            return line(item);
        }
        let head = match item.status {
            Status::NotFound => format!("no {} flag in {}", item.name, item.place),
            _ => line(item)?,
        };
        let Job { base, target, .. } = &self.job;
        let size = thousands(item.bytes);
        let time = show_duration(item.end.since(self.start));
        let attempts = match self.attempt {
            1 => String::new(),
            many => format!(", attempt {many}"),
        };
        Some(format!(
            "{head}: {size} bytes in {time} from {base}{target}{attempts}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::tests::job;
    use super::*;
    use crate::http::{Reason, Timing};
    use std::time::Duration;

    fn answer(status: u16, body: &[u8]) -> Result<Response, http::Error> {
        Ok(Response {
            url: Url::parse("http://127.0.0.1:1/flag").unwrap(),
            status,
            reason: String::new(),
            headers: Default::default(),
            trailers: Default::default(),
            body: body.into(),
            redirects: 0,
            reused: false,
            timing: Timing {
                started: std::time::Instant::now(),
                connected: Duration::ZERO,
                first_byte: Duration::ZERO,
                finished: Duration::ZERO,
            },
        })
    }

    fn refused() -> Result<Response, http::Error> {
        Err(http::Error {
            url: "http://127.0.0.1:1/flag".into(),
            reason: Reason::NoAnswer,
        })
    }

    #[test]
    fn statuses_become_items() {
        let end = |answer| {
            let mut download = Download::of(job("ye"));
            let outcome = download.answered(answer).unwrap();
            download.end(outcome)
        };
        let item = end(answer(200, b"flag"));
        assert_eq!((item.status, item.bytes), (Status::Ok, 4));
        assert_eq!(item.sha256.unwrap(), sha256(b"flag"));
        assert_eq!(end(answer(404, b"none")).status, Status::NotFound);
        for failure in [
            answer(418, b""),
            answer(500, b""),
            answer(304, b""),
            refused(),
        ] {
            let item = end(failure);
            assert_eq!((item.status, item.bytes), (Status::Error, 0));
            let error = item.error.unwrap();
            assert!(error.contains("http://127.0.0.1:1/flag"), "{error}");
        }
    }

    #[test]
    fn failures_are_tried_again_and_answers_are_not() {
        let mut download = Download::of(job("ye --retries 2"));
        assert!(!download.url().unwrap().as_str().contains("attempt"));
        assert!(download.answered(refused()).is_none());
        assert!(download.url().unwrap().as_str().ends_with("?attempt=2"));
        assert!(download.answered(answer(418, b"")).is_none());
        assert!(download.answered(answer(418, b"")).is_some());
        let mut download = Download::of(job("ye --retries 2"));
        assert!(download.answered(answer(404, b"")).is_some());
    }

    #[test]
    fn another_server_is_asked_the_same_thing_again() {
        let mut download = Download::of(job("ye --retries 2 -s http://127.0.0.1:1"));
        assert!(download.answered(refused()).is_none());
        assert!(!download.url().unwrap().as_str().contains("attempt"));
    }

    #[test]
    fn verbose_lines_add_to_the_plain_ones() {
        let line = |args: &str, answer| {
            let mut download = Download::of(job(args));
            let outcome = download.answered(answer).unwrap();
            let mut item = Item::lost("yemen".into(), String::new());
            download.settle(&mut item, outcome);
            if item.sha256.is_some() {
                item.status = Status::Ok;
            }
            download.line(&item)
        };
        let here = Place::here();
        let plain = format!("downloaded yemen flag in {here}");
        assert_eq!(line("ye", answer(200, b"flag")).unwrap(), plain);
        let more = line("ye -v", answer(200, b"flag")).unwrap();
        assert!(more.starts_with(&plain), "{more}");
        assert!(
            more.contains("from http://127.0.0.1:1/download/yemen"),
            "{more}"
        );
        assert_eq!(line("ye", answer(404, b"")), None);
        assert!(
            line("ye -v", answer(404, b""))
                .unwrap()
                .starts_with("no yemen flag")
        );
        assert!(
            line("ye", refused())
                .unwrap()
                .starts_with("failed yemen flag")
        );
    }
}
