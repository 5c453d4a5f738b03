//! A module replaced a hundred times while both of its pipelines have more to do than they can:
//! nothing missing, nothing twice, order kept, and each version follows the one before.

mod disk;
mod feed;
mod killed;
mod storm;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::stamped;
use wasmgate_tests::{http, wait_for};

use feed::{Feed, Seen, scan};

const SWAPS: u32 = 50;
const PIPELINES: [&str; 2] = ["left", "right"];
/// Between the last call of a version and the first of the next. A batch of 64 takes a few
/// milliseconds here; the rest is the machine's.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Both pipelines work at every record, so that they never catch up with their files.
fn config() -> String {
    let mut text = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\n\
                    modules: { dir: '{dir}/modules' }\npipelines:\n"
        .to_owned();
    for name in PIPELINES {
        text.push_str(&format!(
            "  {name}:\n    \
             source: {{ file: {{ path: '{{dir}}/{name}.jsonl', topic: docs, follow: true }} }}\n    \
             transforms: [ {{ module: guest, config: {{ spin: 10000 }} }} ]\n    \
             sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/{name}.out' }} }} ]\n    \
             dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n    \
             batch: {{ rows: 64, bytes: 1MiB, wait: 1ms }}\n    lanes: 1\n"
        ));
    }
    text
}

/// Puts a version in place of the one that runs.
type Swap = fn(&Gateway, &Path, u32);

fn by_http(gateway: &Gateway, _dir: &Path, version: u32) {
    let path = "/api/v1/modules/guest";
    let answer = http::request(gateway.address(), "PUT", path, &stamped(version)).unwrap();
    assert_eq!(answer.0, 201, "{}", answer.1);
}

/// As a deployment does: written beside, then renamed. The gateway finds it by itself.
fn by_file(_gateway: &Gateway, dir: &Path, version: u32) {
    fs::write(dir.join("modules/.new"), stamped(version)).unwrap();
    fs::rename(dir.join("modules/.new"), dir.join("modules/guest.wasm")).unwrap();
}

#[test]
fn swap_by_http_under_load() {
    swap_under_load(by_http);
}

#[test]
fn swap_by_file_under_load() {
    swap_under_load(by_file);
}

fn swap_under_load(swap: Swap) {
    // In memory where there is such a place: how long the disk of a busy machine keeps a writer
    // waiting is not what is measured.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("modules")).unwrap();
    fs::write(dir.join("modules/guest.wasm"), stamped(0)).unwrap();
    PIPELINES.iter().for_each(|name| fs::write(dir.join(format!("{name}.jsonl")), "").unwrap());
    let gateway = Gateway::start(dir, &config());
    let feeds = PIPELINES.map(|name| {
        let feed = Feed::start(&gateway, name, dir.join(format!("{name}.jsonl")));
        gateway.wait_pipeline(name, "records", |status| status["records_out"].as_i64() > Some(64));
        feed
    });
    for version in 1..=SWAPS {
        swap(&gateway, dir, version);
        let wanted = format!("1.{version}.0");
        for name in PIPELINES {
            let runs_it = |status: &serde_json::Value| status["stages"][0]["version"] == wanted;
            let status = gateway.wait_pipeline(name, "the version", runs_it);
            let read = status["records_out"].as_i64();
            // Some batches pass through this version before the next one comes.
            let goes_on = |s: &serde_json::Value| s["records_out"].as_i64() > read.map(|n| n + 128);
            gateway.wait_pipeline(name, "records", goes_on);
        }
    }
    let loads = feeds.map(Feed::finish);
    let mut pauses = Vec::new();
    for (name, load) in PIPELINES.iter().zip(loads) {
        assert!(load.least_ahead > 0, "{name} was not under load");
        let out = dir.join(format!("{name}.out"));
        let all = |status: &serde_json::Value| status["records_out"].as_u64() == Some(load.written);
        let status = gateway.wait_pipeline(name, "every record", all);
        let lost = (&status["dead_letters"], &status["dropped"]);
        assert_eq!(lost, (&json!(0), &json!(0)), "{status}");
        wait_for(
            "the output",
            || (scan(&out).len() as u64 == load.written).then_some(()),
            || format!("{} of {} records", scan(&out).len(), load.written),
        );
        pauses.extend(check(&scan(&out)));
    }
    pauses.sort_unstable();
    assert_eq!(pauses.len(), PIPELINES.len() * SWAPS as usize);
    let (median, p99) = (pauses[pauses.len() / 2], pauses[pauses.len() * 99 / 100]);
    println!("{SWAPS} swaps: pause of a pipeline {median:?} at the median, {p99:?} at p99");
    assert!(p99 < PAUSE_MAX, "a swap held a pipeline up for {p99:?}");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// Every number once and in order, every version in its turn; what passed between the last call
/// of each version and the first of the next.
fn check(seen: &[Seen]) -> Vec<Duration> {
    let mut pauses = Vec::new();
    for (at, record) in seen.iter().enumerate() {
        assert_eq!(record.number, at as u64, "a record is missing, came twice or out of order");
    }
    for pair in seen.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(after.at_us >= before.at_us, "time went back at {}", after.number);
        match after.version - before.version {
            0 => {}
            1 => pauses.push(Duration::from_micros(after.at_us - before.at_us)),
            _ => panic!("version {} after {}", after.version, before.version),
        }
    }
    assert_eq!(seen.last().map(|s| s.version), Some(SWAPS.into()));
    pauses
}
