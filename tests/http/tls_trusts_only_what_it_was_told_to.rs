//! https: only a server whose certificate leads to a trusted root and bears the URL's name is
//! spoken to, and an end that the server did not sign is no end.

use std::sync::Arc;

use rustls::{AlertDescription, ServerConfig};
use workloads::http::{Config, Reason, Tls, Url};

use crate::support::drivers::{DRIVERS, soon};
use crate::support::machine::Machine;
use crate::support::server::{Script, serve};
use crate::support::tls::{Authority, Peer, converse, serve_tls};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OPEN_ENDED: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";

/// A fetch of https://localhost/ over connection 1.
fn fetch(config: Config) -> Machine {
    let mut machine = Machine::get(config, "https://localhost/");
    machine.take("localhost", None);
    machine.resolve(Ok(vec!["127.0.0.1:443".parse().unwrap()]));
    machine.connect("127.0.0.1:443", Ok(1));
    machine
}

fn answer(authority: &Authority, server: Arc<ServerConfig>) -> Result<Vec<u8>, Reason> {
    let mut peer = Peer::new(server, ANSWER, false);
    let mut machine = fetch(authority.trusted());
    let answer = converse(&mut machine, &mut peer, usize::MAX, usize::MAX);
    answer
        .map(|(response, _)| response.body)
        .map_err(|error| error.reason)
}

#[test]
fn a_trusted_server_is_spoken_to_in_either_version() {
    let authority = Authority::new("ours");
    for version in rustls::ALL_VERSIONS {
        let server = authority.server_with("localhost", &[version], |_| {});
        assert_eq!(answer(&authority, server).unwrap(), b"hi");
    }
}

#[test]
fn a_server_that_prefers_http_2_is_asked_for_http_1() {
    let authority = Authority::new("ours");
    let speaking = |protocols: &[&str]| {
        let mut server = ServerConfig::clone(&authority.server("localhost"));
        server.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let mut peer = Peer::new(Arc::new(server), ANSWER, false);
        let mut machine = fetch(authority.trusted());
        let result = converse(&mut machine, &mut peer, usize::MAX, usize::MAX);
        (result.map(|(response, _)| response.body), peer)
    };
    let (answer, peer) = speaking(&["h2", "http/1.1"]);
    assert_eq!(answer.unwrap(), b"hi");
    assert_eq!(peer.connection.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (answer, _) = speaking(&["h2"]);
    assert!(
        answer
            .unwrap_err()
            .to_string()
            .contains("NoApplicationProtocol")
    );
}

#[test]
fn an_untrusted_one_is_told_so_and_never_sees_the_request() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut peer = Peer::new(theirs.server("localhost"), ANSWER, false);
    let error = converse(
        &mut fetch(ours.trusted()),
        &mut peer,
        usize::MAX,
        usize::MAX,
    )
    .map(drop)
    .unwrap_err();
    assert!(matches!(error.reason, Reason::Tls(_)));
    let text = error.to_string();
    assert!(
        text.starts_with("https://localhost/: TLS: invalid peer certificate"),
        "{text}"
    );
    assert!(text.contains("UnknownIssuer"), "{text}");
    assert_eq!(peer.requests, 0);
    let told = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
    assert_eq!(peer.complaint, Some(told));
}

#[test]
fn the_certificate_must_bear_the_name_and_be_valid_today() {
    let authority = Authority::new("ours");
    let error = answer(&authority, authority.server("example.com"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not valid for name \"localhost\""),
        "{error}"
    );
    let expired = authority.server_with("localhost", rustls::ALL_VERSIONS, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let error = answer(&authority, expired).unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}

#[test]
fn an_address_may_be_the_name() {
    for (host, in_certificate) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let authority = Authority::new("ours");
        let mut machine = Machine::get(authority.trusted(), &format!("https://{host}/"));
        machine.take(host, None);
        machine.connect(&format!("{host}:443"), Ok(1));
        let mut peer = Peer::new(authority.server(in_certificate), ANSWER, false);
        let answer = converse(&mut machine, &mut peer, usize::MAX, usize::MAX);
        assert_eq!(answer.map(|(response, _)| response.body).unwrap(), b"hi");
    }
}

