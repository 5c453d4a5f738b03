//! The drop directory: taking, replacing, refusing, removing. What else may lie in it is in
//! `library/entries.rs`, what is kept of it in `library/versions.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "library/entries.rs"]
mod entries;
#[path = "support/guests.rs"]
mod guests;
#[path = "library/logged.rs"]
mod logged;
#[path = "library/thousand.rs"]
mod thousand;
#[path = "library/versions.rs"]
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use wasmgate_model::FaultKind;
use wasmgate_wasm::{Change, ChangeKind, Library, Limits, ModuleState, ModuleStatus, Runtime};

const PATIENCE: Duration = Duration::from_secs(30);

/// A drop directory and, below it, a store of versions.
struct Place {
    dir: TempDir,
    modules: Library,
}

impl Place {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("drop")).unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join("drop").join(name), bytes).unwrap();
        }
        let modules = open(dir.path());
        Self { dir, modules }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("drop").join(name)
    }

    /// Writes a file that looks as if it had been there for a while.
    fn drop_in(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        touch(&path, 5);
    }

    fn scan(&self) -> Vec<Change> {
        self.modules.scan().unwrap()
    }

    /// Looks until something has changed.
    fn scan_until_changed(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        until("a change is found", || {
            changes = self.scan();
            !changes.is_empty()
        });
        changes
    }

    fn find(&self, name: &str) -> Option<ModuleStatus> {
        self.modules.list().into_iter().find(|s| s.name == name)
    }

    fn status(&self, name: &str) -> ModuleStatus {
        self.find(name).unwrap()
    }

    fn digest(&self, name: &str) -> String {
        self.modules.get(name).unwrap().identity().sha256.clone()
    }

    /// The reason in the note beside a file, if there is one.
    fn noted(&self, name: &str) -> Option<String> {
        let note = fs::read_to_string(self.path(&format!("{name}.wasm.rejected.txt"))).ok()?;
        note.lines().next().map(str::to_owned)
    }

    fn files(&self) -> Vec<String> {
        names(&self.path(""))
    }

    /// Ends this process, as far as the library goes, and starts the next.
    fn restart(self) -> Self {
        let Self { dir, modules } = self;
        drop(modules);
        let modules = open(dir.path());
        Self { dir, modules }
    }
}

fn open(dir: &Path) -> Library {
    let runtime = Arc::new(Runtime::new(Limits::default(), Some(guests::code_dir())).unwrap());
    Library::open(dir.join("drop"), runtime, Some(dir.join("versions"))).unwrap()
}

fn touch(path: &Path, seconds_ago: u64) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
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
    let states: Vec<_> = place.modules.list().into_iter().map(|s| (s.name, s.state)).collect();
    let expected = [
        ("Big", ModuleState::Rejected),
        ("bad", ModuleState::Rejected),
        ("probe", ModuleState::Active),
    ];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
    let note = fs::read_to_string(place.path("bad.wasm.rejected.txt")).unwrap();
    let reason = place.status("bad").error.unwrap();
    assert!(reason.contains("not WebAssembly"), "{note}");
    let expected = format!("{reason}\n\n");
    assert!(note.starts_with(&expected), "{note}");
    for part in ["No version of the module runs", "touch it", "module inspect bad.wasm"] {
        assert!(note.contains(part), "{part:?} is not in {note}");
    }
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

    place.modules.reject(&change, "pipeline orders cannot be bound").unwrap();
    assert_eq!(place.digest("probe"), old);
    let status = place.status("probe");
    assert_eq!(status.state, ModuleState::Active);
    assert_eq!(status.error.as_deref(), Some("pipeline orders cannot be bound"));
    assert_eq!(place.noted("probe").unwrap(), "pipeline orders cannot be bound");
    let note = fs::read_to_string(place.path("probe.wasm.rejected.txt")).unwrap();
    assert!(note.contains("Version 1.2.3 of the module runs on"), "{note}");
    assert!(place.scan().is_empty(), "a rejected file is not tried twice");

    // Touched, it is tried again.
    touch(&place.path("probe.wasm"), 4);
    let change = place.scan().remove(0);
    place.modules.accept(change).unwrap();
    assert_ne!(place.digest("probe"), old);
    assert_eq!(place.status("probe").error, None);
    assert_eq!(place.status("probe").previous, [("1.2.3".to_owned(), old)]);
    assert_eq!(place.noted("probe"), None);
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
    let changes = place.scan_until_changed();
    assert_eq!((changes.len(), changes[0].kind), (1, ChangeKind::Added));
    assert!(place.scan().is_empty(), "one load per change");
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
    place.modules.reject(&changes.remove(1), "pipeline orders uses it").unwrap();
    place.modules.accept(changes.remove(0)).unwrap();
    assert!(place.modules.get("a").is_none());
    assert!(place.modules.get("b").is_some());
    assert!(place.scan().is_empty());
    place.modules.accept(place.modules.remove("b").unwrap()).unwrap();
    assert!(place.modules.list().is_empty());
    assert_eq!(place.modules.remove("b").unwrap_err().kind, FaultKind::ModuleRefused);
}

