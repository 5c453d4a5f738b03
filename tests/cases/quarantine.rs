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

/// The table `t` as the envelopes say it is.
pub(super) fn state(path: &Path) -> BTreeMap<i64, Value> {
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

/// Asks for a table back; the status and the reason.
pub(super) fn resume(gateway: &Gateway, table: &str) -> (u16, String) {
    let body = json!({ "type": "resume-table", "data": { "table": table } });
    let path = "/api/v1/pipelines/held/signals";
    request(gateway.address(), "POST", path, body.to_string().as_bytes()).unwrap()
}

/// Waits until a table is held back; the status.
pub(super) fn wait_held(gateway: &Gateway, table: &str) -> Value {
    let held = |status: &Value| status["quarantined"][0]["table"] == table;
    let status = gateway.wait_pipeline("held", "the quarantine", held);
    let reason = status["quarantined"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("quality-check") && reason.contains('v'), "{reason}");
    assert_eq!(status["state"], "running", "{status}");
    status
}

/// The table comes back once it is repaired, not before, with the rows 2, 3 and 4 as they are then.
pub(super) fn comes_back(gateway: &Gateway, out: &Path, table: &str, repair: impl FnOnce()) {
    let (code, why) = resume(gateway, table);
    assert!(code == 409 && why.contains("quality-check"), "{code} {why}");
    repair();
    let (code, why) = resume(gateway, table);
    assert_eq!(code, 202, "{why}");
    let want = BTreeMap::from([2, 3, 4].map(|id| (i64::from(id), json!({ "id": id, "v": "y" }))));
    wait_for(
        "the rows of the table",
        || (state(out) == want).then_some(()),
        || format!("{:?}\n{}", state(out), gateway.describe("held")),
    );
    gateway.wait_pipeline("held", "no quarantine", |s| s["quarantined"] == json!([]));
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
    let status = wait_held(&gateway, "public.t");
    let text = fs::read_to_string(&letters).unwrap();
    assert!(text.contains("table-quarantined") && text.contains("public.t"), "{text}");
    let metrics = || request(gateway.address(), "GET", "/metrics", b"").unwrap().1;
    let one = "wasmgate_quarantined_tables{pipeline=\"held\"} 1";
    wait_for("the metric", || metrics().contains(one).then_some(()), metrics);

    assert!(gateway.signal_and_wait("TERM").0.success());
    let gateway = Gateway::start(dir.path(), &config);
    let again = wait_held(&gateway, "public.t");
    assert_eq!(again["quarantined"][0]["since"], status["quarantined"][0]["since"]);
    gateway.wait_pipeline("held", "the stream", |status| status["phase"] == "streaming");
    let repair = || drop(sql("alter table t add v text; update t set v = 'y'"));
    comes_back(&gateway, &out, "public.t", repair);
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
    let (code, why) = resume(&gateway, "public.t");
    assert!(code == 409 && why.contains("quality-check"), "{code} {why}");

    let put = "/api/v1/modules/quality-check";
    let (code, why) = request(gateway.address(), "PUT", put, &stamped(7)).unwrap();
    assert_eq!(code, 201, "{why}");
    let swapped = |status: &Value| status["stages"][0]["version"] == "1.7.0";
    let status = gateway.wait_pipeline("held", "the version", swapped);
    assert!(held(&status), "a swap alone brings no rows back: {status}");
    let (code, why) = resume(&gateway, "public.t");
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

/// Nothing is known of a module that is not there: its tables fit it as well as ever.
#[test]
fn a_module_that_cannot_run_at_the_start_quarantines_no_table() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "quarantine_start", TABLES);
    let sql = |text: &str| server.psql(&database, text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let modules = dir.path().join("modules");
    fs::create_dir(&modules).unwrap();
    let module = fs::read(root().join("transforms/quality-check.wasm")).unwrap();
    fs::write(modules.join("quality-check.wasm"), &module).unwrap();
    let out = dir.path().join("out.jsonl");
    let config = config(&server, &database, "{dir}/modules");
    let gateway = Gateway::start(dir.path(), &config);
    wait_lines(&gateway, &out, 3);
    gateway.wait_pipeline("held", "the stream", |status| status["phase"] == "streaming");
    assert!(gateway.signal_and_wait("TERM").0.success());
    fs::write(modules.join("quality-check.wasm"), "nope").unwrap();
    fs::remove_dir_all(dir.path().join("data/modules/versions")).unwrap();
    sql("insert into t values (4, 'x'), (5, 'x')");

    let gateway = Gateway::start(dir.path(), &config);
    let paused = |status: &Value| status["state"] == "paused";
    let status = gateway.wait_pipeline("held", "the pause", paused);
    assert_eq!((&status["quarantined"], &status["misfits"]), (&json!([]), &json!([])), "{status}");
    let put = "/api/v1/modules/quality-check";
    let (code, why) = request(gateway.address(), "PUT", put, &module).unwrap();
    assert_eq!(code, 201, "{why}");
    let records = wait_lines(&gateway, &out, 5);
    let ids: Vec<_> = records.iter().map(|r| r["value"]["after"]["id"].as_i64()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5].map(Some));
    let status = gateway.pipeline("held").unwrap();
    assert_eq!((&status["quarantined"], &status["misfits"]), (&json!([]), &json!([])), "{status}");
    assert_eq!(lines(&dir.path().join("dlq")), Vec::<Value>::new());
}

