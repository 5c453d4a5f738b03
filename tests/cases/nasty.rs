//! Modules that trap, loop or eat memory on one record: that record becomes a dead letter with the
//! module and the original bytes, its neighbours and the pipelines beside it go on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::root;

/// (pipeline, what its module does to the record 13, the code of the dead letter).
const CASES: [(&str, &str, Option<&str>); 4] = [
    ("good", "x", None),
    ("trap", "x trap-13 x", Some("module-trap")),
    ("loops", "x loop-13 x", Some("module-deadline")),
    ("bomb", "x bomb-13 x", Some("module-limit")),
];
const RECORDS: i64 = 40;

/// The runtime's own test guest, which does what its configuration says.
fn probe() -> Vec<u8> {
    let target = root().join("target/guests");
    let guests = root().join("host/crates/wasm/tests/guests/Cargo.toml");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--example", "probe"])
        .args(["--target", "wasm32-unknown-unknown", "--manifest-path"])
        .arg(guests)
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.unwrap().success(), "the guest does not build");
    let path: PathBuf = target.join("wasm32-unknown-unknown/debug/examples/probe.wasm");
    fs::read(path).unwrap()
}

#[test]
fn nasty_modules_lose_one_record_each_and_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("modules")).unwrap();
    fs::write(dir.join("modules/probe.wasm"), probe()).unwrap();
    let records: Vec<String> =
        (0..RECORDS).map(|n| format!("{}\n", json!({ "amount": n, "name": "a" }))).collect();
    fs::write(dir.join("in.jsonl"), records.concat()).unwrap();
    let mut config =
        "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\nmodules: { dir: '{dir}/modules', \
        limits: { memory: 16MiB, batch_time: 200ms } }\npipelines:\n"
            .to_owned();
    for (name, mode, _) in CASES {
        config.push_str(&format!(
            "  {name}:\n    source: {{ file: {{ path: '{{dir}}/in.jsonl', format: json, topic: t }} }}\n    \
             transforms: [ {{ module: probe, config: {{ mode: '{mode}' }} }} ]\n    \
             sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/{name}.out' }} }} ]\n    \
             dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n"
        ));
    }
    let mut gateway = Gateway::spawn(dir, &config, &["--until-complete"]);
    assert!(gateway.wait().success(), "{}", gateway.log());
    for (name, _, code) in CASES {
        let out = lines(&dir.join(format!("{name}.out")));
        let amounts: Vec<i64> =
            out.iter().map(|l| l["value"]["amount"].as_i64().unwrap()).collect();
        // The guest itself dead-letters 7.
        let want: Vec<i64> =
            (0..RECORDS).filter(|n| *n != 7 && (code.is_none() || *n != 13)).collect();
        assert_eq!(amounts, want, "{name}");
        assert!(out.iter().all(|l| l["value"]["doubled"] == json!(2 * l["value"]["amount"].as_i64().unwrap())));
        let letters = lines(&dir.join(format!("dlq/{name}.jsonl")));
        let found = letters.iter().find(|l| l["value"]["amount"] == 13);
        assert_eq!(found.is_some(), code.is_some(), "{name}: {letters:?}");
        if let (Some(letter), Some(code)) = (found, code) {
            assert_eq!(letter["value"], json!({ "amount": 13, "name": "a" }), "the original");
            let error = &letter["error"];
            assert_eq!(
                (&error["stage"], &error["code"]),
                (&json!("probe"), &json!(code)),
                "{letter}"
            );
            assert_eq!(error["module"]["version"], "1.2.3", "{letter}");
            assert_eq!(error["module"]["sha256"].as_str().unwrap().len(), 64, "{letter}");
        }
    }
}
