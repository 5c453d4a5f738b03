//! Who is let in, over what, and what is told to whoever is not.

use std::sync::Arc;

use wasmgate_connector::Source as _;
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_mysql::{MySqlSource, Settings, Snapshot, SslMode};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, FLAVORS, Run, secret, skipped, until};

const PASSWORD: &str = "pass 'word";

fn server(flavor: Flavor) -> Arc<MySql> {
    let options = Options { tls: true, ..Options::default() };
    let server = MySql::start(flavor, &options).unwrap();
    let rights = match flavor {
        Flavor::MySql => "REPLICATION SLAVE, REPLICATION CLIENT",
        Flavor::MariaDb => "REPLICATION SLAVE, BINLOG MONITOR",
    };
    server
        .sql(
            "",
            &format!(
                r#"CREATE USER 'capture'@'%' IDENTIFIED BY "{PASSWORD}";
                CREATE USER 'tls'@'%' IDENTIFIED BY "{PASSWORD}" REQUIRE SSL;
                CREATE USER 'nothing'@'%' IDENTIFIED BY "{PASSWORD}";
                GRANT SELECT, {rights} ON *.* TO 'capture'@'%', 'tls'@'%'"#
            ),
        )
        .unwrap();
    Arc::new(server)
}

async fn opens(settings: &Settings) -> Result<(), (FaultKind, String)> {
    match Run::resume(settings, 10, Checkpoint::default()).await {
        Ok(mut run) => {
            run.count(1).await;
            assert!(run.status.connected.load(std::sync::atomic::Ordering::Relaxed));
            Ok(())
        }
        Err(fault) => Err((fault.kind, fault.chain())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_tls() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let server = server(flavor);
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)";
        let db = Db::on(Arc::clone(&server), "access", setup);
        let settings = |user: &str, ssl_mode| Settings {
            user: user.into(),
            password: secret(PASSWORD),
            ssl_mode,
            host: "localhost".into(),
            ..db.settings()
        };
        // caching_sha2_password over TLS, and over plain TCP with the server's RSA key.
        opens(&settings("capture", SslMode::Required)).await.unwrap();
        opens(&settings("capture", SslMode::Disabled)).await.unwrap();
        opens(&settings("tls", SslMode::Preferred)).await.unwrap();
        for mode in [SslMode::VerifyCa, SslMode::VerifyIdentity] {
            let mut strict = settings("tls", mode);
            let (kind, text) = opens(&strict).await.unwrap_err();
            assert_eq!(kind, FaultKind::SourceRefused, "{text}");
            assert!(text.contains("ssl_root_cert"), "{text}");
            strict.ssl_root_cert = Some(server.certificate());
            opens(&strict).await.unwrap();
        }
        let (kind, text) = opens(&settings("tls", SslMode::Disabled)).await.unwrap_err();
        assert_eq!(kind, FaultKind::SourceRefused, "{text}");
        let mut wrong = settings("capture", SslMode::Required);
        wrong.password = secret("wrong");
        let (kind, text) = opens(&wrong).await.unwrap_err();
        assert_eq!(kind, FaultKind::SourceRefused);
        assert!(text.contains("`password`") && !text.contains("wrong'"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_names_what_is_missing_with_the_statement_that_helps() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let server = server(flavor);
        let db = Db::on(Arc::clone(&server), "check_it", "CREATE TABLE t(id int PRIMARY KEY)");
        let mut settings = Settings {
            user: "capture".into(),
            password: secret(PASSWORD),
            ssl_mode: SslMode::Required,
            ..db.settings()
        };
        let findings = MySqlSource::new(settings.clone()).check().await;
        assert!(findings.iter().all(|f| f.ok), "{flavor:?} {findings:#?}");
        settings.user = "nothing".into();
        settings.tables = vec!["check_it.t".into()];
        server.sql("", "SET GLOBAL binlog_row_image = 'MINIMAL'").unwrap();
        let findings = MySqlSource::new(settings).check().await;
        let fixes: Vec<String> =
            findings.iter().filter(|f| !f.ok).filter_map(|f| f.fix.clone()).collect();
        let mut wanted = vec![
            "SET GLOBAL binlog_row_image = 'FULL'",
            "GRANT REPLICATION SLAVE ON *.* TO 'nothing'@'%'",
            "GRANT SELECT ON `check_it`.`t` TO 'nothing'@'%'",
        ];
        if flavor == Flavor::MySql {
            wanted.push("GRANT REPLICATION CLIENT ON *.* TO 'nothing'@'%'");
        }
        for want in wanted {
            assert!(fixes.iter().any(|f| f.contains(want)), "{flavor:?} {want}: {findings:#?}");
        }
    }
}

const TABLES: &str = "CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES (1), (2);
    CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES (1)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_needs_a_lock_is_refused_without_the_right_to_it() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { tls: true, arguments: arguments.to_vec() };
    let server = MySql::start(Flavor::MySql, &options).unwrap();
    let db = Db::on(Arc::new(server), "no_reload", TABLES);
    db.sql(&format!(
        r#"CREATE USER 'capture'@'%' IDENTIFIED BY "{PASSWORD}";
        GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'capture'@'%'"#
    ));
    let mut settings =
        Settings { user: "capture".into(), password: secret(PASSWORD), ..db.settings() };
    // One connection, and several that become one: no point of the log is known to either.
    for threads in [1, 3] {
        settings.snapshots.threads = threads;
        let mut run = Run::open(&settings, 10).await;
        let fault = run.next().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::SourceRefused);
        let text = fault.chain();
        assert!(text.contains("GRANT RELOAD ON *.* TO 'capture'@'%'"), "{text}");
        assert!(text.contains("gtid_mode"), "{text}");
    }
    let missing = |findings: Vec<wasmgate_connector::Finding>| -> Vec<String> {
        findings.into_iter().filter(|f| !f.ok).filter_map(|f| f.fix).collect()
    };
    let found = missing(MySqlSource::new(settings.clone()).check().await);
    assert_eq!(found, ["GRANT RELOAD ON *.* TO 'capture'@'%'"]);
    // A stream from now on needs no lock.
    let streaming = Settings { snapshot: Snapshot::Never, ..settings.clone() };
    assert!(missing(MySqlSource::new(streaming).check().await).is_empty());
    db.sql("GRANT RELOAD ON *.* TO 'capture'@'%'");
    assert!(missing(MySqlSource::new(settings.clone()).check().await).is_empty());
    let mut run = Run::open(&settings, 10).await;
    run.count(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_reads_alone_where_many_find_no_point_and_none_may_lock() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::on(server(flavor), "alone", TABLES);
        let mut settings =
            Settings { user: "capture".into(), password: secret(PASSWORD), ..db.settings() };
        settings.snapshots.threads = 64;
        // Between the first of so many views and the last one somebody always commits; between
        // those of one, seldom.
        let insert = |id: i32| format!("INSERT INTO a VALUES ({id}); DO SLEEP(0.005);");
        let script: String = (10..1500).map(insert).collect();
        let all = std::thread::scope(|scope| {
            let db = &db;
            let writer = scope.spawn(move || db.sql(&script));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    until(|| (db.sql("SELECT count(*) FROM a") != "2").then_some(()));
                    let mut run = Run::open(&settings, 100).await;
                    let all = run.until(|all| all.iter().any(|e| e.key["id"] == 1499)).await;
                    writer.join().unwrap();
                    all
                })
            })
        });
        let mut rows: Vec<i64> = all
            .iter()
            .filter(|e| e.topic.ends_with(".a"))
            .map(|e| e.key["id"].as_i64().unwrap())
            .collect();
        let read = all.iter().filter(|e| e.op == "r").count();
        assert!(read > 3, "{flavor:?} {read}");
        // Views of different points would give a row twice, or leave one out.
        rows.sort_unstable();
        assert_eq!(rows, (1..3).chain(10..1500).collect::<Vec<_>>(), "{flavor:?}");
    }
}
