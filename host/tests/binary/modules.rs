//! Modules while records pass: swapped in by upload and by file, refused without harm, rolled
//! back. The components are those of `transforms/`, as `cargo xtask modules` builds them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::{Gateway, ask, ask_until, send, until};

const PIPELINE: &str = "GET /api/v1/pipelines/copy";

fn config(transforms: &str) -> String {
    format!(
        "data_dir: data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: modules }}\n\
         pipelines:\n  copy:\n    \
         source: {{ file: {{ path: in.jsonl, topic: t, follow: true }} }}\n    \
         transforms: [{transforms}]\n    \
         sinks: [{{ topics: '.*', file: {{ path: out.jsonl }} }}]\n"
    )
}

/// A built component; `None`, with a word, where there is none and nobody insists.
pub(crate) fn component(name: &str) -> Option<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../transforms");
    let read = std::fs::read(dir.join(format!("{name}.wasm")));
    if read.is_err() && std::env::var_os("CI").is_none() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: {name}.wasm is not built; run `cargo xtask modules`").unwrap();
        return None;
    }
    Some(read.expect("`cargo xtask modules` builds the components"))
}

pub(crate) struct Workplace {
    dir: tempfile::TempDir,
    pub(crate) written: u32,
}

impl Workplace {
    pub(crate) fn new(transforms: &str, modules: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("modules")).unwrap();
        for (name, bytes) in modules {
            std::fs::write(dir.path().join(format!("modules/{name}.wasm")), bytes).unwrap();
        }
        std::fs::write(dir.path().join("w.yaml"), config(transforms)).unwrap();
        std::fs::write(dir.path().join("in.jsonl"), "").unwrap();
        Self { dir, written: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Appends some records; they pass whatever runs now or comes next.
    pub(crate) fn write(&mut self) {
        let file = std::fs::File::options().append(true).open(self.path().join("in.jsonl"));
        let mut file = file.unwrap();
        for _ in 0..100 {
            writeln!(file, "{{\"n\":{}}}", self.written).unwrap();
            self.written += 1;
        }
    }

    /// Waits for every record, and checks that each came once, in order.
    pub(crate) fn check(&self) {
        let out = || std::fs::read_to_string(self.path().join("out.jsonl")).unwrap_or_default();
        let written = self.written as usize;
        // Whole lines: the last one may be half written.
        until("every record is out", || out().matches('\n').count() >= written);
        let found: Vec<u64> = out()
            .lines()
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                record.pointer("/value/n").and_then(serde_json::Value::as_u64).unwrap()
            })
            .collect();
        assert_eq!(found, (0..u64::from(self.written)).collect::<Vec<_>>());
    }
}

