//! A bad network between the gateway and the database, through the whole pipeline.

use wasmgate_services::proxy::{Proxy, Weather};
use wasmgate_tests::gateway::{Gateway, wait_lines};
use wasmgate_tests::wait_for;

use super::servers::{database, postgres};

/// A capture of `public.t` through a port into a file.
pub(super) fn capture(port: u16, database: &str, table: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  capture:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: net, tables: [public.{table}], \
         slot: {database}, publication: {database}, heartbeat: 1s, \
         slot_care: {{ watch_interval: 200ms }} }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    )
}

#[test]
fn network_storm_is_met_with_pauses_and_few_lines() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "storm", "create table t (id int primary key)");
    let proxy = Proxy::start(server.port()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &capture(proxy.port(), &database, "t"));
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    let lines = || gateway.log().lines().count();
    let (quiet, before) = (lines(), proxy.accepted());
    // Every connection is reset, those that are open and each that is tried.
    proxy.set(Weather::Resetting);
    proxy.reset();
    let tries = || proxy.accepted() - before;
    wait_for("tries", || (tries() >= 8).then_some(()), || gateway.describe("capture"));
    // Between two tries: while one runs there is no reason yet.
    let code = |status: &serde_json::Value| status["code"] == "source-unavailable";
    gateway.wait_pipeline("capture", "the code", code);
    // A line or two a try, and tries further and further apart: no flood.
    let (said, tried) = (lines() - quiet, tries() as usize);
    assert!(said <= 3 * tried, "{said} lines in {tried} tries\n{}", gateway.log());
    proxy.set(Weather::Fair);
    server.psql(&database, "insert into t select generate_series(1, 100)").unwrap();
    let records = wait_lines(&gateway, &dir.path().join("out.jsonl"), 100);
    let ids: Vec<i64> =
        records.iter().map(|r| r["value"]["after"]["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// What status, metrics and the command line tell of a slot, and of one that is lost.
#[test]
fn network_of_a_slot_that_is_dropped_ends_with_its_code() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "dropped", "create table t (id int primary key)");
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &capture(server.port(), &database, "t"));
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    server.psql(&database, "insert into t values (1)").unwrap();
    wait_lines(&gateway, &dir.path().join("out.jsonl"), 1);
    let slots = |arguments: &[&str]| {
        let file = dir.path().join("wasmgate.yaml");
        let mut command = std::process::Command::new(wasmgate_tests::gateway::binary());
        let output = command.arg("slots").args(arguments).arg("-c").arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let list = slots(&["list"]);
    assert!(list.contains(&format!("slot {database}, reserved, read by ")), "{list}");
    let told = ["place_health{pipeline=\"capture\"} 0", "safe_bytes{pipeline=\"capture\"} inf"];
    let metrics = || wasmgate_tests::http::request(gateway.address(), "GET", "/metrics", b"");
    let all = || {
        let (_, metrics) = metrics()?;
        told.iter().all(|line| metrics.contains(line)).then_some(())
    };
    wait_for("the metrics of the slot", all, || metrics().unwrap().1);
    let dropped = slots(&["drop", "capture"]);
    assert!(dropped.contains(&format!("dropped slot {database}")), "{dropped}");
    let status =
        gateway.wait_pipeline("capture", "the failure", |status| status["state"] == "failed");
    assert_eq!(status["code"], "slot-lost", "{status}");
    assert!(status["reason"].as_str().unwrap().contains("when_needed"), "{status}");
}
