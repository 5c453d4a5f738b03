//! What modules are after a restart: the versions that ran, and not what was refused meanwhile.

use std::path::Path;

use crate::gateway::{Gateway, ask, ask_until, send, until};
use crate::modules::component;

fn config(config_of_rule: &str) -> String {
    format!(
        "data_dir: data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: modules }}\n\
         pipelines:\n  copy:\n    \
         source: {{ file: {{ path: in.jsonl, topic: t, follow: true }} }}\n    \
         transforms: [{{ module: rule{config_of_rule} }}]\n    \
         sinks: [{{ topics: '.*', file: {{ path: out.jsonl }} }}]\n"
    )
}

fn place(config: &str, rule: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("modules")).unwrap();
    std::fs::write(dir.path().join("modules/rule.wasm"), rule).unwrap();
    std::fs::write(dir.path().join("w.yaml"), config).unwrap();
    std::fs::write(dir.path().join("in.jsonl"), "{\"n\":1}\n").unwrap();
    dir
}

fn start(dir: &Path) -> (Gateway, String) {
    let mut gateway = Gateway::start(dir, &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    (gateway, address)
}

/// The module as the gateway shows it: the digest of what runs, and why the last was refused.
fn rule(address: &str) -> (String, Option<String>) {
    let (_, body) = ask(address, "GET /api/v1/modules/rule");
    let view: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| view.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    (text("sha256").unwrap_or_else(|| panic!("{body}")), text("rejected"))
}

#[test]
fn a_killed_gateway_can_still_be_rolled_back() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let place = place(&config(""), &identity);
    let (gateway, address) = start(place.path());
    let (first, _) = rule(&address);
    let (status, body) = send(&address, "PUT /api/v1/modules/rule", &route);
    assert!(status.contains("201"), "{status} {body}");
    let (second, _) = rule(&address);
    gateway.signal("KILL");
    drop(gateway);
    // A file that does not load does not stop the version that ran.
    let file = place.path().join("modules/rule.wasm");
    std::fs::write(&file, "nope").unwrap();

    let (_gateway, address) = start(place.path());
    let (runs, rejected) = rule(&address);
    assert_eq!(runs, second);
    assert!(rejected.unwrap().contains("not WebAssembly"));
    let (status, body) = ask(&address, "POST /api/v1/modules/rule/rollback");
    assert!(status.contains("200"), "{status} {body}");
    assert_eq!(rule(&address), (first, None));
    assert_eq!(std::fs::read(&file).unwrap(), identity);
}

#[test]
fn a_version_that_does_not_fit_is_refused_at_the_next_start_as_it_was_before() {
    let (Some(quality), Some(route)) = (component("quality-check"), component("route")) else {
        return;
    };
    let place = place(&config(", config: { required: [n] }"), &quality);
    let file = place.path().join("modules/rule.wasm");
    let note = place.path().join("modules/rule.wasm.rejected.txt");
    let (gateway, address) = start(place.path());
    let (first, _) = rule(&address);
    std::fs::write(&file, &route).unwrap();
    until("the file is refused", || note.exists());
    gateway.signal("KILL");
    drop(gateway);
    for _ in 0..2 {
        let (_gateway, address) = start(place.path());
        let (runs, rejected) = rule(&address);
        assert_eq!(runs, first);
        assert!(rejected.unwrap().contains("required: unknown field"));
        let reason = std::fs::read_to_string(&note).unwrap();
        assert!(reason.contains("pipeline copy cannot work with it"), "{reason}");
    }
    // With a configuration that it can work with, it is taken.
    std::fs::write(place.path().join("w.yaml"), config("")).unwrap();
    let (_gateway, address) = start(place.path());
    let (runs, rejected) = rule(&address);
    assert!(runs != first && rejected.is_none() && !note.exists());
}
