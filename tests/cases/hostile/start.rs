//! Modules that do not come up when the gateway starts: what uses them waits, with the reason in
//! its status, the other pipelines run, and what came meanwhile is delivered once a module is
//! there that works.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wasmgate_tests::gateway::{Gateway, lines, wait_lines};
use wasmgate_tests::guests::{Guest, component, stamped};
use wasmgate_tests::{http, root, wait_for};

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
  broken:
    source: { file: { path: '{dir}/in.jsonl', topic: docs, follow: true } }
    transforms: [ {stage} ]
    {policy}
    sinks: [ { topics: '.*', file: { path: '{dir}/out.jsonl' } } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
";

/// Longer than a start takes, the compiling of its modules included.
const START: Duration = Duration::from_secs(15);

/// A folder with a good module beside the one that the pipeline `broken` runs.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    config: String,
}

impl Place {
    fn new(stage: &str, modules: &[(&str, &[u8])]) -> Self {
        Self::with_policy(stage, "", modules)
    }

    pub(super) fn with_policy(stage: &str, policy: &str, modules: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("modules")).unwrap();
        fs::write(dir.path().join("in.jsonl"), "").unwrap();
        let put = |name: &str, bytes: &[u8]| {
            fs::write(dir.path().join(format!("modules/{name}.wasm")), bytes).unwrap();
        };
        put("good", &stamped(0));
        modules.iter().for_each(|(name, bytes)| put(name, bytes));
        let config = CONFIG.replace("{stage}", stage).replace("{policy}", policy);
        Self { dir, config }
    }

    pub(super) fn start(self) -> Started {
        let gateway = Gateway::start(self.dir.path(), &self.config);
        Started { gateway, place: self }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn feed(&self, numbers: std::ops::Range<i64>) {
        let line = |n| format!("{}\n", json!({ "n": n, "name": "ada" }));
        let text: String = numbers.map(line).collect();
        let file = fs::OpenOptions::new().append(true).create(true).open(self.path("in.jsonl"));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

pub(super) struct Started {
    pub(super) gateway: Gateway,
    pub(super) place: Place,
}

impl Started {
    fn post(&self, action: &str) -> (u16, Value) {
        let path = format!("/api/v1/pipelines/broken/{action}");
        let (status, body) =
            http::request(self.gateway.address(), "POST", &path, b"").expect("an answer");
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = format!("/api/v1/modules/{name}");
        let answer = http::request(self.gateway.address(), "PUT", &path, bytes);
        let (status, body) = answer.expect("an answer");
        assert_eq!(status, 201, "{body}\n{}", self.gateway.log());
    }

    fn is_paused_because(&self, says: &str) {
        let because = |status: &Value| {
            let reason = status["reason"].as_str().unwrap_or_default();
            status["state"] == "paused" && reason.contains(says)
        };
        let status = self.gateway.wait_pipeline("broken", says, because);
        // Nothing was planned, and so nothing found not to fit.
        let planned = (&status["fields"], &status["misfits"]);
        assert_eq!(planned, (&json!([]), &json!([])), "{status}");
    }

    pub(super) fn good_goes_on(&self) {
        let out = |status: &Value| status["records_out"].as_i64().unwrap_or(0);
        let before = out(&self.gateway.pipeline("good").unwrap());
        let goes_on = |status: &Value| out(status) > before + 100;
        let status = self.gateway.wait_pipeline("good", "records of the good pipeline", goes_on);
        assert_eq!(status["state"], "running", "{status}");
        let lost = (&status["dead_letters"], &status["dropped"]);
        assert_eq!(lost, (&json!(0), &json!(0)), "{status}");
    }

    /// The pipeline waits, alone; asking it to run while nothing changed changes nothing.
    fn waits(&self, says: &str) {
        self.is_paused_because(says);
        self.good_goes_on();
        let (status, ready) = http::request(self.gateway.address(), "GET", "/readyz", b"").unwrap();
        assert!(status == 503 && ready.contains("broken"), "{status} {ready}");
        for action in ["resume", "restart"] {
            let (status, body) = self.post(action);
            assert_eq!((status, &body["code"]), (409, &json!("module-not-open")), "{body}");
            let message = body["message"].as_str().unwrap_or_default();
            assert!(message.contains(says), "expected {says:?} in {message}");
            self.is_paused_because(says);
        }
        self.good_goes_on();
        assert_eq!(lines(&self.place.path("out.jsonl")), Vec::<Value>::new());
    }

    /// All of these came, once and in order, and nothing else became of any record.
    fn delivers(&self, numbers: std::ops::Range<i64>) {
        self.gateway.wait_pipeline("broken", "work", |status| status["state"] == "running");
        let want: Vec<i64> = numbers.collect();
        let out = wait_lines(&self.gateway, &self.place.path("out.jsonl"), want.len());
        let found: Vec<i64> = out.iter().filter_map(|line| line["value"]["n"].as_i64()).collect();
        assert_eq!(found, want);
        assert_eq!(lines(&self.place.path("dlq")), Vec::<Value>::new());
        let (status, body) = self.post("resume");
        assert_eq!(status, 200, "{body}");
        self.good_goes_on();
    }

    pub(super) fn stops(self) -> Place {
        let (status, log) = self.gateway.signal_and_wait("TERM");
        assert!(status.success() && !log.contains("panicked"), "{log}");
        self.place
    }
}

/// Broken at the start, the pipeline waits; with a version that works it has lost nothing.
fn waits_for_an_upload(stage: &str, guest: &[u8], says: &str) {
    let place = Place::new(stage, &[("guest", guest)]);
    place.feed(0..5);
    let started = place.start();
    started.waits(says);
    started.place.feed(5..10);
    started.put("guest", &stamped(1));
    started.delivers(0..10);
    // What was taken in is what the next start finds.
    let started = started.stops().start();
    started.place.feed(10..12);
    started.delivers(0..12);
    started.stops();
}

#[test]
fn a_module_that_never_comes_back_from_open_keeps_nobody_else_waiting() {
    let says = "module guest ran longer than 200ms (in open";
    waits_for_an_upload("{ module: guest }", &component(Guest::loop_open), says);
}

#[test]
fn a_module_that_traps_in_open_keeps_nobody_else_waiting() {
    waits_for_an_upload("{ module: guest }", &component(Guest::trap_open), "(in open");
}

#[test]
fn a_module_that_traps_in_describe_keeps_nobody_else_waiting() {
    let says = "module `guest` cannot be loaded: module guest trapped";
    waits_for_an_upload("{ module: guest }", &component(Guest::trap_describe), says);
}

#[test]
fn a_file_that_is_no_module_keeps_nobody_else_waiting() {
    waits_for_an_upload(
        "{ module: guest }",
        b"nope",
        "cannot be loaded: the file is not WebAssembly",
    );
}

/// `on_failures` is about calls: what does not open is not passed by, for it may be what masks.
#[test]
fn what_does_not_open_is_waited_for_whatever_on_failures_says() {
    for then in ["bypass", "dead-letter"] {
        let stage = format!("{{ module: guest, on_failures: {{ then: {then} }} }}");
        waits_for_an_upload(&stage, &component(Guest::loop_open), "(in open");
    }
}

#[test]
fn a_policy_that_is_no_module_keeps_nobody_else_waiting() {
    let (stage, policy) = ("{ module: guest }", "policy: { module: policy }");
    let modules: [(&str, &[u8]); 2] = [("guest", &stamped(0)), ("policy", b"nope")];
    let place = Place::with_policy(stage, policy, &modules);
    place.feed(0..5);
    let started = place.start();
    started.waits("module `policy` cannot be loaded: the file is not WebAssembly");
    started.put("policy", &fs::read(root().join("transforms/dlq-decision.wasm")).unwrap());
    started.delivers(0..5);
    started.stops();
}

/// What did not open at the very first start took no configuration there, however often it is
/// started: it is not what ran before.
#[test]
fn a_module_that_never_opened_is_not_said_to_have_run_before() {
    let mut place = Place::new("{ module: guest }", &[("guest", &component(Guest::trap_open))]);
    for _ in 0..3 {
        let started = place.start();
        started.is_paused_because("module `guest` does not open: ");
        place = started.stops();
    }
}

/// A file that is put in place of the broken one is as good as an upload.
#[test]
fn a_good_file_lets_its_pipeline_run() {
    let place = Place::new("{ module: guest }", &[("guest", b"nope")]);
    place.feed(0..5);
    let started = place.start();
    started.waits("cannot be loaded");
    let modules = started.place.path("modules");
    fs::write(modules.join(".new"), stamped(1)).unwrap();
    fs::rename(modules.join(".new"), modules.join("guest.wasm")).unwrap();
    started.delivers(0..5);
    started.stops();
}

/// A file that goes away while it is waited for does not let its pipeline run without it.
#[test]
fn a_broken_file_that_is_removed_is_waited_for_still() {
    let place = Place::new("{ module: guest }", &[("guest", b"nope")]);
    place.feed(0..5);
    let started = place.start();
    started.waits("cannot be loaded: the file is not WebAssembly");
    fs::remove_file(started.place.path("modules/guest.wasm")).unwrap();
    wait_for(
        "that the file is gone",
        || started.post("resume").1["message"].as_str()?.contains("its file is gone").then_some(()),
        || started.gateway.describe("broken"),
    );
    started.waits("its file is gone");
    started.put("guest", &stamped(1));
    started.delivers(0..5);
    started.stops();
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// It opens until `until`, then it does `then` instead, and from `again` on it opens once more.
fn by_the_clock(until: Duration, again: Duration, then: &str) -> String {
    let (until, again) = (until.as_micros(), again.as_micros());
    format!("{{ module: guest, config: {{ until_us: {until}, then: {then}, again_us: {again} }} }}")
}

/// Runs it while it opens, and starts anew when it does not any more.
fn ran_before(guest: Guest, then: &str, pause: Duration) -> Started {
    let until = now() + START;
    let stage = by_the_clock(until, until + pause, then);
    let place = Place::new(&stage, &[("guest", &component(guest))]);
    place.feed(0..5);
    let started = place.start();
    started.delivers(0..5);
    let place = started.stops();
    fs::remove_file(place.path("out.jsonl")).unwrap();
    place.feed(5..10);
    wait_for("the time", || (now() > until).then_some(()), String::new);
    place.start()
}

/// A time bomb: it took this very configuration before.
pub(super) fn a_module_that_refuses_by_the_clock_waits_for_an_upload(guest: Guest) {
    let started = ran_before(guest, "refuse", Duration::from_secs(3_600));
    started.waits("module `guest`, which ran before, does not open: ");
    started.put("guest", &stamped(1));
    started.delivers(5..10);
    started.stops();
}

/// A version that was uploaded in place of a broken file took its configuration, too.
#[test]
fn a_time_bomb_that_was_uploaded_waits_at_the_next_start() {
    let until = now() + START;
    let stage = by_the_clock(until, until + Duration::from_secs(3_600), "refuse");
    let place = Place::new(&stage, &[("guest", b"nope")]);
    place.feed(0..5);
    let started = place.start();
    started.is_paused_because("cannot be loaded");
    started.put("guest", &component(Guest::by_the_clock));
    started.delivers(0..5);
    let place = started.stops();
    fs::remove_file(place.path("out.jsonl")).unwrap();
    wait_for("the time", || (now() > until).then_some(()), String::new);
    let started = place.start();
    started.waits("module `guest`, which ran before, does not open: ");
    started.place.feed(5..10);
    started.put("guest", &stamped(1));
    started.delivers(5..10);
    started.stops();
}

/// As on a machine that is too busy for a while.
#[test]
fn a_module_that_is_slow_to_open_for_a_while_runs_when_it_is_resumed() {
    let started = ran_before(Guest::by_the_clock, "spin", 2 * START);
    started.waits("module `guest`, which ran before, does not open: ");
    wait_for(
        "that it opens",
        || (started.post("resume").0 == 200).then_some(()),
        || started.gateway.describe("broken"),
    );
    started.delivers(5..10);
    started.stops();
}
