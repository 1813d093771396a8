//! Over real sockets, and over pipes that carry a byte at a time, both drivers give what the
//! machine gives.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use workloads::http::request::Method;
use workloads::http::tatkal_net::TatkalNet;
use workloads::http::{Config, Deadline, Error, Reason, Response, Url, client};

use crate::support::cases::{Case, EXCESS, UNTIL_CLOSE, WHOLE, WRONG};
use crate::support::drivers::{Client, DRIVERS, soon};
use crate::support::pipe::{Memory, pipe};
use crate::support::server::{Script, serve};

fn fetch(client: &Client, case: &Case, url: &Url) -> Result<Response, Error> {
    match case.method {
        Method::Get => client.get(url, soon()),
        Method::Head => client.head(url, soon()),
    }
}

fn check(case: &Case, how: &str, got: Result<Response, Error>) {
    match (&case.means, got) {
        (Ok(whole), Ok(response)) => {
            assert_eq!(response.status, whole.status, "{} {how}", case.name);
            assert_eq!(response.body, whole.body, "{} {how}", case.name);
        }
        (Err(why), Err(error)) => {
            assert!(
                error.to_string().contains(why),
                "{} {how}: {error}",
                case.name
            );
        }
        (_, got) => panic!("{} {how}: {got:?}", case.name),
    }
}

#[test]
fn every_case_at_once_and_byte_by_byte() {
    for driver in DRIVERS {
        for case in [WHOLE, EXCESS, UNTIL_CLOSE, WRONG].into_iter().flatten() {
            let bytes = || case.bytes.to_vec();
            let server = serve(vec![
                vec![Script::Request, Script::Say(bytes())],
                vec![Script::Request, Script::Drip(bytes())],
            ]);
            // A client each: what is left of the first connection is no business of the second.
            for how in ["at once", "dripping"] {
                let client = driver.client(Config::default());
                check(
                    case,
                    &format!("{driver:?} {how}"),
                    fetch(&client, case, &server.url("/x")),
                );
            }
            drop(server); // where the client hung up early, writing failed
        }
    }
}

#[test]
fn a_task_reads_and_writes_a_byte_at_a_time() {
    let url = Url::parse("http://127.0.0.1/x").unwrap();
    for case in [WHOLE, EXCESS, UNTIL_CLOSE, WRONG].into_iter().flatten() {
        let network = Memory::default();
        let (ours, theirs) = pipe(1);
        network.streams.borrow_mut().push_back(Ok(ours));
        let client = client::Client::new(Config::default(), network);
        let mut fetch = pin!(async {
            match case.method {
                Method::Get => client.get(&url, Deadline::NEVER).await,
                Method::Head => client.head(&url, Deadline::NEVER).await,
            }
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(fetch.as_mut().poll(&mut cx).is_pending());
        assert!(theirs.heard().ends_with(b"\r\n\r\n"));
        theirs.say(case.bytes);
        drop(theirs);
        match fetch.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(result) => check(case, "by pipe", result),
            std::task::Poll::Pending => panic!("{}: still waiting", case.name),
        }
    }
}

#[test]
fn limits_are_kept() {
    for driver in DRIVERS {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
        let endless = "HTTP/1.1 200 OK\r\nX: ".to_owned();
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".to_owned();
        for (begin, again, why) in [
            (long, "x", "headers larger than 65536 bytes"),
            (many, "x", "more than 100 headers"),
            (endless, "xxxxxxxx", "headers larger than 65536 bytes"),
            (
                interim.clone(),
                interim.as_str(),
                "more than 16 interim answers",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n".to_owned(),
                "x",
                "body larger than 1000000 bytes",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
                "xxxxxxxx",
                "body larger than 1000000 bytes",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                "4\r\nabcd\r\n",
                "body larger than 1000000 bytes",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".to_owned(),
                "a: b\r\n",
                "headers larger than 65536 bytes",
            ),
        ] {
            let script = vec![
                Script::Request,
                Script::say(&begin),
                Script::Endlessly(again.repeat(100).into_bytes()),
            ];
            let server = serve(vec![script]);
            let mut config = Config::default();
            config.limits.body = 1_000_000;
            let error = driver
                .client(config)
                .get(&server.url("/x"), soon())
                .unwrap_err();
            assert!(error.to_string().ends_with(why), "{driver:?}: {error}");
        }
    }
}

#[test]
fn a_status_is_an_answer_until_it_is_asked_to_be_a_success() {
    let script = vec![
        Script::Request,
        Script::say("HTTP/1.1 418 I'm a teapot\r\n\r\n"),
    ];
    let server = serve(vec![script]);
    let client = DRIVERS[0].client(Config::default());
    let response = client.get(&server.url("/x"), soon()).unwrap();
    assert_eq!(response.status, 418);
    let error = response.ok().unwrap_err();
    assert!(matches!(error.reason, Reason::Status(418, _)));
    assert_eq!(
        error.to_string(),
        format!("{}: status 418 I'm a teapot", server.url("/x"))
    );
    server.finish();
}

#[test]
fn a_client_is_shared_by_threads() {
    let connections = 4;
    let turn = || {
        vec![
            Script::Request,
            Script::say("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"),
        ]
    };
    let server = serve((0..connections).map(|_| turn()).collect());
    let client = workloads::http::blocking::Client::new(Config::default());
    let url = server.url("/x");
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| assert_eq!(client.get(&url, soon()).unwrap().status, 204));
        }
    });
    assert_eq!(server.finish().len(), connections);
}

#[test]
fn a_client_is_shared_by_tasks_of_one_thread() {
    let connections = 20;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let turn = || vec![Script::Request, Script::say(answer)];
    let server = serve((0..connections).map(|_| turn()).collect());
    let url = server.url("/x");
    let runtime = tatkal::Runtime::new().unwrap();
    let client = Rc::new(client::Client::new(Config::default(), TatkalNet));
    let fetch = |_| {
        let (client, url) = (client.clone(), url.clone());
        runtime.spawn_local(async move { client.get(&url, soon()).await.unwrap().body })
    };
    let fetches: Vec<_> = (0..connections).map(fetch).collect();
    runtime.block_on(async {
        for fetch in fetches {
            assert_eq!(fetch.await.unwrap(), b"hi");
        }
    });
    assert_eq!(server.finish().len(), connections);
}

#[test]
fn a_fetch_can_be_spawned_on_many_threads() {
    fn spawnable<T: Send>(_: T) {}
    fn shareable<T: Sync>(_: &T) {}
    let client = client::Client::new(Config::default(), TatkalNet);
    let url = Url::parse("http://127.0.0.1/").unwrap();
    shareable(&client);
    spawnable(client.get(&url, soon()));
}
