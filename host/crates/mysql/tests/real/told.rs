//! Records that are no rows: changes of schemas, heartbeats.

use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_mysql::{Heartbeats, Settings};

use crate::harness::{Db, Event, FLAVORS, Run, skipped};

/// `database | tables | ddl | type id columns`, for comparisons that a person can read.
fn change(event: &Event) -> String {
    let value = &event.value;
    let table = |change: &Value| {
        let columns = change["table"]["columns"].as_array().into_iter().flatten();
        let column = |c: &Value| format!("{} {}", c["name"].as_str().unwrap(), c["typeName"]);
        let columns: Vec<String> = columns.map(column).collect();
        format!("{} {} {}", change["type"], change["id"], columns.join(", ")).replace('"', "")
    };
    let changes: Vec<String> =
        value["tableChanges"].as_array().unwrap().iter().map(table).collect();
    let ddl = value["ddl"].as_str().unwrap();
    format!("{} | {ddl} | {}", value["source"]["table"], changes.join("; "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_schemas_are_told_with_what_they_did() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int unsigned PRIMARY KEY, v varchar(20));
            INSERT INTO t VALUES (1, 'x')";
        let db = Db::new(flavor, "shapes", setup);
        let settings = Settings { include_schema_changes: true, ..db.settings() };
        let mut run = Run::open(&settings, 100).await;
        let all = run.count(7).await;
        let told: Vec<String> = all.iter().filter(|e| e.topic == "srv").map(change).collect();
        assert!(told[0].starts_with("null | SET character_set_server="), "{told:#?}");
        assert_eq!(told[1], r#""t" | DROP TABLE IF EXISTS `shapes`.`t` | DROP \shapes\.\t\ "#);
        assert!(told[3].contains("CREATE DATABASE `shapes` CHARSET utf8mb4"), "{told:#?}");
        assert!(told[5].contains("CREATE TABLE `t` ("), "{told:#?}");
        assert!(told[5].ends_with("id INT UNSIGNED, v VARCHAR"), "{told:#?}");
        assert!(
            all.iter()
                .filter(|e| e.topic == "srv")
                .all(|e| e.value["source"]["snapshot"] == "true")
        );
        assert_eq!(all[6].value["source"]["snapshot"], "last", "the row comes behind them");
        db.sql(
            "ALTER TABLE t ADD n decimal(7,2) NOT NULL DEFAULT 1.50; CREATE INDEX i ON t (v);
             CREATE TABLE a(x int); CREATE TABLE b(x int); DROP TABLE a, b; RENAME TABLE t TO u;
             CREATE DATABASE foreign_one; CREATE TABLE foreign_one.t(id int);
             DROP DATABASE foreign_one; INSERT INTO u VALUES (2, 'y', 3)",
        );
        let all = run.count(8).await;
        let told: Vec<String> = all.iter().take(7).map(change).collect();
        let n = r"ALTER \shapes\.\t\ id INT UNSIGNED, v VARCHAR, n DECIMAL";
        let want = [
            format!(r#""t" | ALTER TABLE t ADD n decimal(7,2) NOT NULL DEFAULT 1.50 | {n}"#),
            format!(r#""t" | CREATE INDEX i ON t (v) | {n}"#),
            r#""a" | CREATE TABLE a(x int) | CREATE \shapes\.\a\ x INT"#.into(),
            r#""b" | CREATE TABLE b(x int) | CREATE \shapes\.\b\ x INT"#.into(),
            r#""a,b" | DROP TABLE `shapes`.`a` | DROP \shapes\.\a\ "#.into(),
            r#""a,b" | DROP TABLE `shapes`.`b` | DROP \shapes\.\b\ "#.into(),
            format!(r#""u" | RENAME TABLE t TO u | {}"#, n.replace(r".\t", r".\u")),
        ];
        assert_eq!(told, want, "{flavor:?}");
        assert_eq!(all[0].key, json!({ "databaseName": "shapes" }));
        let added = &all[0].value["tableChanges"][0]["table"]["columns"][2];
        assert_eq!(added["defaultValueExpression"], "1.50");
        assert_eq!((&added["length"], &added["scale"]), (&json!(7), &json!(2)));
        assert_eq!(all[7].after()["id"], 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_are_told_where_they_are_asked_for() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY COMMENT 'it''s the \"id\"', v int)
            COMMENT = 'größe'";
        let db = Db::new(flavor, "comments", setup);
        // Of a table and its columns.
        let comments = |event: &Event| {
            let table = &event.value["tableChanges"][0]["table"];
            let columns = table["columns"].as_array().unwrap().iter();
            let columns: Vec<Value> = columns.map(|c| c["comment"].clone()).collect();
            (table["comment"].clone(), columns)
        };
        let null = Value::Null;
        for asked in [true, false] {
            let settings = Settings {
                include_schema_changes: true,
                include_schema_comments: asked,
                ..db.settings()
            };
            let told = |text: &str| if asked { json!(text) } else { Value::Null };
            let mut run = Run::open(&settings, 100).await;
            let made = |e: &Event| e.value["tableChanges"][0]["type"] == "CREATE";
            let all = run.until(|all| all.iter().any(made)).await;
            let all: Vec<&Event> = all.iter().filter(|e| made(e)).collect();
            let id = told("it's the \"id\"");
            assert_eq!(comments(all[0]), (told("größe"), vec![id.clone(), null.clone()]));
            db.sql(
                "ALTER TABLE t COMMENT 'kleiner', ADD n int COMMENT 'of \\'n\\'', \
                 MODIFY v int COMMENT 'v'; ALTER TABLE t DROP n, MODIFY v int, COMMENT 'größe'",
            );
            let all = run.count(2).await;
            let columns = vec![id.clone(), told("v"), told("of 'n'")];
            assert_eq!(comments(&all[0]), (told("kleiner"), columns), "{flavor:?}");
            assert_eq!(comments(&all[1]), (told("größe"), vec![id, null.clone()]), "{flavor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_are_known_after_a_restart() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY COMMENT 'the id') COMMENT 'the table'";
        let db = Db::new(flavor, "comments_kept", setup);
        let settings = Settings {
            include_schema_changes: true,
            include_schema_comments: true,
            ..db.streaming()
        };
        let mut run = Run::open(&settings, 100).await;
        db.sql("INSERT INTO t VALUES (1)");
        run.count(1).await;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
        // Nothing of it tells the comments again.
        db.sql("ALTER TABLE t ADD n int");
        let all = run.count(1).await;
        let table = &all[0].value["tableChanges"][0]["table"];
        let columns = &table["columns"];
        assert_eq!(
            (&table["comment"], &columns[0]["comment"], &columns[1]["comment"]),
            (&json!("the table"), &json!("the id"), &Value::Null),
            "{flavor:?}"
        );
        // A table that is made while the stream goes on.
        db.sql("CREATE TABLE u(id int PRIMARY KEY COMMENT 'its id') ENGINE = InnoDB COMMENT 'new'");
        let all = run.count(1).await;
        let table = &all[0].value["tableChanges"][0]["table"];
        let told = (&table["comment"], &table["columns"][0]["comment"]);
        assert_eq!(told, (&json!("new"), &json!("its id")), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_carry_the_position_of_an_idle_database_on() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); CREATE DATABASE beats;
            CREATE TABLE beats.b(n int PRIMARY KEY AUTO_INCREMENT)";
        let db = Db::alone(flavor, "idle", setup);
        let beats = Heartbeats {
            interval: Duration::from_millis(20),
            topic_prefix: "alive".into(),
            query: Some("INSERT INTO beats.b VALUES ()".into()),
        };
        let settings =
            Settings { heartbeats: Some(beats), transaction_metadata: true, ..db.streaming() };
        let mut run = Run::open(&settings, 100).await;
        let state = |run: &Run| {
            let parts = run.checkpoint.iter().next();
            parts.map(|(_, at, state)| (at, state.map(|s| s.to_vec())))
        };
        let mut all = run.count_some().await;
        let first = state(&run);
        // Others' statements, and ours, move the stored place in the log.
        all.extend(run.until(|_| db.sql("SELECT count(*) > 3 FROM beats.b") == "1").await);
        all.extend(run.count_some().await);
        assert_ne!(first, state(&run), "the place in the log moves");
        let beat = all.iter().find(|e| e.topic == "alive.srv").unwrap();
        assert_eq!(beat.key, json!({ "serverName": "srv" }));
        assert!(beat.value["ts_ms"].as_i64().is_some_and(|ms| ms > 1_700_000_000_000));
        // Beats stand between transactions, whose numbers stay those of the log.
        let checkpoint = run.checkpoint.clone();
        drop(run);
        db.sql("BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); COMMIT");
        let rows = |all: &[Event]| all.iter().filter(|e| e.topic == "srv.idle.t").count();
        let mut majors = Vec::new();
        for interval in [Duration::from_millis(1), Duration::from_secs(3600)] {
            let mut settings = settings.clone();
            let beats = settings.heartbeats.as_mut().unwrap();
            (beats.interval, beats.query) = (interval, None);
            let mut run = Run::resume(&settings, 1, checkpoint.clone()).await.unwrap();
            let all = run.until(|all| rows(all) == 2).await;
            assert!(all.is_sorted_by(|a, b| a.at < b.at), "{all:#?}");
            let begin = |e: &&Event| e.value["status"] == "BEGIN" && e.topic == "srv.transaction";
            let of_row = all.iter().find(|e| e.topic == "srv.idle.t").unwrap().at.major;
            assert!(all.iter().filter(begin).any(|e| e.at.major == of_row), "{all:#?}");
            majors.push(of_row);
        }
        assert_eq!(majors[0], majors[1], "{flavor:?}");
    }
}
