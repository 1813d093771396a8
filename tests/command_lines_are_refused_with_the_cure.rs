//! A wrong command line exits with 2 before anything starts, prints nothing to standard output, and
//! says on standard error what to write instead.

mod support;

use support::{Scratch, run};

#[track_caller]
fn refused(program: &str, args: &str, cure: &str) {
    let ended = run(program, args);
    assert_eq!(ended.code, Some(2), "{program} {args}: {ended:?}");
    assert_eq!(ended.stdout, "", "{program} {args}");
    assert!(
        ended.stderr.contains(cure),
        "{program} {args}: {}",
        ended.stderr
    );
}

#[test]
fn wrong_flags_lines() {
    for (args, cure) in [
        ("yemn", "did you mean 'yemen'?"),
        ("atlantis", "two-letter code"),
        ("yemen --all", "cannot be used with"),
        ("--all --every", "cannot be used with"),
        ("--workers 0", "at least 1"),
        ("--workers 99999999999999999999", "at most 256"),
        ("--max-concurrency 0", "at least 1"),
        ("--limit 0", "at least 1"),
        ("--mode thread", "threads"),
        ("--mode threads-gil", "possible values"),
        ("--timeout 3", "3s or 3ms"),
        ("--timeout 0s", "longer than zero"),
        ("--delay=-1s", "200ms or 1.5s"),
        ("--delay -1s", "200ms or 1.5s"),
        ("--timeout -1s", "200ms or 1.5s"),
        ("--seed -1", "give 0 to"),
        ("--error-rate 2", "0 to 1"),
        ("--server nowhere", "a URL such as"),
        ("--server http://", "no host"),
        ("--server http://127.0.0.1:1 --delay 1s", "embedded server"),
        ("--path /{country}.jpg", "{name} and {cc}"),
        (
            "--cacert /no/such.pem --server https://127.0.0.1",
            "/no/such.pem",
        ),
        ("--json /no/such/place/run.json", "make it first"),
        ("--verbos", "--verbose"),
    ] {
        refused("flags", args, cure);
    }
}

#[test]
fn wrong_hash_lines() {
    for (args, cure) in [
        ("--workers 0", "at least 1"),
        ("--jobs 0", "at least 1"),
        ("--jobs 99999999999999999999", "at most"),
        ("--size 16mb", "16MiB"),
        ("--size 99999GiB", "at most 1 GiB"),
        ("--size -1MiB", "16MiB"),
        ("--seed 1.5", "give 0 to"),
        ("--rounds -1", "give 1 to 1000000"),
        ("--gil --mode processes", "add --mode threads"),
        ("--json /", "name a file in it"),
        ("yemen", "unexpected argument"),
    ] {
        refused("hash", args, cure);
    }
}

#[test]
fn a_refused_line_leaves_no_file() {
    let scratch = Scratch::new("refused");
    let out = scratch.join("out");
    refused("flags", &format!("yemn --out {}", out.display()), "yemen");
    assert!(scratch.names().is_empty());
}

#[test]
fn help_is_no_refusal() {
    for (program, word) in [("flags", "--max-concurrency"), ("hash", "--gil")] {
        let ended = run(program, "--help");
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains(word), "{}", ended.stdout);
        assert!(ended.stdout.contains("Exit codes"), "{}", ended.stdout);
    }
}
