//! The binary as it runs: from a file to a file, once to the end and once until a signal; the
//! data directory's lock; the HTTP interface beside it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const LINES: &str = r#"{"topic":"a","key":{"id":1},"value":{"id":1,"n":"x"},"headers":[],"timestamp":1}
{"topic":"a","key":{"id":2},"value":{"id":2,"n":"y"},"headers":[["h","v"]],"timestamp":2}
{"topic":"b","key":null,"value":null,"headers":[],"timestamp":3}
"#;

fn config(source: &str) -> String {
    format!(
        "data_dir: data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: modules }}\n\
         pipelines:\n  copy:\n    source: {{ file: {{ {source} }} }}\n    \
         sinks: [{{ topics: '.*', file: {{ path: out.jsonl }} }}]\n"
    )
}

fn workplace(source: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.jsonl"), LINES).unwrap();
    std::fs::write(dir.path().join("w.yaml"), config(source)).unwrap();
    dir
}

/// A running gateway; killed when dropped.
struct Gateway {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Gateway {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasmgate"))
            .args(["run", "-c", "w.yaml"])
            .args(args)
            .current_dir(dir)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new() }
    }

    /// Reads the log to the line with `text`, and gives what follows it there.
    fn logged(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "{text:?} was never logged:\n{}", self.log);
            self.log.push_str(&line);
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
        }
    }

    /// `host:port` of the HTTP interface.
    fn address(&mut self) -> String {
        self.logged("HTTP interface listens address=")
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The rest of the log, and how it ended.
    fn end(&mut self) -> (ExitStatus, String) {
        self.stderr.read_to_string(&mut self.log).unwrap();
        (self.child.wait().unwrap(), self.log.clone())
    }
}

/// One HTTP exchange: status line and body.
fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// Asks again and again until the answer has `text`.
fn ask_until(address: &str, request: &str, text: &str) -> String {
    let started = Instant::now();
    loop {
        let (status, body) = ask(address, request);
        if status.contains(text) || body.contains(text) {
            return body;
        }
        assert!(started.elapsed() < PATIENCE, "{request} never had {text:?}: {status} {body}");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_is_copied_to_its_end_once() {
    let dir = workplace("path: in.jsonl");
    let (status, log) = Gateway::start(dir.path(), &["--until-complete"]).end();
    assert_eq!(status.code(), Some(0), "{log}");
    let out = || std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want: Vec<serde_json::Value> =
        LINES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, want);
    // The checkpoint is at the end: nothing is written again.
    let (status, log) = Gateway::start(dir.path(), &["--until-complete"]).end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(out().lines().count(), 3);
}

#[test]
fn a_signal_drains_and_ends_well() {
    for signal in ["INT", "TERM"] {
        let dir = workplace("path: in.jsonl, follow: true");
        let mut gateway = Gateway::start(dir.path(), &[]);
        let address = gateway.address();
        ask_until(&address, "GET /api/v1/pipelines/copy", r#""records_out":3"#);
        ask_until(&address, "GET /readyz", "200");
        assert_eq!(ask(&address, "GET /healthz").1, "ok\n");
        let metrics = ask(&address, "GET /metrics").1;
        let line = r#"wasmgate_records_in_total{pipeline="copy"} 3"#;
        assert!(metrics.contains(line), "{metrics}");
        gateway.signal(signal);
        let (status, log) = gateway.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_pipeline_is_paused_and_resumed() {
    let dir = workplace("path: in.jsonl, follow: true");
    let mut gateway = Gateway::start(dir.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let (status, body) = ask(&address, "POST /api/v1/pipelines/copy/pause");
    assert!(status.contains("200"), "{status} {body}");
    ask_until(&address, "GET /api/v1/pipelines/copy", r#""state":"paused""#);
    assert!(ask(&address, "GET /readyz").0.contains("503"));
    ask(&address, "POST /api/v1/pipelines/copy/resume");
    ask_until(&address, "GET /readyz", "200");
}

#[test]
fn the_data_directory_has_one_owner() {
    let dir = workplace("path: in.jsonl, follow: true");
    let mut first = Gateway::start(dir.path(), &[]);
    first.address();
    let (status, log) = Gateway::start(dir.path(), &[]).end();
    assert_eq!(status.code(), Some(75), "{log}");
    assert!(log.contains(&format!("pid {}", first.child.id())), "{log}");
}

#[test]
fn a_taken_port_is_a_runtime_error() {
    let dir = workplace("path: in.jsonl");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let yaml = config("path: in.jsonl").replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    std::fs::write(dir.path().join("w.yaml"), yaml).unwrap();
    let (status, log) = Gateway::start(dir.path(), &["--until-complete"]).end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("http.listen: cannot listen on 127.0.0.1"), "{log}");
}

#[test]
fn a_pipeline_that_fails_for_good_fails_the_run_to_the_end() {
    let dir = workplace("path: missing.jsonl");
    let (status, log) = Gateway::start(dir.path(), &["--until-complete"]).end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("pipeline copy failed") && log.contains("missing.jsonl"), "{log}");
}
