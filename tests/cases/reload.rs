//! Modules swapped under load: no record lost or doubled, each key's order kept; what cannot be
//! used leaves the old version running.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::topics::Reader;
use wasmgate_tests::{http, root, wait_for};

use super::load::{Load, TABLE, arrived};
use super::servers::{database, kafka, postgres, unique};

const RELOADS: usize = 50;

/// The component with an unused custom section: other bytes, another digest, the same rule.
fn version(component: &[u8], name: &str) -> Vec<u8> {
    assert!(name.len() < 100, "lengths are one byte");
    let mut bytes = component.to_vec();
    bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
    bytes.extend(name.as_bytes());
    bytes
}

fn component(name: &str) -> Vec<u8> {
    fs::read(root().join(format!("transforms/{name}.wasm"))).unwrap()
}

/// A drop directory of its own with these modules.
fn modules(dir: &Path, names: &[&str]) -> String {
    let folder = dir.join("modules");
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        fs::write(folder.join(format!("{name}.wasm")), component(name)).unwrap();
    }
    folder.display().to_string()
}

/// Replaces a file as a deployment does: written beside it, then renamed.
fn replace(dir: &Path, name: &str, bytes: &[u8]) {
    let folder = dir.join("modules");
    fs::write(folder.join(".new"), bytes).unwrap();
    fs::rename(folder.join(".new"), folder.join(format!("{name}.wasm"))).unwrap();
}

fn ask(gateway: &Gateway, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let (status, text) = http::request(gateway.address(), method, path, body).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn digest(gateway: &Gateway, module: &str) -> String {
    let (status, body) = ask(gateway, "GET", &format!("/api/v1/modules/{module}"), b"");
    assert_eq!(status, 200, "{body}");
    body["sha256"].as_str().unwrap().to_owned()
}

fn stage_digest(status: &Value, module: &str) -> Option<String> {
    let stages = status["stages"].as_array()?;
    let stage = stages.iter().find(|s| s["module"] == module)?;
    stage["sha256"].as_str().map(str::to_owned)
}

#[test]
fn reload_fifty_times_under_load() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "reload", TABLE);
    let (bootstrap, prefix) = (broker.bootstrap(), unique("reloaded"));
    let dir = tempfile::tempdir().unwrap();
    let folder = modules(dir.path(), &["unwrap", "identity", "fraud-rule"]);
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{folder}' }}\n\
         pipelines:\n  ledger:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: {prefix}, tables: [public.ledger], \
         slot: {database}, publication: {database} }}\n    transforms:\n      \
         - {{ module: unwrap, config: {{ add.fields: op }} }}\n      \
         - {{ module: identity }}\n      \
         - module: fraud-rule\n        config: {{ conditions: [ {{ field: seq, op: '>', value: 10 }} ] }}\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n    \
         batch: {{ rows: 32, bytes: 1MiB, wait: 1ms }}\n",
        port = server.port(),
    );
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("ledger", "the stream", |status| status["phase"] == "streaming");
    let load = Load::start(Arc::clone(&server), database);
    let mut reader = Reader::open(&bootstrap, &format!("{prefix}.public.ledger"));
    let names = ["identity", "fraud-rule"];
    let originals = names.map(component);
    let mut seen = BTreeMap::<String, usize>::new();
    for reload in 0..RELOADS {
        let (name, original) = (names[reload % 2], &originals[reload % 2]);
        let before = digest(&gateway, name);
        let bytes = version(original, &format!("reload {reload}"));
        if reload % 10 == 9 {
            replace(dir.path(), name, &bytes);
            let (status, body) = ask(&gateway, "POST", "/api/v1/modules/reload", b"");
            assert_eq!(status, 200, "{body}");
        } else {
            let path = format!("/api/v1/modules/{name}");
            let (status, body) = ask(&gateway, "PUT", &path, &bytes);
            assert_eq!((status, &body["name"]), (201, &json!(name)), "{body}");
        }
        let now = digest(&gateway, name);
        assert_ne!(now, before, "reload {reload}");
        let status = gateway.pipeline("ledger").unwrap();
        assert_eq!(stage_digest(&status, name).as_ref(), Some(&now), "the pipeline runs it");
        *seen.entry(now).or_default() += 1;
        // Records pass through this version before the next one comes.
        let read = status["records_out"].as_i64();
        gateway.wait_pipeline("ledger", "records", |s| s["records_out"].as_i64() > read);
    }
    assert_eq!(seen.len(), RELOADS, "each version was there once");
    let written = load.finish();
    let total = written.values().sum::<i64>() as usize;
    let records = reader.wait(total, || gateway.describe("ledger"));
    // Counting is exact: the gateway never went down.
    assert_eq!(records.len(), total);
    assert_eq!(arrived(&records).check(&written), 0, "records came twice");
    let judged = records.iter().all(|r| {
        let row = r.json();
        row["is_fraud"].as_bool() == Some(row["seq"].as_i64() > Some(10))
    });
    assert!(judged, "a record missed the rule");
    let status = gateway.pipeline("ledger").unwrap();
    assert_eq!((&status["dead_letters"], &status["dropped"]), (&json!(0), &json!(0)), "{status}");
    println!("{total} changes through {RELOADS} reloads");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

