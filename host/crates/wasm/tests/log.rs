//! What modules log: few lines, short, harmless, and marked with who said it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/guests.rs"]
mod guests;

use std::sync::Arc;

use capture::logged;
use wasmgate_connector::{Module as _, StageInput};
use wasmgate_model::{Column, Fault, FaultKind, Kind, Schema};
use wasmgate_wasm::{Limits, Loaded, Runtime, TransformComponent};

fn probe(limits: Limits) -> Arc<TransformComponent> {
    let runtime = Runtime::new(limits, Some(guests::code_dir())).unwrap();
    match runtime.load("probe", &guests::guest("probe")).unwrap() {
        Loaded::Transform(module) => module,
        Loaded::Policy(_) => panic!("the probe is a transform"),
    }
}

/// One call of one row, of an instance of its own.
fn call(module: &TransformComponent, mode: &str, amount: i64) -> Result<(), Fault> {
    let mut stage = module.open(&format!("{mode:?}"))?;
    stage.bind(&Schema::open(1, Arc::from("orders"), true))?;
    let (mut amounts, mut names) = (Column::new(Kind::Integer), Column::new(Kind::Text));
    amounts.push_int(amount);
    names.push_bytes(b"ada");
    let input = StageInput { schema: 1, rows: 1, ops: &[], columns: &[&amounts, &names] };
    stage.process(&input).map(drop)
}

#[test]
fn a_line_says_who_speaks_and_draws_nothing() {
    let module = probe(Limits::default());
    let log = logged(|| call(&module, "log", 1).unwrap());
    assert!(log.contains("WARN") && log.contains("text=\"line [31m one\""), "{log}");
    assert!(log.contains("module=\"probe\"") && log.contains("version=\"1.2.3\""), "{log}");
}

#[test]
fn a_giant_line_is_cut() {
    let module = probe(Limits::default());
    let log = logged(|| call(&module, "log-long", 1).unwrap());
    assert_eq!(log.lines().count(), 1);
    assert!((1024..2048).contains(&log.len()), "{} bytes", log.len());
}

#[test]
fn a_flood_is_counted_and_a_new_instance_brings_no_new_budget() {
    let module = probe(Limits::default());
    let log = logged(|| {
        for _ in 0..20 {
            let fault = call(&module, "log-flood trap-13", 13).unwrap_err();
            assert_eq!(fault.kind, FaultKind::ModuleTrap, "{}", fault.chain());
        }
    });
    // 50 a second: with a budget of its own each instance alone would log that many at once.
    let lines = log.lines().count();
    assert!((50..=500).contains(&lines), "{lines} lines");
}