#[test]
fn it_comes_to_the_same_byte_by_byte_and_cut_anywhere_it_is_an_error() {
    let authority = Authority::new("ours");
    let config = authority.trusted();
    for version in rustls::ALL_VERSIONS {
        for (bytes, closes) in [(ANSWER, false), (OPEN_ENDED, true)] {
            let server = authority.server_with("localhost", &[version], |_| {});
            let mut cut = 0;
            loop {
                let mut peer = Peer::new(server.clone(), bytes, closes);
                let result = converse(&mut fetch(config.clone()), &mut peer, 1, cut);
                // Signatures differ in length from run to run: the peer knows whether it was cut.
                let whole = peer.requests == 1 && peer.speak(1).is_empty();
                match result {
                    Ok((response, _)) => {
                        assert!(bytes.ends_with(&response.body));
                        // What the client did not wait for is TLS' own: a ticket, a close_notify.
                        assert!(whole || !closes, "cut at {cut}, and not noticed");
                        break;
                    }
                    Err(error) => {
                        assert!(!whole, "whole, but {error}");
                        // A handshake costs signatures: not each of its thousand bytes.
                        let handshake = matches!(error.reason, Reason::HandshakeClosed);
                        cut += if handshake { 37 } else { 1 };
                    }
                }
            }
            assert!(cut > bytes.len());
        }
    }
}

#[test]
fn an_end_without_close_notify_is_one_only_where_the_length_was_announced() {
    let authority = Authority::new("ours");
    let read = |bytes: &[u8], closes| {
        let mut peer = Peer::new(authority.server("localhost"), bytes, closes);
        converse(
            &mut fetch(authority.trusted()),
            &mut peer,
            usize::MAX,
            usize::MAX,
        )
        .map(|(response, kept)| (response.body, kept.is_some()))
        .map_err(|error| error.reason.to_string())
    };
    assert_eq!(read(ANSWER, false), Ok((b"hi".to_vec(), true)));
    assert_eq!(
        read(ANSWER, true),
        Ok((b"hi".to_vec(), false)),
        "closed, so not kept"
    );
    assert_eq!(read(OPEN_ENDED, true), Ok((b"hello".to_vec(), false)));
    let cut = "truncated: TLS connection cut without close_notify after 5 bytes";
    assert_eq!(read(OPEN_ENDED, false), Err(cut.to_owned()));
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi";
    for closes in [true, false] {
        let truncated = "truncated in the body: 2 of 9 bytes".to_owned();
        assert_eq!(read(short, closes), Err(truncated));
        assert_eq!(
            read(b"", closes),
            Err("connection closed without an answer".to_owned())
        );
    }
}

#[test]
fn a_kept_connection_may_carry_tls_own_messages_but_nothing_else() {
    let authority = Authority::new("ours");
    let config = authority.trusted();
    let kept = |peer: &mut Peer| {
        let (_, kept) = converse(&mut fetch(config.clone()), peer, usize::MAX, usize::MAX).unwrap();
        kept.expect("the connection is kept")
    };
    let again = |connection| {
        let mut machine = Machine::get(config.clone(), "https://localhost/");
        machine.take("localhost", Some(connection));
        machine
    };

    let mut peer = Peer::new(authority.server("localhost"), ANSWER, false);
    let mut machine = again(kept(&mut peer));
    peer.connection.refresh_traffic_keys().unwrap();
    let key_update = peer.speak(usize::MAX);
    for byte in key_update.chunks(1) {
        machine.probe(1, Some(Ok(byte)));
    }
    machine.probe(1, None);
    let (response, _) = converse(&mut machine, &mut peer, usize::MAX, usize::MAX).unwrap();
    assert!(response.reused);
    assert_eq!(peer.requests, 2);

    let mut peer = Peer::new(authority.server("localhost"), ANSWER, false);
    let mut machine = again(kept(&mut peer));
    std::io::Write::write_all(&mut peer.connection.writer(), b"unasked").unwrap();
    machine.probe(1, Some(Ok(&peer.speak(usize::MAX))));
    machine.take("localhost", None);

    let mut peer = Peer::new(authority.server("localhost"), ANSWER, false);
    let mut machine = again(kept(&mut peer));
    peer.connection.send_close_notify();
    machine.probe(1, Some(Ok(&peer.speak(usize::MAX))));
    machine.take("localhost", None);
}

