//! What changing modules costs: from the upload to the first record that the new version has
//! processed, how long the stream stands still at a swap, and what a thousand modules take.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmgate_bench_servers::records::FRAUD;

use crate::Problem;
use crate::gateway::{Gateway, root, stage};
use crate::measure::memory_mib;

const PATIENCE: Duration = Duration::from_secs(60);
const UPLOADS: usize = 20;
const SWAPS: usize = 50;
const MODULES: usize = 1000;
/// Records a second of the stream that is swapped under.
const RATE: u64 = 5000;

/// A component with an unused custom section: another digest, the same rule.
fn version(component: &[u8], name: &str) -> Vec<u8> {
    let length = name.len() as u8;
    [component, &[0, length + 1, length], name.as_bytes()].concat()
}

fn component(name: &str) -> Result<Vec<u8>, Problem> {
    Ok(fs::read(root().join("transforms").join(name).with_extension("wasm"))?)
}

fn pipeline(sink: &str) -> String {
    format!(
        "  swapped:
    source: {{ sample: {{ system: telecom, rate: {RATE} }} }}
    transforms:
{}    sinks:
      - {{ topics: '.*', {sink}: {{}} }}
",
        stage("fraud-rule", FRAUD)
    )
}

fn calls(gateway: &Gateway) -> Result<Option<u64>, Problem> {
    let Some((200, body)) = gateway.get("/api/v1/modules/fraud-rule") else { return Ok(None) };
    let module: Value = serde_json::from_str(&body)?;
    Ok(module.pointer("/stats/calls").and_then(Value::as_u64))
}

fn upload(gateway: &Gateway, bytes: &[u8]) -> Result<(), Problem> {
    match gateway.ask("PUT", "/api/v1/modules/fraud-rule", bytes) {
        Some((201, _)) => Ok(()),
        answer => Err(format!("the upload was answered {answer:?}").into()),
    }
}

/// Milliseconds from an upload until its version was called with a record.
fn until_called(gateway: &Gateway, bytes: &[u8]) -> Result<f64, Problem> {
    let started = Instant::now();
    upload(gateway, bytes)?;
    while calls(gateway)?.is_none_or(|calls| calls == 0) {
        if started.elapsed() > PATIENCE {
            return Err("the uploaded version was never called".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn print(what: &str, mut found: Vec<f64>) {
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found.get((found.len() as f64 * share) as usize).copied();
    let (median, p99) = (at(0.5).unwrap_or_default(), at(0.99).unwrap_or_default());
    println!("  {what:<48} p50 {median:>6.1} ms  p99 {p99:>6.1} ms  ({} times)", found.len());
}

fn uploads(dir: &Path, folder: &Path) -> Result<(), Problem> {
    let original = component("fraud-rule")?;
    let mut gateway = Gateway::start_with(dir, folder, &pipeline("blackhole"), Stdio::null())?;
    gateway.ready()?;
    let versions: Vec<_> = (0..UPLOADS).map(|n| version(&original, &format!("v{n}"))).collect();
    println!("upload of {} kB to the first record processed", original.len() / 1000);
    let once = |bytes: &Vec<u8>| until_called(&gateway, bytes);
    print("compile included", versions.iter().map(once).collect::<Result<_, _>>()?);
    print("a digest compiled before", versions.iter().map(once).collect::<Result<_, _>>()?);
    gateway.stop()
}

/// Notes when each line came.
fn arrivals(output: impl std::io::Read + Send + 'static) -> JoinHandle<Vec<Instant>> {
    std::thread::spawn(move || {
        BufReader::new(output).split(b'\n').map_while(Result::ok).map(|_| Instant::now()).collect()
    })
}

/// The longest silence between two lines around each moment.
fn silences(lines: &[Instant], moments: &[(Instant, Instant)]) -> Vec<f64> {
    let longest = |(from, to): &(Instant, Instant)| {
        let around = lines.windows(2).filter_map(|pair| match pair {
            [before, after] if after >= from && before <= to => Some(*after - *before),
            _ => None,
        });
        around.max().unwrap_or_default().as_secs_f64() * 1e3
    };
    moments.iter().map(longest).collect()
}

fn swaps(dir: &Path, folder: &Path) -> Result<(), Problem> {
    let original = component("fraud-rule")?;
    let versions = ["a", "b"].map(|name| version(&original, name));
    let mut gateway = Gateway::start_with(dir, folder, &pipeline("console"), Stdio::piped())?;
    let lines = arrivals(gateway.output().ok_or("the gateway has no output")?);
    gateway.ready()?;
    for bytes in &versions {
        upload(&gateway, bytes)?;
    }
    let (mut swapped, mut quiet) = (Vec::new(), Vec::new());
    for bytes in versions.iter().cycle().take(SWAPS) {
        let started = Instant::now();
        upload(&gateway, bytes)?;
        std::thread::sleep(Duration::from_millis(50));
        let done = Instant::now();
        swapped.push((started, done));
        std::thread::sleep(done - started);
        quiet.push((done, Instant::now()));
    }
    gateway.stop()?;
    let lines = lines.join().map_err(|_| "the reader of the output failed")?;
    println!("longest silence of a stream of {RATE} records a second");
    print("around a swap", silences(&lines, &swapped));
    print("as long without one", silences(&lines, &quiet));
    Ok(())
}

fn thousand(dir: &Path) -> Result<(), Problem> {
    let folder = dir.join("thousand");
    fs::create_dir_all(&folder)?;
    let original = component("fraud-rule")?;
    fs::write(folder.join("fraud-rule.wasm"), &original)?;
    for n in 1..MODULES {
        let bytes = version(&original, &format!("m{n}"));
        fs::write(folder.join(format!("module-{n}.wasm")), bytes)?;
    }
    println!("{MODULES} modules of {} kB", original.len() / 1000);
    for what in ["first start, compiles them", "compiled before"] {
        let mut gateway = Gateway::start_with(dir, &folder, &pipeline("blackhole"), Stdio::null())?;
        let ready = gateway.ready()?;
        let resident = memory_mib(gateway.pid(), "VmRSS");
        gateway.stop()?;
        println!("  {what:<48} {:>6.0} ms to ready, {resident:.0} MiB resident", ready * 1e3);
    }
    Ok(())
}

/// All of it.
pub(crate) fn run() -> Result<(), Problem> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("modules");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("fraud-rule.wasm"), component("fraud-rule")?)?;
    uploads(dir.path(), &folder)?;
    swaps(dir.path(), &folder)?;
    thousand(dir.path())
}