#[test]
fn reload_of_a_broken_module_leaves_the_old_one_running() {
    let dir = tempfile::tempdir().unwrap();
    let folder = modules(dir.path(), &["quality-check", "identity"]);
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{folder}' }}\n\
         pipelines:\n  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs, follow: true }} }}\n    \
         transforms: [ {{ module: quality-check, config: {{ required: [n] }} }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    );
    fs::write(dir.path().join("in.jsonl"), "{\"n\":0}\n").unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let out = dir.path().join("out.jsonl");
    wasmgate_tests::gateway::wait_lines(&gateway, &out, 1);
    let before = digest(&gateway, "quality-check");
    let cut = component("quality-check");
    // (what, bytes, a word of the answer)
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("garbage", b"\x7fELF what is this".to_vec(), "component"),
        ("nothing", Vec::new(), ""),
        ("half of it", cut[..cut.len() / 2].to_vec(), ""),
        ("a module of another world", component("dlq-decision"), "world"),
        ("a foreign import", foreign_import(&cut), "somebody-elses-thing"),
        // `required` is quality-check's own word: identity refuses it.
        ("a rule that refuses the configuration", component("identity"), "required"),
    ];
    for (what, bytes, word) in cases {
        let (status, body) = ask(&gateway, "PUT", "/api/v1/modules/quality-check", &bytes);
        assert!((400..500).contains(&status), "{what}: {status} {body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(word) && !message.is_empty(), "{what}: {message}");
        assert_eq!(digest(&gateway, "quality-check"), before, "{what}");

        replace(dir.path(), "quality-check", &bytes);
        let (status, body) = ask(&gateway, "POST", "/api/v1/modules/reload", b"");
        assert_eq!(status, 200, "{what}: {body}");
        let note = dir.path().join("modules/quality-check.wasm.rejected.txt");
        wait_for(what, || fs::read_to_string(&note).ok(), || gateway.describe("copy"));
        assert_eq!(digest(&gateway, "quality-check"), before, "{what}");
        fs::remove_file(&note).unwrap();
    }
    // Appended: a file that is written anew is empty for a moment, which its reader may see.
    let mut file = fs::OpenOptions::new().append(true).open(dir.path().join("in.jsonl")).unwrap();
    file.write_all(b"{\"n\":1}\n{\"m\":2}\n").unwrap();
    wasmgate_tests::gateway::wait_lines(&gateway, &out, 2);
    let letters =
        wasmgate_tests::gateway::wait_lines(&gateway, &dir.path().join("dlq/copy.jsonl"), 1);
    assert!(
        letters[0].to_string().contains(&before),
        "the letter names the version: {}",
        letters[0]
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// The component with one more import, which no rule may have.
fn foreign_import(component: &[u8]) -> Vec<u8> {
    let name = b"somebody-elses-thing";
    let mut bytes = component.to_vec();
    // Section 10, imports: one, a plain name, a type that is some resource.
    bytes.extend([10, name.len() as u8 + 5, 1, 0, name.len() as u8]);
    bytes.extend(name);
    bytes.extend([3, 1]);
    bytes
}
