//! A program that the system gives too little does what it can; and where that is not all, it says what
//! to do, and exits with 1.

mod support;

use support::run_limited;

const HASH: &str = "--mode processes --jobs 4 --size 1KiB --workers 2";
const FLAGS: &str = "--mode processes --delay 1ms --workers 2";

/// Under each limit: the least is too little, the largest is enough.
fn check(limits: impl Iterator<Item = String>, program: &str, args: &str, cure: &str) {
    let mut codes = Vec::new();
    for limit in limits {
        let ended = run_limited(&limit, program, args);
        let told = ended.stdout.clone() + &ended.stderr;
        // The report breaks its lines.
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        match ended.code {
            Some(0) => assert!(!told.contains("error:"), "{limit}: {told}"),
            Some(1) => assert!(told.contains(cure), "{limit}: {told}"),
            _ => panic!("{limit}: {ended:?}"),
        }
        codes.extend(ended.code);
    }
    assert_eq!((codes[0], codes[codes.len() - 1]), (1, 0), "{codes:?}");
}

#[test]
fn hash_with_few_descriptors() {
    let limits = (4..40).step_by(3).map(|most| format!("-n {most}"));
    check(limits, "hash", HASH, "limit of open files (ulimit -n)");
}

#[test]
fn flags_with_few_descriptors() {
    let limits = (4..60).step_by(4).map(|most| format!("-n {most}"));
    check(limits, "flags", FLAGS, "limit of open files (ulimit -n)");
}

#[test]
fn hash_with_little_memory_for_its_jobs() {
    let args = "--mode processes --jobs 2 --size 512MiB --workers 1";
    let ended = run_limited("-v 200000", "hash", args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("no memory for"), "{ended:?}");
    assert!(ended.stdout.contains("2 errors"), "{ended:?}");
}
