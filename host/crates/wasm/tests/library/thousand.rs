//! What many modules cost at the start: `cargo test --test library -- --ignored --nocapture
//! thousand`, in a release build for numbers that mean something.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use wasmgate_wasm::{Library, Limits, Runtime};

use crate::guests;

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn show(what: &str, modules: usize, time: std::time::Duration, memory: usize) {
    let mut out = std::io::stderr();
    let ms = time.as_secs_f64() * 1e3;
    writeln!(out, "{what}: {modules} modules, {ms:.0} ms, {memory} KiB more").unwrap();
}

#[test]
#[ignore = "a measurement"]
fn a_thousand_modules() {
    let component = guests::component("policy");
    for modules in [250, 500, 1000] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("drop")).unwrap();
        for number in 0..modules {
            fs::write(dir.path().join(format!("drop/rule-{number}.wasm")), &component).unwrap();
        }
        for what in ["first start", "warm start"] {
            let cache = Some(guests::code_dir());
            let runtime = Arc::new(Runtime::new(Limits::default(), cache).unwrap());
            let (started, before) = (Instant::now(), resident());
            let versions = Some(dir.path().join("versions"));
            let library = Library::open(dir.path().join("drop"), runtime, versions).unwrap();
            show(what, modules, started.elapsed(), resident().saturating_sub(before));
            assert_eq!(library.list().len(), modules);
            let started = Instant::now();
            assert!(library.scan().unwrap().is_empty());
            show("a look at what is unchanged", modules, started.elapsed(), 0);
        }
    }
}
