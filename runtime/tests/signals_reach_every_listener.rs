//! A signal reaches everybody who listens, and nobody who has stopped. Alone in its file: signals
//! are the process's.

mod common;

use common::{BACKENDS, descriptors, poll_once};
use futures_lite::StreamExt;
use rustix::process::{Signal as Raw, getpid, kill_process};
use std::io::ErrorKind;
use tatkal::signal::{SignalKind, signal};
use tatkal::{Runtime, ctrl_c, spawn_local, yield_now};

fn send(signal: Raw) {
    kill_process(getpid(), signal).unwrap();
}

async fn listeners_hear() {
    let mut first = signal(SignalKind::USER_1).unwrap();
    let mut second = signal(SignalKind::USER_1).unwrap();
    let mut other = signal(SignalKind::USER_2).unwrap();
    for _ in 0..3 {
        send(Raw::USR1);
        first.recv().await.unwrap();
        second.next().await.unwrap().unwrap();
    }
    assert!(poll_once(&mut Box::pin(other.recv())).is_pending());

    // One that came while nobody waited is told, once.
    send(Raw::USR1);
    send(Raw::USR1);
    yield_now().await;
    first.recv().await.unwrap();
    assert!(poll_once(&mut Box::pin(first.recv())).is_pending());

    // One that listens no more costs nobody anything.
    drop(second);
    send(Raw::USR1);
    first.recv().await.unwrap();
}

async fn ctrl_c_is_heard() {
    let listener = spawn_local(ctrl_c());
    yield_now().await; // now it listens
    send(Raw::INT);
    listener.await.unwrap().unwrap();
}

#[test]
fn signals_reach_every_listener_and_leave_nothing() {
    let before = descriptors();
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        runtime.block_on(async {
            listeners_hear().await;
            ctrl_c_is_heard().await;
            let error = signal(SignalKind::from_raw(9)).unwrap_err(); // SIGKILL
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(signal(SignalKind::from_raw(12345)).is_err());
        });
        drop(runtime);
        assert_eq!(descriptors(), before, "{backend:?}");
    }
}
