#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tempfile::TempDir;
use wasmgate_connector::conformance;
use wasmgate_model::{Partition, Position};

use super::*;

/// A store with the data directory it lies in.
struct Held {
    store: RedbStore,
    _dir: DataDir,
}

fn open(root: &TempDir) -> Held {
    let dir = DataDir::lock(root.path()).unwrap();
    Held { store: RedbStore::open(&dir).unwrap(), _dir: dir }
}

impl CheckpointStore for Held {
    fn load(&self, pipeline: &str) -> Result<Checkpoint, Fault> {
        self.store.load(pipeline)
    }

    fn save(&self, pipeline: &str, checkpoint: &Checkpoint) -> Result<(), Fault> {
        self.store.save(pipeline, checkpoint)
    }
}

fn checkpoint(n: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    let state = Some(Arc::from(vec![n as u8; 2000]));
    checkpoint.assign(Partition("p".into()), Position::new(n, 0), state);
    checkpoint
}

#[test]
fn passes_the_kit() {
    let root = tempfile::tempdir().unwrap();
    conformance::store(|| open(&root));
}

#[test]
fn a_kill_leaves_the_last_save() {
    let root = tempfile::tempdir().unwrap();
    for n in 1..20 {
        let held = open(&root);
        held.save("orders", &checkpoint(n)).unwrap();
        // What a killed process leaves: the file as it is between two saves, never closed.
        let copy = tempfile::tempdir().unwrap();
        let name = "checkpoints.redb";
        std::fs::copy(root.path().join(name), copy.path().join(name)).unwrap();
        assert_eq!(open(&copy).load("orders").unwrap(), checkpoint(n));
    }
}

#[test]
fn a_kill_while_the_file_is_created_is_harmless() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("checkpoints.redb.new"), "half a database").unwrap();
    let held = open(&root);
    held.save("orders", &checkpoint(1)).unwrap();
    assert!(!root.path().join("checkpoints.redb.new").exists());
}

/// What happened to the file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_file_is_never_an_empty_one() {
    let cases: [(&str, Damage); 5] = [
        ("empty", Vec::clear),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("another file", |bytes| bytes.splice(.., *b"{\"not\":\"redb\"}").for_each(drop)),
        ("zeroed", |bytes| bytes.fill(0)),
        ("scribbled over", |bytes| bytes.iter_mut().skip(512).for_each(|b| *b ^= 0x5a)),
    ];
    for (case, damage) in cases {
        let root = tempfile::tempdir().unwrap();
        open(&root).save("orders", &checkpoint(1)).unwrap();
        let path = root.path().join("checkpoints.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let dir = DataDir::lock(root.path()).unwrap();
        let fault = RedbStore::open(&dir).expect_err(case);
        assert_eq!(fault.kind, FaultKind::Disk, "{case}");
        assert!(fault.to_string().contains("restore it from a backup"), "{case}: {fault}");
    }
}

#[test]
fn one_flipped_bit_is_an_error_or_an_older_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        open(&root).save("orders", &checkpoint(n)).unwrap();
    }
    let path = root.path().join("checkpoints.redb");
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap();
    for at in (0..=used).step_by(997) {
        let mut bytes = whole.clone();
        *bytes.get_mut(at).unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let dir = DataDir::lock(root.path()).unwrap();
        let Ok(store) = RedbStore::open(&dir) else {
            continue;
        };
        let found = store.load("orders").unwrap();
        let known = (1..=3).any(|n| found == checkpoint(n));
        assert!(known, "bit flipped at {at}: neither an error nor a checkpoint that was saved");
    }
}

#[test]
fn what_is_removed_stays_removed_and_the_rest_stays() {
    let root = tempfile::tempdir().unwrap();
    let held = open(&root);
    for name in ["orders", "calls"] {
        held.save(name, &checkpoint(1)).unwrap();
    }
    // Nothing that this release can read: it has to be removable all the same.
    held.store.replace("newer", &[9]).unwrap();
    assert_eq!(held.store.pipelines().unwrap(), ["calls", "newer", "orders"]);
    for (name, was_there) in [("orders", true), ("orders", false), ("newer", true), ("no", false)] {
        assert_eq!(held.store.remove(name).unwrap(), was_there, "{name}");
    }
    drop(held);
    let held = open(&root);
    assert_eq!(held.store.pipelines().unwrap(), ["calls"]);
    assert!(held.load("orders").unwrap().is_empty());
    assert_eq!(held.load("calls").unwrap(), checkpoint(1));
}
