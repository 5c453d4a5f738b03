//! Who is let in, and what is said to those who are not.

use std::sync::atomic::Ordering;

use wasmgate_connector::{Finding, Source as _};
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_postgres::{PostgresSource, PublicationMode, Settings, Snapshot, SslMode};
use wasmgate_services::postgres::{Options, Postgres};

use crate::harness::{Db, Run, secret, skipped};

async fn outcome(settings: &Settings) -> Result<(), (FaultKind, String)> {
    match Run::resume(settings, 10, Checkpoint::default()).await {
        Ok(mut run) => {
            assert!(run.status.connected.load(Ordering::Relaxed));
            run.acker.close().await;
            Ok(())
        }
        Err(fault) => Err((fault.kind, fault.chain())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_logging_in() {
    if skipped() {
        return;
    }
    let db = Db::new("logins", "CREATE TABLE t(id int PRIMARY KEY)");
    use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
    let word = Some("pass word");
    // user, password, mode, host, own root certificate, what is said
    type Case = (&'static str, Option<&'static str>, SslMode, &'static str, bool, Said);
    type Said = Option<&'static str>;
    let cases: &[Case] = &[
        ("scram_user", word, Disable, "127.0.0.1", false, None),
        ("scram_user", word, Prefer, "127.0.0.1", false, None),
        (
            "scram_user",
            Some("wrong"),
            Prefer,
            "127.0.0.1",
            false,
            Some("password of user \"scram_user\" is wrong"),
        ),
        ("scram_user", None, Disable, "127.0.0.1", false, Some("set `password`")),
        ("md5_user", word, Disable, "127.0.0.1", false, None),
        ("md5_user", Some("wrong"), Disable, "127.0.0.1", false, Some("is wrong")),
        ("clear_user", word, Disable, "127.0.0.1", false, None),
        ("tls_user", word, Require, "127.0.0.1", false, None),
        ("tls_user", word, Require, "127.0.0.1", true, None),
        ("tls_user", word, VerifyCa, "127.0.0.1", true, None),
        ("tls_user", word, VerifyFull, "localhost", true, None),
        ("tls_user", word, VerifyFull, "127.0.0.1", true, None),
        (
            "tls_user",
            word,
            VerifyFull,
            "localhost",
            false,
            Some("check `sslmode` and `ssl_root_cert`"),
        ),
        ("tls_user", word, Disable, "127.0.0.1", false, Some("pg_hba.conf")),
        ("nobody_here", word, Disable, "127.0.0.1", false, Some("nobody_here")),
    ];
    for (user, password, sslmode, host, root, want) in cases {
        let mut settings = db.settings(&["public.t"]);
        settings.snapshot = Snapshot::Never;
        settings.user = (*user).into();
        settings.password = password.and_then(secret);
        settings.sslmode = *sslmode;
        settings.host = (*host).into();
        settings.ssl_root_cert = root.then(|| db.server.certificate());
        let got = outcome(&settings).await;
        match (got, want) {
            (Ok(()), None) => {}
            (Err((FaultKind::SourceRefused, text)), Some(want)) if text.contains(want) => {}
            (got, want) => panic!("{user} {sslmode:?} {host}: {got:?}, not {want:?}"),
        }
    }
    let mut socket = db.settings(&["public.t"]);
    socket.snapshot = Snapshot::Never;
    socket.host = db.server.socket_dir().to_string_lossy().into_owned();
    outcome(&socket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_says_what_to_do() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE u(id int PRIMARY KEY);
                 CREATE PUBLICATION only_t FOR TABLE t; CREATE PUBLICATION empty;
                 GRANT SELECT ON t TO plain_user";
    let db = Db::new("refusals", setup);
    type Change = fn(&mut Settings);
    let cases: &[(Change, FaultKind, &str)] = &[
        (|s| s.database = "nowhere".into(), FaultKind::SourceRefused, "correct `database`"),
        (|s| s.port = 1, FaultKind::SourceUnavailable, "cannot connect to 127.0.0.1:1"),
        (
            |s| (s.user, s.publication) = ("plain_user".into(), "only_t".into()),
            FaultKind::SourceRefused,
            "ALTER ROLE \"plain_user\" REPLICATION",
        ),
        (
            |s| {
                (s.publication, s.tables) =
                    ("only_t".into(), vec!["public.u".into(), "public.t".into()]);
                s.slot_care.publication = PublicationMode::Disabled;
            },
            FaultKind::SourceRefused,
            "ALTER PUBLICATION \"only_t\" ADD TABLE \"public\".\"u\"",
        ),
        (
            |s| (s.publication, s.tables) = ("empty".into(), vec![]),
            FaultKind::SourceRefused,
            "ALTER PUBLICATION \"empty\" ADD TABLE",
        ),
        (
            |s| s.tables = vec![],
            FaultKind::SourceRefused,
            "CREATE PUBLICATION \"refusals\" FOR TABLE",
        ),
        (
            |s| s.tables = vec!["public.nope".into()],
            FaultKind::SourceRefused,
            "\"public.nope\" does not exist",
        ),
        (|s| s.tables = vec!["t".into()], FaultKind::Config, "schema.table"),
    ];
    for (change, kind, want) in cases {
        let mut settings = db.settings(&["public.t"]);
        change(&mut settings);
        let (got, text) = outcome(&settings).await.unwrap_err();
        assert!(got == *kind && text.contains(want), "{got:?} {text}\nwant {want}");
    }

    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let holder = Run::open(&settings, 10).await;
    db.wait_for("SELECT active FROM pg_replication_slots WHERE slot_name = 'refusals'", "t");
    let (kind, text) = outcome(&settings).await.unwrap_err();
    assert_eq!(kind, FaultKind::SourceUnavailable);
    assert!(text.contains("held by another reader (server process "), "{text}");
    let findings = PostgresSource::new(settings.clone()).check().await;
    assert!(bad(&findings).contains("is held by server process"), "{findings:?}");
    drop(holder);
}

pub(crate) fn bad(findings: &[Finding]) -> String {
    let bad = findings.iter().filter(|f| !f.ok);
    bad.map(|f| format!("{} → {}\n", f.what, f.fix.clone().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_logical_decoding_or_slots() {
    if skipped() {
        return;
    }
    for (name, value, want) in [
        ("wal_level", "replica", "ALTER SYSTEM SET wal_level = 'logical'"),
        ("max_replication_slots", "0", "max_replication_slots"),
    ] {
        let options = Options { settings: vec![(name.into(), value.into())], ..Options::default() };
        let server = Postgres::start(&options).unwrap();
        server.psql("postgres", "CREATE TABLE t(id int PRIMARY KEY)").unwrap();
        let settings = Settings {
            port: server.port(),
            database: "postgres".into(),
            user: "postgres".into(),
            tables: vec!["public.t".into()],
            ..Settings::default()
        };
        let (kind, text) = outcome(&settings).await.unwrap_err();
        assert_eq!(kind, FaultKind::SourceRefused, "{text}");
        assert!(text.contains(want), "{text}\nlacks {want}");
        let findings = bad(&PostgresSource::new(settings).check().await);
        assert!(findings.contains(want), "{findings}");
    }
}
