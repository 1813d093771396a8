//! A listener that cannot accept for want of descriptors says so, and then pauses.
//! Alone in its file: it changes the limits of the process.

mod common;

use common::BACKENDS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use tatkal::net::TcpListener;
use tatkal::{Runtime, TestClock, spawn_local, yield_now};

#[test]
fn after_emfile_the_next_accept_waits_and_then_succeeds() {
    for backend in BACKENDS {
        let clock = TestClock::new();
        let builder = Runtime::builder().backend(backend).clock(clock.clone());
        builder
            .build()
            .unwrap()
            .block_on(accept_without_descriptors(clock));
    }
}

async fn accept_without_descriptors(clock: TestClock) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _clients = [0; 2].map(|_| std::net::TcpStream::connect(address).unwrap());

    let limits = getrlimit(Resource::Nofile);
    let nothing = Rlimit {
        current: Some(0),
        ..limits
    };
    setrlimit(Resource::Nofile, nothing).unwrap();
    let refused = listener.accept().await;
    setrlimit(Resource::Nofile, limits).unwrap();
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(24), "EMFILE");

    // There are descriptors again, but the listener takes its breath first.
    let accept = spawn_local(async move {
        listener.accept().await.unwrap();
        listener.accept().await.unwrap(); // and no pause before this one
    });
    for _ in 0..200 {
        yield_now().await;
    }
    assert!(!accept.is_finished());
    clock.advance(Duration::from_millis(50));
    accept.await.unwrap();
}
