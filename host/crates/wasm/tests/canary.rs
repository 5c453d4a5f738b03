//! The canary: a module is instantiated and described before it is taken. Each way to fail there
//! has a module of its own, made of text, with a refusal that says what happened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/guests.rs"]
mod guests;

use std::time::{Duration, Instant};

use wasmgate_model::FaultKind;
use wasmgate_wasm::{Limits, Loaded, Runtime};

/// A description in memory: address and bytes of name, version, summary and schema.
const DESCRIBED: &str = r#"
    (data (i32.const 64) "rule1.0.0")
    (data (i32.const 16) "\40\00\00\00\04\00\00\00" "\44\00\00\00\05\00\00\00"
        "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")"#;

/// A core module with the probe's contract: `describe` does this, and there is this beside it.
fn module(pages: u32, describe: &str, beside: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") {pages})
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func $describe (export "wasmgate:transform/stage@0.1.0#describe") (result i32)
                {describe})
            (func (export "wasmgate:transform/stage@0.1.0#open") (param i32 i32) (result i32)
                unreachable)
            (func (export "wasmgate:transform/stage@0.1.0#bind")
                (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "wasmgate:transform/stage@0.1.0#process")
                (param i64 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "wasmgate:transform/stage@0.1.0#close"))
            {beside})"#
    );
    binary::with_contract_of(&guests::guest("probe"), &wat::parse_str(text).unwrap())
}

fn runtime() -> Runtime {
    let limits = Limits { memory_bytes: 64 << 20, batch_time: Duration::from_millis(200) };
    Runtime::new(limits, None).unwrap()
}

#[test]
fn the_module_of_these_tests_loads_when_nothing_is_wrong() {
    let module = runtime().load("m", &module(1, "i32.const 16", DESCRIBED)).unwrap();
    let Loaded::Transform(_) = &module else { panic!("a transform") };
    assert_eq!(module.identity().version, "1.0.0");
}

#[test]
fn a_file_that_is_only_looked_at_is_named_when_it_fails() {
    let found = runtime().inspect("from-a-file", &module(1, "unreachable", DESCRIBED)).unwrap();
    let refusal = found.refusal.unwrap();
    assert!(refusal.starts_with("module from-a-file trapped"), "{refusal}");
}

#[test]
fn each_way_to_fail_is_refused_with_what_happened() {
    // 50 MiB for a name; the memory has room for it.
    let long = r#"(data (i32.const 16) "\00\00\10\00" "\00\00\20\03")"#;
    // A name that lies behind the end of memory, and one that is no UTF-8.
    let outside = r#"(data (i32.const 16) "\00\00\00\7f" "\04\00\00\00")"#;
    let bytes =
        r#"(data (i32.const 64) "\ff\fe") (data (i32.const 16) "\40\00\00\00\02\00\00\00")"#;
    let unversioned = DESCRIBED.replace("1.0.0", "1.0.x");
    let spin = "(loop (br 0)) unreachable";
    let deep = "(func $deep (param i32) (result i32) \
        (i32.add (i32.const 1) (call $deep (local.get 0))))";
    for (what, bytes, kind, says) in [
        (
            "trap",
            module(1, "unreachable", ""),
            FaultKind::ModuleTrap,
            "module m trapped: wasm trap: wasm `unreachable` instruction executed (in describe",
        ),
        ("loop", module(1, spin, ""), FaultKind::ModuleDeadline, "longer than 200ms (in describe"),
        (
            "recursion",
            module(1, "(call $deep (i32.const 0))", deep),
            FaultKind::ModuleTrap,
            "call stack exhausted (in describe, at deep < deep < deep < deep)",
        ),
        (
            "50 MB",
            module(1024, "i32.const 16", long),
            FaultKind::ModuleLimit,
            "hands over more than 1048576 bytes (in describe",
        ),
        (
            "outside",
            module(1, "i32.const 16", outside),
            FaultKind::ModuleOutput,
            "answered describe with a broken value",
        ),
        (
            "not text",
            module(1, "i32.const 16", bytes),
            FaultKind::ModuleOutput,
            "answered describe with a broken value: invalid utf-8",
        ),
        ("version", module(1, "i32.const 16", &unversioned), FaultKind::ModuleRefused, "1.0.x"),
        (
            "start loops",
            module(1, "unreachable", "(func $s (loop (br 0))) (start $s)"),
            FaultKind::ModuleDeadline,
            "longer than 200ms (in instantiate",
        ),
        (
            "start traps",
            module(1, "unreachable", "(func $s unreachable) (start $s)"),
            FaultKind::ModuleTrap,
            "(in instantiate, at s)",
        ),
        (
            "memory",
            module(1025, "unreachable", ""),
            FaultKind::ModuleLimit,
            "needs 67174400 bytes of memory, the limit is 67108864 bytes",
        ),
        (
            "table",
            module(1, "unreachable", "(table 1000000 funcref)"),
            FaultKind::ModuleLimit,
            "needs 1000000 table elements, the limit is 20000",
        ),
    ] {
        let started = Instant::now();
        let fault = runtime().load("m", &bytes).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        assert_eq!(fault.kind, kind, "{what}: {}", fault.chain());
        assert!(fault.chain().contains(says), "{what}: {}", fault.chain());
    }
}

#[test]
fn names_of_functions_are_cut_and_harmless_in_a_fault() {
    let long = "n".repeat(4000);
    let text = format!(
        r#"(func $a (@name "red\1b[31m {long}") unreachable) (func $b (@name "b") call $a)"#
    );
    let bytes = module(1, "call $b unreachable", &text);
    let fault = runtime().load("m", &bytes).unwrap_err().chain();
    assert!(fault.contains("at red [31m nnnn"), "{fault}");
    assert!(fault.ends_with(" < b < describe)") || fault.contains(" < b < "), "{fault}");
    assert!(fault.len() < 400 && !fault.contains('\u{1b}'), "{fault}");
}

#[test]
fn handles_are_bounded() {
    let fault = runtime().load("m", &guests::guest("hoard")).unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleLimit, "{}", fault.chain());
    assert!(fault.chain().contains("m holds more than 10000 handles (in describe"), "{fault:?}");
}
