//! Checkpoints from the command line: shown, removed, and not touched while the gateway runs.

use std::path::Path;

use crate::config::wasmgate;
use crate::gateway::Gateway;
use crate::run::workplace;

/// Exit code, standard output and standard error of `wasmgate checkpoints`.
fn checkpoints(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = wasmgate(dir, &[&["checkpoints"], args, &["-c", "w.yaml"]].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn run(dir: &Path) {
    let (status, log) = Gateway::start(dir, &["--until-complete"]).end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_removed_checkpoint_starts_the_source_again() {
    let dir = workplace("path: in.jsonl");
    let lines = || std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap().lines().count();
    let (code, out, _) = checkpoints(dir.path(), &["list"]);
    assert_eq!((code, out.as_str()), (Some(0), "no checkpoints\n"));
    run(dir.path());
    assert_eq!(lines(), 3);
    let end = std::fs::metadata(dir.path().join("in.jsonl")).unwrap().len();
    let (code, listed, error) = checkpoints(dir.path(), &["list"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(listed.starts_with("copy\n  ") && listed.contains(&format!(" {end}/0")), "{listed}");

    let (code, out, error) = checkpoints(dir.path(), &["remove", "cpoy"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{error}");
    assert!(error.contains("cpoy has no checkpoint; there are checkpoints of: copy"), "{error}");

    let (code, out, error) = checkpoints(dir.path(), &["remove", "copy"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(out, format!("removed the checkpoint of {listed}"));
    let (code, _, error) = checkpoints(dir.path(), &["remove", "copy"]);
    assert_eq!(code, Some(1), "{error}");
    run(dir.path());
    assert_eq!(lines(), 6, "the file is read from its beginning");
}

#[test]
fn a_running_gateway_keeps_its_checkpoints() {
    let dir = workplace("path: in.jsonl, follow: true");
    let mut gateway = Gateway::start(dir.path(), &[]);
    gateway.address();
    for args in [&["list"][..], &["remove", "copy"]] {
        let (code, _, error) = checkpoints(dir.path(), args);
        assert_eq!(code, Some(75), "{args:?}: {error}");
        assert!(error.contains(&format!("pid {}", gateway.child.id())), "{error}");
    }
}
