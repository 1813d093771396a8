//! The modes that wait in a thread or a process: one download from its start to its end.
//! Next: `tasks.rs`.

use super::download::Download;
use super::job::{ClientKey, Job};
use crate::http;
use crate::report::model::Item;
use std::path::Path;
use std::sync::{Arc, Mutex};

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
pub fn config(cacert: Option<&Path>) -> Result<http::Config, http::Error> {
    let tls = match cacert {
        Some(path) => http::Tls::with_root_file(path)?,
        None => http::Tls::system(),
    };
    Ok(http::Config {
        tls,
        ..http::Config::default()
    })
}
