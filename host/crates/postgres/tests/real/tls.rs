//! TLS in every mode, on a real server: right and wrong authorities, names, dates, lists, our own
//! certificate, and a man in the middle. Each case says whether there is a connection, whether it
//! is encrypted, and what is said where there is none.

use std::path::{Path, PathBuf};

use wasmgate_connector::Source as _;
use wasmgate_model::Checkpoint;
use wasmgate_postgres::{
    ChannelBinding, Method, Negotiation, PostgresSource, Protocol, Settings, Snapshot, SslMode,
    Target,
};
use wasmgate_services::certificates::{Authority, Pair, Subject};
use wasmgate_services::postgres::{Options, Postgres};
use wasmgate_services::proxy::{Proxy, Weather};

use crate::harness::{Run, secret, skipped};
use crate::mitm::{self, Trick};

/// A server with a certificate of an authority, and the files around it.
struct Place {
    server: Postgres,
    folder: PathBuf,
    authority: Authority,
    other: Authority,
    good: Pair,
}

const GOOD: Subject<'_> =
    Subject { name: "localhost", also: "DNS:localhost,IP:127.0.0.1", days: 2 };

impl Place {
    fn new(name: &str, options: Options) -> Self {
        let server = Postgres::start(&Options { tls: true, ..options }).unwrap();
        let folder =
            std::env::temp_dir().join(format!("wasmgate-tls-{name}-{}", std::process::id()));
        let authority = Authority::create(&folder.join("ca")).unwrap();
        let other = Authority::create(&folder.join("other")).unwrap();
        let good = authority.issue("good", GOOD).unwrap();
        server.show(&good, Some(&authority.root())).unwrap();
        let sql = "CREATE TABLE t(id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t;
                   SELECT pg_create_logical_replication_slot('s', 'pgoutput');
                   CREATE ROLE app LOGIN SUPERUSER PASSWORD 'pass word'";
        server.psql("postgres", sql).unwrap();
        Self { server, folder, authority, other, good }
    }

