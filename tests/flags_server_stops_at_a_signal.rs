//! `flags_server` as a program: it says where it serves, and ends as a signal says. Needs the example to
//! be built, as `cargo test` does unless it is told to build one test alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use workloads::flags::countries;

/// The program, killed if the test fails on the way.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(args: &[&str]) -> Program {
    let test = std::env::current_exe().unwrap(); // target/PROFILE/deps/TEST
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples/flags_server");
    let child = Command::new(&program)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let why = "not built: run `cargo build --example flags_server` first";
    Program(child.unwrap_or_else(|error| panic!("{}: {error}; {why}", program.display())))
}

fn signal(program: &Program, name: &str) {
    let pid = program.0.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn it_serves_until_a_signal_and_leaves_with_its_code() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = start(&["--addr", "127.0.0.1:0", "--delay", "0"]);
        let mut line = String::new();
        let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("flags at http://").unwrap();
        let (addr, path) = url.split_at(url.find('/').unwrap());

        let mut client = TcpStream::connect(addr).unwrap();
        write!(client, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(countries::image("ye").unwrap()));

        let _idle = TcpStream::connect(addr).unwrap(); // does not hold it up
        signal(&program, name);
        assert_eq!(program.0.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn an_address_that_is_taken_is_named_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut program = start(&["--addr", &addr]);
    let mut said = String::new();
    let mut stderr = program.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(1));
    assert!(said.contains(&addr) && said.contains("--addr"), "{said}");
}
