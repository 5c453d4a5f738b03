//! Versions: how far back a rollback reaches, and that restarts, kills and damage cost no more
//! than they must.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use wasmgate_model::FaultKind;
use wasmgate_wasm::{Library, Limits, ModuleState, Runtime};

use crate::{Place, guests, logged, names, open};

/// One of many versions of a module: told apart by a section that nothing reads.
pub(crate) fn numbered(number: u8) -> Vec<u8> {
    let mut bytes = guests::guest("policy");
    bytes.extend_from_slice(&[0, 3, 1, b'n', number]);
    bytes
}

fn digest_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Which of the numbered versions these are.
fn numbers<'a>(digests: impl IntoIterator<Item = &'a String>) -> Vec<u8> {
    let known: Vec<_> = (0..10).map(|number| (digest_of(&numbered(number)), number)).collect();
    let number = |digest| known.iter().find(|(known, _)| known == digest).unwrap().1;
    digests.into_iter().map(number).collect()
}

impl Place {
    /// Active, previous and set-aside versions, by number.
    fn standing(&self, name: &str) -> (u8, Vec<u8>, Vec<u8>) {
        let status = self.status(name);
        let listed = |list: &[(String, String)]| numbers(list.iter().map(|(_, digest)| digest));
        (numbers([&status.sha256])[0], listed(&status.previous), listed(&status.aside))
    }

    fn put(&self, name: &str, number: u8) {
        self.modules.put(name, &numbered(number)).unwrap();
    }

    fn roll_back(&self, name: &str) {
        self.modules.accept(self.modules.rollback(name).unwrap()).unwrap();
    }

    fn store(&self, name: &str) -> PathBuf {
        self.dir.path().join("versions").join(name)
    }
}

#[test]
fn rollbacks_reach_three_versions_back_and_lose_none_also_after_a_restart() {
    let mut place = Place::new(&[]);
    (0..6).for_each(|number| place.put("rule", number));
    for _ in 0..2 {
        assert_eq!(place.standing("rule"), (5, vec![4, 3, 2], vec![]));
        place = place.restart();
    }
    place.roll_back("rule");
    place = place.restart();
    assert_eq!(place.standing("rule"), (4, vec![3, 2], vec![5]));
    place.roll_back("rule");
    assert_eq!(place.standing("rule"), (3, vec![2], vec![4, 5]), "further back");
    assert_eq!(fs::read(place.path("rule.wasm")).unwrap(), numbered(3));
    place = place.restart();
    assert_eq!(place.standing("rule"), (3, vec![2], vec![4, 5]));

    // By its digest, what was set aside comes back.
    let forward = place.modules.rollback_to("rule", &digest_of(&numbered(5))).unwrap();
    place.modules.accept(forward).unwrap();
    assert_eq!(place.standing("rule"), (5, vec![3, 2], vec![4]));
    let back = place.modules.rollback_to("rule", &digest_of(&numbered(2))).unwrap();
    place.modules.accept(back).unwrap();
    assert_eq!(place.standing("rule"), (2, vec![], vec![5, 3, 4]));
    let fault = place.modules.rollback("rule").unwrap_err();
    assert!(fault.chain().contains("no earlier version"), "{}", fault.chain());
    let fault = place.modules.rollback_to("rule", &digest_of(&numbered(0))).unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleRefused, "it was pruned");
    // So does an upload of it.
    place.put("rule", 4);
    assert_eq!(place.standing("rule"), (4, vec![2], vec![5, 3]));
}

#[test]
fn the_store_holds_what_can_be_reached_and_nobody_else_reads_it() {
    let place = Place::new(&[]);
    (0..6).for_each(|number| place.put("rule", number));
    place.put("other", 0);
    let store = place.store("rule");
    assert_eq!(names(&store).len(), 5, "the active version, three before it, and their order");
    assert_eq!(names(&place.dir.path().join("versions")), ["other", "rule"]);
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    for name in names(&store) {
        assert_eq!(fs::metadata(store.join(&name)).unwrap().mode() & 0o777, 0o600, "{name}");
        if let Some(digest) = name.strip_suffix(".wasm") {
            assert_eq!(digest_of(&fs::read(store.join(&name)).unwrap()), digest);
        }
    }
    place.modules.accept(place.modules.remove("rule").unwrap()).unwrap();
    assert_eq!(names(&place.dir.path().join("versions")), ["other"]);
}

#[test]
fn files_have_versions_as_uploads_have() {
    let mut place = Place::new(&[("rule.wasm", &numbered(0))]);
    for number in 1..3 {
        place.drop_in("rule.wasm", &numbered(number));
        let change = place.scan().remove(0);
        place.modules.accept(change).unwrap();
    }
    place = place.restart();
    assert_eq!(place.standing("rule"), (2, vec![1, 0], vec![]));
    // Replaced while nobody looked, what ran before is the version before.
    place.drop_in("rule.wasm", &numbered(5));
    place = place.restart();
    assert_eq!(place.standing("rule"), (5, vec![2, 1, 0], vec![]));
}

