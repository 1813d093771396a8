//! One deadline for resolving, connecting, sending and reading; and what a fetch does when one of
//! several addresses does not answer.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use workloads::http::error::Phase;
use workloads::http::request::Method;
use workloads::http::{Config, Deadline, Error, Reason, Response, Url, client};

use crate::support::drivers::{DRIVERS, Driver};
use crate::support::machine::Machine;
use crate::support::pipe::{Memory, pipe};
use crate::support::server::{Script, serve};
use crate::support::tls::Authority;

fn phase(error: &Error) -> Phase {
    assert!(error.is_timeout(), "{error}");
    match error.reason {
        Reason::TimedOut { phase, .. } => phase,
        _ => unreachable!("it is a timeout"),
    }
}

#[test]
fn nothing_is_begun_after_it() {
    let deadline = Deadline::after(Duration::ZERO);
    let url = "http://127.0.0.1/";
    let mut machine = Machine::new(Config::default(), Method::Get, url, deadline);
    let error = machine.error();
    assert_eq!(phase(&error), Phase::Connect);
    let text = error.to_string();
    let after = text.strip_prefix("http://127.0.0.1/: timed out after ");
    let elapsed = after.and_then(|after| after.strip_suffix(" while connecting"));
    assert!(elapsed.is_some(), "{text}");
}

#[test]
fn an_answer_that_is_whole_counts_whatever_the_clock_says() {
    let url = "http://127.0.0.1/";
    // Passes between the last byte and the next question.
    let deadline = Deadline::after(Duration::from_secs(1));
    let mut machine = Machine::new(Config::default(), Method::Get, url, deadline);
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    while let Some(left @ 1..) = deadline.remaining().map(|left| left.as_nanos()) {
        std::thread::sleep(Duration::from_nanos(left as u64));
    }
    assert!(deadline.has_passed());
    machine.keep();
    assert_eq!(machine.done().status, 200);
}

#[test]
fn every_address_is_tried_with_its_share_of_the_time() {
    let addresses = ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"];
    let all: Vec<_> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    let deadline = Deadline::after(Duration::from_secs(3600));
    let url = "http://host/";
    let mut machine = Machine::new(Config::default(), Method::Get, url, deadline);
    machine.take("host", None);
    machine.resolve(Ok(all.clone()));
    let first = machine.connect(addresses[0], Err(io::ErrorKind::TimedOut.into()));
    assert!(first.remaining().unwrap() <= Duration::from_secs(1200));
    let second = machine.connect(addresses[1], Err(io::ErrorKind::ConnectionRefused.into()));
    assert!(second.remaining().unwrap() <= Duration::from_secs(1800));
    machine.connect(addresses[2], Ok(3));
    assert!(
        machine
            .send(3, 10)
            .starts_with(b"GET / HTTP/1.1\r\nHost: host\r\n")
    );

    let mut machine = Machine::new(Config::default(), Method::Get, url, deadline);
    machine.take("host", None);
    machine.resolve(Ok(all));
    for address in addresses {
        machine.connect(address, Err(io::ErrorKind::ConnectionRefused.into()));
    }
    let error = machine.error().to_string();
    assert!(
        error.contains("any of 3 addresses, last 127.0.0.3:80: connection refused"),
        "{error}"
    );
}

#[test]
fn a_name_that_does_not_resolve_is_an_error() {
    let get = || {
        let mut machine = Machine::get(Config::default(), "http://host/");
        machine.take("host", None);
        machine
    };
    let mut machine = get();
    machine.resolve(Err(io::Error::other("no such host")));
    assert_eq!(
        machine.error().to_string(),
        "http://host/: cannot resolve the host name: no such host"
    );
    let mut machine = get();
    machine.resolve(Ok(Vec::new()));
    assert!(matches!(machine.error().reason, Reason::NoAddress));
    let mut machine = get();
    machine.resolve(Err(io::ErrorKind::TimedOut.into()));
    assert_eq!(phase(&machine.error()), Phase::Resolve);
}

#[test]
fn a_refused_connection_says_whose() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = Url::parse(&format!("http://{address}/x")).unwrap();
    for driver in DRIVERS {
        let error = driver
            .client(Config::default())
            .get(&url, Deadline::NEVER)
            .unwrap_err();
        let start = format!("http://{address}/x: cannot connect to {address}: ");
        assert!(error.to_string().starts_with(&start), "{driver:?}: {error}");
    }
}

