//! Snapshots beside the stream: what every database has to keep. The tables have columns `id`,
//! their key unless something else is said, and `seq`, which goes up with every change of a row;
//! chunks have 50 rows.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::DerefMut;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use wasmgate_connector::{Commands, Refusal};
use wasmgate_model::Checkpoint;

use crate::event::Event;
use crate::run::Run;

/// A database and the source that reads it, as a test has set them up. Notifications go to the
/// topic `told`.
pub trait Captured {
    /// The [`Run`] of the connector's tests.
    type Run: DerefMut<Target = Run>;

    /// Opens the source; deliveries have `rows` rows at most.
    fn open(&self, rows: usize, checkpoint: Checkpoint) -> impl Future<Output = Self::Run>;

    fn sql(&self, script: &str);

    /// The whole name of a table; `srv.` before it makes its topic.
    fn name(&self, table: &str) -> String;

    /// The data of a signal that asks for tables.
    fn execute(&self, tables: &[&str]) -> Value {
        let tables: Vec<String> = tables.iter().map(|table| self.name(table)).collect();
        json!({ "data-collections": tables, "type": "incremental" })
    }

    /// Events of a table.
    fn of(&self, all: &[Event], table: &str) -> Vec<Event> {
        let topic = format!("srv.{}", self.name(table));
        all.iter().filter(|e| e.topic == topic).cloned().collect()
    }
}

/// Sends while the source goes on; the answer comes with the checkpoint.
pub fn send(commands: &Arc<Commands>, kind: &str, data: &Value) -> JoinHandle<Result<(), Refusal>> {
    let (commands, kind, data) = (Arc::clone(commands), kind.to_owned(), data.to_string());
    tokio::spawn(async move { commands.send("s1".into(), kind, data).await })
}

/// Ids of the rows that were read.
#[must_use]
pub fn ids(all: &[Event]) -> Vec<i64> {
    let read = all.iter().filter(|e| e.op == "r");
    read.map(|e| e.after()["id"].as_i64().unwrap()).collect()
}

/// How many notifications there are of a kind.
#[must_use]
pub fn told(all: &[Event], kind: &str) -> usize {
    all.iter().filter(|e| e.topic == "told" && e.value["type"] == kind).count()
}

/// Applies events as a sink with keys does; panics where a row that was read comes after a newer
/// change of it. Answers the rows by id.
#[must_use]
pub fn mirror(all: &[Event]) -> BTreeMap<i64, Value> {
    let seq = |row: &Value| row["seq"].as_i64().unwrap();
    let mut rows = BTreeMap::<i64, Value>::new();
    for event in all {
        let id = event.key["id"].as_i64().unwrap();
        match event.op {
            "r" | "c" | "u" => {
                let new = event.after();
                let old = rows.insert(id, new.clone());
                let newer = old.as_ref().is_none_or(|old| seq(old) <= seq(new));
                assert!(newer, "stale: {event:?} after {old:?}");
            }
            "d" => drop(rows.remove(&id)),
            _ => {}
        }
    }
    rows
}

/// How tables that were read went, in order: name, status, rows.
#[must_use]
pub fn scans(all: &[Event]) -> Vec<String> {
    let scans = all
        .iter()
        .filter(|e| e.topic == "told" && e.value["type"] == "TABLE_SCAN_COMPLETED")
        .map(|e| &e.value["additional_data"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = scans.map(|data| {
        ["scanned_collection", "status", "total_rows_scanned"].map(|name| text(&data[name]))
    });
    lines.map(|line| line.join(" ")).collect()
}

/// Reads a snapshot that `ask` asks for while two writers (0 and 1) write, until both are done and
/// what `end` writes came: a row with the id -1.
pub fn under_writers(
    run: &mut Run,
    write: impl Fn(i64) + Sync,
    ask: impl FnOnce(),
    end: impl FnOnce(),
) -> Vec<Event> {
    let all = std::thread::scope(|scope| {
        let write = &write;
        let writers = [0, 1].map(|n| scope.spawn(move || write(n)));
        ask();
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                let mut seen = run.until(|all| told(all, "COMPLETED") == 1).await;
                for writer in writers {
                    writer.join().unwrap();
                }
                end();
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen
            })
        })
    });
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    all
}

