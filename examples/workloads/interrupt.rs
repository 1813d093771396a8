//! Ctrl-C and SIGTERM: the report of what was done so far, once, and out.
//!
//! ```text
//!   signal ──> watcher thread ──first──> reporter thread: stop workers, sweep, report, exit 128 + n
//!                    └───────later─────> exit 128 + n at once
//! ```
//!
//! Whatever the main thread is doing (a blocking download, waiting for a pool, turning an event
//! loop), it need not notice: the session holds all that a report needs, and the reporter thread
//! takes it over for good. So one rule serves every mode.
//!
//! Rejected  a flag that each mode looks at: a sequential download would have to wake up in the
//!           middle of a read. Working in the signal handler: almost nothing is allowed there.
//! Source    signal(7), signal-hook's iterator (a self-pipe). Next: `drive.rs`.

use crate::session::Session;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A second signal this soon is the same request: `timeout -s INT` signals the child and then the
/// whole group, and a terminal may reach us by two ways. Nobody presses Ctrl-C twice so quickly.
const SAME_REQUEST: Duration = Duration::from_millis(300);

/// Watches for signals on behalf of `session`, from a thread of its own.
///
/// # Errors
/// Those of installing the handlers and of starting the thread.
pub fn watch(session: Arc<Session>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("interrupt".into())
        .spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                match first {
                    None => {
                        first = Some(Instant::now());
                        report(session.clone(), signal);
                    }
                    Some(at) if at.elapsed() < SAME_REQUEST => {}
                    // Impatient: no clean-up, not even ours.
                    Some(_) => signal_hook::low_level::exit(128 + signal),
                }
            }
        })?;
    Ok(())
}

/// On another thread, so that the watcher is free to see the second signal.
fn report(session: Arc<Session>, signal: i32) {
    let reporter = thread::Builder::new().name("interrupt report".into());
    let started = reporter.spawn(move || {
        let name = match signal {
            SIGINT => "SIGINT",
            _ => "SIGTERM",
        };
        session.interrupt(name, 128 + signal)
    });
    if started.is_err() {
        // Not even a thread to be had: leave all the same.
        signal_hook::low_level::exit(128 + signal);
    }
}
