//! One job: everything that downloading one flag needs to know, as plain data.
//!
//! ```text
//!   Job ──> Download ──url()──> client.get ──answered()──┬─> again, another attempt
//!                 blocking, or awaited: the same steps   └─> Item
//! ```
//!
//! Since all is inside, a job runs wherever it is sent. The decisions on the way (which URL next, is
//! that answer good, try again?) are in `download.rs` and do no I/O; a blocking loop and an async
//! loop around them are all that the modes differ in. Next: `download.rs`.

use super::options::{Options, Peer};
use super::save::Folder;
use super::targets::Target;
use crate::drive;
use crate::mode::Mode;
use crate::printer::Lines;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What one job is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The country's name: what the item is called.
    pub(super) name: String,
    /// Scheme, host and port.
    pub(super) base: String,
    /// Path and query.
    pub(super) target: String,
    /// Is it our own server, which gives another attempt another chance?
    pub(super) embedded: bool,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) client: ClientKey,
    /// Where to save it, under which name.
    pub(super) save: Option<(Folder, String)>,
    pub(super) lines: Lines,
    pub(super) verbose: bool,
}

/// What the client of a job depends on. Jobs with the same key share one, with its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClientKey {
    /// No mode starts with the connections of the one before it.
    pub(super) mode: Mode,
    pub(super) cacert: Option<PathBuf>,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::ffi::OsString;

    /// The job of the first flag that the command line asks for.
    pub(crate) fn job(args: &str) -> Job {
        let args = ["flags"].into_iter().chain(args.split_whitespace());
        let options = Options::from_args(args.map(OsString::from)).unwrap();
        let (base, target) = ("http://127.0.0.1:1", &options.targets[0]);
        Job::new(&options, Mode::Async, base, None, Lines::Nowhere, target)
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
}