/// Changes that are kept outlive the process that kept them, however it ends, and come in their
/// order when the table goes on.
#[test]
fn kept_changes_outlive_kills_and_come_in_their_order() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "quarantine_keep", TABLES);
    let sql = |text: &str| server.psql(&database, text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.jsonl");
    let modules = dir.path().join("modules");
    fs::create_dir(&modules).unwrap();
    let module = root().join("transforms/quality-check.wasm");
    fs::copy(module, modules.join("quality-check.wasm")).unwrap();
    let config = config(&server, &database, "{dir}/modules").replace(
        "tables: [public.t",
        "heartbeat: 100ms, quarantine: { events: keep }, tables: [public.t",
    );
    let mut gateway = Gateway::start(dir.path(), &config);
    wait_lines(&gateway, &out, 3);
    sql("alter table t drop v");
    // Each life keeps some more; what it kept and did not store is read again.
    let kept = |status: &Value| status["quarantined"][0]["kept"]["changes"].as_i64();
    let mut written = 0;
    for life in 0..6 {
        for _ in 0..20 {
            written += 1;
            sql(&format!("insert into t values ({})", 100 + written));
        }
        if life % 2 == 0 {
            gateway.wait_pipeline("held", "some changes", |s| kept(s).is_some_and(|n| n > 0));
        }
        gateway.kill();
        gateway = Gateway::start(dir.path(), &config);
    }
    gateway.wait_pipeline("held", "all changes", |s| kept(s) == Some(written));
    assert_eq!(lines(&out).len(), 3, "nothing of the table goes out meanwhile");
    let (code, why) = resume(&gateway, "public.t");
    assert!(code == 409 && why.contains("quality-check"), "{code} {why}");

    let (code, why) =
        request(gateway.address(), "PUT", "/api/v1/modules/quality-check", &stamped(7)).unwrap();
    assert_eq!(code, 201, "{why}");
    gateway.wait_pipeline("held", "the version", |s| s["stages"][0]["version"] == "1.7.0");
    let (code, why) = resume(&gateway, "public.t");
    assert_eq!(code, 202, "{why}");
    // Again in the midst of it, or right after.
    gateway.kill();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("held", "no quarantine", |s| s["quarantined"] == json!([]));
    sql("insert into t values (999)");
    let ids = |op: &str| {
        let records = lines(&out);
        let of = |r: &&Value| r["value"]["source"]["table"] == "t" && r["value"]["op"] == op;
        let id = |r: &Value| r["value"]["after"]["id"].as_i64().unwrap();
        records.iter().filter(of).map(id).collect::<Vec<_>>()
    };
    wait_for(
        "the last row",
        || (ids("c").last() == Some(&999)).then_some(()),
        || gateway.describe("held"),
    );
    // At least once: a kill may send some again, from one on.
    let mut seen = std::collections::BTreeSet::new();
    for id in ids("c") {
        assert!(id == 999 || seen.contains(&id) || seen.len() as i64 == id - 101, "{:?}", ids("c"));
        seen.insert(id);
    }
    assert_eq!(seen.len() as i64, written + 1);
    let all: std::collections::BTreeSet<i64> = ids("r").into_iter().collect();
    let rows = 3 + written;
    wait_for(
        "the rows anew",
        || {
            (ids("r").into_iter().collect::<std::collections::BTreeSet<_>>().len() as i64 >= rows)
                .then_some(())
        },
        || format!("{all:?}\n{}", gateway.describe("held")),
    );
}
