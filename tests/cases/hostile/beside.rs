//! A module that traps, loops and takes memory in turns, for as long as asked, beside a pipeline
//! whose records must arrive as fast as before.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::{Guest, component, stamped, whole_lines};
use wasmgate_tests::http;

use super::arena::peak;

const DEADLINE: Duration = Duration::from_millis(100);
/// What the good pipeline's p99 may rise by: one deadline of somebody else's module.
const P99_RISE_MAX: Duration = DEADLINE;
const MEMORY_RISE_MAX: u64 = 64 << 20;
/// Records a second of the good pipeline. Its source makes number N so long after it began, so how
/// late a record comes can be told from its number; no file is polled for it.
const RATE: u64 = 200;
/// Between two records of the hostile pipeline.
const BEAT: Duration = Duration::from_millis(5);

const CONFIG: &str = "data_dir: {dir}/data
http: { listen: 127.0.0.1:0 }
modules: { dir: '{dir}/modules', limits: { memory: 16MiB, batch_time: 100ms } }
pipelines:
  good:
    source: { sample: { system: telecom, rate: 200 } }
    transforms: [ { module: good } ]
    sinks: [ { topics: '.*', file: { path: '{dir}/good.out' } } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
  hostile:
    source: { file: { path: '{dir}/hostile.jsonl', topic: docs, follow: true } }
    transforms: [ { module: turns, on_failures: { count: 1000, window: 1s } } ]
    sinks: [ { topics: '.*', blackhole: {} } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
";

/// How long the attack takes: a minute in a soak, else ten seconds.
fn span() -> Duration {
    let soak = std::env::var_os("WASMGATE_SOAK_MINUTES").is_some();
    Duration::from_secs(if soak { 60 } else { 10 })
}

/// Appends a line every so often until it is dropped.
struct Writer(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Writer {
    fn start(path: PathBuf, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            for n in 0_u64.. {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let line = json!({ "n": n, "name": "ada" });
                file.write_all(format!("{line}\n").as_bytes()).unwrap();
                std::thread::park_timeout(every);
            }
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            thread.join().ok();
        }
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Looks at an output as it grows, and says how late each record came.
struct Watch {
    file: fs::File,
    rest: String,
    next: u64,
    /// When number 0 would have come, had it been as quick as the quickest.
    began_us: u64,
}

impl Watch {
    fn open(path: &Path) -> Self {
        let file = wasmgate_tests::wait_for("output", || fs::File::open(path).ok(), String::new);
        Self { file, rest: String::new(), next: 0, began_us: u64::MAX }
    }

    /// By how many microseconds what comes within `span` is behind the quickest so far; `meanwhile`
    /// is called now and then.
    fn late(&mut self, span: Duration, mut meanwhile: impl FnMut()) -> Vec<u64> {
        let (started, mut began) = (Instant::now(), Vec::new());
        while started.elapsed() < span {
            self.file.read_to_string(&mut self.rest).unwrap();
            let seen = now_us();
            let whole = whole_lines(&self.rest);
            for line in whole.lines() {
                let id = format!("\"CDR{:012}\"", self.next);
                assert!(line.contains(&id), "a record is missing or came twice: no {id} in {line}");
                began.push(seen - self.next * 1_000_000 / RATE);
                self.next += 1;
            }
            self.rest.drain(..whole.len());
            meanwhile();
            std::thread::park_timeout(Duration::from_millis(2));
        }
        self.began_us = began.iter().copied().fold(self.began_us, u64::min);
        let mut late: Vec<u64> = began.iter().map(|began| began - self.began_us).collect();
        late.sort_unstable();
        late
    }
}

fn p99(sorted: &[u64]) -> Duration {
    assert!(sorted.len() > 100, "{} records", sorted.len());
    Duration::from_micros(sorted[sorted.len() * 99 / 100])
}

pub(super) fn a_good_pipeline_does_not_notice(guest: Guest) {
    // In memory where there is such a place: the dead letters of one pipeline and the records of
    // the other wait for one disk, which is not what is measured.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("modules")).unwrap();
    fs::write(path("modules/good.wasm"), stamped(0)).unwrap();
    fs::write(path("modules/turns.wasm"), component(guest)).unwrap();
    fs::write(path("hostile.jsonl"), "").unwrap();
    let gateway = Gateway::start(dir.path(), CONFIG);
    let mut watch = Watch::open(&path("good.out"));
    // What came while the first modules were loaded does not count.
    watch.late(Duration::from_secs(1), || ());
    let before = p99(&watch.late(span() / 2, || ()));
    let memory = peak(gateway.pid());

    let attack = Writer::start(path("hostile.jsonl"), BEAT);
    let mut looked = Instant::now();
    let after = p99(&watch.late(span(), || {
        if looked.elapsed() > Duration::from_millis(200) {
            looked = Instant::now();
            go_on(&gateway);
        }
    }));
    drop(attack);
    // What the machine does meanwhile is not the attacker's doing: the calm after counts too.
    let calm = p99(&watch.late(span() / 2, || ())).max(before);
    let rise = peak(gateway.pid()).saturating_sub(memory);
    let letters = wasmgate_tests::gateway::lines(&path("dlq/hostile.jsonl"));
    let codes = ["module-trap", "module-deadline", "module-limit"];
    let count = |code: &str| letters.iter().filter(|l| l["error"]["code"] == code).count();
    let counts = codes.map(count);
    println!(
        "p99 {calm:?} alone, {after:?} beside {counts:?} traps, deadlines and limits; memory \
         rose by {} MiB",
        rise >> 20
    );
    assert!(counts.iter().all(|n| *n > 2), "the attack was none: {counts:?}");
    assert!(after < calm + P99_RISE_MAX, "p99 was {calm:?} and became {after:?}");
    assert!(rise < MEMORY_RISE_MAX, "the gateway took {} MiB more", rise >> 20);
    let good = gateway.pipeline("good").unwrap();
    assert_eq!((&good["state"], &good["dead_letters"]), (&json!("running"), &json!(0)), "{good}");
}

/// The breaker pauses the hostile pipeline; the attack goes on.
fn go_on(gateway: &Gateway) {
    if gateway.pipeline("hostile").is_some_and(|status| status["state"] == "paused") {
        let path = "/api/v1/pipelines/hostile/resume";
        http::request(gateway.address(), "POST", path, b"").unwrap();
    }
}
