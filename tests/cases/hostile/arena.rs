//! A gateway with two pipelines: one that must not notice anything, and one whose module is
//! replaced by what is under test while it runs.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use wasmgate_tests::gateway::{Gateway, lines, wait_lines};
use wasmgate_tests::guests::stamped;
use wasmgate_tests::{http, wait_for};

/// How far the gateway's memory may rise above where it was before the attack. A module has 16 MiB,
/// and what it hands over is copied; a body has 32 MiB. Nobody keeps 100 MiB of a body.
const MEMORY_RISE_MAX: u64 = 80 << 20;

const CONFIG: &str = "data_dir: {dir}/data
http: { listen: 127.0.0.1:0 }
modules: { dir: '{dir}/modules', limits: { memory: 16MiB, batch_time: 200ms } }
pipelines:
  good:
    source: { sample: { system: telecom, rate: 500 } }
    transforms: [ { module: good } ]
    sinks: [ { topics: '.*', blackhole: {} } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
  hostile:
    source: { file: { path: '{dir}/in.jsonl', topic: docs, follow: true } }
    transforms: [ { module: guest } ]
    sinks: [ { topics: 'docs|side', file: { path: '{dir}/out.jsonl' } } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
";

pub(crate) struct Arena {
    pub(crate) gateway: Gateway,
    dir: tempfile::TempDir,
    /// Of the good guest, which both pipelines run at the start.
    original: String,
    resident_before: u64,
}

impl Arena {
    /// Both pipelines run the good guest, and records pass.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("modules")).unwrap();
        for name in ["good", "guest"] {
            fs::write(dir.path().join(format!("modules/{name}.wasm")), stamped(0)).unwrap();
        }
        fs::write(dir.path().join("in.jsonl"), "").unwrap();
        let gateway = Gateway::start(dir.path(), CONFIG);
        let mut arena = Self { gateway, dir, original: String::new(), resident_before: 0 };
        arena.feed(0..5);
        arena.wait_out(5);
        arena.good_goes_on();
        arena.original = arena.module()["sha256"].as_str().unwrap().to_owned();
        arena.resident_before = peak(arena.gateway.pid());
        arena
    }

    /// Appends records to what the hostile pipeline follows, all at once.
    pub(crate) fn feed(&self, numbers: impl IntoIterator<Item = i64>) {
        let text: String = numbers
            .into_iter()
            .map(|n| format!("{}\n", json!({ "n": n, "name": "ada" })))
            .collect();
        let path = self.dir.path().join("in.jsonl");
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Status and body of an upload to the hostile pipeline.
    pub(crate) fn put(&self, bytes: &[u8]) -> (u16, Value) {
        let path = "/api/v1/modules/guest";
        let answer = http::request(self.gateway.address(), "PUT", path, bytes);
        let (status, text) = answer.unwrap_or_else(|| panic!("no answer\n{}", self.gateway.log()));
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Drops a file, as a deployment does: written beside, then renamed.
    pub(crate) fn drop_file(&self, bytes: &[u8]) {
        let folder = self.dir.path().join("modules");
        fs::write(folder.join(".new"), bytes).unwrap();
        fs::rename(folder.join(".new"), folder.join("guest.wasm")).unwrap();
    }

    /// The note beside a file that was refused.
    pub(crate) fn note(&self) -> PathBuf {
        self.dir.path().join("modules/guest.wasm.rejected.txt")
    }

    /// What the gateway says about the module of the hostile pipeline.
    pub(crate) fn module(&self) -> Value {
        http::json(self.gateway.address(), "/api/v1/modules/guest").unwrap()
    }

    /// Numbers that arrived, once there are so many records.
    pub(crate) fn wait_out(&self, count: usize) -> Vec<i64> {
        let out = wait_lines(&self.gateway, &self.dir.path().join("out.jsonl"), count);
        out.iter().map(|line| line["value"]["n"].as_i64().unwrap()).collect()
    }

    /// The values of what arrived.
    pub(crate) fn out(&self) -> Vec<Value> {
        let out = lines(&self.dir.path().join("out.jsonl"));
        out.into_iter().map(|mut line| line["value"].take()).collect()
    }

    /// Dead letters of the hostile pipeline, once there are so many.
    pub(crate) fn wait_letters(&self, count: usize) -> Vec<Value> {
        wait_lines(&self.gateway, &self.dir.path().join("dlq/hostile.jsonl"), count)
    }

    pub(crate) fn letters(&self) -> Vec<Value> {
        lines(&self.dir.path().join("dlq/hostile.jsonl"))
    }

    /// A module is refused, by upload and as a file, with this in the reason; the old one runs on.
    pub(crate) fn refuses(&self, bytes: &[u8], says: &str) {
        let (status, body) = self.put(bytes);
        assert_eq!(status, 422, "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(says), "expected {says:?} in {message}");
        assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{body}");
        assert!(!self.note().exists(), "an upload that is refused leaves no file");
        self.runs_the_original();

        self.drop_file(bytes);
        let note = wait_for(
            "the note beside the file",
            || fs::read_to_string(self.note()).ok().filter(|note| note.ends_with('\n')),
            || self.gateway.describe("hostile"),
        );
        assert!(note.contains(says), "expected {says:?} in {note}");
        self.runs_the_original();
        let rejected = self.module()["rejected"].as_str().unwrap_or_default().to_owned();
        assert!(rejected.contains(says), "expected {says:?} in {rejected:?}");
    }

    fn runs_the_original(&self) {
        assert_eq!(self.module()["sha256"], self.original.as_str(), "another version runs");
    }

    /// Nobody but the attacker lost anything: the good pipeline goes on without a dead letter, the
    /// hostile one takes another version and passes records, the memory did not rise, and the
    /// gateway ends in an orderly way.
    pub(crate) fn stays_well(self) {
        self.good_goes_on();
        let rise = peak(self.gateway.pid()).saturating_sub(self.resident_before);
        assert!(rise < MEMORY_RISE_MAX, "the gateway took {} MiB more", rise >> 20);
        let (before, letters) = (self.wait_out(0).len(), self.letters().len());
        let (status, body) = self.put(&stamped(99));
        assert_eq!(status, 201, "the next good version is refused: {body}");
        self.resume();
        self.feed(100..103);
        let numbers = self.wait_out(before + 3);
        assert_eq!(numbers[before..], [100, 101, 102], "{}", self.gateway.describe("hostile"));
        assert_eq!(self.letters().len(), letters, "a good version made dead letters");
        let (status, log) = self.gateway.signal_and_wait("TERM");
        assert!(status.success(), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        let longest = log.lines().map(str::len).max().unwrap_or(0);
        assert!(longest < 4096, "a line of {longest} bytes in the log");
        assert!(!log.contains('\u{1b}'), "a control character in the log");
    }

    /// The breaker may have paused the pipeline: its operator has a look and goes on.
    pub(crate) fn resume(&self) {
        if self.gateway.pipeline("hostile").unwrap()["state"] == "paused" {
            let path = "/api/v1/pipelines/hostile/resume";
            let answer = http::request(self.gateway.address(), "POST", path, b"").unwrap();
            assert_eq!(answer.0, 200, "{}", answer.1);
        }
    }

    fn good_goes_on(&self) {
        let before = self.gateway.pipeline("good").unwrap()["records_out"].as_i64().unwrap();
        let goes_on = |status: &Value| status["records_out"].as_i64() > Some(before + 100);
        let status = self.gateway.wait_pipeline("good", "records of the good pipeline", goes_on);
        assert_eq!(status["state"], "running", "{status}");
        let lost = (&status["dead_letters"], &status["dropped"]);
        assert_eq!(lost, (&json!(0), &json!(0)), "{status}");
    }
}

/// The most memory a process had, in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
