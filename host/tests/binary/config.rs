//! Configurations that are wrong: exit code 78, and an error that names file, line, dotted field,
//! what was found and what to do. Through the binary, as users meet it.

use std::path::Path;
use std::process::{Command, Output};

/// A configuration that is right, and needs no server to be looked at.
const GOOD: &str = "\
data_dir: ./data
modules: { dir: ./modules }
pipelines:
  orders:
    source:
      file: { path: in.jsonl }
    sinks:
      - { topics: '.*', file: { dir: out } }
";

const POSTGRES: &str = "postgres: { database: d, user: u, topic_prefix: p }";

/// What is replaced by what, and what the error has to contain.
struct Case {
    replace: &'static str,
    with: &'static str,
    expect: &'static [&'static str],
}

const fn case(replace: &'static str, with: &'static str, expect: &'static [&'static str]) -> Case {
    Case { replace, with, expect }
}

const FILE: &str = "file: { path: in.jsonl }";
const SINK: &str = "{ topics: '.*', file: { dir: out } }";

const CASES: &[Case] = &[
    case("data_dir", "datadir", &["w.yaml:1:1: datadir: unknown key", "did you mean `data_dir`?"]),
    case("data_dir: ./data", "data_dir: [", &["w.yaml:", "not valid YAML"]),
    case("  orders:", "  or ders:", &["w.yaml:4:3: pipelines.or ders: `or ders` cannot be"]),
    case(
        "path",
        "paht",
        &["w.yaml:6:15: pipelines.orders.source.file.paht", "did you mean `path`?"],
    ),
    case(
        "path: in.jsonl",
        "topic: t",
        &["w.yaml:6:7: pipelines.orders.source.file.path: is missing"],
    ),
    case(
        "path: in.jsonl",
        "path: [a]",
        &["w.yaml:6:21: pipelines.orders.source.file.path: found a list, expected text"],
    ),
    case(
        "path: in.jsonl",
        "path: a, format: xml",
        &["source.file.format: found `xml`, expected `json`, `debezium-json` or `bytes`"],
    ),
    case(
        "path: in.jsonl",
        "path: a, max_line: 1kib",
        &["source.file.max_line: found `1kib`, expected a size"],
    ),
    case(
        "path: in.jsonl",
        "path: a, max_line: 12",
        &["source.file.max_line: found `12B`, expected `1KiB` to `256MiB`"],
    ),
    case(
        "path: in.jsonl",
        "path: '${env:WG_NOPE}'",
        &[
            "w.yaml:6:21: pipelines.orders.source.file.path: the environment variable `WG_NOPE` is",
            "help: set WG_NOPE",
        ],
    ),
    case("path: in.jsonl", "path: '${file:/nope/x}'", &["the file `/nope/x` cannot be read"]),
    case(
        FILE,
        "file: { path: in.jsonl }\n      sample: {}",
        &["w.yaml:5:5: pipelines.orders.source: names 2 of the kinds of source (`file`, `sample`)"],
    ),
    case(
        FILE,
        "",
        &[
            "pipelines.orders.source: names none of the kinds of source",
            "`postgres`, `mysql`, `kafka`, `file` or `sample`",
        ],
    ),
    case(
        FILE,
        "mysql: { host: a }",
        &["w.yaml:6:7: pipelines.orders.source.mysql.user: is missing"],
    ),
    case(FILE, "sample: { rate: 0 }", &["source.sample.rate: found `0`, expected at least 1"]),
    case(
        FILE,
        "postgres: { database: d, user: u }",
        &["pipelines.orders.source.postgres.topic_prefix: is missing"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: 'a b' }",
        &["postgres.topic_prefix: found `a b`"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, port: abc }",
        &["orders.source.postgres.port: found `abc`, expected a whole number from 0 to 65535"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, port: 70000 }",
        &["postgres.port: found `70000`"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, slot: My-Slot }",
        &["postgres.slot: found `My-Slot`, expected lower-case letters"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, tables: [orders] }",
        &["postgres.tables[0]: found `orders`, expected `schema.table`", "public.orders"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, tables: [a.b, a.b] }",
        &["postgres.tables[1]: `a.b` is also entry [0]"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, snapshot: no }",
        &["postgres.snapshot: found `no`, expected `initial`, `never`"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, heartbeat: 10 }",
        &["postgres.heartbeat: found `10`, expected a duration with its unit"],
    ),
    case(
        FILE,
        "postgres: { database: d, user: u, topic_prefix: p, ssl_root_cert: /nope.pem }",
        &["postgres.ssl_root_cert: the file `/nope.pem` is not there"],
    ),
    case(
        FILE,
        "kafka: { bootstrap_servers: nope, topics: [a], group: g }",
        &["w.yaml:6:35: pipelines.orders.source.kafka.bootstrap_servers: found \"nope\""],
    ),
    case(
        FILE,
        "kafka: { bootstrap_servers: 'a:1', topics: [], group: g }",
        &["pipelines.orders.source.kafka.topics: empty"],
    ),
    case(
        FILE,
        "kafka: { bootstrap_servers: 'a:1', topics: [t], group: g, properties: \
         { enable.auto.commit: 'true' } }",
        &["pipelines.orders.source.kafka", "enable.auto.commit"],
    ),
    case(
        SINK,
        "{ topics: '.*', clickhouse: {} }",
        &["pipelines.orders.sinks[0].clickhouse.hosts: is missing"],
    ),
    case(SINK, "{ topics: '.*' }", &["pipelines.orders.sinks[0]: names none of the kinds of sink"]),
    case(
        SINK,
        "{ topics: '.*', console: {}, blackhole: {} }",
        &["sinks[0]: names 2 of the kinds of sink (`console`, `blackhole`)"],
    ),
    case(
        SINK,
        "{ topics: '(', console: {} }",
        &["w.yaml:8:19: pipelines.orders.sinks[0].topics: found `(`, expected a regular \
             expression: unclosed group"],
    ),
    case(SINK, "{ console: {} }", &["pipelines.orders.sinks[0].topics: is missing"]),
    case(SINK, "{ topics: x, file: {} }", &["sinks[0].file: found neither, expected one of them"]),
    case(
        SINK,
        "{ topics: x, file: { dir: a, path: b } }",
        &["sinks[0].file: found both `dir` and `path`"],
    ),
    case(
        "      - { topics: '.*', file: { dir: out } }",
        "      []",
        &["pipelines.orders.sinks: names no sink, expected at least one"],
    ),
    case(
        "data_dir",
        "http: { listen: 0.0.0.0:8080 }\ndata_dir",
        &["w.yaml:1:17: http.listen: `0.0.0.0:8080` can be reached from other machines", "tokens"],
    ),
    case(
        "data_dir",
        "http: { listen: here }\ndata_dir",
        &["http.listen: found `here`, expected an address and a port"],
    ),
    case(
        "data_dir",
        "http: { tokens: [abc] }\ndata_dir",
        &["w.yaml:1:18: http.tokens[0]: the token is shorter than 16"],
    ),
    case(
        "data_dir",
        "http: { tokens: [{ token: abc, role: viewer }] }\ndata_dir",
        &["http.tokens[0].token: the token is shorter than 16"],
    ),
    case(
        "data_dir",
        "http: { tokens: [{ token: abcdefghijklmnop, role: root }] }\ndata_dir",
        &["http.tokens[0].role: found `root`, expected `viewer`, `operator` or `deployer`"],
    ),
    case(
        "data_dir",
        "http: { tokens: [{ token: abcdefghijklmnop }] }\ndata_dir",
        &["http.tokens[0].role: is missing"],
    ),
    case(
        "data_dir",
        "http: { tokens: [1234567890123456] }\ndata_dir",
        &["http.tokens[0]: ", "expected a token in quotes, or `{ token, role }`"],
    ),
    case(
        "data_dir",
        "http: { upload_max: 33MiB }\ndata_dir",
        &["http.upload_max: found `33MiB`, expected `1KiB` to `32MiB`"],
    ),
    case(
        "data_dir",
        "log: { level: loud }\ndata_dir",
        &["log.level: found `loud`, expected `error`, `warn`"],
    ),
    case(
        "data_dir",
        "connect: {}\ndata_dir",
        &["w.yaml:1:1: connect", "not supported by this version"],
    ),
    case(
        "./modules }",
        "./modules, limits: { memory: 1KiB } }",
        &["modules.limits.memory: found `1KiB`, expected `1MiB` to `4GiB`"],
    ),
    case(
        "./modules }",
        "./modules, limits: { batch_time: 1ms } }",
        &["modules.limits.batch_time: found `1ms`, expected `10ms` to `60000ms`"],
    ),
    case(
        "    sinks:",
        "    batch: { rows: 0 }\n    sinks:",
        &["w.yaml:7:20: pipelines.orders.batch.rows: found `0`, expected 1 to 65536"],
    ),
    case("    sinks:", "    batch: { wait: 1h }\n    sinks:", &["batch.wait: found `3600000ms`"]),
    case(
        "    sinks:",
        "    lanes: 99\n    sinks:",
        &["pipelines.orders.lanes: found `99`, expected 1 to 64"],
    ),
    case(
        "    sinks:",
        "    dead_letters: {}\n    sinks:",
        &["dead_letters: names none of the places for dead letters"],
    ),
    case(
        "    sinks:",
        "    dead_letters: { kafka: { topic: d } }\n    sinks:",
        &["dead_letters.kafka.bootstrap_servers: is missing"],
    ),
    case(
        "    sinks:",
        "    transforms: [{ module: nope }]\n    sinks:",
        &["w.yaml:7:28: pipelines.orders.transforms[0].module: there is no module `nope`"],
    ),
    case(
        "    sinks:",
        "    transforms: [{ module: ../x }]\n    sinks:",
        &["transforms[0].module: found `../x`"],
    ),
    case(
        "    sinks:",
        "    transforms: [{ module: broken }]\n    sinks:",
        &["transforms[0].module: module `broken` cannot be loaded"],
    ),
    case(
        "    sinks:",
        "    transforms: [{ module: m, when: { topics: [] } }]\n    sinks:",
        &["transforms[0].when.topics: found no pattern"],
    ),
    case(
        "    sinks:",
        "    transforms: [{ module: m, config: 3 }]\n    sinks:",
        &["transforms[0].config: found `3`, expected a mapping"],
    ),
    case(
        "    sinks:",
        "    policy: { module: nope }\n    sinks:",
        &["pipelines.orders.policy.module: there is no module `nope`"],
    ),
    case(
        "  orders:",
        "  a:\n    source: { postgres: { database: d, user: u, topic_prefix: p, host: DB } }\n    \
         sinks: [{ topics: '.*', console: {} }]\n  \
         b:\n    source: { postgres: { database: e, user: u, topic_prefix: q, host: db } }\n    \
         sinks: [{ topics: '.*', console: {} }]\n  orders:",
        &[
            "pipelines.b.source.postgres.slot: is the same slot of the same server",
            "`pipelines.a.source.postgres.slot`",
        ],
    ),
    case(
        "  orders:",
        "  a:\n    source: { mysql: { user: u, topic_prefix: p, host: Localhost, server_id: 7 } }\n    \
         sinks: [{ topics: '.*', console: {} }]\n  \
         b:\n    source: { mysql: { user: u, topic_prefix: q, server_id: 7 } }\n    \
         sinks: [{ topics: '.*', console: {} }]\n  orders:",
        &[
            "pipelines.b.source.mysql.server_id: is the same number at the same server as in",
            "`pipelines.a.source.mysql.server_id`",
        ],
    ),
    case(
        FILE,
        "mysql: { user: u, topic_prefix: p, events: { heartbeat_query: 'DO 1' } }",
        &["mysql.events.heartbeat_query: means something only with `heartbeat`"],
    ),
    case(
        SINK,
        "{ topics: '.*', file: { path: ./in.jsonl } }",
        &["w.yaml:8:39: pipelines.orders.sinks[0].file.path: is the same file as in \
             `pipelines.orders.source.file.path`"],
    ),
    case(
        SINK,
        "{ topics: a, file: { path: new/x } }\n      - { topics: b, file: { path: new//x } }",
        &[
            "orders.sinks[1].file.path: is the same file as in `pipelines.orders.sinks[0].file.path`",
        ],
    ),
    case(
        SINK,
        "{ topics: '.*', file: { path: data/dead-letters/orders.jsonl } }",
        &["pipelines.orders.dead_letters.file.dir: is the same file as in \
             `pipelines.orders.sinks[0].file.path`"],
    ),
    case(
        "    sinks:",
        "    dead_letters: { file: { dir: ./out } }\n    sinks:",
        &["w.yaml:7:34: pipelines.orders.dead_letters.file.dir: is the same directory as in \
             `pipelines.orders.sinks[0].file.dir`"],
    ),
    case(
        "  orders:",
        "  other:\n    source: { sample: {} }\n    sinks: [{ topics: x, file: { dir: out } }]\n  \
         orders:",
        &["pipelines.other.sinks[0].file.dir: is the same directory as in \
             `pipelines.orders.sinks[0].file.dir`"],
    ),
];

