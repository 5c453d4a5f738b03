//! What `validate --online` finds, each with the statement that helps; and that the statement does.

use std::time::Duration;

use wasmgate_connector::{Finding, Source as _};
use wasmgate_postgres::{PostgresSource, PublicationMode, Settings, Snapshot, Watermarks};

use crate::access::bad;
use crate::harness::{Db, skipped};

async fn look(settings: &Settings) -> Vec<Finding> {
    PostgresSource::new(settings.clone()).check().await
}

/// What is well and could be better.
fn notes(findings: &[Finding]) -> String {
    let notes = findings.iter().filter(|f| f.ok && f.fix.is_some());
    notes.map(|f| format!("{} → {}\n", f.what, f.fix.clone().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_changes_nothing_and_finds_what_is_wrong() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE u(id int PRIMARY KEY);
                 CREATE PUBLICATION only_t FOR TABLE t";
    let db = Db::new("checks", setup);
    let mut settings = db.settings(&["public.t"]);
    let findings = look(&settings).await;
    assert_eq!(bad(&findings), "");
    assert_eq!(db.sql("SELECT count(*) FROM pg_publication"), "1");
    settings.user = "plain_user".into();
    settings.publication = "only_t".into();
    settings.tables = vec!["public.t".into(), "public.u".into()];
    let text = bad(&look(&settings).await);
    for want in [
        "ALTER ROLE \"plain_user\" REPLICATION",
        "ALTER PUBLICATION \"only_t\" ADD TABLE \"public\".\"u\"",
        "GRANT SELECT ON \"public\".\"t\" TO \"plain_user\"",
    ] {
        assert!(text.contains(want), "{text}\nlacks {want}");
    }
    settings.port = 1;
    settings.connect_timeout = Duration::from_secs(2);
    let text = bad(&look(&settings).await);
    assert!(text.contains("cannot connect"), "{text}");
}

/// A role without any right is let in statement by statement, each as the finding says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_statement_takes_its_finding_away() {
    if skipped() {
        return;
    }
    let setup = "CREATE SCHEMA s; CREATE TABLE s.t(id int PRIMARY KEY); CREATE ROLE poor LOGIN;
                 REVOKE CREATE ON DATABASE doctor FROM PUBLIC";
    let db = Db::new("doctor", setup);
    let mut settings = db.settings(&["s.t"]);
    settings.user = "poor".into();
    // Statements that stand in the findings, without what is said around them.
    let mut run = Vec::new();
    for _ in 0..10 {
        let found = look(&settings).await;
        let Some(fix) = found.iter().find(|f| !f.ok).map(|f| f.fix.clone().unwrap_or_default())
        else {
            break;
        };
        let sql = match fix.split_once("by the owner: ") {
            Some((_, sql)) => sql.to_owned(),
            None => fix,
        };
        db.sql(&sql);
        run.push(sql);
    }
    let want = [
        "ALTER ROLE \"poor\" REPLICATION",
        "CREATE PUBLICATION \"doctor\" FOR TABLE \"s\".\"t\" WITH (publish = 'insert, update, delete')",
        "GRANT USAGE ON SCHEMA \"s\" TO \"poor\"; GRANT SELECT ON \"s\".\"t\" TO \"poor\"",
    ];
    assert_eq!(run, want);
    let mut run = crate::harness::Run::open(&settings, 10).await;
    db.sql("INSERT INTO s.t VALUES (1)");
    run.count(1).await;
    db.sql("DROP OWNED BY poor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_will_hurt_one_day_is_said() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE plain(id int); CREATE UNLOGGED TABLE quick(id int PRIMARY KEY);
                 CREATE TABLE hidden(id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS one;
                 ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
                 CREATE ROLE watched LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA public
                 TO watched; CREATE PUBLICATION inserts FOR TABLE plain WITH (publish = 'insert')";
    let db = Db::new("hurts", setup);
    let mut settings = db.settings(&["public.plain"]);
    settings.publication = "inserts".into();
    let text = notes(&look(&settings).await);
    for want in [
        "max_slot_wal_keep_size is unlimited",
        "sends insert only → ALTER PUBLICATION \"inserts\" SET (publish = 'insert, update, delete')",
        "public.plain has no replica identity",
        "public.plain has no key",
    ] {
        assert!(text.contains(want), "{text}\nlacks {want}");
    }
    settings.publication = "none".into();
    settings.slot_care.publication = PublicationMode::Disabled;
    settings.tables = ["quick", "hidden", "seen"].map(|t| format!("public.{t}")).into();
    settings.user = "watched".into();
    let text = bad(&look(&settings).await);
    for want in [
        "publication \"none\" does not exist → CREATE PUBLICATION \"none\" FOR TABLE",
        "ALTER TABLE \"public\".\"quick\" SET LOGGED",
        "row security hides rows of public.hidden",
        "ALTER ROLE \"watched\" BYPASSRLS",
        "public.seen is not a table",
    ] {
        assert!(text.contains(want), "{text}\nlacks {want}");
    }
    settings.slot_care.publication = PublicationMode::AllTables;
    let text = bad(&look(&settings).await);
    assert!(text.contains("a superuser has to create it"), "{text}");
    // Without a snapshot nobody reads the tables: that is no fault.
    db.sql("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM watched");
    settings.snapshot = Snapshot::Never;
    settings.publication = "inserts".into();
    settings.tables = vec!["public.plain".into()];
    let found = look(&settings).await;
    assert_eq!(bad(&found), "");
    assert!(notes(&found).contains("there can be no snapshot of it"), "{found:?}");
    db.sql("DROP OWNED BY watched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_the_server_does_not_let_in() {
    if skipped() {
        return;
    }
    let db = Db::new("kept_out", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    settings.user = "nobody_here".into();
    settings.connect_timeout = Duration::from_secs(5);
    let text = bad(&look(&settings).await);
    assert!(text.contains("nobody_here"), "{text}");
}

/// A signal table that does not fit is made to, statement by statement, each as the finding says;
/// then signals come through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signal_table_is_looked_at() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (7);
                 CREATE SCHEMA ops; CREATE ROLE signaller LOGIN REPLICATION;
                 GRANT SELECT ON t TO signaller;
                 CREATE PUBLICATION doctor_signals FOR TABLE t WITH (publish = 'update, delete')";
    let db = Db::new("doctor_signals", setup);
    let mut settings = db.settings(&[]);
    settings.user = "signaller".into();
    settings.snapshot = Snapshot::Never;
    settings.slot_care.publication = PublicationMode::Disabled;
    settings.signals.table = Some("ops.sig".into());
    settings.snapshots.watermarks = Watermarks::InsertDelete;
    let sql = |findings: &[Finding]| {
        let bad = findings.iter().find(|f| !f.ok && f.what.contains("signal"));
        bad.map(|f| f.fix.clone().unwrap_or_default())
    };
    let mut run = vec![sql(&look(&settings).await).unwrap()];
    // Not as it says: what people have in its place.
    db.sql("CREATE TABLE ops.sig(no int, kind char(30), note text NOT NULL)");
    db.sql("ALTER TABLE ops.sig DROP note");
    for _ in 0..10 {
        let Some(fix) = sql(&look(&settings).await) else { break };
        db.sql(&fix);
        run.push(fix);
        if run.len() == 3 {
            db.sql("ALTER TABLE ops.sig ADD more int NOT NULL");
        }
    }
    let want = [
        "CREATE TABLE \"ops\".\"sig\" (id varchar(64) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))",
        "ALTER TABLE \"ops\".\"sig\" ADD COLUMN data text",
        "ALTER TABLE \"ops\".\"sig\" ALTER COLUMN \"no\" TYPE text, ALTER COLUMN \"kind\" TYPE text",
        "ALTER TABLE \"ops\".\"sig\" ALTER COLUMN \"more\" DROP NOT NULL",
        "GRANT USAGE ON SCHEMA \"ops\" TO \"signaller\"; GRANT INSERT, DELETE, SELECT ON \"ops\".\"sig\" TO \"signaller\"",
        "ALTER PUBLICATION \"doctor_signals\" ADD TABLE \"ops\".\"sig\"",
        "ALTER PUBLICATION \"doctor_signals\" SET (publish = 'update, delete, insert')",
        "ALTER TABLE \"ops\".\"sig\" REPLICA IDENTITY FULL",
    ];
    assert_eq!(run, want);
    let findings = look(&settings).await;
    assert_eq!(bad(&findings), "");
    assert!(findings.iter().any(|f| f.what == "the signal table ops.sig fits"), "{findings:?}");
    let mut run = crate::harness::Run::open(&settings, 10).await;
    db.sql(
        "INSERT INTO ops.sig VALUES
           ('s1', 'execute-snapshot', '{\"data-collections\": [\"public.t\"]}')",
    );
    let read = run.until(|all| all.iter().any(|e| e.op == "r")).await;
    assert_eq!(read.iter().find(|e| e.op == "r").unwrap().after()["id"], 7);

    // Columns that are too short for marks only, filters, and no table at all.
    db.sql(
        "CREATE TABLE short(id varchar(20), type varchar(32), data varchar(2048));
         ALTER PUBLICATION doctor_signals ADD TABLE short; GRANT ALL ON short TO signaller",
    );
    settings.signals.table = Some("public.short".into());
    settings.snapshots.watermarks = Watermarks::InsertInsert;
    let text = bad(&look(&settings).await);
    let want = "do not hold the text of signals: id varchar(20) → ALTER TABLE \"public\".\"short\" \
                ALTER COLUMN \"id\" TYPE text\n";
    assert!(text.contains(want), "{text}");
    settings.snapshots.watermarks = Watermarks::Message;
    let text = bad(&look(&settings).await);
    assert!(!text.contains("signal table"), "{text}");
    settings.filters.tables.include = vec![wasmgate_postgres::pattern("public.t").unwrap()];
    let text = bad(&look(&settings).await);
    assert!(text.contains("`filters` leave the signal table public.short out"), "{text}");
    db.sql("DROP OWNED BY signaller");
}