/// Reads table `t` of 1000 rows and crashes after every chunk or two, while rows are written.
/// Answers all events and the number of restarts.
pub async fn goes_on_at_the_last_chunk(captured: &impl Captured) -> (Vec<Event>, usize) {
    let mut run = captured.open(10, Checkpoint::default()).await;
    let answer = send(&run.commands, "execute-snapshot", &captured.execute(&["t"]));
    let mut all = run.until(|all| ids(all).len() >= 120).await;
    assert_eq!(answer.await.unwrap(), Ok(()), "stored with the first chunk at the latest");
    let mut restarts = 0;
    while ids(&all).last() != Some(&1000) {
        // Read on without settling, write, and crash.
        drop(run.next().await.unwrap());
        captured.sql(&format!("INSERT INTO t VALUES ({}, 0)", 5000 + restarts));
        let checkpoint = run.checkpoint.clone();
        drop(run);
        run = captured.open(10, checkpoint).await;
        let done = |all: &[Event]| ids(all).len() >= 100 || ids(all).last() == Some(&1000);
        all.extend(run.until(done).await);
        restarts += 1;
    }
    let missing =
        |all: &[Event]| (0..restarts).any(|n| all.iter().all(|e| e.key["id"] != 5000 + n));
    if missing(&all) {
        all.extend(run.until(|more| !missing(&[all.clone(), more.to_vec()].concat())).await);
    }
    assert!(restarts > 3, "{restarts} restarts");
    let read = ids(&all);
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (1..=1000).collect::<Vec<_>>());
    // A restart reads at most two chunks again.
    assert!(read.len() <= 1000 + restarts * 100, "{} rows read", read.len());
    let created = all.iter().filter(|e| e.op == "c").count();
    assert_eq!(created, restarts, "every insert once");
    (all, restarts)
}

/// Tables `a` of 1000 rows, `b` of 120, `nokey` without a key and `none` without rows: all are
/// asked for, `a` is stopped while the work is paused and over a restart. Answers how the others
/// went, in order.
pub async fn commands_survive_a_restart(captured: &impl Captured) -> Vec<String> {
    let mut run = captured.open(10, Checkpoint::default()).await;
    let data = captured.execute(&["a", "(b|nokey|none)"]);
    let started = send(&run.commands, "execute-snapshot", &data);
    let mut all = run.until(|all| ids(all).len() >= 100).await;
    assert_eq!(started.await.unwrap(), Ok(()));
    let paused = send(&run.commands, "pause-snapshot", &json!({}));
    all.extend(run.until(|all| told(all, "PAUSED") == 1).await);
    all.extend(run.while_asked(&paused).await);
    assert_eq!(paused.await.unwrap(), Ok(()));
    // At most what was under way still came; after a restart it is still paused.
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = captured.open(10, checkpoint).await;
    captured.sql("INSERT INTO a VALUES (-1, 0)");
    let quiet = run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await;
    assert!(ids(&quiet).len() <= 100, "{}", ids(&quiet).len());
    all.extend(quiet);
    let wrong = send(&run.commands, "execute-snapshot", &json!({}));
    let unknown = send(&run.commands, "bogus", &json!({}));
    for answer in [wrong, unknown] {
        assert!(matches!(answer.await.unwrap(), Err(Refusal::Invalid(_))));
    }
    let stop = json!({ "data-collections": [captured.name("a")] });
    let stopped = send(&run.commands, "stop-snapshot", &stop);
    all.extend(run.while_asked(&stopped).await);
    let resumed = send(&run.commands, "resume-snapshot", &json!({}));
    all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
    all.extend(run.while_asked(&resumed).await);
    assert_eq!((stopped.await.unwrap(), resumed.await.unwrap()), (Ok(()), Ok(())));
    let read = |table: &str| ids(&captured.of(&all, table));
    assert!(read("a").len() < 1000, "{} rows of a stopped table", read("a").len());
    assert_eq!(read("b"), (1..=120).collect::<Vec<_>>());
    assert_eq!(told(&all, "RESUMED"), 1);
    scans(&all)
}

