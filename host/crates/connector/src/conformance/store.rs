//! Checkpoint stores: what was saved is there, whole and alone.

use std::sync::Arc;

use wasmgate_model::{Checkpoint, Partition, Position};

use crate::store::CheckpointStore;

/// Runs the kit. `make` opens the same empty store again and again; the kit never has two open at
/// a time.
///
/// # Panics
/// The store does not do what [`CheckpointStore`] says.
pub fn store<S: CheckpointStore>(make: impl Fn() -> S) {
    starts_empty(&make());
    round_trips(&make);
    keeps_pipelines_apart(&make);
    replaces_and_never_merges(&make);
    takes_concurrent_saves(&make);
}

type Mark<'a> = (&'a str, u64, u64, Option<&'a [u8]>);

fn checkpoint(marks: &[Mark<'_>]) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    for &(partition, major, minor, state) in marks {
        let state = state.map(Arc::from);
        checkpoint.assign(Partition(partition.into()), Position::new(major, minor), state);
    }
    checkpoint
}

fn save(store: &impl CheckpointStore, pipeline: &str, checkpoint: &Checkpoint) {
    if let Err(fault) = store.save(pipeline, checkpoint) {
        panic!("saving pipeline {pipeline:?}: {}", fault.chain());
    }
}

fn expect(case: &str, store: &impl CheckpointStore, pipeline: &str, want: &Checkpoint) {
    match store.load(pipeline) {
        Ok(found) => assert_eq!(&found, want, "{case}: pipeline {pipeline:?}"),
        Err(fault) => panic!("{case}: loading pipeline {pipeline:?}: {}", fault.chain()),
    }
}

fn starts_empty(store: &impl CheckpointStore) {
    expect("never saved", store, "never-saved", &Checkpoint::default());
}

fn round_trips<S: CheckpointStore>(make: &impl Fn() -> S) {
    let binary: Vec<u8> = (0..=255).collect();
    let large = vec![7_u8; 300_000];
    let cases: [(&str, &[Mark<'_>]); 6] = [
        ("nothing settled", &[]),
        ("one partition", &[("p", 1, 2, None)]),
        ("extreme positions", &[("a", 0, 0, None), ("b", u64::MAX, u64::MAX, None)]),
        ("no state and empty state", &[("none", 1, 0, None), ("empty", 1, 0, Some(&[]))]),
        ("any bytes", &[("binary", 5, 0, Some(&binary)), ("large", 6, 0, Some(&large))]),
        ("odd names", &[("", 1, 0, None), ("a/b\0c \u{1F980}", 2, 0, None)]),
    ];
    for (case, marks) in cases {
        let store = make();
        let want = checkpoint(marks);
        save(&store, case, &want);
        expect(case, &store, case, &want);
        drop(store);
        expect(&format!("{case}, opened again"), &make(), case, &want);
    }
}

fn keeps_pipelines_apart<S: CheckpointStore>(make: &impl Fn() -> S) {
    let names = ["orders", "orders2", "Orders", "", "a/b", "\u{1F980}"];
    let of = |n: usize| checkpoint(&[("p", n as u64 + 1, 0, None)]);
    let store = make();
    for (n, name) in names.iter().enumerate() {
        save(&store, name, &of(n));
    }
    drop(store);
    let store = make();
    for (n, name) in names.iter().enumerate() {
        expect("pipelines apart", &store, name, &of(n));
    }
}

fn replaces_and_never_merges<S: CheckpointStore>(make: &impl Fn() -> S) {
    let store = make();
    save(&store, "replaced", &checkpoint(&[("old", 9, 0, Some(b"s")), ("kept", 1, 0, Some(b"s"))]));
    let want = checkpoint(&[("kept", 2, 0, None), ("new", 1, 0, None)]);
    save(&store, "replaced", &want);
    expect("a later save replaces the whole", &store, "replaced", &want);
    drop(store);
    expect("a later save replaces the whole, opened again", &make(), "replaced", &want);
}

fn takes_concurrent_saves<S: CheckpointStore>(make: &impl Fn() -> S) {
    const THREADS: u64 = 4;
    const SAVES: u64 = 10;
    let store = make();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for n in 1..=SAVES {
                    let own = checkpoint(&[("p", n, thread, None)]);
                    save(store, &format!("thread-{thread}"), &own);
                    let shared = checkpoint(&[("x", n, thread, None), ("y", n, thread, None)]);
                    save(store, "shared", &shared);
                }
            });
        }
    });
    drop(store);
    let store = make();
    for thread in 0..THREADS {
        let want = checkpoint(&[("p", SAVES, thread, None)]);
        expect("saved from its own thread", &store, &format!("thread-{thread}"), &want);
    }
    let shared = match store.load("shared") {
        Ok(shared) => shared,
        Err(fault) => panic!("loading what four threads saved: {}", fault.chain()),
    };
    let at = |name: &str| shared.get(&Partition(name.into())).map(|(at, _)| at);
    assert_eq!(at("x"), at("y"), "one save is there whole, not pieces of two");
    assert_eq!(at("x").map(|p| p.major), Some(SAVES), "the last save of some thread is there");
}