/// Fetches with ever later deadlines until one passes in `expected`: on a busy machine an early
/// one may pass before the fetch has come so far. Each must pass, at any rate.
fn times_out(driver: Driver, scheme: &str, script: impl Fn() -> Vec<Script>, expected: Phase) {
    for doubling in 6..16 {
        let server = serve(vec![script()]);
        let mut config = Authority::new("ours").trusted();
        config.limits.body = u64::MAX;
        let client = driver.client(config);
        let url = Url::parse(&format!("{scheme}://{}/", server.address)).unwrap();
        let deadline = Deadline::after(Duration::from_millis(1 << doubling));
        let error = client.get(&url, deadline).unwrap_err();
        assert_eq!(client.idle_connections(), 0);
        if phase(&error) == expected {
            return server.finish().clear();
        }
    }
    panic!("{driver:?}: no deadline passed in {expected:?}");
}

#[test]
fn neither_waits_for_a_silent_server_nor_for_a_talkative_one() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = || b"1\r\nx\r\n".to_vec();
    for driver in DRIVERS {
        let silent = |said: &'static str| {
            move || vec![Script::Request, Script::say(said), Script::AwaitClose]
        };
        times_out(driver, "http", silent(""), Phase::Head);
        times_out(driver, "http", silent("HTTP/1.1"), Phase::Head);
        times_out(driver, "http", silent(chunked), Phase::Body);
        let talkative = || {
            vec![
                Script::Request,
                Script::say(chunked),
                Script::Endlessly(chunk()),
            ]
        };
        times_out(driver, "http", talkative, Phase::Body);
        times_out(
            driver,
            "https",
            || vec![Script::AwaitClose],
            Phase::Handshake,
        );
    }
}

#[test]
fn a_name_is_resolved() {
    for driver in DRIVERS {
        let script = || vec![Script::Request, Script::say("HTTP/1.1 204 x\r\n\r\n")];
        let server = serve(vec![script(), script()]);
        let url = Url::parse(&format!("http://localhost:{}/", server.address.port())).unwrap();
        for deadline in [Deadline::NEVER, Deadline::after(Duration::from_secs(30))] {
            let config = Config {
                keep_alive: false,
                ..Config::default()
            };
            assert_eq!(
                driver.client(config).get(&url, deadline).unwrap().status,
                204
            );
        }
        assert!(server.finish()[0].contains("\r\nHost: localhost:"));
    }
}

/// Polls once, with a waker that wakes nobody.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A task's fetch of http://host/ that waits for ever in `network`, until the clock rings.
fn rung(network: Memory) -> Result<Response, Error> {
    let clock = network.clock.clone();
    let client = client::Client::new(Config::default(), network);
    let url = Url::parse("http://host/").unwrap();
    let mut fetch = pin!(client.get(&url, Deadline::after(Duration::from_secs(3600))));
    assert!(poll(fetch.as_mut()).is_pending());
    assert!(poll(fetch.as_mut()).is_pending());
    clock.ring();
    match poll(fetch) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the deadline did not wake the task"),
    }
}

#[test]
fn a_task_gives_up_wherever_it_waits() {
    let known = Some(vec!["127.0.0.1:80".parse().unwrap()]);
    let error = rung(Memory::default()).unwrap_err();
    assert_eq!(phase(&error), Phase::Resolve);

    let error = rung(Memory {
        addresses: known.clone(),
        ..Memory::default()
    })
    .unwrap_err();
    assert_eq!(phase(&error), Phase::Connect);

    let network = Memory {
        addresses: known,
        ..Memory::default()
    };
    let (ours, theirs) = pipe(usize::MAX);
    network.streams.borrow_mut().push_back(Ok(ours));
    let error = rung(network).unwrap_err();
    assert_eq!(phase(&error), Phase::Head);
    drop(theirs);
}

#[test]
fn a_dropped_fetch_closes_its_connection_and_the_client_goes_on() {
    let network = Memory {
        addresses: Some(vec!["127.0.0.1:80".parse().unwrap()]),
        ..Memory::default()
    };
    let (ours, theirs) = pipe(usize::MAX);
    let (second, answering) = pipe(usize::MAX);
    network.streams.borrow_mut().extend([Ok(ours), Ok(second)]);
    let client = client::Client::new(Config::default(), network);
    let url = Url::parse("http://host/").unwrap();
    let mut fetch = Box::pin(client.get(&url, Deadline::NEVER));
    assert!(poll(fetch.as_mut()).is_pending());
    drop(fetch);
    assert!(theirs.is_closed());
    assert_eq!(client.idle_connections(), 0);

    let mut fetch = pin!(client.get(&url, Deadline::NEVER));
    assert!(poll(fetch.as_mut()).is_pending());
    answering.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert!(matches!(poll(fetch.as_mut()), Poll::Ready(Ok(response)) if response.body == b"hi"));
    assert_eq!(client.idle_connections(), 1);
}
