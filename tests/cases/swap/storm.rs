//! Many clients who change the same modules at once, by every route and by file: nobody gets an
//! answer that blames the gateway, the records pass through it all once and in order, and what is
//! there at the end is one of the versions that were sent.

use std::fs;
use std::path::Path;
use std::thread::JoinHandle;

use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::stamped;
use wasmgate_tests::http;

use super::feed::{Feed, scan};
use super::killed::{CONFIG, active, residue};

const CLIENTS: u32 = 4;
const ROUNDS: u32 = 25;
/// How many versions are sent around: some are new, most were there before.
const VERSIONS: u32 = 6;

/// A client's requests, from a seed of its own.
fn client(number: u32, address: String, modules: &Path) -> JoinHandle<Vec<(String, http::Answer)>> {
    let modules = modules.to_owned();
    std::thread::spawn(move || {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(number) + 1);
        let mut next = |below: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as u32 % below
        };
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            let version = next(VERSIONS) + 1;
            let module = ["guest", "spare", "spare"][next(3) as usize];
            let of = |rest: &str| format!("/api/v1/modules/{module}{rest}");
            let (method, path, body) = match next(7) {
                0 => ("PUT", of(""), stamped(version)),
                1 => ("PUT", of("?dry_run=true"), stamped(version)),
                2 => ("DELETE", of(""), Vec::new()),
                3 => ("POST", of("/rollback"), Vec::new()),
                4 => ("POST", "/api/v1/modules/reload".to_owned(), Vec::new()),
                5 => ("GET", of(""), Vec::new()),
                _ => {
                    let draft = modules.join(format!(".{number}"));
                    fs::write(&draft, stamped(version)).unwrap();
                    fs::rename(&draft, modules.join(format!("{module}.wasm"))).unwrap();
                    continue;
                }
            };
            let answer = http::request(&address, method, &path, &body).unwrap();
            answers.push((format!("{method} {path}"), answer));
        }
        answers
    })
}

#[test]
fn swap_storm_of_every_change_leaves_one_whole_version() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let modules = dir.join("modules");
    fs::create_dir(&modules).unwrap();
    fs::write(modules.join("guest.wasm"), stamped(0)).unwrap();
    fs::write(dir.join("in.jsonl"), "").unwrap();
    let gateway = Gateway::start(dir, CONFIG);
    let feed = Feed::start(&gateway, "ledger", dir.join("in.jsonl"));
    let clients: Vec<_> =
        (0..CLIENTS).map(|n| client(n, gateway.address().to_owned(), &modules)).collect();
    let mut taken = 0;
    for (request, (status, body)) in clients.into_iter().flat_map(|c| c.join().unwrap()) {
        assert!(matches!(status, 200..=204 | 404 | 409 | 422 | 503), "{request}: {status} {body}");
        // Its file may be half written by another client's request, never the gateway's fault.
        assert!(status != 503 || body.contains("upload"), "{request}: {status} {body}");
        taken += u32::from(status == 201);
        if request.starts_with("DELETE") && request.ends_with("guest") {
            assert_eq!(status, 409, "a pipeline uses it: {body}");
        }
    }
    assert!(taken > 0, "no client ever got a version in");
    let load = feed.finish();
    let all = |status: &serde_json::Value| status["records_out"].as_u64() == Some(load.written);
    gateway.wait_pipeline("ledger", "every record", all);
    let version = active(&gateway);
    assert!(version <= VERSIONS, "{version}");
    let answer = http::request(gateway.address(), "PUT", "/api/v1/modules/guest", &stamped(99));
    assert_eq!(answer.map(|a| a.0), Some(201));
    assert!(gateway.signal_and_wait("TERM").0.success());
    let numbers = scan(&dir.join("out.jsonl")).into_iter().map(|seen| seen.number);
    assert!(numbers.eq(0..load.written), "records are missing, came twice or out of order");
    let left = residue(dir);
    assert!(left.is_empty(), "left by the storm: {left:?}");
    let gateway = Gateway::start(dir, CONFIG);
    assert_eq!(active(&gateway), 99);
}