#[test]
fn a_whole_answer_stays_one_when_junk_follows_but_its_connection_is_not_kept() {
    let authority = Authority::new("ours");
    let mut peer = Peer::new(authority.server("localhost"), ANSWER, false);
    peer.junk = b"not a TLS record".to_vec();
    let mut machine = fetch(authority.trusted());
    let (response, kept) = converse(&mut machine, &mut peer, usize::MAX, usize::MAX).unwrap();
    assert_eq!(response.body, b"hi");
    assert!(kept.is_none());
}

#[test]
fn a_server_without_tls_is_an_error() {
    let authority = Authority::new("ours");
    for (says, alert, why) in [
        (ANSWER, true, "TLS: received corrupt message"),
        (b"", false, "in the TLS handshake"),
    ] {
        let mut machine = fetch(authority.trusted());
        assert_eq!(machine.send(1, usize::MAX)[0], 22, "a handshake record");
        machine.receive(1, Ok(says));
        let (said, error) = machine.farewell(1);
        assert_eq!(said.first() == Some(&21), alert, "an alert record");
        assert!(error.to_string().contains(why), "{error}");
    }
    // A peer that is not there to be told changes nothing about the error.
    let mut machine = fetch(authority.trusted());
    machine.send(1, usize::MAX);
    machine.receive(1, Ok(ANSWER));
    assert!(machine.0.next_step().is_ok());
    machine.0.sent(Err(std::io::ErrorKind::BrokenPipe.into()));
    assert!(matches!(machine.error().reason, Reason::Tls(_)));
}

#[test]
fn both_drivers_do_all_this_over_sockets() {
    for driver in DRIVERS {
        let authority = Authority::new("ours");
        let server = || authority.server("localhost");

        let two = serve_tls(server(), vec![ANSWER.to_vec(), ANSWER.to_vec()], true);
        let client = driver.client(authority.trusted());
        assert!(!client.get(&two.url("localhost"), soon()).unwrap().reused);
        assert!(
            client.get(&two.url("localhost"), soon()).unwrap().reused,
            "{driver:?}"
        );
        two.finish().unwrap();

        let open = serve_tls(server(), vec![OPEN_ENDED.to_vec()], true);
        assert_eq!(
            client.get(&open.url("localhost"), soon()).unwrap().body,
            b"hello"
        );

        let cut = serve_tls(server(), vec![OPEN_ENDED.to_vec()], false);
        let error = client.get(&cut.url("localhost"), soon()).unwrap_err();
        assert!(
            matches!(error.reason, Reason::UnsignedEnd { got: 5 }),
            "{driver:?}: {error}"
        );

        let misnamed = serve_tls(server(), vec![ANSWER.to_vec()], true);
        let error = client.get(&misnamed.url("127.0.0.1"), soon()).unwrap_err();
        assert!(
            matches!(error.reason, Reason::Tls(_)),
            "{driver:?}: {error}"
        );
        assert!(misnamed.finish().is_err(), "no handshake, no request");

        let stranger = serve_tls(Authority::new("stranger").server("localhost"), vec![], true);
        let error = client.get(&stranger.url("localhost"), soon()).unwrap_err();
        assert!(
            error.to_string().contains("UnknownIssuer"),
            "{driver:?}: {error}"
        );

        let plain = serve(vec![vec![
            Script::say("HTTP/1.1 400 x\r\n\r\n"),
            Script::AwaitClose,
        ]]);
        let url = format!("https://localhost:{}/", plain.address.port());
        let error = client.get(&Url::parse(&url).unwrap(), soon()).unwrap_err();
        assert!(
            matches!(error.reason, Reason::Tls(_)),
            "{driver:?}: {error}"
        );
    }
}

#[test]
fn roots_are_read_from_a_file_or_refused_with_its_name() {
    let authority = Authority::new("ours");
    let folder = std::env::temp_dir();
    let path = folder.join(format!("tatkal-roots-{}.pem", std::process::id()));
    let told = || {
        Tls::with_root_file(&path)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let name = path.display().to_string();

    assert!(
        told().unwrap_err().starts_with(&format!("{name}: ")),
        "not there yet"
    );
    for (content, why) in [
        ("", "no certificate in it"),
        ("hello", "no certificate in it"),
        (
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
            "not a PEM file",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "not a root certificate",
        ),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = told().unwrap_err();
        assert!(error.starts_with(&name) && error.contains(why), "{error}");
    }
    std::fs::write(&path, authority.pem().repeat(2)).unwrap();
    assert_eq!(told(), Ok(()));
    std::fs::remove_file(&path).unwrap();
}
