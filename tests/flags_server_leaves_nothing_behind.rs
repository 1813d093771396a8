//! Started and dropped, the flags server leaves no thread and no descriptor; nor does one that could not
//! start. One test alone in its process, since it counts what the whole process has.

use std::io::{Read, Write};
use std::net::TcpStream;
use workloads::server::{Config, Server};

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn a_server_that_is_dropped_leaves_no_thread_and_no_descriptor() {
    let before = held();
    for _ in 0..3 {
        let server = Server::start(Config::local()).unwrap();
        assert!(Server::start_at(server.addr(), Config::local()).is_err());
        let mut client = TcpStream::connect(server.addr()).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        client.read_to_string(&mut String::new()).unwrap();
        let mut waiting = TcpStream::connect(server.addr()).unwrap();
        waiting.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    }
    assert_eq!(held(), before);
}
