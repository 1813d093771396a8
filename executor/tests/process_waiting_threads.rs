//! Threads that wait for jobs take the answers in themselves: nobody else is forgotten over it.

mod support;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use support::{nap, pool, until};
use tatkal_executor::Shutdown;

tests![
    a_worker_that_is_made_while_a_thread_waits_is_heard,
    shutdown_waits_until_every_handle_is_told,
];

/// The state of a thread of this program, as proc(5) has it.
fn is_asleep(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let state = stat.rsplit(')').next().unwrap();
    state.trim_start().starts_with('S')
}

fn own_thread() -> i32 {
    // SAFETY: gettid only returns a number.
    unsafe { libc::gettid() }
}

fn a_worker_that_is_made_while_a_thread_waits_is_heard() {
    let pool = pool(2);
    let long = pool.submit(nap, 600);
    let aborter = long.abort_handle();
    until("its worker", || pool.worker_pids().len() == 1);
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || {
        tell.send(own_thread()).unwrap();
        long.join()
    });
    let thread = told.recv().unwrap();
    until("the wait", || is_asleep(thread));
    // On a worker that the waiting thread has not seen: the second answer is heard as the first.
    for number in 0..10_u32 {
        let result = pool.submit(|number: u32| number + 1, number).join();
        assert_eq!(result.unwrap(), number + 1);
    }
    aborter.abort();
    waiter.join().unwrap().unwrap_err();
}

/// A result whose decoder says that it has begun, and waits to be let go on.
#[derive(Debug)]
struct Slow;

static DECODING: AtomicBool = AtomicBool::new(false);
static GO_ON: AtomicBool = AtomicBool::new(false);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODING.store(true, Ordering::SeqCst);
        until("leave to go on", || GO_ON.load(Ordering::SeqCst));
        match u8::deserialize(deserializer)? {
            1 => Ok(Slow),
            other => Err(D::Error::custom(other)),
        }
    }
}

fn shutdown_waits_until_every_handle_is_told() {
    let pool = pool(2);
    // The thread that waits for this one decodes the other one's result.
    let waited_for = pool.submit(nap, 600);
    let aborter = waited_for.abort_handle();
    pool.submit(|(): ()| (), ()).join().unwrap();
    until("two workers", || pool.worker_pids().len() == 2);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            tell.send(own_thread()).unwrap();
            waited_for.join().unwrap_err()
        });
        let thread = told.recv().unwrap();
        until("the wait", || is_asleep(thread));
        let slow = pool.submit(|(): ()| Slow, ());
        until("the decoder", || DECODING.load(Ordering::SeqCst));
        aborter.abort();
        let end = scope.spawn(|| pool.shutdown(Shutdown::finish()));
        until("no worker", || pool.worker_pids().is_empty());
        // Time for a shutdown that does not wait to return.
        scope.spawn(|| {
            thread::sleep(std::time::Duration::from_millis(300));
            GO_ON.store(true, Ordering::SeqCst);
        });
        end.join().unwrap();
        assert!(slow.is_finished());
    });
}
