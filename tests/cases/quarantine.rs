//! A table whose column a module reads is dropped waits alone: the other goes on, and once the
//! table is whole again and resumed, what was written equals the source.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines, wait_lines};
use wasmgate_tests::guests::stamped;
use wasmgate_tests::http::request;
use wasmgate_tests::{root, wait_for};

use super::servers::{database, postgres};

const TABLES: &str = "create table t(id int primary key, v text); \
                      create table other(id int primary key, v text); \
                      insert into t select i, 'x' from generate_series(1, 3) i";

fn config(server: &Postgres, database: &str, modules: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{modules}' }}\n\
         pipelines:\n  held:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: held, \
         tables: [public.t, public.other], slot: {database}, publication: {database} }}\n    \
         transforms: [ {{ module: quality-check, config: {{ required: [v] }} }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
    )
}

/// The table as the envelopes say it is.
fn state(path: &Path) -> BTreeMap<i64, Value> {
    let mut rows = BTreeMap::new();
    let records = lines(path);
    for record in records.iter().map(|r| &r["value"]).filter(|r| r["source"]["table"] == "t") {
        let id = |image: &str| record[image]["id"].as_i64().unwrap();
        match record["op"].as_str().unwrap() {
            "d" => drop(rows.remove(&id("before"))),
            _ => drop(rows.insert(id("after"), record["after"].clone())),
        }
    }
    rows
}

/// Asks for the table back; the status and the reason.
fn resume(gateway: &Gateway) -> (u16, String) {
    let body = json!({ "type": "resume-table", "data": { "table": "public.t" } });
    let path = "/api/v1/pipelines/held/signals";
    request(gateway.address(), "POST", path, body.to_string().as_bytes()).unwrap()
}

#[test]
fn quarantine_holds_one_table_back_and_reads_it_anew() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "quarantine", TABLES);
    let sql = |text: &str| server.psql(&database, text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (out, letters) = (dir.path().join("out.jsonl"), dir.path().join("dlq/held.jsonl"));
    let config = config(&server, &database, "{modules}");
    let gateway = Gateway::start(dir.path(), &config);
    wait_lines(&gateway, &out, 3);
    sql("alter table t drop v; insert into t values (4); delete from t where id = 1");
    sql("insert into other values (1, 'x')");
    wait_lines(&gateway, &out, 4);
    wait_lines(&gateway, &letters, 2);
    let held = |status: &Value| status["quarantined"][0]["table"] == "public.t";
    let status = gateway.wait_pipeline("held", "the quarantine", held);
    let reason = status["quarantined"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("quality-check") && reason.contains("v"), "{reason}");
    assert_eq!(status["state"], "running", "{status}");
    let text = fs::read_to_string(&letters).unwrap();
    assert!(text.contains("table-quarantined") && text.contains("public.t"), "{text}");
    let metrics = || request(gateway.address(), "GET", "/metrics", b"").unwrap().1;
    let one = "wasmgate_quarantined_tables{pipeline=\"held\"} 1";
    wait_for("the metric", || metrics().contains(one).then_some(()), metrics);

    assert!(gateway.signal_and_wait("TERM").0.success());
    let gateway = Gateway::start(dir.path(), &config);
    let again = gateway.wait_pipeline("held", "the quarantine", held);
    assert_eq!(again["quarantined"][0]["since"], status["quarantined"][0]["since"]);
    let resume = || resume(&gateway);
    gateway.wait_pipeline("held", "the stream", |status| status["phase"] == "streaming");
    let (code, why) = resume();
    assert!(code == 409 && why.contains("quality-check"), "{code} {why}");

    sql("alter table t add v text; update t set v = 'y'");
    let (code, why) = resume();
    assert_eq!(code, 202, "{why}");
    let want = BTreeMap::from([2, 3, 4].map(|id| (i64::from(id), json!({ "id": id, "v": "y" }))));
    wait_for(
        "the rows of the table",
        || (state(&out) == want).then_some(()),
        || format!("{:?}\n{}", state(&out), gateway.describe("held")),
    );
    gateway.wait_pipeline("held", "no quarantine", |s| s["quarantined"] == json!([]));
}

/// The other way out: the table stays as it is, and a version that fits it takes the module's place.
#[test]
fn a_version_that_fits_the_table_ends_its_quarantine() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "quarantine_swap", TABLES);
    let sql = |text: &str| server.psql(&database, text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let modules = dir.path().join("modules");
    fs::create_dir(&modules).unwrap();
    let module = root().join("transforms/quality-check.wasm");
    fs::copy(module, modules.join("quality-check.wasm")).unwrap();
    let out = dir.path().join("out.jsonl");
    let gateway = Gateway::start(dir.path(), &config(&server, &database, "{dir}/modules"));
    wait_lines(&gateway, &out, 3);
    sql("alter table t drop v; insert into t values (4); delete from t where id = 1");
    let held = |status: &Value| status["quarantined"][0]["table"] == "public.t";
    gateway.wait_pipeline("held", "the quarantine", held);
    let (code, why) = resume(&gateway);
    assert!(code == 409 && why.contains("quality-check"), "{code} {why}");

    let put = "/api/v1/modules/quality-check";
    let (code, why) = request(gateway.address(), "PUT", put, &stamped(7)).unwrap();
    assert_eq!(code, 201, "{why}");
    let swapped = |status: &Value| status["stages"][0]["version"] == "1.7.0";
    let status = gateway.wait_pipeline("held", "the version", swapped);
    assert!(held(&status), "a swap alone brings no rows back: {status}");
    let (code, why) = resume(&gateway);
    assert_eq!(code, 202, "{why}");
    let version = |row: &Value| (row["id"].as_i64(), row["version"].as_i64());
    let want: Vec<_> = [2, 3, 4].map(|id| (Some(id), Some(7))).to_vec();
    let seen = || state(&out).values().map(version).collect::<Vec<_>>();
    wait_for(
        "the rows of the table",
        || (seen() == want).then_some(()),
        || format!("{:?}\n{}", state(&out), gateway.describe("held")),
    );
    gateway.wait_pipeline("held", "no quarantine", |s| s["quarantined"] == json!([]));
}
