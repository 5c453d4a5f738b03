//! The binary as it runs: from a file to a file, once to the end and once until a signal; the
//! data directory's lock; the HTTP interface beside it.

use crate::gateway::{Gateway, ask, ask_until};

const LINES: &str = r#"{"topic":"a","key":{"id":1},"value":{"id":1},"headers":[],"timestamp":1}
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

pub(crate) fn workplace(source: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.jsonl"), LINES).unwrap();
    std::fs::write(dir.path().join("w.yaml"), config(source)).unwrap();
    dir
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