#[test]
fn a_file_that_is_refused_at_the_start_leaves_the_last_version_running() {
    let mut place = Place::new(&[("rule.wasm", &numbered(0)), ("good.wasm", &numbered(1))]);
    place.put("rule", 2);
    place.drop_in("rule.wasm", b"junk");
    place.drop_in("new.wasm", b"junk");
    let (restarted, lines) = logged::during(|| place.restart());
    place = restarted;
    for name in ["rule", "new"] {
        let part = format!("module=\"{name}\"");
        let told = |line: &&String| line.contains(&part) && line.contains("module rejected");
        assert_eq!(lines.iter().filter(told).count(), 1, "{name}: {lines:#?}");
    }
    assert_eq!(place.standing("rule"), (2, vec![0], vec![]));
    let status = place.status("rule");
    assert_eq!(status.state, ModuleState::Active);
    assert!(status.error.unwrap().contains("not WebAssembly"));
    assert!(place.noted("rule").unwrap().contains("not WebAssembly"));
    assert_eq!(fs::read(place.path("rule.wasm")).unwrap(), b"junk");
    assert_eq!(place.standing("good").0, 1);
    assert_eq!(place.status("new").state, ModuleState::Rejected);
    place.drop_in("rule.wasm", &numbered(3));
    let change = place.scan().remove(0);
    place.modules.accept(change).unwrap();
    assert_eq!(place.standing("rule"), (3, vec![2, 0], vec![]));
}

#[test]
fn a_file_replaced_between_processes_can_be_refused_by_whoever_uses_the_module() {
    let mut place = Place::new(&[("rule.wasm", &numbered(0)), ("other.wasm", &numbered(0))]);
    place.put("rule", 1);
    place.drop_in("rule.wasm", &numbered(2));
    // Until the file is replaced, every start finds it to be refused.
    for _ in 0..2 {
        place = place.restart();
        assert_eq!(place.standing("rule"), (2, vec![1, 0], vec![]));
        assert_eq!(place.modules.replaced(), ["rule"]);
        place.modules.retreat("other", "it was not replaced").unwrap_err();
        place.modules.retreat("rule", "pipeline orders: no such option").unwrap();
        assert_eq!(place.standing("rule"), (1, vec![0], vec![]));
        assert_eq!(place.noted("rule").unwrap(), "pipeline orders: no such option");
        assert_eq!(place.status("rule").error.unwrap(), "pipeline orders: no such option");
        assert!(place.scan().is_empty());
    }
    place.drop_in("rule.wasm", &numbered(1));
    place = place.restart();
    assert_eq!(place.standing("rule"), (1, vec![0], vec![]));
    assert_eq!((place.modules.replaced(), place.noted("rule")), (vec![], None));
}

#[test]
fn what_is_damaged_or_foreign_is_ignored_and_said() {
    let mut place = Place::new(&[]);
    (0..4).for_each(|number| place.put("rule", number));
    let store = place.store("rule");
    let file = |number| store.join(format!("{}.wasm", digest_of(&numbered(number))));
    fs::write(file(1), b"damaged").unwrap();
    fs::write(store.join("README"), b"foreign").unwrap();
    fs::write(place.dir.path().join("versions/file"), b"foreign").unwrap();
    fs::create_dir(place.dir.path().join("versions/Not a name")).unwrap();
    let order = fs::read_to_string(store.join("order")).unwrap();
    let foreign = format!("previous ../../etc/passwd 1\n\n{order}active\nprevious \u{0} 1\n");
    fs::write(store.join("order"), foreign).unwrap();
    let (restarted, lines) = logged::during(|| place.restart());
    place = restarted;
    assert_eq!(place.standing("rule"), (3, vec![2, 0], vec![]));
    for part in ["passwd", "is damaged", "versions/file", "Not a name"] {
        assert_eq!(lines.iter().filter(|line| line.contains(part)).count(), 1, "{lines:#?}");
    }
    // Damaged while we run, it is found out when it is wanted.
    fs::write(file(2), b"damaged").unwrap();
    let fault = place.modules.rollback("rule").unwrap_err();
    assert!(fault.kind == FaultKind::Disk && fault.chain().contains("damaged"));
    assert_eq!(place.standing("rule").0, 3);
    // Taken in again, it is whole again.
    place.put("rule", 2);
    place.put("rule", 4);
    place.roll_back("rule");
    assert_eq!(place.standing("rule"), (2, vec![3, 0], vec![4]));

    fs::write(store.join("order"), [0xff; 100]).unwrap();
    place = place.restart();
    assert_eq!(place.standing("rule"), (2, vec![], vec![]));
}

