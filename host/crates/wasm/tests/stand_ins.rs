//! A plain `cargo build --target wasm32-wasip2`: it loads and runs, and what its standard library
//! asks for is answered with nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/guests.rs"]
mod guests;

use std::sync::{Arc, LazyLock};

use capture::logged;
use wasmgate_connector::{Module as _, StageInput};
use wasmgate_model::{Column, Fault, FaultKind, Kind, Schema};
use wasmgate_wasm::{Form, Limits, Loaded, Runtime, TransformComponent};

fn plain() -> Arc<TransformComponent> {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| guests::plain_build("plain"));
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let runtime = Runtime::new(limits, Some(guests::code_dir())).unwrap();
    match runtime.load("plain", &BYTES).unwrap() {
        Loaded::Transform(module) => module,
        Loaded::Policy(_) => panic!("a transform"),
    }
}

/// One call of one row by the rule in this mode: what it found.
fn found(mode: &str) -> Result<Option<i64>, Fault> {
    let mut stage = plain().open(mode)?;
    stage.bind(&Schema::open(1, Arc::from("orders"), true))?;
    let mut amounts = Column::new(Kind::Integer);
    amounts.push_int(1);
    let input = StageInput { schema: 1, rows: 1, ops: &[], columns: &[&amounts] };
    stage.process(&input).map(|output| output.columns[0].int(0))
}

#[test]
fn a_plain_build_loads_and_runs() {
    let bytes = guests::plain_build("plain");
    let inspection =
        Runtime::new(Limits::default(), None).unwrap().inspect("looked-at", &bytes).unwrap();
    assert_eq!((inspection.form, inspection.refusal), (Form::Component, None));
    // The test is of something only if the build imports what it is to be spared.
    for import in ["wasi:cli/environment@0.2.", "wasi:cli/exit@0.2.", "wasi:io/streams@0.2."] {
        assert!(inspection.imports.iter().any(|i| i.starts_with(import)), "{import}");
    }
    assert_eq!(found("").unwrap(), Some(42));
}

#[test]
fn its_surroundings_are_empty() {
    assert_eq!(found("look").unwrap(), Some(0));
}

#[test]
fn what_it_prints_goes_to_the_log_in_bounds() {
    let log = logged(|| assert_eq!(found("print").unwrap(), Some(0)));
    for part in ["DEBUG", "module=\"plain\"", "version=\"0.1.0\"", "text=\"out [31m one\""] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(log.contains("stream=\"stderr\" text=\"err two\""), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");

    let log = logged(|| assert_eq!(found("flood").unwrap(), Some(0)));
    assert!(log.lines().count() <= 50 * 2, "{} lines", log.lines().count());
    assert!(log.len() < 20_000, "{} bytes", log.len());
}

#[test]
fn an_exit_is_a_trap_and_a_panic_says_where() {
    let fault = found("exit").unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleTrap);
    assert!(fault.chain().contains("the module called exit(1)"), "{}", fault.chain());
    let log = logged(|| {
        let fault = found("panic").unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleTrap);
        // The frames of the panic itself are left out: these are the rule's.
        assert!(fault.chain().contains("(in process, at plain::"), "{}", fault.chain());
    });
    assert!(log.contains("out of cheese"), "{log}");
}
