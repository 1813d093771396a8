//! `https:` in every mode: trusted through `--cacert` the flags come, and without it not one does.
//! The server is a TLS server of this test, with a certificate made here.

mod support;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use support::{Report, Scratch, run};
use workloads::digest::sha256;
use workloads::flags::countries;

/// Serves `/{cc}` over TLS for as long as the test runs; returns its URL and its authority's PEM.
fn serve() -> (String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let config = config.clone();
            // A client that does not trust us breaks off: that is its affair.
            std::thread::spawn(move || answer(config, socket?));
        }
    });
    (url, authority.pem())
}

/// Answers the requests of one connection, kept alive, until the client goes.
fn answer(config: Arc<ServerConfig>, socket: TcpStream) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    loop {
        let mut path = None;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
        }
        let code = path.unwrap();
        let image = countries::image(code.trim_start_matches('/')).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", image.len());
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(image)?;
    }
}

#[test]
fn every_mode_speaks_tls_to_those_it_was_told_to_trust_and_to_nobody_else() {
    let (url, pem) = serve();
    let scratch = Scratch::new("https");
    let roots = scratch.join("ca.pem");
    std::fs::write(&roots, pem).unwrap();
    let args = format!("-s {url} --path /{{cc}} --json -");

    let trusting = run("flags", &format!("{args} --cacert {}", roots.display()));
    assert_eq!(trusting.code, Some(0), "{trusting:?}");
    let report = Report::parse(&trusting.stdout);
    assert_eq!(report.modes().len(), 5);
    for mode in report.modes() {
        for item in report.items(mode) {
            let country = countries::by_name(item["name"].as_str().unwrap()).unwrap();
            assert_eq!(item["sha256"], sha256(country.image), "{mode}");
        }
    }

    let wary = run("flags", &args);
    assert_eq!(wary.code, Some(1), "{wary:?}");
    let report = Report::parse(&wary.stdout);
    for mode in report.modes() {
        let refused = report.with_status(mode, "error");
        assert_eq!(refused.len(), 5, "{mode}");
        let error = refused[0]["error"].as_str().unwrap();
        assert!(error.starts_with(&url), "{mode}: {error}");
    }
}
