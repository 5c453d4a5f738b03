//! What is wrong with a server, a module or a record, and what the gateway says about it: one
//! clear error that names the remedy. Configuration by itself is tested with the binary.

use std::fs;
use std::process::Command;

use serde_json::Value;
use wasmgate_services::postgres::{Options, Postgres};
use wasmgate_tests::gateway::{Gateway, binary, expand, lines, wait_lines};

use super::servers::{database, kafka, postgres, unique};

const HEAD: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\nmodules: { dir: '{modules}' }\npipelines:\n";

/// A port where nobody listens. One that was free a moment ago may be another test's server by now.
const NOBODY: &str = "1";

/// A pipeline that cannot run as its server is, its state, words of the reason.
struct Refused<'a> {
    name: &'a str,
    /// Fields that differ from the usual source.
    source: String,
    transforms: &'a str,
    state: &'a str,
    words: &'a [&'a str],
}

/// A source of the table `t`, and what differs: later fields win.
fn source(port: u16, database: &str, name: &str, differs: &[(&str, &str)]) -> String {
    let port = port.to_string();
    let slot = format!("{database}_{}", name.replace('-', "_"));
    let mut fields = vec![
        ("host", "127.0.0.1"),
        ("port", &port),
        ("database", database),
        ("user", "postgres"),
        ("password", "right"),
        ("topic_prefix", "bad"),
        ("tables", "[public.t]"),
        ("slot", &slot),
        ("publication", &slot),
        ("connect_timeout", "2s"),
    ];
    for (field, value) in differs {
        fields.retain(|(name, _)| name != field);
        fields.push((field, value));
    }
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.join(", ")
}

/// Whether the pipeline was opened and that went wrong.
fn refused(status: &Value) -> bool {
    let not_running = matches!(status["state"].as_str(), Some("retrying" | "failed" | "paused"));
    not_running && status["reason"].is_string()
}

fn pipeline(case: &Refused<'_>) -> String {
    format!(
        "  {name}:\n    source: {{ postgres: {{ {source} }} }}\n    transforms: [ {transforms} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/{name}.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        name = case.name,
        source = case.source,
        transforms = case.transforms,
    )
}

const SCHEMA: &str = "
    create table t (id int primary key, a text);
    insert into t values (1, 'x');
    create table other (id int primary key);
    create publication without_t for table other;
    create role reader login password 'right';
    grant select on t to reader;
    create role replicator login replication password 'right';
    select pg_create_physical_replication_slot('physical');";

