//! Whatever a server sends, a fetch ends: no panic, no endless loop, and the same end however
//! the bytes are split.

use proptest::collection::vec;
use proptest::prelude::*;
use workloads::http::{Config, Error, Response};

use crate::support::cases::{EXCESS, UNTIL_CLOSE, WHOLE, WRONG};
use crate::support::machine::Machine;
use workloads::http::step::Step;

/// Serves `bytes` in pieces of `step` on every connection, then closes it; ends with the fetch.
/// Steps are counted: each byte can be received once per connection, and there are at most eleven.
fn serve(bytes: &[u8], step: usize) -> Result<Response, Error> {
    let mut config = Config::default();
    config.limits.head = 1000;
    config.limits.body = 1000;
    let mut machine = Machine::get(config, "http://127.0.0.1/");
    let mut at = 0_usize;
    for _ in 0..(bytes.len() + 10) * 20 {
        match machine.0.next_step()? {
            Step::Take(_) => machine.0.took(None),
            Step::Resolve(_) => machine
                .0
                .resolved(Ok(vec!["127.0.0.1:80".parse().unwrap()])),
            Step::Connect(..) => {
                at = 0;
                machine.0.connected(Ok(1));
            }
            Step::Send(_, request) => {
                let n = request.len();
                machine.0.sent(Ok(n));
            }
            Step::Receive(_) => {
                let end = at.saturating_add(step).min(bytes.len());
                machine.0.received(Ok(&bytes[at..end]));
                at = end;
            }
            Step::Probe(_) => unreachable!("nothing is kept"),
            Step::Keep(_) => {}
            Step::Done(response) => return Ok(response),
        }
    }
    panic!("the fetch does not end");
}

fn check(bytes: &[u8], step: usize) -> Result<(), TestCaseError> {
    match (serve(bytes, usize::MAX), serve(bytes, step)) {
        (Ok(one), Ok(other)) => {
            prop_assert_eq!(one.status, other.status);
            prop_assert_eq!(&one.headers, &other.headers);
            prop_assert_eq!(&one.body, &other.body);
            prop_assert!(one.body.len() <= 1000);
            prop_assert!(!(300..400).contains(&one.status) || one.headers.len() < 101);
        }
        (Err(one), Err(other)) => {
            for error in [one, other] {
                let text = error.to_string();
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
        }
        (one, other) => prop_assert!(false, "{:?} but split {:?}", one, other),
    }
    Ok(())
}

/// A known answer, with a few bytes replaced, removed or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = [WHOLE, EXCESS, UNTIL_CLOSE, WRONG]
        .into_iter()
        .flatten()
        .map(|case| case.bytes)
        .collect();
    let wounds = vec((any::<prop::sample::Index>(), 0..3u8, likely_byte()), 0..4);
    (prop::sample::select(known), wounds).prop_map(|(known, wounds)| {
        let mut bytes = known.to_vec();
        for (place, kind, byte) in wounds {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

fn likely_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        prop::sample::select(b"\r\n :;,0159afAF+-\t\0\x7f\xff".to_vec()),
        any::<u8>(),
    ]
}

/// Pieces that mean something to HTTP, in any order.
fn jumbled() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 302 x\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 x\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Location: /x\r\n",
        b"Location: //[::1]:9/../y?z\r\n",
        b"Connection: close\r\n",
        b" folded\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n",
        b"ffffffffffffffff\r\n",
        b"abc",
    ];
    vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        // No file of past failures: a failure prints its bytes, and they become a case.
        failure_persistence: None,
        cases: 1000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_noise(bytes in vec(any::<u8>(), 0..200), step in 1..20usize) {
        check(&bytes, step)?;
    }

    #[test]
    fn of_noise_behind_a_head(bytes in vec(likely_byte(), 0..200), step in 1..20usize) {
        check(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat(), step)?;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[head, &bytes[..]].concat(), step)?;
    }

    #[test]
    fn of_damaged_answers(bytes in damaged(), step in 1..20usize) {
        check(&bytes, step)?;
    }

    #[test]
    fn of_jumbled_answers(bytes in jumbled(), step in 1..20usize) {
        check(&bytes, step)?;
    }
}
