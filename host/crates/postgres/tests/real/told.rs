//! What is told beside changes: transactions, messages, heartbeats; and that an idle database does
//! not hold the log of a busy server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmgate_postgres::{Settings, Snapshot};

use crate::harness::{Db, Event, Run, events, skipped};

fn telling(db: &Db) -> Settings {
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.events.transactions = true;
    settings
}

/// Topic's last part, what it says, and its place in the transaction.
fn line(event: &Event) -> String {
    let topic = event.topic.rsplit('.').next().unwrap();
    let place = |name: &str| event.value["transaction"][name].clone();
    match topic {
        "transaction" => format!(
            "{} {} {}",
            event.value["status"].as_str().unwrap(),
            event.value["event_count"],
            event.value["data_collections"]
        ),
        "message" => format!("message {} {}", event.key["prefix"], place("total_order")),
        _ => format!("{} {} {}", event.op, event.key["id"], place("total_order")),
    }
}

/// PG-10: the end of a transaction counts its messages by a name, behind the tables, however they
/// stand in it and whatever restarts there were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_10_an_end_counts_messages_by_a_name_behind_the_tables() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE zz(id int PRIMARY KEY); CREATE TABLE aa(id int PRIMARY KEY)";
    let db = Db::new("pg10", setup);
    let mut settings = db.settings(&["public.zz", "public.aa"]);
    settings.snapshot = wasmgate_postgres::Snapshot::Never;
    settings.events.transactions = true;
    let mut run = Run::open(&settings, 10).await;
    let message = "SELECT pg_logical_emit_message(true, 'p', 'x');";
    let (zz, aa) = ("INSERT INTO zz VALUES (1);", "INSERT INTO aa VALUES (1), (2);");
    let by_message = json!({ "data_collection": "message", "event_count": 2 });
    let count = |table: &str, n: i32| json!({ "data_collection": format!("public.{table}"), "event_count": n });
    let cases = [
        (format!("{message} {zz} {message} {aa}"), 5, vec![count("zz", 1), count("aa", 2)]),
        (format!("{message} {message}"), 2, vec![]),
        (format!("DELETE FROM aa; {message} {message}"), 4, vec![count("aa", 2)]),
    ];
    for (sql, events, tables) in cases {
        db.sql(&format!("BEGIN; {sql} COMMIT"));
        let is_end = |e: &Event| e.value["status"] == "END";
        let all = run.until(|all| all.iter().any(is_end)).await;
        let end = all.iter().find(|e| is_end(e)).unwrap();
        assert_eq!(end.value["event_count"], events, "{sql}");
        let want: Vec<_> = tables.into_iter().chain([by_message.clone()]).collect();
        assert_eq!(end.value["data_collections"], json!(want), "{sql}");
        assert_eq!(end.topic, "srv.transaction");
        let checkpoint = run.checkpoint.clone();
        drop(run);
        run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_and_messages_are_told_once_over_restarts_at_every_place() {
    if skipped() {
        return;
    }
    let db = Db::new("told", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = telling(&db);
    settings.stream.messages.exclude = vec![regex::Regex::new(r"\Ano.*\z").unwrap()];
    let mut run = Run::open(&settings, 1).await;
    db.sql(
        "BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'in', 'x');
         SELECT pg_logical_emit_message(true, 'not', 'x'); UPDATE t SET id = 2; DELETE FROM t;
         TRUNCATE t; COMMIT;
         SELECT pg_logical_emit_message(false, 'between', 'y');
         SELECT pg_logical_emit_message(false, 'nor', 'y');
         INSERT INTO t VALUES (3)",
    );
    let want = [
        "BEGIN null null",
        "c 1 1",
        "message \"in\" 2",
        "d 1 3",
        "tombstone 1 null",
        "c 2 4",
        "d 2 5",
        "tombstone 2 null",
        "END 5 [{\"data_collection\":\"public.t\",\"event_count\":4},\
         {\"data_collection\":\"message\",\"event_count\":1}]",
        "message \"between\" null",
        "BEGIN null null",
        "c 3 1",
        "END 1 [{\"data_collection\":\"public.t\",\"event_count\":1}]",
    ];
    let mut all: Vec<Event> = Vec::new();
    let mut restarts = 0;
    while all.len() < want.len() {
        let delivery = run.next().await.unwrap().unwrap();
        all.extend(events(&delivery));
        run.settle(&delivery).await;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        run = Run::resume(&settings, 1, checkpoint).await.unwrap();
        restarts += 1;
    }
    let lines: Vec<String> = all.iter().map(line).collect();
    assert_eq!(lines, want);
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    assert!(restarts > 5, "{restarts}");
    let message = &all[2].value;
    assert_eq!(message["message"], json!({ "prefix": "in", "content": "eA==" }));
    assert_eq!(
        (&message["source"]["table"], &all[9].value["source"]["txId"]),
        (&json!(""), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_come_at_their_interval_and_run_their_statement() {
    if skipped() {
        return;
    }
    let db = Db::new(
        "beating",
        "CREATE TABLE t(id int PRIMARY KEY, v text);
        CREATE TABLE beat(n int); INSERT INTO beat VALUES (0)",
    );
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.events.heartbeat = Some(Duration::from_millis(100));
    settings.events.heartbeat_query = Some("UPDATE beat SET n = n + 1".into());
    let mut run = Run::open(&settings, 8).await;
    let all = run.until(|all| all.len() >= 3).await;
    assert!(all.iter().all(|e| e.topic == "__debezium-heartbeat.srv"), "{all:?}");
    assert!(all.iter().all(|e| e.key == json!({ "serverName": "srv" })), "{all:?}");
    assert!(all[0].value["ts_ms"].as_i64() <= all[2].value["ts_ms"].as_i64());
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    db.wait_for("SELECT n >= 3 FROM beat", "t");
    // A statement that fails takes nothing else with it.
    db.sql("DROP TABLE beat; INSERT INTO t VALUES (1)");
    let more = run.until(|all| all.iter().any(|e| e.op == "c")).await;
    assert_eq!(more.iter().filter(|e| e.op == "c").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_database_lets_go_of_a_busy_servers_log() {
    if skipped() {
        return;
    }
    let db = Db::new("idle", "CREATE TABLE t(id int PRIMARY KEY)");
    let busy = Db::new("busy", "CREATE TABLE n(id int, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    // Other tests write to this server, too: the slot follows closely, or it never seems to.
    settings.heartbeat = Some(Duration::from_millis(200));
    let mut run = Run::open(&settings, 8).await;
    let behind = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 200000
                  FROM pg_replication_slots WHERE slot_name = 'idle'";
    for _ in 0..3 {
        busy.sql("INSERT INTO n SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i");
        let since = Instant::now();
        while db.sql(behind) != "t" {
            assert!(since.elapsed() < Duration::from_secs(60), "the slot stays");
            let delivery = run.next().await.unwrap().unwrap();
            assert_eq!(events(&delivery), [], "nothing is written here");
            run.settle(&delivery).await;
        }
    }
    // The message was written, and is no record.
    let written =
        "SELECT count(*) > 0 FROM pg_logical_slot_peek_binary_changes('idle_too', NULL, 9,
                   'proto_version', '1', 'publication_names', 'idle', 'messages', 'on')";
    db.sql("SELECT pg_create_logical_replication_slot('idle_too', 'pgoutput')");
    let since = Instant::now();
    while db.sql(written) != "t" {
        assert!(since.elapsed() < Duration::from_secs(60), "no message is written");
        busy.sql("INSERT INTO n SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i");
        let delivery = run.next().await.unwrap().unwrap();
        run.settle(&delivery).await;
    }
}
