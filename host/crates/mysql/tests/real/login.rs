//! Ways to log in: each plugin that the client has, certificates, and a plugin that it has not.

use std::sync::Arc;

use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_mysql::{Settings, SslMode};
use wasmgate_services::certificates::{Authority, Subject};
use wasmgate_services::mysql::{Flavor, MySql, Options, maria_plugins};

use crate::harness::{Db, FLAVORS, Run, secret, skipped};

const RIGHTS: &str = "SELECT, REPLICATION SLAVE, REPLICATION CLIENT";

fn own(flavor: Flavor, arguments: &[String]) -> Db {
    let options = Options { arguments: arguments.to_vec(), tls: true };
    let server = Arc::new(MySql::start(flavor, &options).unwrap());
    Db::on(server, "login", "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)")
}

/// Makes a user; `how` stands behind its name.
fn user(db: &Db, name: &str, how: &str) {
    let sql = format!("CREATE USER '{name}'@'%' {how}; GRANT {RIGHTS} ON *.* TO '{name}'@'%'");
    db.sql(&sql);
}

fn as_user(db: &Db, name: &str, password: Option<&str>, ssl_mode: SslMode) -> Settings {
    Settings {
        user: name.into(),
        password: password.and_then(secret),
        host: "localhost".into(),
        ssl_mode,
        ..db.settings()
    }
}

async fn open(settings: &Settings) -> Result<(), (FaultKind, String)> {
    match Run::resume(settings, 10, Checkpoint::default()).await {
        // The stream has its own connection.
        Ok(mut run) => {
            run.count(1).await;
            run.streaming().await;
            Ok(())
        }
        Err(fault) => Err((fault.kind, fault.chain())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_sha2_is_proved_by_rsa_in_plain_text_and_as_it_is_over_tls() {
    if skipped(Flavor::MySql) {
        return;
    }
    let db = own(Flavor::MySql, &[]);
    for (name, mode) in [("plain", SslMode::Disabled), ("crypted", SslMode::Required)] {
        // The server has not seen the password yet, so the long way is gone; then the short one.
        user(&db, name, "IDENTIFIED WITH caching_sha2_password BY 'p w'");
        open(&as_user(&db, name, Some("p w"), mode)).await.unwrap();
        open(&as_user(&db, name, Some("p w"), mode)).await.unwrap();
        db.sql("FLUSH PRIVILEGES");
        let (kind, text) = open(&as_user(&db, name, Some("other"), mode)).await.unwrap_err();
        assert_eq!(kind, FaultKind::SourceRefused, "{text}");
        assert!(text.contains("correct `user` and `password`"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_not_known_is_named_with_the_way_out() {
    if skipped(Flavor::MySql) {
        return;
    }
    let db = own(Flavor::MySql, &[]);
    user(&db, "old", "IDENTIFIED WITH sha256_password BY 'p'");
    let (kind, text) = open(&as_user(&db, "old", Some("p"), SslMode::Required)).await.unwrap_err();
    assert_eq!(kind, FaultKind::SourceRefused, "{text}");
    assert!(text.contains("sha256_password"), "{text}");
    let way_out = "ALTER USER 'old'@'%' IDENTIFIED WITH caching_sha2_password BY";
    assert!(text.contains(way_out), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadbs_plugins() {
    if skipped(Flavor::MariaDb) {
        return;
    }
    let plugins = match maria_plugins() {
        Ok(folder) => folder,
        Err(reason) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            return eprintln!("skipped: {reason}");
        }
    };
    let db = own(Flavor::MariaDb, &[format!("--plugin-dir={}", plugins.display())]);
    db.sql("INSTALL SONAME 'auth_ed25519'");
    user(&db, "edward", "IDENTIFIED VIA ed25519 USING PASSWORD('p w')");
    user(&db, "native", "IDENTIFIED VIA mysql_native_password USING PASSWORD('p w')");
    for name in ["edward", "native"] {
        for mode in [SslMode::Disabled, SslMode::Required] {
            open(&as_user(&db, name, Some("p w"), mode)).await.unwrap();
            let (kind, text) = open(&as_user(&db, name, Some("x"), mode)).await.unwrap_err();
            assert_eq!(kind, FaultKind::SourceRefused, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_clients() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("ca")).unwrap();
        let of = |name| Subject { name, also: "", days: 2 };
        let ours = authority.issue("ours", of("wasmgate")).unwrap();
        // Of an authority that the server does not know.
        let other = Authority::create(&folder.path().join("other")).unwrap();
        let foreign = other.issue("foreign", of("wasmgate")).unwrap();
        // The server runs as nobody.
        let root = std::env::temp_dir().join(format!(
            "wasmgate-ca-{}.crt",
            folder.path().display().to_string().replace('/', "_")
        ));
        std::fs::copy(authority.root(), &root).unwrap();
        let db = own(flavor, &[format!("--ssl-ca={}", root.display())]);
        user(&db, "cert", "REQUIRE SUBJECT '/CN=wasmgate'");
        let mut settings = as_user(&db, "cert", None, SslMode::VerifyIdentity);
        settings.ssl_root_cert = Some(db.server.certificate());
        let (kind, text) = open(&settings).await.unwrap_err();
        assert_eq!(kind, FaultKind::SourceRefused, "{text}");
        settings.ssl_client = Some((foreign.certificate, foreign.key));
        assert!(open(&settings).await.is_err(), "{flavor:?}");
        settings.ssl_client = Some((ours.certificate, ours.key));
        open(&settings).await.unwrap();
        std::fs::remove_file(root).unwrap();
    }
}
