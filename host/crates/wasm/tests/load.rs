//! Loading: what is refused, and why; compiled code that is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/guests.rs"]
mod guests;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use wasmgate_connector::ModuleKind;
use wasmgate_model::FaultKind;
use wasmgate_wasm::{Form, Limits, MODULE_BYTES_MAX, Runtime};

fn runtime(cache: Option<&Path>) -> Runtime {
    Runtime::new(Limits::default(), cache.map(Path::to_path_buf)).unwrap()
}

#[test]
fn modules_that_are_not_ours_are_refused_by_name() {
    let runtime = runtime(None);
    let probe = guests::component("probe");
    let mut truncated = probe.clone();
    truncated.truncate(probe.len() / 2);
    let mut flipped = probe.clone();
    flipped[probe.len() / 2..][..64].fill(0xff);
    let bare_core = b"\0asm\x01\0\0\0".to_vec();
    let too_long = vec![0; MODULE_BYTES_MAX + 1];
    let endless_imports = guests::component("foreign");
    for (what, bytes, says) in [
        ("empty", vec![], "not WebAssembly"),
        ("garbage", b"#!/bin/sh\nrm -rf /".to_vec(), "not WebAssembly"),
        ("header only", b"\0asm\x0d\0\x01\0".to_vec(), "found none"),
        ("truncated", truncated, "not valid WebAssembly"),
        ("flipped", flipped, "not valid WebAssembly"),
        ("core module", bare_core, "without a component-type section"),
        ("too long", too_long, "the limit is 33554432 bytes"),
        ("other world", guests::component("other_world"), "found acme:shop/till@1.0.0"),
        ("raw", guests::component("raw"), "raw-transform is not supported yet"),
        ("no stage", endless_imports, "is of no world of wasmgate:transform"),
    ] {
        let fault = runtime.load("m", &bytes).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused, "{what}: {}", fault.chain());
        assert!(fault.chain().contains(says), "{what}: {}", fault.chain());
    }
}

#[test]
fn foreign_imports_are_refused_by_name() {
    let fault = runtime(None).load("m", &guests::component("greedy")).unwrap_err();
    assert!(fault.chain().contains("imports acme:net/sockets@1.0.0,"), "{}", fault.chain());
    assert_eq!(fault.kind, FaultKind::ModuleRefused);
}

#[test]
fn what_a_plain_build_imports_beyond_its_stand_ins_is_refused_with_advice() {
    for (import, advice) in [
        ("wasi:random/insecure-seed@0.2.6", "use BTreeMap or a fixed hasher"),
        ("wasi:clocks/wall-clock@0.2.6", "lent by wasmgate:transform/clock"),
        ("wasi:filesystem/types@0.2.6", "put what it needs into its configuration"),
        ("wasi:sockets/tcp@0.2.6", "a module has no network"),
        ("wasi:http/outgoing-handler@0.2.6", "which the gateway does not lend"),
        ("wasi:io/streams@0.3.0", "which the gateway does not lend"),
        ("wasi:cli/run@0.2.6", "which the gateway does not lend"),
    ] {
        // A stage by its name, which is all that is looked at here.
        let text = format!(
            r#"(component
                (import "wasi:cli/environment@0.2.6" (instance))
                (import "{import}" (instance $i))
                (export "wasmgate:transform/stage@0.1.0" (instance $i)))"#
        );
        let fault = runtime(None).load("m", &wat::parse_str(text).unwrap()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused);
        let text = fault.chain();
        assert!(text.contains(&format!("imports {import}, which")), "{text}");
        assert!(text.contains(advice), "{text}");
    }
}

#[test]
fn components_and_core_modules_load_alike() {
    let runtime = runtime(None);
    for bytes in [guests::guest("probe"), guests::component("probe")] {
        let module = runtime.load("orders-check", &bytes).unwrap();
        assert_eq!(module.kind(), ModuleKind::Transform);
        assert_eq!(module.identity().name, "orders-check");
    }
}

#[test]
fn inspection_shows_what_a_module_wants() {
    let runtime = runtime(None);
    let probe = runtime.inspect("looked-at", &guests::guest("probe")).unwrap();
    assert_eq!((probe.form, probe.kind), (Form::CoreModule, Some(ModuleKind::Transform)));
    assert!(probe.imports.contains(&"wasmgate:transform/clock@0.1.0".to_owned()));
    assert!(probe.exports.contains(&"wasmgate:transform/stage@0.1.0".to_owned()));
    assert_eq!(probe.description.unwrap().name, "probe");
    let greedy = runtime.inspect("looked-at", &guests::component("greedy")).unwrap();
    assert_eq!((greedy.form, greedy.kind), (Form::Component, None));
    assert!(greedy.imports.contains(&"acme:net/sockets@1.0.0".to_owned()));
    assert!(greedy.refusal.unwrap().contains("acme:net/sockets"));
    assert_eq!(
        runtime.inspect("looked-at", b"nothing").unwrap_err().kind,
        FaultKind::ModuleRefused
    );
    assert!(runtime.metrics().is_empty(), "inspection leaves no traces");
}

fn kept(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn code_is_compiled_once_and_only_our_own_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let probe = guests::guest("probe");
    let started = Instant::now();
    runtime(Some(&cache)).load("probe", &probe).unwrap();
    let compiling = started.elapsed();
    let files = kept(&cache);
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let written = || std::fs::metadata(file).unwrap().modified().unwrap();
    let first = written();
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);

    let started = Instant::now();
    runtime(Some(&cache)).load("probe", &probe).unwrap();
    let took = started.elapsed();
    assert_eq!(written(), first, "compiled again");
    assert!(took.as_millis() < 300, "{took:?}");
    assert!(took < compiling, "{took:?}, and {compiling:?} with compiling");

    // Code for another engine goes, other files stay.
    for name in ["ab-0123456789abcdef.cwasm", "notes.txt"] {
        std::fs::write(cache.join(name), b"").unwrap();
    }
    runtime(Some(&cache));
    assert_eq!(kept(&cache).len(), 2);
    std::fs::remove_file(cache.join("notes.txt")).unwrap();

    // A file that others can write is not trusted; neither is one that is no code of ours.
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o666)).unwrap();
    runtime(Some(&cache)).load("probe", &probe).unwrap();
    let second = written();
    assert_ne!(second, first);
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(file, b"not code").unwrap();
    runtime(Some(&cache)).load("probe", &probe).unwrap();
    assert!(std::fs::metadata(file).unwrap().len() > 1000);
    assert_eq!(kept(&cache).len(), 1);
}

/// The same bytes under two names are in memory once.
#[test]
fn the_same_code_is_mapped_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime(Some(dir.path()));
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let place = dir.path().to_string_lossy().into_owned();
        maps.lines().filter(|l| l.contains(&place) && l.contains(" 00000000 ")).count()
    };
    let probe = guests::component("probe");
    let first = runtime.load("one", &probe).unwrap();
    assert_eq!(mapped(), 1);
    let second = runtime.load("two", &probe).unwrap();
    assert_eq!((mapped(), second.identity().name.as_str()), (1, "two"));
    drop((first, second));
    assert_eq!(mapped(), 0, "code that nobody uses stays mapped");
    runtime.load("three", &probe).unwrap();
}
