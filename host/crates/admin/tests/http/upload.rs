//! Uploads: what is taken, what is refused, and that nothing stays.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use wasmgate_admin::{UploadLimits, Uploads};

use crate::fake::{limits, open};
use crate::listen::{Client, Server};

const PUT: &str = "PUT /api/v1/modules/rule";

#[tokio::test]
async fn a_module_is_put_and_bounded() {
    let place = open();
    let (status, body) = place.ask(PUT, &[], Body::from("wasm")).await;
    assert_eq!(status, 201, "{body}");
    let digest = "336154bf67f765f8f75d16a0accee61b5ee5f6a75b2a2905703df913bd550f3e";
    let want = format!(r#"{{"name":"rule","version":"1.0.0","sha256":"{digest}","state":"active""#);
    assert!(body.starts_with(&want), "{body}");
    let (status, body) = place.ask(&format!("{PUT}?dry_run=true"), &[], Body::from("wasm")).await;
    assert!(status == 200 && body.contains(r#""state":"checked""#), "{status} {body}");

    let text = &[("content-type", "text/html")];
    assert_eq!(place.ask(PUT, text, Body::from("wasm")).await.0, 415);
    let wasm = &[("content-type", "Application/Wasm; a=b")];
    assert_eq!(place.ask(PUT, wasm, Body::from("wasm")).await.0, 201);
    let most = limits().bytes;
    let long = (most + 1).to_string();
    assert_eq!(place.ask(PUT, &[("content-length", &long)], Body::empty()).await.0, 413);
    // Without an announced length the body itself is counted.
    let body = Body::from(vec![0; most as usize + 1]);
    assert_eq!(place.ask(PUT, &[], body).await.0, 413);
    let body = Body::from(vec![0; most as usize]);
    assert_eq!(place.ask(PUT, &[], body).await.0, 201);
    let long = &[("content-length", "1048577")];
    let pause = "POST /api/v1/pipelines/orders/pause";
    assert_eq!(place.ask(pause, long, Body::empty()).await.0, 413);
    assert_eq!(place.asked(), ["put rule 4", "put rule 4 dry", "put rule 4", "put rule 65536"]);
}

#[test]
fn what_a_killed_process_left_behind_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("data/uploads");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("upload-1-1"), "half").unwrap();
    drop(Uploads::open(deep.clone(), limits()).unwrap());
    assert_eq!(fs::read_dir(&deep).unwrap().count(), 0);
}

/// A body without end is cut off at the limit, and nothing of it was kept.
#[test]
fn a_chunked_body_is_counted_as_it_comes() {
    let server = Server::start(limits());
    let mut client = server.connect();
    client.head("PUT /api/v1/modules/rule", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n{}\r\n", 8192, "x".repeat(8192));
    // The server stops to read and answers; what is written then may be refused.
    while client.stream.write_all(chunk.as_bytes()).is_ok() && !client.answered() {}
    let answer = client.answer();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large"), "{answer}");
    server.nothing_is_received();
    assert!(server.place.asked().is_empty());
}

#[test]
fn a_body_that_stops_is_given_up() {
    let limits = UploadLimits { pace_time: Duration::from_millis(20), ..limits() };
    let server = Server::start(limits);
    let mut client = server.connect();
    client.head(PUT, "Content-Length: 100");
    client.stream.write_all(b"w").unwrap();
    let answer = client.answer();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body-too-slow"), "{answer}");
    server.nothing_is_received();
}

/// Bytes come all the time, and too few: whoever waits for the turn does not wait for the whole of
/// the time that a body may take.
#[test]
fn a_body_that_drips_does_not_keep_its_turn() {
    let pace_time = Duration::from_secs(1);
    let turn = Duration::from_secs(30);
    let server = Server::start(UploadLimits { pace_time, turn, bytes: 1 << 30, ..limits() });
    let mut dripping = server.connect();
    dripping.head(PUT, "Content-Length: 1000000000");
    dripping.stream.write_all(b"w").unwrap();
    server.something_is_received();
    let mut second = server.connect();
    second.head(PUT, "Content-Length: 2");
    second.stream.write_all(b"w2").unwrap();
    while !dripping.answered() && dripping.stream.write_all(b"w").is_ok() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let answer = dripping.answer();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 1s"), "{answer}");
    assert!(second.answer().starts_with("HTTP/1.1 201 "));
}

/// One that is slow and keeps the pace is taken.
#[test]
fn a_body_that_is_slow_and_steady_is_taken() {
    let pace_time = Duration::from_secs(2);
    let server = Server::start(UploadLimits { pace_time, pace_bytes: 8, ..limits() });
    let mut client = server.connect();
    client.head(PUT, "Content-Length: 30");
    let begun = std::time::Instant::now();
    for _ in 0..30 {
        client.stream.write_all(b"w").unwrap();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert!(client.answer().starts_with("HTTP/1.1 201 "));
    assert!(begun.elapsed() > pace_time);
}

#[test]
fn a_body_that_takes_too_long_is_given_up() {
    let total = Duration::from_millis(50);
    let limits = UploadLimits { total, bytes: 1 << 30, ..limits() };
    let server = Server::start(limits);
    let mut client = server.connect();
    client.head(PUT, "Content-Length: 1000000000");
    while !client.answered() && client.stream.write_all(b"w").is_ok() {}
    let answer = client.answer();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    server.nothing_is_received();
}

/// An upload that has begun: its head and a byte of its body of two.
fn begun(server: &Server) -> Client {
    let mut client = server.connect();
    client.head(PUT, "Content-Length: 2");
    client.stream.write_all(b"w").unwrap();
    server.something_is_received();
    client
}

#[test]
fn one_upload_at_a_time() {
    let server = Server::start(limits());
    let mut first = begun(&server);
    let second = server.exchange(PUT, "w2");
    assert!(second.starts_with("HTTP/1.1 503 ") && second.contains("upload-busy"), "{second}");
    assert!(second.contains("retry-after: "), "{second}");
    first.stream.write_all(b"1").unwrap();
    assert!(first.answer().starts_with("HTTP/1.1 201 "));
    assert!(server.exchange(PUT, "w2").starts_with("HTTP/1.1 201 "));
    server.nothing_is_received();
}

#[test]
fn an_upload_waits_for_the_one_before_it() {
    let server = Server::start(UploadLimits { turn: Duration::from_secs(60), ..limits() });
    let mut first = begun(&server);
    let mut second = server.connect();
    second.head(PUT, "Content-Length: 2");
    second.stream.write_all(b"w2").unwrap();
    first.stream.write_all(b"1").unwrap();
    assert!(first.answer().starts_with("HTTP/1.1 201 "));
    assert!(second.answer().starts_with("HTTP/1.1 201 "));
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start(limits());
    drop(begun(&server));
    server.nothing_is_received();
    let taken = || server.exchange(PUT, "w2").starts_with("HTTP/1.1 201 ");
    assert!((0..1000).any(|_| taken()), "the turn was never given back");
    assert_eq!(server.place.asked(), ["put rule 2"]);
}
