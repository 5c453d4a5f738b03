//! The HTTP interface of the binary: roles, trials, refusals that stay visible, deletion by force,
//! and uploads that leave nothing behind.
#![expect(clippy::indexing_slicing, reason = "tests")]

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::Value;

use crate::gateway::{Gateway, ask, ask_until, send, send_with, until};
use crate::modules::{Workplace, component, running};

const PUT: &str = "PUT /api/v1/modules/rule";
const RULE: &str = "GET /api/v1/modules/rule";
const PIPELINE: &str = "GET /api/v1/pipelines/copy";

/// Replaces the section `http` of a place's configuration.
fn configure(place: &Workplace, http: &str) {
    let path = place.path().join("w.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace("listen: 127.0.0.1:0", http)).unwrap();
}

fn json(answer: &(String, String)) -> Value {
    serde_json::from_str(&answer.1).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Status of an answer.
fn status(answer: &(String, String)) -> u16 {
    let word = answer.0.split(' ').nth(1).unwrap_or_default();
    word.parse().unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
fn a_token_does_what_its_role_may_and_every_change_is_logged() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    configure(
        &place,
        "listen: 127.0.0.1:0, tokens: [plain-0123456789, { token: looks-0123456789, role: viewer \
         }, { token: turns-0123456789, role: operator }]",
    );
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let pause = "POST /api/v1/pipelines/copy/pause";
    for (token, request, body, want) in [
        ("nobody-0123456789", RULE, &b""[..], 401),
        ("looks-0123456789", RULE, b"", 200),
        ("looks-0123456789", pause, b"", 403),
        ("turns-0123456789", pause, b"", 200),
        ("turns-0123456789", PUT, &route, 403),
        ("plain-0123456789", PUT, &route, 201),
    ] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let answer = send_with(&address, request, &headers, body);
        assert_eq!(status(&answer), want, "{token} {request}: {answer:?}");
    }
    gateway.signal("TERM");
    let log = gateway.end().1;
    for line in [
        r#"method=POST target="/api/v1/pipelines/copy/pause" status=403 peer=127.0.0.1 role="viewer""#,
        r#"status=200 peer=127.0.0.1 role="operator""#,
        r#"method=PUT target="/api/v1/modules/rule" status=403 peer=127.0.0.1 role="operator""#,
        r#"status=201 peer=127.0.0.1 role="deployer""#,
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert!(!log.contains("0123456789"), "a token is in the log:\n{log}");
}

#[test]
fn a_dry_run_checks_everything_and_swaps_nothing() {
    let (Some(identity), Some(route), Some(policy)) =
        (component("identity"), component("route"), component("dlq-decision"))
    else {
        return;
    };
    let mut place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let first = running(&address);
    let dry = "PUT /api/v1/modules/rule?dry_run=true";
    let answer = send(&address, dry, &route);
    assert_eq!(status(&answer), 200, "{answer:?}");
    let checked = json(&answer);
    assert_eq!((&checked["state"], &checked["world"]), (&"checked".into(), &"transform".into()));
    assert_eq!(checked["used_by"], serde_json::json!(["copy"]));
    assert_ne!(checked["sha256"], Value::from(first.as_str()));
    for (bytes, part) in [(&b"nope"[..], "not WebAssembly"), (&policy, "another world")] {
        let answer = send(&address, dry, bytes);
        assert!(status(&answer) == 422 && answer.1.contains(part), "{answer:?}");
        assert!(!json(&answer)["details"].as_array().unwrap().is_empty(), "{answer:?}");
    }
    assert_eq!(running(&address), first);
    let rule = json(&ask(&address, RULE));
    assert!(rule["rejected"].is_null() && rule["previous"] == serde_json::json!([]), "{rule}");
    place.write();
    place.check();
    assert_eq!(status(&send(&address, PUT, &route)), 201);
}

#[test]
fn a_module_shows_what_it_is_and_what_it_costs() {
    let Some(route) = component("route") else { return };
    let transforms = "{ module: rule, config: { default: elsewhere } }";
    let mut place = Workplace::new(transforms, &[("rule", &route)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    place.write();
    place.check();
    let rule = json(&ask(&address, RULE));
    let imports = rule["imports"].as_array().unwrap();
    assert!(imports.iter().any(|i| i == "wasmgate:transform/types@0.1.0"), "{rule}");
    let used = &rule["uses"][0];
    assert_eq!((&used["pipeline"], &used["stage"]), (&"copy".into(), &0.into()), "{rule}");
    assert_eq!((&used["state"], &used["sha256"]), (&"running".into(), &rule["sha256"]), "{rule}");
    assert!(rule["loaded_at_ms"].as_i64().unwrap() > 1_600_000_000_000, "{rule}");
    let stat = |name: &str| rule["stats"][name].as_u64().unwrap();
    assert!(stat("call_p50_ns") > 0 && stat("call_p99_ns") >= stat("call_p50_ns"), "{rule}");
    assert!(stat("calls") > 0 && stat("memory_bytes_max") > 0, "{rule}");
    assert_eq!(stat("records"), 100, "{rule}");
}

#[test]
fn a_refused_upload_stays_visible_until_something_is_taken() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    assert_eq!(status(&send(&address, PUT, b"nope")), 422);
    let rule = json(&ask(&address, RULE));
    assert!(rule["rejected"].as_str().unwrap().contains("not WebAssembly"), "{rule}");
    assert_eq!(rule["state"], "active");
    assert_eq!(status(&send(&address, PUT, &route)), 201);
    assert!(json(&ask(&address, RULE))["rejected"].is_null());
    // Rubbish under a name that nobody knows is only answered.
    assert_eq!(status(&send(&address, "PUT /api/v1/modules/other", b"nope")), 422);
    assert_eq!(status(&ask(&address, "GET /api/v1/modules/other")), 404);
}

#[test]
fn a_module_deleted_by_force_pauses_its_pipelines_and_loses_nothing() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let mut place =
        Workplace::new("{ module: rule }", &[("rule", &identity), ("spare", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let mut address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    assert_eq!(status(&ask(&address, "DELETE /api/v1/modules/spare")), 204);
    place.write();
    // The kills below repeat what is out and not in the checkpoint yet.
    let end = std::fs::metadata(place.path().join("in.jsonl")).unwrap().len();
    ask_until(&address, PIPELINE, &format!(r#""position":"{end}/0""#));
    let answer = ask(&address, "DELETE /api/v1/modules/rule");
    assert!(status(&answer) == 409 && answer.1.contains("module-in-use"), "{answer:?}");

    let answer = ask(&address, "DELETE /api/v1/modules/rule?force=true");
    assert_eq!(status(&answer), 200, "{answer:?}");
    assert_eq!(json(&answer)["paused"], serde_json::json!(["copy"]));
    assert!(!place.path().join("modules/rule.wasm").exists());
    assert_eq!(status(&ask(&address, RULE)), 404);
    let copy = json(&ask(&address, PIPELINE));
    assert_eq!(copy["state"], "paused", "{copy}");
    assert!(copy["reason"].as_str().unwrap().contains("module `rule` was deleted"), "{copy}");
    assert!(ask(&address, "GET /readyz").1.contains("was deleted"));
    place.write();
    let stays_paused = |address: &str| {
        for action in ["resume", "restart"] {
            let answer = ask(address, &format!("POST /api/v1/pipelines/copy/{action}"));
            assert!(status(&answer) == 409 && answer.1.contains("module-deleted"), "{answer:?}");
        }
        ask_until(address, PIPELINE, r#""state":"paused""#);
        let copy = json(&ask(address, PIPELINE));
        assert_eq!(copy["records_in"], 0, "{copy}");
        assert_eq!(status(&ask(address, RULE)), 404);
    };
    // What is no module under the name does not bring the deleted one back either.
    for bytes in [None, Some("nope")] {
        gateway.signal("KILL");
        gateway.child.wait().unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(place.path().join("modules/rule.wasm"), bytes).unwrap();
        }
        gateway = Gateway::start(place.path(), &[]);
        address = gateway.address();
        ask_until(&address, "GET /readyz", "was deleted");
        if bytes.is_none() {
            stays_paused(&address);
        }
    }
    let rule = json(&ask(&address, RULE));
    assert_eq!((&rule["state"], &rule["previous"]), (&"rejected".into(), &serde_json::json!([])));

    assert_eq!(status(&send(&address, PUT, &route)), 201);
    assert_eq!(status(&ask(&address, "POST /api/v1/pipelines/copy/resume")), 200);
    ask_until(&address, "GET /readyz", "200");
    place.write();
    place.check();
    assert!(json(&ask(&address, PIPELINE))["reason"].is_null());
    // It began anew: nothing leads back to what was deleted.
    let rule = json(&ask(&address, RULE));
    assert_eq!(rule["previous"], serde_json::json!([]), "{rule}");
}

#[test]
fn a_module_may_be_called_reload() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let mut place = Workplace::new("{ module: reload }", &[("reload", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    const ROUTE: &str = "/api/v1/modules/reload";
    assert_eq!(json(&ask(&address, &format!("GET {ROUTE}")))["name"], "reload");
    assert_eq!(status(&send(&address, &format!("PUT {ROUTE}"), &route)), 201);
    assert_eq!(status(&ask(&address, &format!("POST {ROUTE}"))), 200);
    assert_eq!(status(&ask(&address, &format!("POST {ROUTE}/rollback"))), 200);
    place.write();
    place.check();
}

#[test]
fn an_upload_is_bounded_and_leaves_nothing_behind() {
    let Some(identity) = component("identity") else { return };
    let place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    configure(&place, "listen: 127.0.0.1:0, upload_max: 64KiB");
    let uploads = place.path().join("data/uploads");
    std::fs::create_dir_all(&uploads).unwrap();
    std::fs::write(uploads.join("upload-1-1"), "of a process that was killed").unwrap();
    let left = || std::fs::read_dir(&uploads).unwrap().count();
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    assert_eq!(left(), 0);
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!("{PUT} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}", 65 << 10);
    write!(stream, "{head}\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "{PUT} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\nhalf")
        .unwrap();
    let files = format!("/proc/{}/fd", gateway.child.id());
    let receiving = || {
        let links = std::fs::read_dir(&files).unwrap();
        let mut links = links.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        // Once it has lost its name: a kill before that leaves it for the next start.
        links.any(|link| {
            let link = link.to_string_lossy();
            link.contains("data/uploads/upload-") && link.ends_with(" (deleted)")
        })
    };
    until("the upload is received", receiving);
    gateway.signal("KILL");
    gateway.child.wait().unwrap();
    assert_eq!(left(), 0);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    assert_eq!(json(&ask(&address, RULE))["state"], "active");
}