#[test]
fn without_a_store_versions_last_as_long_as_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("a file");
    fs::write(&blocked, b"").unwrap();
    for versions in [None, Some(blocked)] {
        let runtime = Runtime::new(Limits::default(), Some(guests::code_dir())).unwrap();
        let drop = dir.path().join("drop");
        let library = Library::open(drop, Arc::new(runtime), versions).unwrap();
        (0..3).for_each(|number| drop_result(library.put("rule", &numbered(number))));
        library.accept(library.rollback("rule").unwrap()).unwrap();
        assert_eq!(library.get("rule").unwrap().identity().sha256, digest_of(&numbered(1)));
        library.accept(library.remove("rule").unwrap()).unwrap();
    }
}

fn drop_result<T>(result: Result<T, wasmgate_model::Fault>) {
    drop(result.unwrap());
}

#[test]
fn a_store_that_breaks_refuses_no_module() {
    let place = Place::new(&[("rule.wasm", &numbered(0))]);
    fs::remove_dir_all(place.dir.path().join("versions")).unwrap();
    fs::write(place.dir.path().join("versions"), b"").unwrap();
    let ((), lines) = logged::during(|| place.put("rule", 1));
    assert!(lines.iter().any(|line| line.contains("cannot be kept")), "{lines:#?}");
    place.put("rule", 2);
    place.roll_back("rule");
    assert_eq!(numbers([&place.digest("rule")]), [1]);
}

#[test]
fn drafts_of_processes_that_are_gone_are_removed_at_the_start() {
    let mut place = Place::new(&[("rule.wasm", &numbered(0))]);
    let gone = i32::MAX;
    let own = std::process::id();
    let store = place.store("rule");
    for dir in [place.path(""), store.clone()] {
        fs::write(dir.join(format!(".wasmgate-{gone}-7.draft")), b"half").unwrap();
        fs::write(dir.join(".wasmgate-1-0.draft"), b"of a process that lives").unwrap();
        // In a container every process has the same number.
        let earlier = dir.join(format!(".wasmgate-{own}-0.draft"));
        fs::write(&earlier, b"half").unwrap();
        crate::touch(&earlier, 3600);
    }
    place = place.restart();
    assert_eq!(place.files(), [".wasmgate-1-0.draft", "rule.wasm"]);
    assert!(names(&store).contains(&".wasmgate-1-0.draft".to_owned()));
    assert_eq!(names(&store).len(), 3, "{:?}", names(&store));
    place.put("rule", 1);
    assert_eq!(place.standing("rule"), (1, vec![0], vec![]));
}

#[test]
fn compiled_code_is_cleared_and_bounded_at_the_start() {
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let drop = tempfile::tempdir().unwrap();
    fs::write(drop.path().join("rule.wasm"), numbered(0)).unwrap();
    let start = || {
        let cache = Some(cache.path().to_path_buf());
        let runtime = Arc::new(Runtime::new(Limits::default(), cache).unwrap());
        Library::open(drop.path().to_path_buf(), runtime, None).unwrap()
    };
    std::mem::drop(start());
    let code = names(cache.path()).remove(0);
    let (_, engine) = code.rsplit_once('-').unwrap();
    let unused = cache.path().join(format!("{}-{engine}", digest_of(b"unused")));
    // It takes no room on the disk.
    fs::File::create(&unused).unwrap().set_len(1 << 30).unwrap();
    for draft in [format!(".{}-3", i32::MAX), format!(".{}-4.wasm", i32::MAX)] {
        fs::write(cache.path().join(draft), b"half").unwrap();
    }
    crate::touch(&cache.path().join(&code), 1_000_000);
    std::mem::drop(start());
    assert_eq!(names(cache.path()), [code]);
}

#[test]
fn compiled_code_goes_with_its_versions_and_a_dry_run_leaves_none() {
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let drop = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(Limits::default(), Some(cache.path().to_path_buf())).unwrap();
    let library = Library::open(drop.path().to_path_buf(), Arc::new(runtime), None).unwrap();
    library.put("rule", &numbered(0)).unwrap();
    let before = names(cache.path());
    assert_eq!(before.len(), 1);
    let dry = library.propose("rule", &numbered(1)).unwrap();
    assert_eq!(names(cache.path()).len(), 2);
    library.withdraw(dry);
    assert_eq!(names(cache.path()), before);
    let refused = library.propose("rule", &numbered(2)).unwrap();
    library.reject(&refused, "no").unwrap();
    assert_eq!(names(cache.path()), before);
    // It compiles, and fails when it is asked who it is.
    let broken = guests::guest("hoard");
    let fault = library.propose("rule", &broken).unwrap_err();
    assert!(fault.chain().contains("(in describe"), "{}", fault.chain());
    assert_eq!(names(cache.path()), before);
    // The active one and three before it.
    for number in 3..9 {
        library.put("rule", &numbered(number)).unwrap();
    }
    assert_eq!(names(cache.path()).len(), 4);
}

