//! The drop directory: taking, replacing, refusing, rolling back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/guests.rs"]
mod guests;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use wasmgate_model::FaultKind;
use wasmgate_wasm::{Change, ChangeKind, Library, Limits, ModuleState, ModuleStatus, Runtime};

struct Place {
    dir: TempDir,
    library: Library,
}

impl Place {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let cache = Some(guests::code_dir());
        let runtime = Arc::new(Runtime::new(Limits::default(), cache).unwrap());
        let library = Library::open(dir.path().to_path_buf(), runtime).unwrap();
        Self { dir, library }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that looks as if it had been there for a while.
    fn drop_in(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5)).unwrap();
    }

    fn scan(&self) -> Vec<Change> {
        self.library.scan().unwrap()
    }

    fn status(&self, name: &str) -> ModuleStatus {
        self.library.list().into_iter().find(|s| s.name == name).unwrap()
    }

    fn digest(&self, name: &str) -> String {
        self.library.get(name).unwrap().identity().sha256.clone()
    }
}

/// Two versions of the same module: a component and the core module it is made of.
fn versions() -> [Vec<u8>; 2] {
    [guests::guest("probe"), guests::component("probe")]
}

#[test]
fn what_is_there_at_the_start_is_active_or_noted() {
    let [probe, _] = versions();
    let files: &[(&str, &[u8])] =
        &[("probe.wasm", &probe), ("bad.wasm", b"junk"), ("Big.wasm", &probe), ("notes.txt", b"")];
    let place = Place::new(files);
    let states: Vec<_> = place.library.list().into_iter().map(|s| (s.name, s.state)).collect();
    let expected = [
        ("Big", ModuleState::Rejected),
        ("bad", ModuleState::Rejected),
        ("probe", ModuleState::Active),
    ];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
    let note = fs::read_to_string(place.path("bad.wasm.rejected.txt")).unwrap();
    assert!(note.contains("not WebAssembly"), "{note}");
    assert_eq!(place.status("bad").error.unwrap(), note.trim_end());
    assert!(place.status("Big").error.unwrap().contains("no module name"));
    assert_eq!(place.status("probe").version, "1.2.3");
    assert!(place.scan().is_empty(), "nothing changed");
}

#[test]
fn a_new_version_waits_for_its_verdict() {
    let [one, two] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    let old = place.digest("probe");
    place.drop_in("probe.wasm", &two);
    let mut changes = place.scan();
    assert_eq!(changes.len(), 1);
    let change = changes.remove(0);
    assert_eq!((change.name.as_str(), change.kind), ("probe", ChangeKind::Replaced));
    assert_eq!(place.digest("probe"), old, "not before it is accepted");

    place.library.reject(&change, "pipeline orders cannot be bound").unwrap();
    assert_eq!(place.digest("probe"), old);
    let status = place.status("probe");
    assert_eq!(status.state, ModuleState::Active);
    assert_eq!(status.error.as_deref(), Some("pipeline orders cannot be bound"));
    let note = place.path("probe.wasm.rejected.txt");
    assert_eq!(fs::read_to_string(&note).unwrap(), "pipeline orders cannot be bound\n");
    assert!(place.scan().is_empty(), "a rejected file is not tried twice");

    // Written again, it is tried again.
    fs::remove_file(place.path("probe.wasm")).unwrap();
    place.drop_in("probe.wasm", &two);
    let change = place.scan().remove(0);
    place.library.accept(change).unwrap();
    assert_ne!(place.digest("probe"), old);
    assert_eq!(place.status("probe").error, None);
    assert_eq!(place.status("probe").previous, [("1.2.3".to_owned(), old)]);
    assert!(!note.exists());
}

#[test]
fn a_bad_file_leaves_the_old_version_running() {
    let [one, _] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    let old = place.digest("probe");
    place.drop_in("probe.wasm", b"half a mod");
    assert!(place.scan().is_empty());
    assert_eq!(place.digest("probe"), old);
    assert!(place.path("probe.wasm.rejected.txt").exists());
    // The old content comes back: all is well again, and nothing has changed.
    place.drop_in("probe.wasm", &one);
    assert!(place.scan().is_empty());
    assert!(!place.path("probe.wasm.rejected.txt").exists());
    assert_eq!(place.status("probe").error, None);
}

#[test]
fn a_file_is_taken_when_it_has_settled() {
    let [one, _] = versions();
    let place = Place::new(&[]);
    fs::write(place.path("late.wasm"), &one).unwrap();
    let future = SystemTime::now() + Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(place.path("late.wasm")).unwrap();
    file.set_modified(future).unwrap();
    assert!(place.scan().is_empty(), "seen for the first time");
    file.set_modified(future + Duration::from_secs(1)).unwrap();
    assert!(place.scan().is_empty(), "still being written");
    assert_eq!(place.scan()[0].kind, ChangeKind::Added);
}

#[test]
fn removed_files_are_removed_modules() {
    let [one, _] = versions();
    let place = Place::new(&[("a.wasm", &one), ("b.wasm", &one), ("junk.wasm", b"junk")]);
    for name in ["a.wasm", "b.wasm", "junk.wasm"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    let mut changes = place.scan();
    let names: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(names, [("a", ChangeKind::Removed), ("b", ChangeKind::Removed)]);
    place.library.reject(&changes.remove(1), "pipeline orders uses it").unwrap();
    place.library.accept(changes.remove(0)).unwrap();
    assert!(place.library.get("a").is_none());
    assert!(place.library.get("b").is_some());
    assert!(place.scan().is_empty());
    place.library.accept(place.library.remove("b").unwrap()).unwrap();
    assert!(place.library.list().is_empty());
    assert_eq!(place.library.remove("b").unwrap_err().kind, FaultKind::ModuleRefused);
}

#[test]
fn put_writes_the_file_and_a_rollback_undoes_it() {
    let [one, two] = versions();
    let place = Place::new(&[]);
    let first = place.library.put("rule-1", &one).unwrap().identity().sha256.clone();
    assert_eq!(fs::read(place.path("rule-1.wasm")).unwrap(), one);
    let second = place.library.put("rule-1", &two).unwrap().identity().sha256.clone();
    assert_eq!(place.library.propose("rule-1", &two).unwrap().kind, ChangeKind::Same);
    assert!(place.scan().is_empty(), "our own writing is no news");

    let back = place.library.rollback("rule-1").unwrap();
    place.library.accept(back).unwrap();
    assert_eq!(place.digest("rule-1"), first);
    assert_ne!(first, second);
    assert_eq!(fs::read(place.path("rule-1.wasm")).unwrap(), one);
    assert_eq!(place.library.rollback("rule-1").unwrap_err().kind, FaultKind::ModuleRefused);
    let left: Vec<_> = fs::read_dir(place.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["rule-1.wasm"]);
}

#[test]
fn a_refused_put_leaves_no_trace() {
    let [one, _] = versions();
    let place = Place::new(&[]);
    for (name, bytes) in [("ok", &b"junk"[..]), ("../up", &one), ("", &one), ("Up", &one)] {
        let fault = place.library.put(name, bytes).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused, "{name}");
    }
    assert!(place.library.list().is_empty());
    assert!(!place.path("ok.wasm").exists());
    let started = Instant::now();
    assert!(place.scan().is_empty() && started.elapsed() < Duration::from_secs(1));
}
