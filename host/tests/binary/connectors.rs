//! Connector documents through the binary: what becomes of each property, mistakes with their
//! places, names, secrets, and the pipelines that come of them.

use std::path::Path;

use crate::config::wasmgate;

/// A connector that is right; `more` is put into its configuration.
fn connector(name: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ",\n    " };
    format!(
        r#"{{
  "name": "{name}",
  "config": {{
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "127.0.0.1",
    "database.port": "1",
    "database.user": "u",
    "database.password": "${{file:secrets.properties:password}}",
    "database.dbname": "shop",
    "topic.prefix": "{name}",
    "slot.name": "{name}_slot"{comma}{more}
  }}
}}"#
    )
}

const BASE: &str = "\
connectors:
  sinks: [{ topics: '.*', file: { dir: 'kept/${connector}' } }]
  dead_letters: { file: { dir: letters } }
  defaults:
    value.converter: org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable: false
";

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    write(dir.path(), "base.yaml", BASE);
    write(dir.path(), "secrets.properties", "# of the database\npassword=hunter2:x\n");
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// Exit code, standard output, standard error.
fn validate(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = wasmgate(dir, &[&["validate"], args].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_property_of_a_connector_is_answered() {
    let dir = workplace();
    let more = r#""poll.interval.ms": 100, "custom.metric.tags": "a=b", "slot.nam": "x""#;
    write(dir.path(), "c.json", &connector("shop", more));
    let (code, out, err) = validate(dir.path(), &["-c", "base.yaml", "--connector", "c.json"]);
    assert_eq!(code, Some(0), "{err}");
    for line in [
        "c.json: connector shop",
        "honoured    database.hostname ",
        "ignored     poll.interval.ms ",
        "unsupported custom.metric.tags ",
        "unknown     slot.nam ",
        "(did you mean `slot.name`?)",
        "honoured    publication.name                not given, so `dbz_publication`",
        "honoured    value.converter.schemas.enable",
        "valid; pipelines: shop",
    ] {
        assert!(out.contains(line), "{line} is not in\n{out}");
    }
    assert!(!out.contains("hunter2") && !out.contains("no sink"), "{out}");
}

#[test]
fn without_a_configuration_records_are_kept_in_files() {
    let dir = workplace();
    write(dir.path(), "c.json", &connector("shop", ""));
    let unnamed = connector("shop", "").replace("\"name\": \"shop\",", "");
    let bare = unnamed.trim_start_matches("{\n  \n  \"config\":").trim_end_matches('}');
    write(dir.path(), "bare.json", bare);
    let (code, _, err) = validate(dir.path(), &["--connector", "bare.json"]);
    assert_eq!(code, Some(78));
    assert!(err.contains("has no name") && err.contains("NAME=FILE"), "{err}");
    for given in ["c.json", "shop=bare.json"] {
        let (code, out, err) = validate(dir.path(), &["--connector", given]);
        assert_eq!(code, Some(0), "{err}");
        let want = "below ./out/shop; for Kafka give -c FILE with";
        assert!(out.contains(want), "{out}");
    }
}

#[test]
fn every_mistake_in_a_connector_is_refused_with_its_place() {
    let mut wrong = String::new();
    for (more, expect) in [
        (
            r#""snapshot.mode": "sometimes""#,
            &["c.json:12:22: snapshot.mode: found `sometimes`, expected `initial`", "^^^^"][..],
        ),
        (
            r#""heartbeat.action.query": "x", "converters": "isbn""#,
            &["c.json:12:50: converters: found `isbn`", "help: leave it out"],
        ),
        (
            r#""column.mask.with.3.chars": "a", "column.mask.hash.MD6.with.salt.s": "b""#,
            &["c.json:12:74: column.mask.hash.MD6.with.salt.s: found `MD6`"],
        ),
        (r#""table.include.list": "public\\.(a""#, &["c.json:12:27: table.include.list: "]),
        (r#""topic.delimiter": "_/""#, &["12:24: topic.delimiter: found `_/`, expected letters"]),
        // Found by the check of the configuration, under the property's name.
        (
            r#""table.include.list": "public.a,public.a""#,
            &["c.json:12:27: table.include.list: `public.a` is also entry [0]"],
        ),
        (
            r#""snapshot.mode": "x", "skipped.operations": "x""#,
            &["12:22: snapshot.mode", "12:49: skipped.operations"],
        ),
        (r#""wasmgate.lanes": "many""#, &["c.json:12:23: wasmgate.lanes: found `many`, expected"]),
        (
            r#""wasmgate.laness": "1""#,
            &["12:24: wasmgate.laness: unknown key", "did you mean `lanes`?"],
        ),
        (r#""wasmgate.batch.rows": "0""#, &["c.json:12:28: wasmgate.batch.rows: found `0`"]),
        (
            r#""transforms": "t", "transforms.t.type": "io.debezium.transforms.ExtractNewRecordState""#,
            &["c.json:12:45: transforms.t.type: there is no module `unwrap`"],
        ),
        (
            r#""database.sslrootcert": "/nope.pem""#,
            &["c.json:12:29: database.sslrootcert: ", "/nope.pem"],
        ),
        (
            r#""database.sslrootcert": "${env:WG_NOPE}""#,
            &["12:29: database.sslrootcert: the environment"],
        ),
        (r#""a": ["#, &["c.json:13:3: not valid JSON"]),
        (r#""a": {}"#, &["c.json:12:10: `a` is no text, number or boolean"]),
    ] {
        let dir = workplace();
        write(dir.path(), "c.json", &connector("shop", more));
        for command in ["validate", "run"] {
            let args = [command, "-c", "base.yaml", "--connector", "c.json"];
            let output = wasmgate(dir.path(), &args);
            let error = String::from_utf8(output.stderr).unwrap();
            let missing: Vec<_> = expect.iter().filter(|part| !error.contains(**part)).collect();
            if output.status.code() != Some(78) || !missing.is_empty() || error.contains("hunter2")
            {
                wrong += &format!("{more}: {command}: without {missing:?}:\n{error}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn names_and_slots_are_not_shared() {
    let dir = workplace();
    let pipeline = "pipelines:\n  shop:\n    source: { sample: {} }\n    \
                    sinks: [{ topics: '.*', console: {} }]\n";
    write(dir.path(), "with.yaml", &format!("{BASE}{pipeline}"));
    write(dir.path(), "a.json", &connector("shop", ""));
    write(dir.path(), "b.json", &connector("shop", ""));
    write(dir.path(), "c.json", &connector("other", "").replace("other_slot", "shop_slot"));
    write(dir.path(), "d.json", &connector("my shop", "").replace("my shop_slot", "s"));
    for (args, want) in [
        (
            &["-c", "with.yaml", "--connector", "a.json"][..],
            "a.json:2:11: name: `shop` is also the name of the pipeline at with.yaml:8",
        ),
        (
            &["--connector", "a.json", "--connector", "b.json"],
            "b.json:2:11: name: `shop` is also the name of the pipeline at a.json:2",
        ),
        (
            &["--connector", "a.json", "--connector", "c.json"],
            "a.json:11:18: slot.name: is the same slot of the same server",
        ),
        (&["--connector", "b=a.json"], "a.json:2:11: the connector is `shop`, but is given as `b`"),
        (&["--connector", "d.json"], "d.json:2:11: name: `my shop` cannot be the name"),
        (&["--connector", "nope.json"], "nope.json: the connector cannot be read"),
    ] {
        let (code, out, err) = validate(dir.path(), args);
        assert_eq!(code, Some(78), "{args:?}: {out}");
        assert!(err.contains(want), "{want} is not in\n{err}");
    }
}

#[test]
fn several_connectors_share_the_sinks_and_say_so_once() {
    let dir = workplace();
    let both = format!("[{}, {}]", connector("a", ""), connector("b", ""));
    write(dir.path(), "both.json", &both);
    let args = ["-c", "base.yaml", "--connector", "both.json"];
    let (code, out, err) = validate(dir.path(), &args);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("pipelines: a, b"), "{out}");
    write(dir.path(), "base.yaml", &BASE.replace("dir: 'kept/${connector}'", "dri: x"));
    let (code, _, err) = validate(dir.path(), &args);
    assert_eq!(code, Some(78));
    assert!(err.contains("base.yaml:2:35: connectors.sinks[0].file.dri: unknown key"), "{err}");
    assert_eq!(err.matches("connectors.sinks").count(), 1, "{err}");
    write(dir.path(), "base.yaml", &BASE.replace("value.converter:", "value.convertr:"));
    let (_, _, err) = validate(dir.path(), &args);
    let want = "connectors.defaults.value.convertr: no property";
    assert!(err.contains(want) && err.contains("did you mean `value.converter`?"), "{err}");
    write(dir.path(), "base.yaml", &BASE.replace("schemas.enable: false", "schemas.enable: no"));
    let (_, _, err) = validate(dir.path(), &args);
    assert!(err.contains("base.yaml:6:37: value.converter.schemas.enable: found `no`"), "{err}");
}

#[test]
fn a_section_of_connectors_alone_is_enough_for_checkpoints_and_not_for_a_run() {
    let dir = workplace();
    let (code, _, err) = validate(dir.path(), &["-c", "base.yaml"]);
    assert_eq!(code, Some(78));
    assert!(err.contains("names no pipeline") && err.contains("--connector FILE"), "{err}");
    let list = wasmgate(dir.path(), &["checkpoints", "list", "-c", "base.yaml"]);
    assert_eq!(list.status.code(), Some(0), "{list:?}");
    assert_eq!(wasmgate(dir.path(), &["validate"]).status.code(), Some(2));
}
