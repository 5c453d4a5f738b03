//! Requests that somebody else's page makes in the browser of an operator: nothing changes, nothing
//! can be read. Once with the headers that browsers send, once with a real browser.

mod browser;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::stamped;
use wasmgate_tests::http;

const CONFIG: &str = "data_dir: {dir}/data
http: { listen: 127.0.0.1:0 }
modules: { dir: '{dir}/modules' }
pipelines:
  good:
    source: { file: { path: '{dir}/in.jsonl', topic: docs, follow: true } }
    transforms: [ { module: guest } ]
    sinks: [ { topics: '.*', blackhole: {} } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
";

/// What would change something if it were let through.
const TARGETS: [(&str, &str); 7] = [
    ("PUT", "/api/v1/modules/guest"),
    ("DELETE", "/api/v1/modules/spare"),
    ("POST", "/api/v1/modules/guest/rollback"),
    ("POST", "/api/v1/modules/reload"),
    ("POST", "/api/v1/pipelines/good/pause"),
    ("POST", "/api/v1/pipelines/good/restart"),
    ("POST", "/api/v1/pipelines/good/resume"),
];

/// A gateway with a module in use and one that could be deleted.
fn gateway(dir: &Path) -> Gateway {
    fs::create_dir(dir.join("modules")).unwrap();
    for (name, number) in [("guest", 0), ("spare", 1)] {
        fs::write(dir.join(format!("modules/{name}.wasm")), stamped(number)).unwrap();
    }
    fs::write(dir.join("in.jsonl"), "{\"n\":1,\"name\":\"ada\"}\n").unwrap();
    let gateway = Gateway::start(dir, CONFIG);
    // There is a version to go back to.
    let path = "/api/v1/modules/guest";
    let answer = http::request(gateway.address(), "PUT", path, &stamped(2)).unwrap();
    assert_eq!(answer.0, 201, "{}", answer.1);
    gateway.wait_pipeline("good", "a record", |s| s["records_out"] == 1);
    gateway
}

/// What an attacker would want to change.
fn state(gateway: &Gateway) -> Value {
    let modules = http::json(gateway.address(), "/api/v1/modules").unwrap();
    let names = |m: &Value| (m["name"].to_string(), m["sha256"].clone());
    let modules: BTreeMap<String, Value> = modules.as_array().unwrap().iter().map(names).collect();
    let pipeline = gateway.pipeline("good").unwrap();
    json!({ "modules": modules, "state": pipeline["state"], "out": pipeline["records_out"] })
}

/// A request with these headers: status and whole answer.
fn send(gateway: &Gateway, method: &str, path: &str, headers: &str) -> (u16, String) {
    let body = if method == "PUT" { stamped(3) } else { Vec::new() };
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Refused without being read: hanging up amid the body is fine.
    stream.write_all(&body).ok();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        answer.extend(&piece[..count]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), answer)
}

#[test]
fn crosssite_headers_of_browsers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateway(dir.path());
    let (address, before) = (gateway.address().to_owned(), state(&gateway));
    let port = address.rsplit(':').next().unwrap().to_owned();
    let own = format!("Host: {address}\r\n");
    let rebound = format!("Host: attacker.example:{port}\r\n");
    // (what, headers, status)
    let cases = [
        ("cross site", format!("{own}Sec-Fetch-Site: cross-site\r\n"), 403),
        ("another port of this machine", format!("{own}Sec-Fetch-Site: same-site\r\n"), 403),
        ("a word of later browsers", format!("{own}Sec-Fetch-Site: unheard-of\r\n"), 403),
        ("another origin", format!("{own}Origin: http://attacker.example\r\n"), 403),
        ("another port as origin", format!("{own}Origin: http://127.0.0.1:1\r\n"), 403),
        ("a file or a sandboxed frame", format!("{own}Origin: null\r\n"), 403),
        (
            "a form",
            format!(
                "{own}Origin: http://attacker.example\r\nSec-Fetch-Site: cross-site\r\n\
                 Sec-Fetch-Mode: navigate\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            ),
            403,
        ),
        ("a name that was rebound", rebound.clone(), 421),
        (
            "a name that was rebound, from its own page",
            format!(
                "{rebound}Origin: http://attacker.example:{port}\r\nSec-Fetch-Site: same-origin\r\n"
            ),
            421,
        ),
        ("no name", String::from("Host: \r\n"), 421),
    ];
    for (what, headers, status) in &cases {
        for (method, path) in TARGETS {
            let (found, answer) = send(&gateway, method, path, headers);
            assert_eq!(found, *status, "{what}: {method} {path}: {answer}");
            let answer = answer.to_ascii_lowercase();
            assert!(!answer.contains("access-control-allow"), "{what}: {answer}");
        }
        assert_eq!(state(&gateway), before, "{what} changed something");
    }
    // Looking is refused under a rebound name too: a page could read the answer.
    for path in ["/api/v1/modules", "/api/v1/pipelines", "/metrics"] {
        let (found, answer) = send(&gateway, "GET", path, &rebound);
        assert_eq!(found, 421, "{path}: {answer}");
    }
    // The same requests by somebody who is no browser work, so it was the headers.
    let (found, answer) = send(&gateway, "POST", "/api/v1/pipelines/good/pause", &own);
    assert_eq!(found, 200, "{answer}");
    assert_ne!(state(&gateway), before);
}
