//! Admission: modules that are valid WebAssembly and too much for a compiler, or of a form that
//! the contract does not have. Each bound has a module that is one over it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/guests.rs"]
mod guests;

use binary::{functions, items, module, plain_type, unsigned};
use wasmgate_model::FaultKind;
use wasmgate_wasm::{Limits, Runtime};

/// How a core module within the bounds is refused: it has no contract.
const WITHIN: &str = "without a component-type section";

fn refusal(bytes: &[u8]) -> String {
    let runtime = Runtime::new(Limits::default(), None).unwrap();
    let fault = runtime.load("m", bytes).unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleRefused, "{}", fault.chain());
    fault.chain()
}

fn check(cases: Vec<(Vec<u8>, &str)>) {
    for (bytes, says) in cases {
        let refusal = refusal(&bytes);
        assert!(refusal.contains(says), "expected {says:?}, found {refusal:?}");
    }
}

/// A function that declares so many locals.
fn with_locals(count: usize) -> Vec<u8> {
    [vec![1], unsigned(count), vec![0x7f, 0x0b]].concat()
}

/// A function that branches to so many targets, and the default one.
fn with_targets(count: usize) -> Vec<u8> {
    // i32.const 0, br_table.
    [vec![0, 0x41, 0, 0x0e], unsigned(count), vec![0; count + 1], vec![0x0b]].concat()
}

/// A function of so many blocks inside each other.
fn with_blocks(count: usize) -> Vec<u8> {
    [vec![0], [0x02, 0x40].repeat(count), vec![0x0b; count + 1]].concat()
}

#[test]
fn functions_are_bounded_in_shape() {
    let one = |body: Vec<u8>| module(&[plain_type(), functions(1, &body)]);
    let nops = |count| [vec![0], vec![0x01; count], vec![0x0b]].concat();
    check(vec![
        (one(nops((256 << 10) - 2)), WITHIN),
        (one(nops((512 << 10) - 1)), "a function has 524289 bytes, the limit is 524288"),
        (one(with_locals(10_000)), WITHIN),
        (one(with_locals(10_001)), "a function has 10001 locals, the limit is 10000"),
        (one(with_targets(8192)), WITHIN),
        (one(with_targets(8193)), "branches to 8193 targets at once, the limit is 8192"),
        (one(with_blocks(4096)), WITHIN),
        (one(with_blocks(4097)), "a function nests 4097 blocks, the limit is 4096"),
    ]);
}

#[test]
fn parts_of_modules_are_bounded_in_number() {
    let parts = |id, count, item: fn(usize) -> Vec<u8>| module(&[items(id, count, item)]);
    let plain = |section| module(&[plain_type(), section]);
    let import = |_| vec![1, b'a', 1, b'b', 0, 0];
    let export = |n: usize| [vec![7], format!("{n:07}").into_bytes(), vec![0, 0]].concat();
    let exports = items(binary::EXPORTS, 100_001, export);
    let exported = module(&[
        plain_type(),
        items(binary::FUNCTIONS, 1, |_| vec![0]),
        exports,
        items(binary::CODE, 1, |_| vec![2, 0, 0x0b]),
    ]);
    check(vec![
        (plain(functions(50_001, &[0, 0x0b])), "has 50001 functions, the limit is 50000"),
        (plain(functions(401, &with_locals(10_000))), "has 4010000 locals, the limit is 4000000"),
        (parts(binary::TYPES, 50_001, |_| vec![0x60, 0, 0]), "has 50001 types"),
        (plain(items(binary::IMPORTS, 50_001, import)), "has 50001 imports"),
        (exported, "has 100001 exports"),
        (parts(binary::TABLES, 65, |_| vec![0x70, 0, 0]), "has 65 tables, the limit is 64"),
        (parts(binary::MEMORIES, 65, |_| vec![0, 0]), "has 65 memories, the limit is 64"),
        (parts(binary::GLOBALS, 100_001, |_| vec![0x7f, 0, 0x41, 0, 0x0b]), "has 100001 globals"),
        (parts(binary::ELEMENTS, 20_001, |_| vec![1, 0, 0]), "has 20001 element segments"),
        (parts(binary::DATA, 50_001, |_| vec![1, 0]), "has 50001 data segments"),
    ]);
}

/// The probe, with a component of this text inside it.
fn carrying(text: &str) -> Vec<u8> {
    let inner = wat::parse_str(format!("(component {text})")).unwrap();
    binary::carrying(&guests::component("probe"), &inner)
}

#[test]
fn parts_of_components_are_bounded_in_number() {
    let nested = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
    let instances = "(core instance (instantiate $m)) ".repeat(1001);
    let aliases = "(alias outer 1 $t (type)) ".repeat(100_001);
    let drops = "(core func (canon resource.drop $r)) ".repeat(20_001);
    check(vec![
        (carrying(&nested(8)), "nests modules and components 9 deep, the limit is 8"),
        (carrying(&"(core module) ".repeat(65)), "nested modules, the limit is 64"),
        (carrying(&"(component) ".repeat(65)), "nested components, the limit is 64"),
        (carrying(&format!("(core module $m) {instances}")), "instances, the limit is 1000"),
        (carrying(&format!("(type $t u8) (component {aliases})")), "aliases, the limit is 100000"),
        (
            carrying(&format!("(import \"r\" (type $r (sub resource))) {drops}")),
            "lifted and lowered functions, the limit is 20000",
        ),
    ]);
}

#[test]
fn forms_that_the_contract_does_not_have_are_refused() {
    let lifted = |options: &str| {
        carrying(&format!(
            "(core module $m (func (export \"f\") (result i32) unreachable))
             (core instance $i (instantiate $m))
             (func (canon lift (core func $i \"f\") {options}))"
        ))
    };
    check(vec![
        (carrying("(import \"f\" (func $f)) (start $f)"), "the component has a start function"),
        (lifted("async"), "has async functions"),
        (carrying("(type (func async))"), "has async functions"),
        (carrying("(core func (canon backpressure.inc))"), "built-in BackpressureInc"),
    ]);
}

#[test]
fn names_that_draw_on_terminals_are_refused() {
    let mut drawn = guests::component("probe");
    let name = b"wasmgate:transform/log@0.1.0";
    for at in 0..drawn.len() - name.len() {
        if drawn[at..].starts_with(name) {
            drawn[at..at + 4].copy_from_slice(b"\x1b[2J");
        }
    }
    let refusal = refusal(&drawn);
    assert!(refusal.contains("expected at most 256 printable ASCII characters"), "{refusal}");
    assert!(!refusal.contains('\u{1b}'), "{refusal}");
}

#[test]
fn what_ships_and_what_toolchains_make_is_within_the_bounds() {
    let runtime = Runtime::new(Limits::default(), Some(guests::code_dir())).unwrap();
    for name in ["probe", "policy"] {
        runtime.load(name, &guests::component(name)).unwrap();
        runtime.load(name, &guests::guest(name)).unwrap();
    }
}
