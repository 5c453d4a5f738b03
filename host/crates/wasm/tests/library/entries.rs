//! What else may lie in the drop directory: swap files, links, pipes, names that are none. None
//! of it stops the gateway, and none of it keeps the modules beside it from loading.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use wasmgate_wasm::ModuleState;

use crate::{Place, guests, logged, touch, until, versions};

#[test]
fn only_files_are_modules() {
    let [one, _] = versions();
    let place = Place::new(&[("good.wasm", &one)]);
    fs::write(place.dir.path().join("elsewhere"), &one).unwrap();
    symlink("../elsewhere", place.path("linked.wasm")).unwrap();
    fs::create_dir(place.path("directory.wasm")).unwrap();
    let pipe = place.path("pipe.wasm");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    let _socket = UnixListener::bind(place.path("socket.wasm")).unwrap();
    symlink("/dev/zero", place.path("endless.wasm")).unwrap();
    symlink("nowhere", place.path("dangling.wasm")).unwrap();
    symlink("circle.wasm", place.path("circle.wasm")).unwrap();
    symlink("pong.wasm", place.path("ping.wasm")).unwrap();
    symlink("ping.wasm", place.path("pong.wasm")).unwrap();
    symlink(".", place.path("deeper.wasm")).unwrap();
    fs::write(place.path("").join(OsStr::from_bytes(b"\xff.wasm")), &one).unwrap();
    let (place, lines) = logged::during(|| {
        let place = place.restart();
        for _ in 0..3 {
            assert!(place.scan().is_empty());
        }
        place
    });
    let found: Vec<_> = place.modules.list().into_iter().map(|s| (s.name, s.state)).collect();
    let active = |name: &str| (name.to_owned(), ModuleState::Active);
    assert_eq!(found, [active("good"), active("linked")]);
    for (name, what) in [
        ("directory", "a directory"),
        ("deeper", "a directory"),
        ("pipe", "a pipe"),
        ("socket", "a socket"),
        ("endless", "a device"),
        ("dangling", "a symbolic link to nothing"),
        ("circle", "in a circle"),
        ("ping", "in a circle"),
        ("pong", "in a circle"),
        ("\\xFF", "not UTF-8"),
    ] {
        let told = |line: &&String| line.contains(&format!("\"{name}.wasm")) && line.contains(what);
        assert_eq!(lines.iter().filter(told).count(), 1, "{name}: {lines:#?}");
    }
    // The link leads to other content.
    fs::write(place.dir.path().join("elsewhere"), guests::component("probe")).unwrap();
    assert_eq!(place.scan_until_changed()[0].name, "linked");
}

#[test]
fn files_of_editors_and_copiers_are_passed_over() {
    let [one, _] = versions();
    let names = [
        ".good.wasm",
        ".good.wasm.swp",
        ".good.wasm.kate-swp",
        ".#good.wasm",
        "#good.wasm#",
        "good.wasm~",
        "good.wasm.part",
        "good.wasm.crdownload",
        ".good.wasm.Xy12Zz",
        "4913",
        "goutputstream-1",
        ".wasm",
    ];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &one[..])).collect();
    let place = Place::new(&files);
    assert_eq!(place.modules.list(), []);
    for name in names {
        touch(&place.path(name), 4);
    }
    assert!(place.scan().is_empty());
    assert_eq!(place.files().len(), names.len(), "nothing was added or removed");
}

#[test]
fn names_that_are_no_names_of_modules_are_refused_once() {
    let [one, _] = versions();
    let long = "a".repeat(65);
    let names = ["Upper", "with space", "-dash", "dot.ted", "ümlaut", &long];
    let files: Vec<_> = names.iter().map(|name| format!("{name}.wasm")).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|name| (name.as_str(), &one[..])).collect();
    let place = Place::new(&files);
    for name in names {
        let status = place.status(name);
        assert_eq!(status.state, ModuleState::Rejected, "{name}");
        assert!(status.error.unwrap().contains("no module name"), "{name}");
        assert!(place.noted(name).unwrap().contains("no module name"), "{name}");
        fs::remove_file(place.path(&format!("{name}.wasm.rejected.txt"))).unwrap();
    }
    assert!(place.scan().is_empty());
    assert!(names.iter().all(|name| place.noted(name).is_none()), "not tried again");
}

#[test]
fn a_file_of_gigabytes_is_refused_for_its_size() {
    let [one, _] = versions();
    let place = Place::new(&[("good.wasm", &one), ("huge.wasm", b"\0asm\x0d\0\x01\0")]);
    let file = fs::File::options().append(true).open(place.path("huge.wasm")).unwrap();
    // It takes no room on the disk.
    file.set_len(3 << 30).unwrap();
    let place = place.restart();
    let error = place.status("huge").error.unwrap();
    assert!(error.contains("the limit is"), "{error}");
    assert!(place.modules.get("good").is_some());
}