/// What kept a file from loading may pass without the file changing: a full disk, a busy machine.
#[test]
fn a_refused_file_is_read_again_when_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, drop) = (dir.path().join("code"), dir.path().join("drop"));
    let runtime = Runtime::new(Limits::default(), Some(cache.clone())).unwrap();
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("rule.wasm"), numbered(0)).unwrap();
    fs::remove_dir(&cache).unwrap();
    let library = Library::open(drop, Arc::new(runtime), None).unwrap();
    assert!(library.get("rule").is_none());
    fs::DirBuilder::new().mode(0o700).create(&cache).unwrap();
    assert!(library.scan().unwrap().is_empty(), "the file did not change");
    library.look_again("rule");
    let changes = library.scan().unwrap();
    assert_eq!(changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>(), ["rule"]);
}

#[test]
fn configurations_that_were_taken_are_known_for_the_same_version() {
    let place = Place::new(&[("rule.wasm", &numbered(0))]);
    place.modules.note_opened("rule", ["{}", "{\"a\":1}"].into_iter());
    assert!(!place.modules.took_before("rule", "{}"), "only this process knows the version");
    let place = place.restart();
    assert!(place.modules.took_before("rule", "{}"));
    assert!(!place.modules.took_before("rule", "{\"a\":2}"));
    fs::write(place.path("rule.wasm"), numbered(1)).unwrap();
    let place = place.restart();
    assert!(!place.modules.took_before("rule", "{}"));
}

/// Not a test of its own: what the next one kills.
#[test]
#[ignore = "runs until it is killed"]
fn changes_versions_for_ever() {
    let Some(dir) = std::env::var_os("LIBRARY_TO_CHANGE") else {
        return;
    };
    let library = open(Path::new(&dir));
    for number in (0..10).cycle() {
        library.put("rule", &numbered(number)).unwrap();
        if number % 3 == 0
            && let Ok(change) = library.rollback("rule")
        {
            library.accept(change).unwrap();
        }
        let mut stderr = std::io::stderr();
        std::io::Write::write_all(&mut stderr, b"changed\n").unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_store_that_starts() {
    const KILLS: usize = 12;
    let mut place = Place::new(&[]);
    // Compiled beforehand, so that the child spends its time on files.
    (0..10).for_each(|number| place.put("rule", number));
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "versions::changes_versions_for_ever", "--ignored", "--nocapture"])
            .env("LIBRARY_TO_CHANGE", place.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let changed = lines.filter(|line| line.as_ref().is_ok_and(|line| line == "changed"));
        assert_eq!(changed.take(1 + kill).count(), 1 + kill, "the child has begun");
        child.kill().unwrap();
        child.wait().unwrap();
        place = place.restart();
        let (active, previous, aside) = place.standing("rule");
        assert_eq!(fs::read(place.path("rule.wasm")).unwrap(), numbered(active));
        assert!(!previous.is_empty(), "{active} {previous:?} {aside:?}");
        for number in previous.into_iter().chain(aside) {
            place.modules.rollback_to("rule", &digest_of(&numbered(number))).unwrap();
        }
        let left = [place.files(), names(&place.store("rule"))].concat();
        assert!(!left.iter().any(|name| name.ends_with(".draft")), "{left:?}");
        assert!(left.len() <= 1 + 1 + 7, "pruned: {left:?}");
    }
}

/// Nothing runs it, a new process knows what it was, and the next version of its name begins anew.
#[test]
fn what_was_deleted_in_use_is_known_until_the_next_version() {
    let mut place = Place::new(&[]);
    place.put("rule", 0);
    place.put("rule", 1);
    place.modules.bury("rule").unwrap();
    assert!(!place.path("rule.wasm").exists());
    for rubbish in [false, false, true] {
        if rubbish {
            fs::write(place.path("rule.wasm"), "nope").unwrap();
        }
        place = place.restart();
        assert!(place.modules.get("rule").is_none());
        let kept = place.modules.buried("rule").unwrap();
        assert_eq!(kept.identity().sha256, digest_of(&numbered(1)));
    }
    place.put("rule", 2);
    for _ in 0..2 {
        assert_eq!(place.standing("rule"), (2, vec![], vec![]));
        assert!(place.modules.buried("rule").is_none());
        place = place.restart();
    }
    // What cannot be removed is not deleted.
    fs::remove_file(place.path("rule.wasm")).unwrap();
    fs::create_dir(place.path("rule.wasm")).unwrap();
    assert_eq!(place.modules.bury("rule").unwrap_err().kind, FaultKind::Disk);
    assert!(place.modules.get("rule").is_some() && !place.store("rule").join("deleted").exists());
}