#[test]
fn put_writes_the_file_and_a_rollback_undoes_it() {
    let [one, two] = versions();
    let place = Place::new(&[]);
    let first = place.modules.put("rule-1", &one).unwrap().identity().sha256.clone();
    assert_eq!(fs::read(place.path("rule-1.wasm")).unwrap(), one);
    let second = place.modules.put("rule-1", &two).unwrap().identity().sha256.clone();
    assert_eq!(place.modules.propose("rule-1", &two).unwrap().kind, ChangeKind::Same);
    assert!(place.scan().is_empty(), "our own writing is no news");

    let back = place.modules.rollback("rule-1").unwrap();
    place.modules.accept(back).unwrap();
    assert_eq!(place.digest("rule-1"), first);
    assert_ne!(first, second);
    assert_eq!(fs::read(place.path("rule-1.wasm")).unwrap(), one);
    assert_eq!(place.modules.rollback("rule-1").unwrap_err().kind, FaultKind::ModuleRefused);
    assert_eq!(place.files(), ["rule-1.wasm"]);
}

#[test]
fn a_refused_put_leaves_no_trace() {
    let [one, _] = versions();
    let place = Place::new(&[]);
    for (name, bytes) in [("ok", &b"junk"[..]), ("../up", &one), ("", &one), ("Up", &one)] {
        let fault = place.modules.put(name, bytes).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused, "{name}");
    }
    assert!(place.modules.list().is_empty());
    assert!(!place.path("ok.wasm").exists());
    let started = Instant::now();
    assert!(place.scan().is_empty() && started.elapsed() < Duration::from_secs(1));
}

#[test]
fn several_files_at_once_are_several_changes() {
    let [one, two] = versions();
    let place = Place::new(&[("a.wasm", &one), ("b.wasm", &one)]);
    let old = place.digest("a");
    place.drop_in("a.wasm", &two);
    fs::remove_file(place.path("b.wasm")).unwrap();
    place.drop_in("c.wasm", &two);
    place.drop_in("d.wasm", b"junk");
    let changes = place.scan();
    let found: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    let (new, gone, other) = (ChangeKind::Added, ChangeKind::Removed, ChangeKind::Replaced);
    assert_eq!(found, [("a", other), ("c", new), ("b", gone)]);
    changes.into_iter().for_each(|change| place.modules.accept(change).unwrap());
    assert_ne!(place.digest("a"), old);
    assert!(place.modules.get("b").is_none() && place.modules.get("c").is_some());
    assert!(place.noted("d").is_some());
}

#[test]
fn a_file_that_is_touched_changes_nothing() {
    let [one, two] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    touch(&place.path("probe.wasm"), 60);
    assert!(place.scan().is_empty());
    // The same content under another inode.
    place.drop_in("copy", &one);
    fs::rename(place.path("copy"), place.path("probe.wasm")).unwrap();
    assert!(place.scan().is_empty());
    // Another one is taken at once: a renamed file is whole.
    place.drop_in("copy", &two);
    fs::rename(place.path("copy"), place.path("probe.wasm")).unwrap();
    assert_eq!(place.scan()[0].kind, ChangeKind::Replaced);
}

#[test]
fn what_is_copied_with_pauses_is_taken_when_it_is_whole() {
    let [one, two] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    for cut in [0, 3, 8, 1000, two.len() / 2, two.len() - 1] {
        place.drop_in("probe.wasm", &two[..cut]);
        // After its header a component could be whole, and empty.
        let early = cut != 8;
        assert!(place.scan().is_empty() && place.scan().is_empty());
        assert_eq!(place.noted("probe").is_none(), early, "{cut}: not before it has settled");
        assert_eq!(place.status("probe").error.is_none(), early, "{cut}");
        place.drop_in("probe.wasm", &one);
        assert!(place.scan().is_empty());
    }
    place.drop_in("probe.wasm", &two[..two.len() / 2]);
    until("the half is refused", || {
        assert!(place.scan().is_empty());
        place.status("probe").error.is_some()
    });
    assert!(place.noted("probe").is_some());
    place.drop_in("probe.wasm", &two);
    let change = place.scan().remove(0);
    place.modules.accept(change).unwrap();
    assert_eq!((place.status("probe").error, place.noted("probe")), (None, None));
}