/// Table `t` has no key, ids 1 to 300 and a column `v` of (1000 - id) / 6: a chunk has 50 rows, and
/// does not part those of one value. It is read by `v`, every second row.
pub async fn surrogate_keys_choose_the_order(captured: &impl Captured) {
    let mut run = captured.open(100, Checkpoint::default()).await;
    let mut data = captured.execute(&["t"]);
    data["surrogate-key"] = "v".into();
    data["additional-conditions"] =
        json!([{ "data-collection": captured.name("t"), "filter": "id % 2 = 0" }]);
    let taken = send(&run.commands, "execute-snapshot", &data);
    let all = run.until(|all| told(all, "COMPLETED") == 1).await;
    assert_eq!(taken.await.unwrap(), Ok(()));
    let mut read = ids(&all);
    let value = |id: &i64| (1000 - id) / 6;
    assert!(read.is_sorted_by_key(value), "in the order of the surrogate key: {read:?}");
    read.sort_unstable();
    assert_eq!(read, (1..=150).map(|n| n * 2).collect::<Vec<i64>>());
}

/// Table `t` is asked for under a condition that is no SQL, in every way that is named (kind of the
/// snapshot, the notification that ends it); then `u`, which has the row 7.
pub async fn what_is_refused_is_given_up(captured: &impl Captured, kinds: &[(&str, &str)]) {
    let mut run = captured.open(10, Checkpoint::default()).await;
    let wrong = |kind: &str| {
        let mut data = captured.execute(&["t"]);
        data["type"] = kind.into();
        data["additional-conditions"] =
            json!([{ "data-collection": captured.name("t"), "filter": "no sql at all" }]);
        data
    };
    let asked = kinds.iter().map(|(kind, end)| (wrong(kind), *end));
    let mut all = Vec::new();
    for (data, end) in asked.chain([(captured.execute(&["u"]), "COMPLETED")]) {
        let taken = send(&run.commands, "execute-snapshot", &data);
        all.extend(run.until(|all| told(all, end) == 1).await);
        assert_eq!(taken.await.unwrap(), Ok(()), "{data}");
    }
    assert_eq!(ids(&all), [7]);
    let status = |e: &Event| e.value["additional_data"]["status"].as_str().map(str::to_owned);
    let statuses: Vec<String> = all.iter().filter_map(status).collect();
    assert_eq!(statuses, ["SQL_EXCEPTION", "SUCCEEDED"]);
}

/// Table `large` of 500 rows, with `seq` 0, is large enough for chunks in the first snapshot,
/// `small` of two is not. Answers the open source and the events of `large` over a restart.
pub async fn large_tables_go_on_at_the_last_chunk<C: Captured>(
    captured: &C,
) -> (C::Run, Vec<Event>) {
    let mut run = captured.open(20, Checkpoint::default()).await;
    let mut all = run.until(|all| ids(all).len() > 150).await;
    let first = run.assigned.clone();
    let checkpoint = run.checkpoint.clone();
    drop(run);
    captured.sql("UPDATE large SET seq = 1 WHERE id IN (1, 490); DELETE FROM large WHERE id = 495");
    let mut run = captured.open(20, checkpoint).await;
    let done = |all: &[Event]| {
        all.iter().any(|e| e.op == "r" && e.key["id"] == 500) && all.iter().any(|e| e.op == "d")
    };
    all.extend(run.until(done).await);
    assert_eq!(first.len(), 1);
    assert!(run.assigned.is_empty(), "no snapshot from the start: {:?}", run.assigned);
    let large = captured.of(&all, "large");
    assert!(large.len() < 500 + 150, "{} rows: not from the last chunk on", large.len());
    assert_eq!(captured.of(&all, "small").len(), 2);
    (run, large)
}
