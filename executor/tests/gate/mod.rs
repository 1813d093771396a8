//! What the tests of this crate share.
#![allow(dead_code)] // each test file uses its own part

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs a test that could hang if the promise is broken, and fails after a minute instead.
pub fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, watch) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match watch.recv_timeout(Duration::from_secs(60)) {
        // Disconnected: it panicked, and `join` passes the panic on.
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still not done after a minute"),
    }
}

/// Waits for a condition that other threads bring about, without a sleep of a guessed length.
pub fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// A door that jobs wait behind until it is opened; opening is dropping.
pub struct Gate {
    opener: Option<mpsc::Sender<()>>,
    door: std::sync::Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
}

/// Waits at a [`Gate`].
#[derive(Clone)]
pub struct Pass(std::sync::Arc<std::sync::Mutex<mpsc::Receiver<()>>>);

impl Gate {
    pub fn new() -> Self {
        let (opener, door) = mpsc::channel();
        Self {
            opener: Some(opener),
            door: std::sync::Arc::new(std::sync::Mutex::new(door)),
        }
    }

    pub fn pass(&self) -> Pass {
        Pass(self.door.clone())
    }

    pub fn open(&mut self) {
        self.opener = None;
    }
}

impl Pass {
    /// Returns once the gate is open, in every thread that waits.
    pub fn wait(&self) {
        let _ = self.0.lock().unwrap().recv();
    }
}