#[test]
fn badinput_of_a_server_is_one_clear_error() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    // Servers of their own: one asks for passwords, one does not decode its log.
    let start = |settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let password = Some("right".into());
        Postgres::start(&Options { settings, password, ..Options::default() }).unwrap()
    };
    let (server, replica) = (start(&[]), start(&[("wal_level", "replica")]));
    let database_of = |server: &Postgres| database(server, "bad", SCHEMA);
    let (port, database) = (server.port(), database_of(&server));
    let (replica_port, replica_database) = (replica.port(), database_of(&replica));
    let of = |name, differs: &[(&str, &str)], state, words| Refused {
        name,
        source: source(port, &database, name, differs),
        transforms: "",
        state,
        words,
    };
    let mut cases = vec![
        of("nobody", &[("port", NOBODY)], "retrying", &["127.0.0.1", "refused"]),
        of("password", &[("password", "wrong")], "failed", &["password", "postgres", "28P01"]),
        of("database", &[("database", "nowhere")], "failed", &["nowhere", "3D000"]),
        of("replication", &[("user", "reader")], "failed", &["REPLICATION", "reader"]),
        of("select", &[("user", "replicator")], "failed", &["replicator", "42501"]),
        of(
            "publication",
            &[("publication", "without_t"), ("slot_care", "{ publication_mode: disabled }")],
            "failed",
            &["ALTER PUBLICATION", "without_t"],
        ),
        of("no-table", &[("tables", "[public.nowhere]")], "failed", &["nowhere"]),
        of("no-publication", &[("tables", "[]")], "failed", &["CREATE PUBLICATION"]),
        of("physical", &[("slot", "physical")], "failed", &["physical", "choose another name"]),
    ];
    let replica_source = source(replica_port, &replica_database, "replica", &[]);
    let wal = &["wal_level", "ALTER SYSTEM"];
    cases.push(Refused {
        name: "replica",
        source: replica_source,
        transforms: "",
        state: "failed",
        words: wal,
    });

    let dir = tempfile::tempdir().unwrap();
    let config: String = cases.iter().map(pipeline).collect();
    let good = of("good", &[], "running", &[]);
    let gateway = Gateway::start(dir.path(), &format!("{HEAD}{config}{}", pipeline(&good)));
    let mut wrong = Vec::new();
    for case in &cases {
        let status = gateway.wait_pipeline(case.name, "an error", refused);
        let (state, reason) = (&status["state"], status["reason"].as_str().unwrap());
        let missing: Vec<_> = case.words.iter().filter(|word| !reason.contains(**word)).collect();
        if state != case.state || !missing.is_empty() {
            wrong.push(format!("{}: {state}, without {missing:?}: {reason}", case.name));
        }
        assert!(!reason.contains("wrong;") || !reason.contains("right"), "a secret: {reason}");
        assert!(lines(&dir.path().join(format!("{}.jsonl", case.name))).is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The neighbour works, and the log holds each error once.
    wait_lines(&gateway, &dir.path().join("good.jsonl"), 1);
    assert_eq!(gateway.pipeline("good").unwrap()["state"], "running");
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let failed: Vec<&str> = log.lines().filter(|l| l.contains("pipeline failed")).collect();
    assert_eq!(failed.len(), cases.iter().filter(|c| c.state == "failed").count(), "{failed:#?}");
}

#[test]
fn badinput_is_removed_and_the_pipeline_resumed() {
    let Some(server) = postgres() else { return };
    let database = database(
        &server,
        "mended",
        "create table t (id int primary key); insert into t values (1)",
    );
    let case = Refused {
        name: "mended",
        source: source(
            server.port(),
            &database,
            "mended",
            &[("publication", "late"), ("tables", "[]")],
        ),
        transforms: "",
        state: "failed",
        words: &[],
    };
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &format!("{HEAD}{}", pipeline(&case)));
    gateway.wait_pipeline("mended", "the failure", |status| status["state"] == "failed");
    server.psql(&database, "create publication late for table t").unwrap();
    let resume = "/api/v1/pipelines/mended/resume";
    let answer = wasmgate_tests::http::request(gateway.address(), "POST", resume, b"").unwrap();
    assert_eq!(answer.0, 200, "{}", answer.1);
    wait_lines(&gateway, &dir.path().join("mended.jsonl"), 1);
    let status = gateway.wait_pipeline("mended", "work", |status| status["state"] == "running");
    assert!(status["reason"].is_null(), "{status}");
}

/// `validate` and `run` refuse what a module refuses, before anything is touched.
#[test]
fn badinput_of_modules_is_a_problem_of_the_configuration() {
    let cases = [
        ("{ module: dlq-decision }", "", "dlq-decision", "dead-letter-policy"),
        ("", "policy: { module: identity }", "identity", "transform"),
        (
            "{ module: quality-check, config: { ranges: { a: { min: 2, max: 1 } } } }",
            "",
            "ranges.a",
            "min",
        ),
        ("{ module: quality-check, config: { patterns: { a: '(' } } }", "", "patterns.a", ""),
        ("{ module: fraud-rule, config: { conditions: [] } }", "", "conditions", "at least one"),
        ("{ module: nowhere }", "", "nowhere", "no module"),
    ];
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in.jsonl"), "{}\n").unwrap();
    for (transform, policy, word, more) in cases {
        let text = format!(
            "{HEAD}  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs }} }}\n    \
             transforms: [ {transform} ]\n    {policy}\n    \
             sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n"
        );
        let file = dir.path().join("wasmgate.yaml");
        fs::write(&file, expand(dir.path(), &text)).unwrap();
        for command in ["validate", "run"] {
            let done = Command::new(binary()).args([command, "-c"]).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(78), "{command} {transform}{policy}: {said}");
            assert!(said.contains(word) && said.contains(more), "{word}, {more}: {said}");
            assert!(said.contains("pipelines.copy."), "the place: {said}");
        }
        assert!(!dir.path().join("out.jsonl").exists());
    }
}

