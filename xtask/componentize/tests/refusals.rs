//! What is refused, through the command line.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs, process};

/// A core module: magic and version, no sections.
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// A component without imports and exports.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn run(name: &str, bytes: &[u8]) -> (Output, PathBuf) {
    let place = env::temp_dir().join(format!("componentize-{}-{name}", process::id()));
    fs::create_dir_all(&place).unwrap();
    let (input, output) = (place.join("in.wasm"), place.join("out.wasm"));
    fs::write(&input, bytes).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_wasmgate-componentize"))
        .args([&input, &output])
        .output()
        .unwrap();
    let written = output.exists();
    fs::remove_dir_all(&place).unwrap();
    assert!(!written, "{name}: a refused file was written");
    (ran, input)
}

#[test]
fn what_is_no_module_of_a_world_is_refused_by_name() {
    for (name, bytes, expected) in [
        ("text", b"hello".as_slice(), "not a module of a wasmgate world: "),
        ("module", EMPTY_MODULE, "exports no interface of wasmgate:transform/*"),
        ("component", EMPTY_COMPONENT, "exports no interface of wasmgate:transform/*"),
    ] {
        let (ran, input) = run(name, bytes);
        let message = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success(), "{name}");
        let start = format!("wasmgate-componentize: {}: {expected}", input.display());
        assert!(message.starts_with(&start), "{name}: {message}");
    }
}

#[test]
fn two_arguments_are_needed() {
    let ran = Command::new(env!("CARGO_BIN_EXE_wasmgate-componentize")).output().unwrap();
    let message = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(message, "wasmgate-componentize: expected two arguments: IN.wasm OUT.wasm\n");
}
