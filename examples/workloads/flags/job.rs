//! One job: download one flag, save it if it is to be saved, and say who did it.
//!
//! ```text
//!   Job ──> Download ──url()──> client.get ──answered()──┬─> again, another attempt
//!                 blocking, or awaited: the same steps   └─> Item
//! ```
//!
//! A job is plain data with all that it needs inside, so it runs wherever it is sent. The decisions
//! (which URL next, is that answer good, try again?) are `Download`'s and do no I/O; a blocking loop
//! here and an async one in `tasks.rs` around them are all that the modes differ in. Next: `tasks.rs`.

use super::options::{Options, Peer, Target};
use super::save::Folder;
use crate::digest::sha256;
use crate::door;
use crate::drive;
use crate::http::{self, Deadline, Response, Url};
use crate::mode::Mode;
use crate::printer::Lines;
use crate::report::model::{Item, Status, thousands};
use crate::server::retry_target;
use crate::stamp::{Moment, Place};
use crate::units::show_duration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one job is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The country's name: what the item is called.
    name: String,
    /// Scheme, host and port.
    base: String,
    /// Path and query.
    target: String,
    /// Is it our own server, which gives another attempt another chance?
    embedded: bool,
    timeout: Duration,
    attempts: u32,
    client: ClientKey,
    /// Where to save it, under which name.
    save: Option<(Folder, String)>,
    lines: Lines,
    verbose: bool,
}

/// What the client of a job depends on. Jobs with the same key share one, with its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClientKey {
    /// No mode starts with the connections of the one before it.
    mode: Mode,
    cacert: Option<PathBuf>,
}

impl drive::Job for Job {
    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Job {
    /// The job for `target`: where it is at `base`, how long to wait, where to save it.
    pub fn new(
        options: &Options,
        mode: Mode,
        base: &str,
        folder: Option<&Folder>,
        lines: Lines,
        target: &Target,
    ) -> Self {
        let path = target.fill(&options.path);
        let file = format!("{}.{}", target.name, extension(&path));
        Self {
            name: target.name.clone(),
            base: base.into(),
            target: path,
            embedded: matches!(options.peer, Peer::Embedded(_)),
            timeout: options.timeout,
            attempts: options.retries as u32 + 1,
            client: ClientKey {
                mode,
                cacert: options.cacert.clone(),
            },
            save: folder.map(|folder| (folder.clone(), file)),
            lines,
            verbose: options.verbose,
        }
    }
}

/// How a saved file's name ends: as the path does, if that looks like an extension.
fn extension(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.rsplit_once('.') {
        Some((_, end)) if end.chars().all(|c| c.is_ascii_alphanumeric()) && !end.is_empty() => end,
        _ => "jpg",
    }
}

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

/// Downloads on the calling thread, waiting as long as it takes.
pub fn run(job: Job) -> Item {
    let client = match shared_client(&job.client) {
        Ok(client) => client,
        Err(error) => return Download::of(job).failed(error.to_string()),
    };
    let mut download = Download::of(job);
    loop {
        let answer = download
            .url()
            .and_then(|url| client.get(&url, download.deadline()));
        if let Some(outcome) = download.answered(answer) {
            return download.end(outcome);
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

    fn failed(self, error: String) -> Item {
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

/// The blocking client of this process: made at its first job and kept for the jobs after it.
fn shared_client(key: &ClientKey) -> Result<Arc<http::blocking::Client>, http::Error> {
    type Shared = Option<(ClientKey, Arc<http::blocking::Client>)>;
    static CLIENT: Mutex<Shared> = Mutex::new(None);
    let mut shared = CLIENT
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((known, client)) = &*shared
        && known == key
    {
        return Ok(client.clone());
    }
    let client = Arc::new(http::blocking::Client::new(config(key.cacert.as_deref())?));
    *shared = Some((key.clone(), client.clone()));
    Ok(client)
}

/// The configuration of every client, blocking or async.
///
/// # Errors
/// When the certificates to trust cannot be read.
pub fn config(cacert: Option<&std::path::Path>) -> Result<http::Config, http::Error> {
    let tls = match cacert {
        Some(path) => http::Tls::with_root_file(path)?,
        None => http::Tls::system(),
    };
    Ok(http::Config {
        tls,
        ..http::Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Reason, Timing};
    use std::ffi::OsString;

    fn job(args: &str) -> Job {
        let args = ["flags"].into_iter().chain(args.split_whitespace());
        let options = Options::from_args(args.map(OsString::from)).unwrap();
        let (base, target) = ("http://127.0.0.1:1", &options.targets[0]);
        Job::new(&options, Mode::Async, base, None, Lines::Nowhere, target)
    }

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
    fn a_template_is_filled_and_gives_the_file_its_ending() {
        let at = |args| job(args).target;
        assert_eq!(at("ye"), "/download/yemen/flag-jpg-small.jpg");
        assert_eq!(
            at("ye --path f/{cc}/{cc}.png?n={name}"),
            "/f/ye/ye.png?n=yemen"
        );
        assert_eq!(extension("/f/ye/ye.png?v=1.2"), "png");
        assert_eq!(extension("/v1.2/yemen"), "jpg");
        assert_eq!(extension("/yemen."), "jpg");
        assert_eq!(extension("/yemen.."), "jpg");
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