/// Documents that lack a field, deep or broken ones: dead letters with the bytes as they were.
#[test]
fn badinput_of_records_is_kept_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bad = [
        "{\"b\":1}".to_owned(),
        "{\"a\":null}".to_owned(),
        "{\"a\":1".to_owned(),
        "{\"a\":1}}".to_owned(),
        "{'a':1}".to_owned(),
        "{\"a\":\"\\ud800\"}".to_owned(),
        format!("{{\"a\":{deep}}}"),
    ];
    let mut text = String::new();
    for (n, line) in bad.iter().enumerate() {
        text.push_str(&format!("{{\"a\":{n}}}\n{line}\n"));
    }
    fs::write(dir.path().join("in.jsonl"), text).unwrap();
    let config = format!(
        "{HEAD}  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs }} }}\n    \
         transforms: [ {{ module: quality-check, config: {{ required: [a] }} }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    );
    let mut gateway = Gateway::spawn(dir.path(), &config, &["--until-complete"]);
    assert!(gateway.wait().success(), "{}", gateway.log());
    let passed: Vec<i64> = lines(&dir.path().join("out.jsonl"))
        .iter()
        .map(|l| l["value"]["a"].as_i64().unwrap())
        .collect();
    assert_eq!(passed, (0..bad.len() as i64).collect::<Vec<_>>());
    let letters = lines(&dir.path().join("dlq/copy.jsonl"));
    assert_eq!(letters.len(), bad.len());
    for (letter, bytes) in letters.iter().zip(&bad) {
        let error = &letter["error"];
        let checked = error["stage"] == "quality-check";
        let code = if checked { "missing-field" } else { "invalid-json" };
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["module"].is_object(), checked, "{error}");
        // JSON stays JSON; all else is base64 of the bytes.
        let kept = match letter["value"]["$bytes"].as_str() {
            Some(text) => base64(text),
            None => letter["value"].to_string(),
        };
        assert_eq!(&kept, bytes);
    }
}

/// Decodes base64 to text.
fn base64(text: &str) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | digits.iter().position(|d| *d == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn badinput_unreachable_broker_is_retried_and_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in.jsonl"), "{}\n").unwrap();
    let nobody = format!("127.0.0.1:{NOBODY}");
    let config = format!(
        "{HEAD}  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs }} }}\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{nobody}' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    );
    let gateway = Gateway::start(dir.path(), &config);
    let status = gateway.wait_pipeline("copy", "a reason", refused);
    assert_eq!(status["state"], "retrying");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains(&nobody), "{reason}");
    let ready = wasmgate_tests::http::request(gateway.address(), "GET", "/readyz", b"").unwrap();
    assert_eq!(ready.0, 503, "{}", ready.1);
    assert!(gateway.signal_and_wait("TERM").0.success());
}

#[test]
fn badinput_topic_without_a_sink_is_a_dead_letter() {
    let Some(broker) = kafka() else { return };
    let (bootstrap, name) = (broker.bootstrap(), unique("sinkless"));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in.jsonl"), "{\"a\":1}\n").unwrap();
    let config = format!(
        "{HEAD}  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs }} }}\n    \
         sinks: [ {{ topics: '{name}', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ kafka: {{ topic: {name}-dlq }} }}\n"
    );
    let mut gateway = Gateway::spawn(dir.path(), &config, &["--until-complete"]);
    assert!(gateway.wait().success(), "{}", gateway.log());
    let letters = wasmgate_tests::topics::read_all(&bootstrap, &format!("{name}-dlq"));
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"{\"a\":1}"[..]));
    let message = letters[0].header("__connect.errors.exception.message").unwrap();
    assert!(message.contains("docs") && message.contains("topics"), "{message}");
}