    fn settings(&self) -> Settings {
        Settings {
            host: "localhost".into(),
            port: self.server.port(),
            database: "postgres".into(),
            user: "app".into(),
            password: secret("pass word"),
            topic_prefix: "tls".into(),
            slot: "s".into(),
            publication: "p".into(),
            snapshot: Snapshot::Never,
            ..Settings::default()
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// `tls`, `plain`, or why there is no connection.
async fn outcome(settings: &Settings, server: &Postgres) -> String {
    let run = match Run::resume(settings, 10, Checkpoint::default()).await {
        Err(fault) => return fault.chain(),
        Ok(run) => run,
    };
    let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'wasmgate'";
    let ssl = server.psql("postgres", sql).unwrap();
    let wasmgate_capture_kit::Run { mut acker, reader, .. } = run.0;
    acker.close().await;
    drop(reader);
    let free = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wasmgate'";
    let since = std::time::Instant::now();
    while server.psql("postgres", free).unwrap() != "0" {
        assert!(since.elapsed() < std::time::Duration::from_secs(30), "connections stay");
    }
    if ssl == "t" { "tls".into() } else { "plain".into() }
}

async fn holds(what: &str, settings: &Settings, server: &Postgres, want: &str) {
    let got = outcome(settings, server).await;
    assert!(got.contains(want), "{what}: {got}\nwant {want}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_with_every_root() {
    if skipped() {
        return;
    }
    let place = Place::new("modes", Options::default());
    let (root, other) = (place.authority.root(), place.other.root());
    use SslMode::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};
    let system = Path::new("system");
    type Case<'a> = (SslMode, Option<&'a Path>, &'static str, &'static str);
    let cases: &[Case<'_>] = &[
        (Disable, None, "localhost", "plain"),
        (Allow, None, "localhost", "plain"),
        (Prefer, None, "localhost", "tls"),
        (Require, None, "localhost", "tls"),
        (Prefer, Some(&root), "localhost", "tls"),
        // As libpq: a root that does not fit makes `prefer` go without TLS, and nothing stronger.
        (Prefer, Some(&other), "localhost", "plain"),
        (Require, Some(&root), "localhost", "tls"),
        (Require, Some(&other), "localhost", "check `sslmode` and `ssl_root_cert`"),
        (VerifyCa, Some(&root), "127.0.0.1", "tls"),
        (VerifyCa, Some(&other), "localhost", "invalid peer certificate"),
        (VerifyCa, None, "localhost", "needs `ssl_root_cert`"),
        (VerifyCa, Some(system), "localhost", "goes with `sslmode: verify-full` only"),
        (Require, Some(system), "localhost", "goes with `sslmode: verify-full` only"),
        (VerifyFull, Some(&root), "localhost", "tls"),
        (VerifyFull, Some(&other), "localhost", "invalid peer certificate"),
        (VerifyFull, Some(system), "localhost", "invalid peer certificate"),
        (VerifyFull, None, "localhost", "invalid peer certificate"),
    ];
    for (sslmode, root, host, want) in cases {
        let mut settings = place.settings();
        (settings.sslmode, settings.host) = (*sslmode, (*host).into());
        settings.ssl_root_cert = root.map(Path::to_owned);
        holds(&format!("{sslmode:?} {root:?}"), &settings, &place.server, want).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_not_good_enough() {
    if skipped() {
        return;
    }
    let place = Place::new("bad", Options::default());
    let issue = |file, subject| place.authority.issue(file, subject).unwrap();
    let elsewhere =
        issue("elsewhere", Subject { name: "db.example", also: "DNS:db.example", ..GOOD });
    let expired = issue("expired", Subject { days: -1, ..GOOD });
    let clean = place.authority.revocation_list(None).unwrap();
    let revoked = place.authority.revocation_list(Some(&place.good)).unwrap();
    use SslMode::{Require, VerifyCa, VerifyFull};
    let cases: &[(&Pair, SslMode, Option<&PathBuf>, &str)] = &[
        (&elsewhere, VerifyFull, None, "not valid for name"),
        (&elsewhere, VerifyCa, None, "tls"),
        (&expired, VerifyFull, None, "expired"),
        (&expired, VerifyCa, None, "expired"),
        (&expired, Require, None, "expired"),
        (&place.good, VerifyFull, Some(&clean), "tls"),
        (&place.good, VerifyFull, Some(&revoked), "revoked"),
        (&place.good, VerifyFull, Some(&place.good.key), "no revocation list"),
    ];
    for (pair, sslmode, list, want) in cases {
        place.server.show(pair, None).unwrap();
        let mut settings = place.settings();
        settings.sslmode = *sslmode;
        settings.ssl_root_cert = Some(place.authority.root());
        settings.connection.ssl_crl = list.cloned();
        // The server takes a new certificate a moment after it was told.
        let since = std::time::Instant::now();
        loop {
            let got = outcome(&settings, &place.server).await;
            if got.to_lowercase().contains(want) {
                break;
            }
            let late = since.elapsed() > std::time::Duration::from_secs(20);
            assert!(!late, "{pair:?} {sslmode:?}: {got}\nwant {want}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_certificate() {
    if skipped() {
        return;
    }
    let options =
        Options { hba: vec!["hostssl all app 127.0.0.1/32 cert".into()], ..Options::default() };
    let place = Place::new("client", options);
    let mine = place.authority.issue("mine", Subject { name: "app", also: "", days: 2 }).unwrap();
    let sealed = place.authority.encrypt(&mine, "open sesame").unwrap();
    let foreign = place.other.issue("foreign", Subject { name: "app", also: "", days: 2 }).unwrap();
    let with = |pair: &Pair| {
        let mut settings = place.settings();
        settings.sslmode = SslMode::Require;
        settings.connection.ssl_cert = Some(pair.certificate.clone());
        settings.connection.ssl_key = Some(pair.key.clone());
        settings
    };
    holds("mine", &with(&mine), &place.server, "tls").await;
    let mut without = with(&mine);
    (without.connection.ssl_cert, without.connection.ssl_key) = (None, None);
    holds("none", &without, &place.server, "certificate").await;
    let refused = outcome(&with(&foreign), &place.server).await;
    assert!(!["tls", "plain"].contains(&refused.as_str()), "{refused}");
    let mut settings = with(&sealed);
    holds("sealed", &settings, &place.server, "set `connection.ssl_key_password`").await;
    settings.connection.ssl_key_password = secret("wrong");
    holds("sealed", &settings, &place.server, "the password is wrong").await;
    settings.connection.ssl_key_password = secret("open sesame");
    holds("sealed", &settings, &place.server, "tls").await;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&mine.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    holds("open to all", &with(&mine), &place.server, "run chmod 600").await;
    let findings = PostgresSource::new(with(&mine)).check().await;
    assert!(findings.iter().any(|f| !f.ok && f.what.contains("chmod 600")), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_is_noticed() {
    if skipped() {
        return;
    }
    let options = Options {
        hba: vec!["host all app 127.0.0.1/32 scram-sha-256".into()],
        ..Options::default()
    };
    let place = Place::new("mitm", options);
    // His certificate is as good as the server's: only the binding of the login tells.
    let his = place.authority.issue("his", GOOD).unwrap();
    use ChannelBinding::{Disable, Prefer, Require};
    let cases: &[(Trick, ChannelBinding, &[Method], &str)] = &[
        (Trick::Relay, Prefer, &[], "channel binding"),
        (Trick::Relay, Require, &[], "channel binding"),
        // Who asks for no binding gets none.
        (Trick::Relay, Disable, &[], "tls"),
        (Trick::NoPlus, Prefer, &[], "channel binding"),
        (Trick::NoPlus, Require, &[], "the server, or somebody between, does not offer it"),
        (Trick::AskPlain, Require, &[], "asks for `password`, which has no channel binding"),
        (Trick::AskPlain, Prefer, &[Method::ScramSha256], "`require_auth` allows scram-sha-256"),
        (Trick::LetIn, Require, &[], "without channel binding"),
        (Trick::LetIn, Prefer, &[Method::ScramSha256], "asks for `none`"),
    ];
    for (trick, binding, methods, want) in cases {
        let mut settings = place.settings();
        let (root, port) = (place.authority.root(), place.server.port());
        settings.port = mitm::start(&his, &root, port, *trick).await;
        settings.sslmode = SslMode::VerifyFull;
        settings.ssl_root_cert = Some(root);
        settings.connection.channel_binding = *binding;
        settings.connection.require_auth = methods.to_vec();
        holds(&format!("{trick:?} {binding:?}"), &settings, &place.server, want).await;
    }
    // Nobody between: bound, over TLS; never without.
    let mut settings = place.settings();
    settings.connection.channel_binding = Require;
    holds("direct", &settings, &place.server, "tls").await;
    settings.sslmode = SslMode::Disable;
    holds("plain", &settings, &place.server, "the connection has no TLS").await;
    settings.sslmode = SslMode::Require;
    settings.connection.channel_binding = Prefer;
    settings.connection.ssl_min_protocol = Protocol::Tls13;
    holds("1.3", &settings, &place.server, "tls").await;
    // Version 17 and later begin with TLS at once; older ones hang up.
    settings.connection.ssl_negotiation = Negotiation::Direct;
    let sql = "SELECT current_setting('server_version_num')::int >= 170000";
    let is_new = place.server.psql("postgres", sql).unwrap() == "t";
    holds("at once", &settings, &place.server, if is_new { "tls" } else { "TLS" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_try_in_the_other_way_and_a_password_file() {
    if skipped() {
        return;
    }
    let hba = [
        "hostssl all only_tls 127.0.0.1/32 scram-sha-256",
        "hostnossl all only_tls 127.0.0.1/32 reject",
        "hostssl all only_plain 127.0.0.1/32 reject",
        "hostnossl all only_plain 127.0.0.1/32 scram-sha-256",
    ];
    let place =
        Place::new("again", Options { hba: hba.map(str::to_owned).into(), ..Options::default() });
    let sql = "CREATE ROLE only_tls LOGIN SUPERUSER PASSWORD 'pass word';
               CREATE ROLE only_plain LOGIN SUPERUSER PASSWORD 'pass word';";
    place.server.psql("postgres", sql).unwrap();
    use SslMode::{Allow, Prefer, Require};
    for (user, sslmode, password, want) in [
        ("only_tls", Allow, "pass word", "tls"),
        ("only_tls", Allow, "wrong", "password of user \"only_tls\" is wrong"),
        ("only_tls", Prefer, "wrong", "password of user \"only_tls\" is wrong"),
        ("only_plain", Prefer, "pass word", "plain"),
        ("only_plain", Require, "pass word", "pg_hba.conf"),
    ] {
        let mut settings = place.settings();
        (settings.user, settings.sslmode) = (user.into(), sslmode);
        settings.password = secret(password);
        holds(&format!("{user} {sslmode:?}"), &settings, &place.server, want).await;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let file = place.folder.join("pgpass");
    std::fs::write(&file, "*:1:*:only_tls:no\nlocalhost:*:postgres:only_tls:pass word\n").unwrap();
    let mut settings = place.settings();
    (settings.user, settings.password) = ("only_tls".into(), None);
    settings.connection.passfile = Some(file.clone());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    holds("open to all", &settings, &place.server, "chmod 600").await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    holds("a line fits", &settings, &place.server, "tls").await;
    settings.user = "only_plain".into();
    holds("no line fits", &settings, &place.server, "set `password`, or add a line").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_that_answers_and_fits_is_taken() {
    if skipped() {
        return;
    }
    let place = Place::new("hosts", Options::default());
    let mut settings = place.settings();
    let real = settings.port;
    settings.port = 1;
    settings.connection.further_hosts = vec![("127.0.0.1".into(), real)];
    holds("the second", &settings, &place.server, "tls").await;
    settings.connection.target = Target::Primary;
    holds("it is a primary", &settings, &place.server, "tls").await;
    settings.connection.target = Target::Standby;
    let got = outcome(&settings, &place.server).await;
    assert!(got.contains("cannot connect to localhost:1"), "{got}");
    assert!(got.contains(&format!("127.0.0.1:{real} is not a standby")), "{got}");
    settings.connection.target = Target::PreferStandby;
    holds("any then", &settings, &place.server, "tls").await;
    // A wrong password is the right host's answer: the next one is not asked.
    settings.connection.target = Target::Any;
    settings.connection.further_hosts = vec![("127.0.0.1".into(), 1)];
    (settings.port, settings.user) = (real, "nobody_here".into());
    let got = outcome(&settings, &place.server).await;
    assert!(got.contains("nobody_here") && !got.contains("127.0.0.1:1"), "{got}");
    // One that takes connections and says nothing is left after `connect_timeout`.
    let silent = Proxy::start(real).unwrap();
    silent.set(Weather::Silent);
    let mut settings = place.settings();
    settings.port = silent.port();
    settings.connect_timeout = std::time::Duration::from_millis(300);
    holds("silent", &settings, &place.server, "no answer from").await;
    settings.connection.further_hosts = vec![("127.0.0.1".into(), real)];
    settings.connect_timeout = std::time::Duration::from_secs(2);
    holds("past the silent one", &settings, &place.server, "tls").await;
}
