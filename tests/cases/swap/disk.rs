//! No room for a new version, and a folder of modules that may only be read: the version that runs
//! goes on, whoever sent another learns why it was not taken, and it is taken once there is room.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use wasmgate_tests::disk::Disk;
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::guests::stamped;
use wasmgate_tests::{http, wait_for};

use super::feed::{line, scan};
use super::killed::{CONFIG, active};

fn put(gateway: &Gateway, version: u32) -> http::Answer {
    http::request(gateway.address(), "PUT", "/api/v1/modules/guest", &stamped(version)).unwrap()
}

/// Appends a record and waits for it at the other end.
fn passes(gateway: &Gateway, dir: &Path, number: u64) {
    let mut file = fs::OpenOptions::new().append(true).open(dir.join("in.jsonl")).unwrap();
    file.write_all(line(number).as_bytes()).unwrap();
    let numbers = || scan(&dir.join("out.jsonl")).into_iter().map(|seen| seen.number);
    let all = || numbers().eq(0..=number).then_some(());
    wait_for("the record", all, || gateway.describe("ledger"));
}

/// A gateway whose folder `small` is a disk of its own, with version 1 of the guest running.
fn start(dir: &Path, small: &str) -> Option<(Disk, Gateway)> {
    let disk = Disk::mount(&dir.join(small), "16m");
    if disk.is_none() {
        eprintln!("SKIPPED: this user may not mount a tmpfs");
    }
    let disk = disk?;
    fs::create_dir_all(dir.join("modules")).unwrap();
    fs::write(dir.join("modules/guest.wasm"), stamped(1)).unwrap();
    fs::write(dir.join("in.jsonl"), "").unwrap();
    let gateway = Gateway::start(dir, CONFIG);
    assert_eq!(active(&gateway), 1);
    passes(&gateway, dir, 0);
    Some((disk, gateway))
}

#[test]
fn swap_without_room_for_the_module_keeps_the_old_one() {
    for small in ["modules", "data"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let Some((disk, gateway)) = start(dir, small) else { return };
        let ballast = disk.fill();
        let (status, body) = put(&gateway, 2);
        assert!(status == 500 && body.contains("o space left"), "{small}: {status} {body}");
        assert_eq!(active(&gateway), 1, "{small}");
        fs::remove_file(ballast).unwrap();
        let (status, body) = put(&gateway, 3);
        assert_eq!(status, 201, "{small}: {body}");
        assert_eq!(active(&gateway), 3, "{small}");
        passes(&gateway, dir, 1);
        assert!(gateway.signal_and_wait("TERM").0.success(), "{small}");
        let gateway = Gateway::start(dir, CONFIG);
        assert_eq!(active(&gateway), 3, "{small}");
    }
}

#[test]
fn swap_in_a_folder_that_may_only_be_read_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some((disk, gateway)) = start(dir, "modules") else { return };
    disk.remount("ro");
    let (status, body) = put(&gateway, 2);
    assert!(status == 500 && body.contains("ead-only"), "{status} {body}");
    let (status, body) =
        http::request(gateway.address(), "DELETE", "/api/v1/modules/guest?force=true", b"")
            .unwrap();
    assert!(status == 500 && body.contains("ead-only"), "{status} {body}");
    assert_eq!(active(&gateway), 1);
    passes(&gateway, dir, 1);
    assert!(gateway.signal_and_wait("TERM").0.success());
    // What may not be written is no reason not to start.
    let gateway = Gateway::start(dir, CONFIG);
    assert_eq!(active(&gateway), 1);
    passes(&gateway, dir, 2);
    disk.remount("rw");
    let (status, body) = put(&gateway, 4);
    assert_eq!(status, 201, "{body}");
    assert_eq!(active(&gateway), 4);
}