pub(crate) fn wasmgate(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wasmgate"))
        .args(args)
        .current_dir(dir)
        .env("RUST_LOG", "off")
        .output()
        .unwrap()
}

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("modules")).unwrap();
    std::fs::write(dir.path().join("modules/broken.wasm"), "not wasm").unwrap();
    std::fs::write(dir.path().join("in.jsonl"), "").unwrap();
    dir
}

#[test]
fn every_mistake_is_refused_with_its_place() {
    let dir = workplace();
    let mut wrong = String::new();
    for case in CASES {
        assert!(GOOD.contains(case.replace), "{:?} is not in the good one", case.replace);
        let yaml = GOOD.replacen(case.replace, case.with, 1);
        std::fs::write(dir.path().join("w.yaml"), &yaml).unwrap();
        for command in [&["validate"][..], &["run", "--until-complete"]] {
            let output = wasmgate(dir.path(), &[command, &["-c", "w.yaml"]].concat());
            let error = String::from_utf8(output.stderr).unwrap();
            let missing: Vec<_> = case.expect.iter().filter(|p| !error.contains(**p)).collect();
            if output.status.code() != Some(78) || !missing.is_empty() {
                let status = output.status;
                wrong += &format!("{command:?}: {status}, without {missing:?}:\n{error}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn all_problems_are_shown_at_once() {
    let dir = workplace();
    let yaml = GOOD.replace(FILE, POSTGRES).replace("sinks:", "lanes: 0\n    sinks:");
    let yaml = yaml.replace("database: d", "database: d, slot: A, tables: [x]");
    std::fs::write(dir.path().join("w.yaml"), yaml).unwrap();
    let output = wasmgate(dir.path(), &["validate", "-c", "w.yaml"]);
    let error = String::from_utf8(output.stderr).unwrap();
    for part in [".slot: found `A`", ".tables[0]: found `x`", ".lanes: found `0`"] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
}

#[test]
fn a_secret_is_not_in_the_error() {
    let dir = workplace();
    std::fs::write(dir.path().join("secret"), "hunter2\n").unwrap();
    let yaml = GOOD.replace("data_dir: ./data", "http: { listen: '${file:secret}', hosts: 3 }");
    let sink = GOOD.replace("'.*'", "'${file:secret}('");
    let late = yaml.replace(", hosts: 3", "");
    let word = GOOD.replace("path: in.jsonl", "path: a, format: '${file:secret}'");
    for yaml in [yaml, sink, late, word] {
        std::fs::write(dir.path().join("w.yaml"), yaml).unwrap();
        let output = wasmgate(dir.path(), &["validate", "-c", "w.yaml"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_good_one_is_valid_and_leaves_no_trace() {
    let dir = workplace();
    std::fs::write(dir.path().join("w.yaml"), GOOD).unwrap();
    let output = wasmgate(dir.path(), &["validate", "-c", "w.yaml"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(!dir.path().join("data").exists() && !dir.path().join("out").exists());
    assert!(!dir.path().join("modules/broken.wasm.rejected.txt").exists());
}

#[test]
fn what_may_be_shared_is_valid() {
    let dir = workplace();
    let slot = "{ postgres: { database: d, user: u, topic_prefix: p, slot: ";
    let sinks = "sinks: [{ topics: '.*', console: {} }]";
    let yaml = GOOD.replace(SINK, &format!("{SINK}\n      - {SINK}"))
        + &format!("  a:\n    source: {slot} a }} }}\n    {sinks}\n")
        + &format!("  b:\n    source: {slot} b }} }}\n    {sinks}\n")
        + &format!("  c:\n    source: {slot} a, port: 6432 }} }}\n    {sinks}\n")
        + &format!("  d:\n    source: {{ {FILE} }}\n    {sinks}\n");
    std::fs::write(dir.path().join("w.yaml"), yaml).unwrap();
    let output = wasmgate(dir.path(), &["validate", "-c", "w.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_missing_file_and_wrong_usage_have_their_codes() {
    let dir = workplace();
    for (args, code) in [
        (&["validate", "-c", "nope.yaml"][..], 78),
        (&["run", "-c", "nope.yaml"], 78),
        (&["run"], 2),
        (&["explode"], 2),
        (&["module", "inspect", "nope.wasm"], 1),
        (&["module", "inspect", "modules/broken.wasm"], 1),
        (&["--version"], 0),
    ] {
        let output = wasmgate(dir.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
}

#[test]
fn the_schema_is_one() {
    let dir = workplace();
    let output = wasmgate(dir.path(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let pipelines = schema.pointer("/properties/pipelines/additionalProperties/$ref");
    assert_eq!(pipelines, Some(&"#/$defs/Pipeline".into()));
    assert_eq!(schema.pointer("/additionalProperties"), Some(&false.into()));
}
