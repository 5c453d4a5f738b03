//! What rule authors use, from outside: `wasmgate module new`, `test`, `bench` and `inspect`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::gateway::{Gateway, ask, ask_until, send, until};
use crate::modules::{Workplace, component, running};

/// Runs `wasmgate module …` in a folder; gives the code, standard output and standard error.
fn module(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmgate"));
    let Output { status, stdout, stderr } =
        command.arg("module").args(args).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn transforms() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../transforms")
}

/// Whether the shipped components are built; insisted on in CI.
fn built() -> bool {
    let there = ["quality-check", "fraud-rule", "route", "unwrap", "identity", "dlq-decision"]
        .iter()
        .all(|name| transforms().join(format!("{name}.wasm")).is_file());
    assert!(there || std::env::var_os("CI").is_none(), "`cargo xtask modules` builds them");
    there
}

#[test]
fn the_cases_of_the_shipped_modules_hold_on_their_components() {
    if !built() {
        return;
    }
    for name in ["quality-check", "fraud-rule", "route", "unwrap", "identity"] {
        let (file, cases) = (format!("{name}.wasm"), format!("{name}/cases"));
        let (code, out, err) = module(&transforms(), &["test", &file, "--cases", &cases]);
        assert_eq!(code, Some(0), "{name}: {out}{err}");
        assert!(out.contains("all as expected"), "{name}: {out}");
    }
}

