//! A dead-letter policy component.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/guests.rs"]
mod guests;

use std::sync::Arc;

use wasmgate_connector::{Decision, Failure, PolicyModule as _};
use wasmgate_model::{FaultKind, Op};
use wasmgate_wasm::{Limits, Loaded, PolicyComponent, Runtime};

fn policy() -> Arc<PolicyComponent> {
    let runtime = Runtime::new(Limits::default(), Some(guests::code_dir())).unwrap();
    match runtime.load("policy", &guests::component("policy")).unwrap() {
        Loaded::Policy(module) => module,
        Loaded::Transform(_) => panic!("a policy"),
    }
}

fn failure(code: &str, attempt: u32, value: Option<&[u8]>) -> Failure {
    Failure {
        stage: "decode".into(),
        code: code.into(),
        message: "m".into(),
        attempt,
        age_ms: 5,
        topic: "orders".into(),
        partition: 3,
        op: Op::Update,
        key: Some(b"k".to_vec()),
        value: value.map(<[u8]>::to_vec),
    }
}

#[test]
fn one_decision_per_failure() {
    let mut policy = policy().open("").unwrap();
    let failures = [
        failure("late", 1, None),
        failure("late", 2, None),
        failure("late", 3, None),
        failure("late", 3, Some(b"v")),
        failure("corrupt", 1, None),
    ];
    let decisions = policy.decide(&failures).unwrap();
    let expected = [
        Decision::Retry(100),
        Decision::Retry(200),
        Decision::DeadLetter(None),
        Decision::DeadLetter(Some("orders.dlq".into())),
        Decision::Halt,
    ];
    assert_eq!(decisions, expected);
}

#[test]
fn a_failing_policy_says_so_and_works_again() {
    let module = policy();
    assert_eq!(module.open("refuse").err().unwrap().kind, FaultKind::ModuleRefused);
    let mut policy = module.open("").unwrap();
    for (code, kind) in [("trap", FaultKind::ModuleTrap), ("short", FaultKind::ModuleOutput)] {
        let fault = policy.decide(&[failure(code, 1, None)]).unwrap_err();
        assert_eq!(fault.kind, kind, "{}", fault.chain());
        assert_eq!(policy.decide(&[failure("late", 1, None)]).unwrap(), [Decision::Retry(100)]);
    }
    let stats = module.stats();
    assert_eq!((stats.calls, stats.traps, stats.errors), (4, 1, 1));
}