#[test]
fn a_file_that_cannot_be_read_is_refused_and_tried_again() {
    let [one, two] = versions();
    // A regular file that even the user who may read everything cannot read.
    const UNREADABLE: &str = "/proc/self/mem";
    let mut place = Place::new(&[("good.wasm", &one), ("bad.wasm", &one), ("closed.wasm", &one)]);
    fs::remove_file(place.path("bad.wasm")).unwrap();
    symlink(UNREADABLE, place.path("bad.wasm")).unwrap();
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(place.path("closed.wasm"), closed).unwrap();
    let enforced = fs::read(place.path("closed.wasm")).is_err();
    until("files that cannot be read are refused", || {
        assert!(place.scan().is_empty());
        let refused = |name| place.status(name).error.is_some();
        refused("bad") && (refused("closed") || !enforced)
    });
    let status = place.status("bad");
    assert_eq!(status.state, ModuleState::Active, "the last version runs on");
    assert!(status.error.unwrap().contains("cannot be read"));
    assert!(place.noted("bad").unwrap().contains("cannot be read"));
    assert_eq!(place.noted("closed").is_some(), enforced);
    place = place.restart();
    assert!(place.modules.get("good").is_some());
    assert!(place.status("bad").error.is_some() && place.modules.get("bad").is_some());

    fs::remove_file(place.path("bad.wasm")).unwrap();
    place.drop_in("bad.wasm", &two);
    let change = place.scan().into_iter().find(|change| change.name == "bad").unwrap();
    place.modules.accept(change).unwrap();
    assert_eq!((place.status("bad").error, place.noted("bad")), (None, None));
    // Removed after it could not be read, it is removed as any other.
    fs::remove_file(place.path("bad.wasm")).unwrap();
    symlink(UNREADABLE, place.path("bad.wasm")).unwrap();
    assert!(place.scan().iter().all(|change| change.name != "bad"));
    fs::remove_file(place.path("bad.wasm")).unwrap();
    assert!(place.scan().iter().any(|change| change.name == "bad"));
}

/// A pipe that nobody reads from would stop whoever opens it.
#[test]
fn what_has_the_name_of_a_note_is_replaced_unopened() {
    let place = Place::new(&[]);
    let note = place.path("bad.wasm.rejected.txt");
    rustix::fs::mkfifoat(rustix::fs::CWD, &note, 0o600.into()).unwrap();
    place.drop_in("bad.wasm", b"junk");
    assert!(place.scan().is_empty());
    assert!(fs::read_to_string(&note).unwrap().contains("not WebAssembly"));
    let victim = place.dir.path().join("victim");
    fs::write(&victim, "as it was").unwrap();
    fs::remove_file(&note).unwrap();
    symlink(&victim, &note).unwrap();
    place.drop_in("bad.wasm", b"other junk");
    assert!(place.scan().is_empty());
    assert!(note.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
}

/// A note is what people wait for, before they ask why.
#[test]
fn whoever_finds_a_note_finds_the_reason_in_the_status() {
    let [one, two] = versions();
    let place = Place::new(&[("good.wasm", &one)]);
    let told = |name: &str| {
        until("the note", || place.noted(name).is_some());
        let found = place.modules.list().into_iter().find(|status| status.name == name);
        found.and_then(|status| status.error)
    };
    for _ in 0..5 {
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| told("bad"));
            place.drop_in("bad.wasm", b"junk");
            assert!(place.scan().is_empty());
            assert!(seen.join().unwrap().is_some(), "a file that does not load");
        });
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| told("good"));
            place.drop_in("good.wasm", &two);
            let changes = place.scan();
            place.modules.reject(&changes[0], "no").unwrap();
            assert!(seen.join().unwrap().is_some(), "a version that does not fit");
        });
        fs::remove_file(place.path("bad.wasm")).unwrap();
        place.drop_in("good.wasm", &one);
        assert!(place.scan().is_empty());
        assert!(place.noted("bad").is_none() && place.noted("good").is_none());
    }
}

/// Somebody copies a module into place while the gateway starts.
#[test]
fn a_file_that_is_written_during_the_start_is_waited_for() {
    let [one, two] = versions();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("drop")).unwrap();
    let (copied, renamed) = (dir.path().join("drop/copied.wasm"), dir.path().join("drop/a.wasm"));
    fs::write(&copied, one.get(..one.len() / 2).unwrap()).unwrap();
    fs::write(&renamed, &one).unwrap();
    let library = std::thread::scope(|scope| {
        scope.spawn(|| {
            // As long as nothing has settled, and a while more.
            let since = std::time::Instant::now();
            for number in 0_u64.. {
                if since.elapsed() > std::time::Duration::from_millis(400) {
                    break;
                }
                let draft = dir.path().join("draft");
                fs::write(&draft, if number.is_multiple_of(2) { &one } else { &two }).unwrap();
                fs::rename(&draft, &renamed).unwrap();
            }
            fs::write(&copied, &one).unwrap();
        });
        crate::open(dir.path())
    });
    let found: Vec<_> = library.list().into_iter().map(|s| (s.name, s.state)).collect();
    let active = |name: &str| (name.to_owned(), ModuleState::Active);
    assert_eq!(found, [active("a"), active("copied")]);
}

/// A copy that pauses in the middle looks settled.
#[test]
fn a_copy_that_pauses_during_the_start_is_waited_for() {
    let [one, _] = versions();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("drop")).unwrap();
    let copied = dir.path().join("drop/copied.wasm");
    fs::write(&copied, one.get(..one.len() / 2).unwrap()).unwrap();
    let library = std::thread::scope(|scope| {
        scope.spawn(|| {
            let since = std::time::Instant::now();
            while since.elapsed() < std::time::Duration::from_millis(400) {
                std::thread::yield_now();
            }
            fs::write(&copied, &one).unwrap();
        });
        crate::open(dir.path())
    });
    let found: Vec<_> = library.list().into_iter().map(|s| (s.name, s.state)).collect();
    assert_eq!(found, [("copied".to_owned(), ModuleState::Active)]);
}
