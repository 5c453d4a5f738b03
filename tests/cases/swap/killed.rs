//! SIGKILL while a module is uploaded, compiled or swapped in: the gateway starts again, with the
//! old version or the new one, whole, and nothing half made lies about.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::stamped;
use wasmgate_tests::{http, wait_for};

use super::feed::{line, scan};

const KILLS: u32 = 15;
/// From the first byte of an upload to when it is taken in, and a little longer.
const MOMENTS_MS: u64 = 600;

pub(super) const CONFIG: &str = "data_dir: {dir}/data
http: { listen: 127.0.0.1:0 }
modules: { dir: '{dir}/modules' }
pipelines:
  ledger:
    source: { file: { path: '{dir}/in.jsonl', topic: docs, follow: true } }
    transforms: [ { module: guest } ]
    sinks: [ { topics: '.*', file: { path: '{dir}/out.jsonl' } } ]
    dead_letters: { file: { dir: '{dir}/dlq' } }
    lanes: 1
";

/// Uploads in pieces, or drops a file, in a thread: it is killed amid that.
fn deliver(gateway: &Gateway, dir: &Path, version: u32) -> JoinHandle<()> {
    let (address, bytes) = (gateway.address().to_owned(), stamped(version));
    let modules = dir.join("modules");
    std::thread::spawn(move || {
        if version.is_multiple_of(3) {
            // Written in place, in two halves: the worst way to deploy.
            let mut file = fs::File::create(modules.join("guest.wasm")).unwrap();
            let (first, second) = bytes.split_at(bytes.len() / 2);
            file.write_all(first).unwrap();
            std::thread::park_timeout(Duration::from_millis(30));
            file.write_all(second).unwrap();
            return;
        }
        // The other end is killed: errors are what is expected.
        upload(&address, &bytes).ok();
    })
}

fn upload(address: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let length = bytes.len();
    write!(
        stream,
        "PUT /api/v1/modules/guest HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    for piece in bytes.chunks(length / 8 + 1) {
        stream.write_all(piece)?;
        std::thread::park_timeout(Duration::from_millis(10));
    }
    std::io::Read::read_to_end(&mut stream, &mut Vec::new()).map(drop)
}

/// Files that nobody would miss: drafts, bodies, inputs of a compiler.
pub(super) fn residue(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("modules"), dir.join("data")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let words = ["tmp", "temp", "part", "draft", "new"];
            if name.starts_with('.') || words.iter().any(|word| name.contains(word)) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn swap_kill_leaves_the_old_version_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("modules")).unwrap();
    fs::write(dir.join("modules/guest.wasm"), stamped(0)).unwrap();
    fs::write(dir.join("in.jsonl"), "").unwrap();
    let (mut random, mut runs, mut written) = (0x9E37_79B9_7F4A_7C15_u64, 0, 0);
    let mut outcomes = BTreeSet::new();
    for version in 1..=KILLS {
        let gateway = Gateway::start(dir, CONFIG);
        let now = active(&gateway);
        assert!(now == runs || now == version - 1, "version {now}, neither {runs} nor the next");
        outcomes.insert(now == version - 1);
        runs = now;
        let mut file = fs::OpenOptions::new().append(true).open(dir.join("in.jsonl")).unwrap();
        let text: String = (written..written + 100).map(line).collect();
        file.write_all(text.as_bytes()).unwrap();
        written += 100;
        let delivery = deliver(&gateway, dir, version);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::park_timeout(Duration::from_millis((random >> 33) % MOMENTS_MS));
        gateway.kill();
        delivery.join().unwrap();
    }
    println!("{KILLS} kills; new versions that were in place: {outcomes:?}");
    let gateway = Gateway::start(dir, CONFIG);
    // Whatever the last kill left, the next version goes in.
    let path = "/api/v1/modules/guest";
    let answer = http::request(gateway.address(), "PUT", path, &stamped(99)).unwrap();
    assert_eq!(answer.0, 201, "{}", answer.1);
    let numbers = || scan(&dir.join("out.jsonl")).into_iter().map(|s| s.number);
    wait_for(
        "every record",
        || (numbers().collect::<BTreeSet<_>>().len() as u64 == written).then_some(()),
        || gateway.describe("ledger"),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
    // A compiler dies with its gateway, and a start clears what both were making.
    let left = residue(dir);
    assert!(left.is_empty(), "left by a kill: {left:?}");
}

/// Number of the version that runs.
pub(super) fn active(gateway: &Gateway) -> u32 {
    let module = http::json(gateway.address(), "/api/v1/modules/guest").unwrap();
    assert_eq!(module["state"], "active", "{module}\n{}", gateway.log());
    let version = module["version"].as_str().unwrap().to_owned();
    version.split('.').nth(1).unwrap().parse().unwrap()
}
