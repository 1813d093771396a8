//! Redirects are followed to the end, within the same deadline, or refused with a reason.

use workloads::http::{Config, Reason};

use crate::support::drivers::{DRIVERS, soon};
use crate::support::machine::Machine;
use crate::support::server::{Script, serve};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nLocation: {location}\r\n\r\nno")
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn to_the_same_server_over_the_same_connection() {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/a/b?c");
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(redirect(302, "../d?e#f").as_bytes()));
    let connection = machine.keep();
    machine.take("127.0.0.1", Some(connection));
    machine.probe(1, None);
    assert!(
        machine
            .send(1, usize::MAX)
            .starts_with(b"GET /d?e HTTP/1.1\r\n")
    );
    machine.receive(1, Ok(ANSWER.as_bytes()));
    machine.keep();
    let response = machine.done();
    assert_eq!(response.url.as_str(), "http://127.0.0.1/d?e");
    assert_eq!((response.redirects, response.status), (1, 200));
}

#[test]
fn to_another_server_with_its_own_host_header() {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/");
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(redirect(308, "//[::1]:81/x").as_bytes()));
    machine.keep();
    let request = machine.begin("[::1]:81", "[::1]:81", 2);
    assert!(
        request.starts_with("GET /x HTTP/1.1\r\nHost: [::1]:81\r\n"),
        "{request}"
    );
    machine.receive(2, Ok(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"));
    machine.keep();
    assert_eq!(machine.done().status, 404);
}

#[test]
fn to_https_where_the_request_is_not_sent_in_the_clear() {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/secret");
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(redirect(301, "https://127.0.0.1/secret").as_bytes()));
    machine.keep();
    machine.take("127.0.0.1", None);
    machine.connect("127.0.0.1:443", Ok(2));
    match machine.0.next_step() {
        Ok(_) => {
            let hello = machine.send(2, usize::MAX);
            assert_eq!(hello[0], 22, "a TLS handshake record");
            assert!(!hello.windows(7).any(|seven| seven == b"/secret"));
        }
        // A system without any root certificate.
        Err(error) => assert!(matches!(error.reason, Reason::Roots(_)), "{error}"),
    }
}

#[test]
fn ten_are_followed_and_the_eleventh_is_an_error() {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/0");
    for hop in 1..=11 {
        machine.begin("127.0.0.1", "127.0.0.1:80", hop);
        machine.receive(hop, Ok(redirect(307, &format!("/{hop}")).as_bytes()));
        machine.keep();
    }
    assert_eq!(
        machine.error().to_string(),
        "http://127.0.0.1/10: more than 10 redirects"
    );
}

#[test]
fn a_loop_is_noticed_when_it_closes() {
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/a");
    for (number, to) in [(1, "/b"), (2, "/a")] {
        machine.begin("127.0.0.1", "127.0.0.1:80", number);
        machine.receive(number, Ok(redirect(301, to).as_bytes()));
        machine.keep();
    }
    let error = machine.error().to_string();
    assert_eq!(
        error,
        "http://127.0.0.1/b: redirect loop back to http://127.0.0.1/a"
    );
}

#[test]
fn one_without_a_usable_location_is_an_error() {
    for (answer, why) in [
        (
            "HTTP/1.1 303 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "redirect 303 without a Location",
        ),
        (redirect(301, "gopher://x/"), "scheme gopher is neither"),
        (redirect(301, "/a b"), "a space at byte 2"),
        (redirect(301, "http://u:p@x/"), "user name"),
        (redirect(301, "http://127.0.0.1:0/"), "port 0"),
        (redirect(301, "/\u{e9}"), "not allowed"),
    ] {
        let mut machine = Machine::get(Config::default(), "http://127.0.0.1/");
        machine.begin("127.0.0.1", "127.0.0.1:80", 1);
        machine.receive(1, Ok(answer.as_bytes()));
        machine.keep();
        let error = machine.error().to_string();
        assert!(
            error.starts_with("http://127.0.0.1/: ") && error.contains(why),
            "{error}"
        );
    }
}

#[test]
fn a_location_cannot_smuggle_a_header_into_the_next_request() {
    // A folded Location becomes one line with a space in it, and is refused for the space.
    let answer = "HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: /x\r\n Evil: 1\r\n\r\n";
    let mut machine = Machine::get(Config::default(), "http://127.0.0.1/");
    machine.begin("127.0.0.1", "127.0.0.1:80", 1);
    machine.receive(1, Ok(answer.as_bytes()));
    machine.keep();
    assert!(machine.error().to_string().contains("space"));
}

#[test]
fn both_drivers_follow() {
    for driver in DRIVERS {
        let target = serve(vec![vec![Script::Request, Script::say(ANSWER)]]);
        let there = redirect(302, target.url("/there").as_str());
        let server = serve(vec![vec![
            Script::Request,
            Script::Say(redirect(301, "here").into_bytes()),
            Script::Request,
            Script::Say(there.into_bytes()),
        ]]);
        let client = driver.client(Config::default());
        let response = client.get(&server.url("/a/b"), soon()).unwrap();
        assert_eq!(response.url, target.url("/there"));
        assert_eq!(
            (response.redirects, response.body.as_slice()),
            (2, &b"hi"[..])
        );
        assert!(server.finish()[1].starts_with("GET /a/here HTTP/1.1"));
        assert!(target.finish()[0].starts_with("GET /there HTTP/1.1"));
    }
}