/// The running version of the pipeline's module.
pub(crate) fn running(address: &str) -> String {
    let (_, body) = ask(address, PIPELINE);
    let pipeline: serde_json::Value = serde_json::from_str(&body).unwrap();
    let sha256 = pipeline.pointer("/stages/0/sha256").and_then(serde_json::Value::as_str);
    sha256.unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[test]
fn modules_are_swapped_refused_and_rolled_back_while_records_pass() {
    let (Some(identity), Some(route), Some(policy)) =
        (component("identity"), component("route"), component("dlq-decision"))
    else {
        return;
    };
    let mut place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    place.write();
    let first = running(&address);

    let put = "PUT /api/v1/modules/rule";
    let (status, body) = send(&address, put, &identity);
    assert!(status.contains("409") && body.contains("module-same"), "{status} {body}");
    let (status, body) = send(&address, put, &route);
    assert!(status.contains("201") && body.contains(r#""state":"active""#), "{status} {body}");
    place.write();
    let second = running(&address);
    assert_ne!(first, second);

    for (bytes, part) in [(&b"nope"[..], "not WebAssembly"), (&policy, "another world")] {
        let (status, body) = send(&address, put, bytes);
        assert!(status.contains("422") && body.contains(part), "{status} {body}");
        assert_eq!(running(&address), second);
        place.write();
    }
    let (status, body) = ask(&address, "POST /api/v1/modules/rule/rollback");
    assert!(status.contains("200"), "{status} {body}");
    assert_eq!(running(&address), first);
    place.write();
    let (status, body) = ask(&address, "POST /api/v1/modules/rule/rollback");
    assert!(status.contains("409"), "{status} {body}");
    let (status, body) = ask(&address, "DELETE /api/v1/modules/rule");
    assert!(status.contains("409") && body.contains("copy"), "{status} {body}");
    place.check();
    gateway.signal("TERM");
    assert_eq!(gateway.end().0.code(), Some(0));
}

#[test]
fn files_are_taken_in_and_bad_ones_noted() {
    let (Some(identity), Some(route)) = (component("identity"), component("route")) else {
        return;
    };
    let mut place = Workplace::new("{ module: rule }", &[("rule", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let first = running(&address);
    let file = place.path().join("modules/rule.wasm");
    let note = place.path().join("modules/rule.wasm.rejected.txt");

    place.write();
    std::fs::write(&file, &route).unwrap();
    until("the new file runs", || running(&address) != first);
    let second = running(&address);
    place.write();
    std::fs::write(&file, "nope").unwrap();
    until("the broken file is noted", || note.exists());
    assert_eq!(running(&address), second);
    let (_, body) = ask(&address, "GET /api/v1/modules/rule");
    assert!(body.contains("not WebAssembly") && body.contains(r#""state":"active""#), "{body}");
    place.write();
    std::fs::write(&file, &identity).unwrap();
    let (status, body) = ask(&address, "POST /api/v1/modules/reload");
    assert!(status.contains("200") && body.contains(r#""rejected":[]"#), "{status} {body}");
    assert_eq!(running(&address), first);
    assert!(!note.exists());
    std::fs::remove_file(&file).unwrap();
    ask_until(&address, "GET /api/v1/modules/rule", "its file is gone");
    place.write();
    place.check();
}

/// Looking at a configuration never waits: not for whoever writes to a pipe either.
#[test]
fn validate_refuses_a_pipe_in_place_of_a_module() {
    let place = Workplace::new("{ module: rule }", &[]);
    let pipe = place.path().join("modules/rule.wasm");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let found = Command::new(env!("CARGO_BIN_EXE_wasmgate"))
        .args(["validate", "-c", "w.yaml"])
        .current_dir(place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&found.stderr);
    assert_eq!(found.status.code(), Some(78), "{said}");
    assert!(said.contains("module `rule` cannot be loaded") && said.contains("a pipe"), "{said}");
}

/// What ran before and fails now is no reason to keep every other pipeline from starting.
#[test]
fn a_module_that_ran_before_and_does_not_open_pauses_its_pipeline_alone() {
    let Some(quality) = component("quality-check") else {
        return;
    };
    let place = Workplace::new("{ module: rule }", &[("rule", &quality)]);
    let dir = place.path().to_owned();
    let set = |options: &str| {
        let transforms = format!("{{ module: rule, config: {options} }}");
        std::fs::write(dir.join("w.yaml"), config(&transforms)).unwrap();
    };
    set("{ required: [n] }");
    let mut gateway = Gateway::start(place.path(), &[]);
    ask_until(&gateway.address(), "GET /readyz", "200");
    gateway.signal("TERM");
    assert_eq!(gateway.end().0.code(), Some(0));
    // A configuration that it never took is a mistake.
    set("{ requird: [n] }");
    let (status, log) = Gateway::start(place.path(), &[]).end();
    assert_eq!(status.code(), Some(78), "{log}");
    // One that it took once, the module does not take any more: a stand-in for a module that fails
    // by a clock or in a machine that is busy.
    let digest = Command::new("sh")
        .args(["-c", r#"printf '{"requird":["n"]}' | sha256sum | cut -c-64"#])
        .output()
        .unwrap();
    let opened = place.path().join("data/modules/versions/rule/opened");
    assert!(opened.exists());
    std::fs::write(&opened, digest.stdout).unwrap();
    let (status, log) = Gateway::start(place.path(), &["--until-complete"]).end();
    assert_eq!(status.code(), Some(78), "it cannot complete: {log}");

    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, PIPELINE, "which ran before, does not open");
    ask_until(&address, "GET /readyz", r#""state":"paused""#);
    let (status, body) = ask(&address, "POST /api/v1/pipelines/copy/resume");
    assert!(status.contains("409") && body.contains("module-not-open"), "{status} {body}");
}

/// Who comes second finds what the first one left.
#[test]
fn requests_at_the_same_time_are_answered_as_if_one_came_after_the_other() {
    let Some(identity) = component("identity") else {
        return;
    };
    let place = Workplace::new("{ module: rule }", &[("rule", &identity), ("spare", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    for _ in 0..5 {
        let statuses: Vec<String> = std::thread::scope(|scope| {
            let delete = || scope.spawn(|| ask(&address, "DELETE /api/v1/modules/spare").0);
            let all: Vec<_> = (0..8).map(|_| delete()).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let count = |code: &str| statuses.iter().filter(|s| s.contains(code)).count();
        assert_eq!((count("204"), count("404")), (1, 7), "{statuses:?}");
        let (status, body) = send(&address, "PUT /api/v1/modules/spare", &identity);
        assert!(status.contains("201"), "{status} {body}");
    }
}

/// There is one version to go back to: one of many gets it, the others learn that there is none.
#[test]
fn rollbacks_at_the_same_time_go_back_once() {
    let (Some(identity), Some(quality)) = (component("identity"), component("quality-check"))
    else {
        return;
    };
    let place = Workplace::new("{ module: rule }", &[("rule", &identity), ("spare", &identity)]);
    let mut gateway = Gateway::start(place.path(), &[]);
    let address = gateway.address();
    ask_until(&address, "GET /readyz", "200");
    let (status, body) = send(&address, "PUT /api/v1/modules/spare", &quality);
    assert!(status.contains("201"), "{status} {body}");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let back = || scope.spawn(|| ask(&address, "POST /api/v1/modules/spare/rollback"));
        let all: Vec<_> = (0..8).map(|_| back()).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |code: &str| answers.iter().filter(|(status, _)| status.contains(code)).count();
    assert_eq!((count("200"), count("409")), (1, 7), "{answers:?}");
}

#[test]
fn a_module_that_cannot_be_used_is_a_problem_of_the_configuration() {
    let (Some(quality), Some(policy)) = (component("quality-check"), component("dlq-decision"))
    else {
        return;
    };
    for (transforms, parts) in [
        (
            "{ module: quality, config: { requird: [a] } }",
            ["w.yaml:7:37: pipelines.copy.transforms[0].config: ", "requird"],
        ),
        (
            "{ module: policy }",
            ["pipelines.copy.transforms[0].module: ", "of the world `dead-letter-policy`"],
        ),
        ("{ module: qualty }", ["there is no module `qualty`", "did you mean `quality`?"]),
    ] {
        let place = Workplace::new(transforms, &[("quality", &quality), ("policy", &policy)]);
        let (status, log) = Gateway::start(place.path(), &["--until-complete"]).end();
        assert_eq!(status.code(), Some(78), "{transforms}: {log}");
        for part in parts {
            assert!(log.contains(part), "{part:?} is not in\n{log}");
        }
    }
}

#[test]
fn an_empty_directory_of_modules_is_named() {
    let place = Workplace::new("{ module: rule }", &[]);
    let (status, log) = Gateway::start(place.path(), &[]).end();
    assert_eq!(status.code(), Some(78), "{log}");
    let dir = place.path().join("modules").display().to_string();
    for part in [&format!("{dir} holds no module: put rule.wasm there"), "wasmgate module new"] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
}
