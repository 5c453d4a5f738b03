//! Who is let in, over what, and what is told to whoever is not.

use std::sync::Arc;

use wasmgate_connector::Source as _;
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_mysql::{MySqlSource, Settings, SslMode};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, FLAVORS, Run, secret, skipped};

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