#[test]
fn notes_go_with_their_files() {
    let [one, _] = versions();
    let files: &[(&str, &[u8])] = &[
        ("probe.wasm", &one),
        ("bad.wasm", b"junk"),
        ("worse.wasm", b"junk"),
        ("gone.wasm.rejected.txt", b"of a file removed while nobody looked\n"),
        ("probe.wasm.rejected.txt", b"of content that was replaced while nobody looked\n"),
    ];
    let place = Place::new(files);
    assert!(place.noted("gone").is_none() && place.noted("probe").is_none());
    assert!(place.noted("bad").is_some() && place.noted("worse").is_some());
    fs::remove_file(place.path("bad.wasm")).unwrap();
    assert!(place.scan().is_empty());
    assert!(place.noted("bad").is_none() && place.find("bad").is_none());
    place.modules.put("worse", &one).unwrap();
    assert!(place.noted("worse").is_none());
}

#[test]
fn uploads_that_are_refused_are_not_noted_beside_files() {
    let [one, two] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    place.modules.propose("probe", b"junk").unwrap_err();
    let change = place.modules.propose("probe", &two).unwrap();
    place.modules.reject(&change, "pipeline orders cannot be bound").unwrap();
    assert_eq!(place.status("probe").error.unwrap(), "pipeline orders cannot be bound");
    assert_eq!(place.files(), ["probe.wasm"]);
    assert_eq!(fs::read(place.path("probe.wasm")).unwrap(), one);
}

#[test]
fn an_upload_of_what_runs_replaces_a_file_that_was_refused() {
    let [one, _] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    place.drop_in("probe.wasm", b"junk");
    assert!(place.scan().is_empty() && place.noted("probe").is_some());
    place.modules.put("probe", &one).unwrap();
    assert_eq!(place.noted("probe"), None);
    assert_eq!(place.status("probe").error, None);
    assert_eq!(place.status("probe").previous, []);
    assert_eq!(fs::read(place.path("probe.wasm")).unwrap(), one);
}

#[test]
fn where_notes_cannot_be_written_modules_load_and_the_status_has_the_reason() {
    let [one, two] = versions();
    let place = Place::new(&[("probe.wasm", &one)]);
    // Not even the user who may do everything can replace this with a file.
    for name in ["bad", "probe"] {
        fs::create_dir_all(place.path(&format!("{name}.wasm.rejected.txt/x"))).unwrap();
    }
    let (changes, lines) = logged::during(|| {
        place.drop_in("bad.wasm", b"junk");
        place.drop_in("probe.wasm", &two);
        let changes = place.scan();
        place.drop_in("bad.wasm", b"other junk");
        assert!(place.scan().is_empty());
        changes
    });
    assert!(place.status("bad").error.unwrap().contains("not WebAssembly"));
    changes.into_iter().for_each(|change| place.modules.accept(change).unwrap());
    assert_eq!(place.status("probe").previous.len(), 1);
    assert_eq!(lines.iter().filter(|line| line.contains("cannot be written")).count(), 1);
    assert!(!place.files().iter().any(|name| name.ends_with(".draft")), "{:?}", place.files());
}

#[test]
fn modules_run_on_while_their_directory_is_away() {
    let [one, two] = versions();
    let place = Place::new(&[("a.wasm", &one), ("b.wasm", &one)]);
    let old = place.digest("a");
    fs::rename(place.path(""), place.dir.path().join("away")).unwrap();
    assert_eq!(place.modules.scan().unwrap_err().kind, FaultKind::Disk);
    assert!(place.modules.get("a").is_some() && place.modules.get("b").is_some());
    fs::create_dir(place.path("")).unwrap();
    place.drop_in("a.wasm", &one);
    place.drop_in("b.wasm", &two);
    let changes = place.scan();
    let found: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(found, [("b", ChangeKind::Replaced)]);
    assert_eq!(place.digest("a"), old);
}
