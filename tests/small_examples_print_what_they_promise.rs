//! The small examples run offline, and print what their heads say.

mod support;

use rustix::process::Signal;
use support::{run, start};

#[test]
fn join_set() {
    let ended = run("join_set", "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let (numbers, rest) = lines.split_first().unwrap();
    // Their order is a matter of 20 ms, which a busy machine may not keep.
    let mut numbers: Vec<_> = numbers.split(' ').collect();
    numbers.sort_unstable();
    assert_eq!(numbers.join(" "), "1 2 3 4 5 came home");
    assert_eq!(
        rest,
        [
            "sum: 321",
            "100 members",
            "a member of the group failed: number 42 would not",
            "0 of them left"
        ]
    );
}

#[test]
fn echo_with_its_own_clients() {
    let ended = run("echo", "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (first, workers) = ended.stdout.split_once('\n').unwrap();
    assert_eq!(first, "100 clients had 10000 answers");
    assert_eq!(workers.lines().count(), tatkal::available_cpus());
}

#[test]
fn echo_says_how_it_is_used() {
    let ended = run("echo", "--help");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("Usage: echo"), "{ended:?}");
    let ended = run("echo", "--port 7000");
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("Usage: echo"), "{ended:?}");
}

#[test]
fn echo_at_an_address_until_ctrl_c() {
    use std::io::{Read, Write};
    let mut program = start("echo", "127.0.0.1:0");
    let line = program.wait_for("echoing at");
    let address = line.split([' ', ',']).nth(2).unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    program.signal_group(Signal::INT);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("worker 0: "), "{ended:?}");
}