#[test]
fn cases_that_do_not_hold_are_shown_and_end_with_one() {
    if !built() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rule.wasm");
    std::fs::copy(transforms().join("fraud-rule.wasm"), &file).unwrap();
    let (code, _, err) = module(dir.path(), &["test", "rule.wasm"]);
    assert!(code == Some(1) && err.contains("rule.cases: cannot be read"), "{code:?} {err}");
    std::fs::write(dir.path().join("rule.rs"), "fn main() {}\n").unwrap();
    for (file, part) in
        [("nope.wasm", "nope.wasm: cannot be read"), ("rule.rs", "rule.rs: is no module")]
    {
        let (code, _, err) = module(dir.path(), &["test", file]);
        assert!(code == Some(1) && err.contains(part) && !err.contains(".cases"), "{err}");
    }

    std::fs::create_dir(dir.path().join("rule.cases")).unwrap();
    let case = dir.path().join("rule.cases/one.yaml");
    let text = "about: marks\nconfig: { conditions: [{ field: n, op: '>', value: 1 }] }\n\
                rows:\n  - value: { n: 2 }\n    expect: { write: { is_fraud: false } }\n";
    std::fs::write(&case, text).unwrap();
    let (code, out, _) = module(dir.path(), &["test", "rule.wasm"]);
    assert_eq!(code, Some(1), "{out}");
    for part in [
        "one.yaml:4 (marks)",
        "value.is_fraud: expected false, found true",
        "1 case, 1 record: 1 not as expected",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    std::fs::write(&case, text.replace("false", "true")).unwrap();
    let (code, out, _) = module(dir.path(), &["test", "rule.wasm"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 case, 1 record: all as expected\n"));

    std::fs::write(&case, "rows: []\nconfg: {}\n").unwrap();
    let (code, _, err) = module(dir.path(), &["test", "rule.wasm"]);
    assert!(code == Some(1) && err.contains("one.yaml:2: a case: there is no `confg`"), "{err}");
    let policy = transforms().join("dlq-decision.wasm");
    std::fs::write(&case, text).unwrap();
    let args = ["test", policy.to_str().unwrap(), "--cases", "rule.cases"];
    let (code, _, err) = module(dir.path(), &args);
    assert!(code == Some(1) && err.contains("of the world dead-letter-policy"), "{err}");
}

#[test]
fn a_bench_measures_every_size_and_the_floor() {
    if !built() {
        return;
    }
    let args = ["bench", "fraud-rule.wasm"];
    let (code, out, err) = module(&transforms(), &args);
    assert_eq!(code, Some(0), "{out}{err}");
    let rows = |size: &str| {
        let line = out.lines().find(|line| line.trim_start().starts_with(size));
        line.unwrap_or_else(|| panic!("no line {size}:\n{out}")).split_whitespace().nth(1)
    };
    for size in ["1 ", "16 ", "256 ", "1024 "] {
        let ns: f64 = rows(size).unwrap().parse().unwrap();
        assert!(ns > 0.0, "{out}");
    }
    assert!(out.contains("call floor (no records)") && out.contains("made up"), "{out}");
    assert!(out.contains("reads monthly_spending") && out.contains("writes is_fraud"), "{out}");

    let config = r#"{ "conditions": [{ "field": "amount", "op": ">", "value": 1 }] }"#;
    let case = "fraud-rule/cases/topic.yaml";
    let args = ["bench", "fraud-rule.wasm", "--schema", case, "--config", config];
    let (code, out, err) = module(&transforms(), &args);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("reads amount") && !out.contains("made up"), "{out}");
    let args = ["bench", "quality-check.wasm", "--config", r#"{ "requird": [] }"#];
    let (code, _, err) = module(&transforms(), &args);
    assert!(code == Some(1) && err.contains("--config gives one"), "{err}");
    let (code, _, err) = module(&transforms(), &["bench", "fraud-rule.wasm", "--config", "{"]);
    assert!(code == Some(1) && err.contains("--config: not valid JSON"), "{err}");
}

#[test]
fn inspect_shows_the_contract_and_what_a_schema_makes_of_it() {
    if !built() {
        return;
    }
    let args = ["inspect", "fraud-rule.wasm", "--schema", "fraud-rule/cases/topic.yaml"];
    let (code, out, err) = module(&transforms(), &args);
    assert_eq!(code, Some(0), "{out}{err}");
    for part in [
        "world    transform",
        "imports  ",
        "size     ",
        "\"conditions\"",
        "reads    amount (text)",
        "writes   is_fraud (boolean), $topic (text)",
        "removes  none",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
}

#[test]
fn files_that_never_end_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.wasm");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let large = dir.path().join("large.wasm");
    std::fs::File::create(&large).unwrap().set_len(33 << 20).unwrap();
    for (file, part) in [
        (fifo.to_str().unwrap(), "is no regular file but a pipe"),
        ("/dev/zero", "is no regular file"),
        ("/dev/stdin", "is no regular file"),
        (".", "is no regular file"),
        ("missing.wasm", "cannot be read"),
        (large.to_str().unwrap(), "larger than a module may be (32 MiB)"),
    ] {
        let (code, _, err) = module(dir.path(), &["inspect", file]);
        assert!(code == Some(1) && err.contains(part), "{file}: {code:?} {err}");
    }
}

#[test]
fn a_new_module_is_a_crate_with_everything_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["filter", "rule", "route", "mask"] {
        let name = format!("my-{kind}");
        let (code, out, err) = module(dir.path(), &["new", &name, "--kind", kind]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains(&format!("cd {name}")), "{out}");
        let read = |file: &str| std::fs::read_to_string(dir.path().join(&name).join(file)).unwrap();
        let source = read("src/lib.rs");
        assert!(!source.contains("rule_name"), "{source}");
        assert!(source.contains(&format!("my_{kind}")) || kind == "mask", "{source}");
        assert!(read("Cargo.toml").contains("path = 'sdk/guest-sdk'"));
        assert!(read("sdk/guest-sdk/src/bindings.rs").contains("path: \"../wit\""));
        assert!(read("sdk/wit/world.wit").contains("world transform"));
        wasmgate_cases::load(&dir.path().join(&name).join("cases")).unwrap();
        // The manifests fit together: cargo finds every crate and what it inherits.
        for place in [name.clone(), format!("{name}/sdk")] {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
            let found = cargo.current_dir(dir.path().join(place)).output().unwrap();
            assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        }
    }
    let (code, _, err) = module(dir.path(), &["new", "my-rule"]);
    assert!(code == Some(1) && err.contains("my-rule: is there already"), "{err}");
    for bad in ["Rule", "../rule", "fn"] {
        let (code, _, err) = module(dir.path(), &["new", bad]);
        assert_eq!(code, Some(1), "{bad}: {err}");
    }
    let (code, _, err) = module(dir.path(), &["new", "other", "--sdk", "."]);
    assert!(code == Some(1) && err.contains("neither a checkout"), "{err}");
    assert!(!dir.path().join("other").exists());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (code, _, err) = module(dir.path(), &["new", "other", "--sdk", root.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    let manifest = std::fs::read_to_string(dir.path().join("other/Cargo.toml")).unwrap();
    let sdk = std::fs::canonicalize(root.join("guest-sdk")).unwrap();
    assert!(manifest.contains(&format!("path = '{}'", sdk.display())), "{manifest}");
    assert!(!dir.path().join("other/sdk").exists());
}

#[test]
fn in_a_checkout_a_new_module_is_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let transforms = dir.path().join("transforms");
    std::fs::create_dir(&transforms).unwrap();
    std::fs::write(dir.path().join("Cargo.toml"), "[workspace]\nmembers = [\"transforms/*\"]\n")
        .unwrap();
    let (code, out, err) = module(&transforms, &["new", "late-orders"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("cargo xtask modules late-orders"), "{out}");
    let manifest = std::fs::read_to_string(transforms.join("late-orders/Cargo.toml")).unwrap();
    assert!(manifest.contains("wasmgate-sdk.workspace = true"), "{manifest}");
    assert!(!manifest.contains("[workspace]") && !transforms.join("late-orders/sdk").exists());
}

const WRONG: &str = "rows: [{ value: { n: 1 }, expect: drop }]";
const RIGHT: &str = "rows: [{ value: { n: 1 }, expect: keep }]";

#[test]
fn a_version_whose_own_cases_fail_is_refused_everywhere_but_in_a_rollback() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let mut place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let first = running(&address);
    let cases = place.path().join("modules/rule.cases");
    std::fs::create_dir(&cases).unwrap();
    std::fs::write(cases.join("one.yaml"), WRONG).unwrap();

    let part = "one.yaml:1: the record is not as expected";
    for put in ["PUT /api/v1/modules/rule?dry_run=true", "PUT /api/v1/modules/rule"] {
        let (status, body) = send(&address, put, &route);
        assert!(status.contains("422") && body.contains(part), "{put}: {status} {body}");
    }
    let file = place.path().join("modules/rule.wasm");
    std::fs::write(&file, &route).unwrap();
    let note = place.path().join("modules/rule.wasm.rejected.txt");
    let noted = || std::fs::read_to_string(&note).unwrap_or_default();
    until("the refusal is noted", || noted().contains(part));
    assert_eq!(running(&address), first);

    std::fs::write(cases.join("one.yaml"), RIGHT).unwrap();
    let (status, body) = send(&address, "PUT /api/v1/modules/rule", &route);
    assert!(status.contains("201"), "{status} {body}");
    assert_ne!(running(&address), first);
    std::fs::write(cases.join("one.yaml"), WRONG).unwrap();
    let (status, body) = ask(&address, "POST /api/v1/modules/rule/rollback");
    assert!(status.contains("200"), "{status} {body}");
    assert_eq!(running(&address), first);
    place.write();
    place.check();
}
