//! ClickHouse's own HTTP front end, an old one: compressed frames, error texts without a code in
//! the headers, logins; and https with an authority of one's own before the engine.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wasmgate_clickhouse::{ClickHouseSink, Compression};
use wasmgate_connector::SinkConnector as _;
use wasmgate_connector::fakes;
use wasmgate_model::{FaultKind, Schema};
use wasmgate_services::certificates::{Authority, Subject};
use wasmgate_services::clickhouse_wire::{OldServer, missing};

use super::engine::{engine, unique};
use super::rig::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_takes_our_frames_and_its_errors_are_understood() {
    if let Some(reason) = missing() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
        eprintln!("SKIPPED: {reason}");
        return;
    }
    let server = OldServer::start("writer", "s3cret").unwrap();
    let query = |sql: &str| server.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut own = settings(&format!("http://127.0.0.1:{}", server.port()));
    own.user = Some("writer".to_owned());
    own.password = Some("wrong".to_owned().into());
    let fault = ClickHouseSink::new(own.clone(), None).unwrap().open().await.err().unwrap();
    assert!(
        fault.kind == FaultKind::SinkRefused && fault.chain().contains("rights"),
        "{}",
        fault.chain()
    );
    own.password = Some("s3cret".to_owned().into());
    for (n, compression) in
        [Compression::None, Compression::Lz4, Compression::Zstd(1)].into_iter().enumerate()
    {
        let table = format!("frames_{n}");
        query(&format!(
            "CREATE TABLE {table} (id Int32, name String, note Nullable(String), day Date, tags Array(String)) ENGINE = MergeTree ORDER BY id"
        ));
        let mut own = own.clone();
        own.compression = compression;
        let mut sink = open(own).await;
        let schema = Arc::new(Schema::open((1 << 31) + n as u64, table.as_str().into(), false));
        let text: Vec<String> = (0..3000)
            .map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\",\"note\":null,\"day\":\"2024-02-29\",\"tags\":[\"a\",\"{id}\"]}}"))
            .collect();
        let records: Vec<_> = text.iter().map(|t| (None, Some(t.as_bytes()))).collect();
        let rows = fakes::documents(&schema, 0, &records);
        assert_eq!(
            written(&mut sink, request(0, vec![rows])).await.records,
            3000,
            "{compression:?}"
        );
        let sums = query(&format!(
            "SELECT count(), sum(id), max(name), countIf(isNull(note)), min(day), sum(length(tags)) FROM {table}"
        ));
        assert_eq!(sums.trim(), "3000\t4498500\tn999\t3000\t2024-02-29\t6000", "{compression:?}");
        query(&format!("DROP TABLE {table}"));
        let rows = fakes::documents(&schema, 5000, &records[..1]);
        let fault = write(&mut sink, request(5000, vec![rows])).await.unwrap_err();
        assert!(fault.chain().contains("dropped"), "{compression:?}: {}", fault.chain());
    }
}

/// Ends TLS before the engine. Its port.
async fn tls(authority: &Authority, target: u16) -> u16 {
    let subject = Subject { name: "localhost", also: "DNS:localhost,IP:127.0.0.1", days: 2 };
    let pair = authority.issue("server", subject).unwrap();
    let chain =
        CertificateDer::pem_file_iter(pair.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(pair.key).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server =
                    tokio::net::TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn https_trusts_the_given_authority_and_no_other() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(&dir.path().join("ca")).unwrap();
    let other = Authority::create(&dir.path().join("other")).unwrap();
    let port = tls(&authority, engine.port()).await;
    let table = unique("tls");
    let schema = orders(&format!("db.public.{table}"));
    let mut own = settings(&format!("https://localhost:{port}"));
    for wrong in [None, Some(other.root())] {
        own.ca_file = wrong;
        let fault = ClickHouseSink::new(own.clone(), None).unwrap().open().await.err().unwrap();
        assert!(fault.chain().to_lowercase().contains("certificate"), "{}", fault.chain());
    }
    own.ca_file = Some(authority.root());
    let mut sink = open(own.clone()).await;
    written(&mut sink, all(numbered(&schema, 0, 10))).await;
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["10"]);
    // A token stands for user and password, over https only.
    own.token = Some("jwt".to_owned().into());
    written(&mut open(own.clone()).await, all(numbered(&schema, 10, 11))).await;
    own.hosts = vec![engine.url()];
    own.ca_file = None;
    assert!(ClickHouseSink::new(own, None).err().unwrap().chain().contains("unencrypted"));
}
