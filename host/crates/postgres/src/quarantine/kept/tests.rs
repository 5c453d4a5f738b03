//! What is kept, over restarts, in pieces, and when it is gone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashMap;

use wasmgate_codec::pgvalue::{PgTypeKind, TypeInfo};

use super::*;
use crate::catalog::TableInfo;
use crate::rows::{Origin, TransactionBlock};

fn settings(dir: &Path) -> Quarantine {
    let dir = Some(dir.to_owned());
    Quarantine { events: HeldEvents::Keep, keep_max: 4096, dir, ..Quarantine::default() }
}

async fn open(settings: &Quarantine, held: &mut [Held]) -> Result<(Keeper, Released), Fault> {
    let released = Released::default();
    Ok((Keeper::open(settings, released.clone(), held).await?, released))
}

fn held(kept: Kept) -> Held {
    let name = crate::catalog::TableName { schema: "s".into(), table: "t".into() };
    Held { kept: Some(kept), ..Held::new(&name, "why".into(), Position::new(1, 1)) }
}

/// A description that differs by `n`.
fn description(n: u32) -> Arc<Description> {
    let inner = TypeInfo {
        name: "mood".into(),
        kind: PgTypeKind::Enum(["a", "b"].map(String::from).into()),
        sent: Some("enum_send".into()),
    };
    let array = PgTypeKind::Array { element: 7, inner: Some(Box::new(inner)) };
    let domain = PgTypeKind::Domain { base: n, typmod: -1 };
    let types = [(1, array), (2, domain), (3, PgTypeKind::Base), (4, PgTypeKind::Other)];
    let types = types.map(|(oid, kind)| (oid, TypeInfo { name: String::new(), kind, sent: None }));
    let info =
        TableInfo { types: HashMap::from(types), key: vec!["id".into()], ..TableInfo::default() };
    Arc::new(Description { described: Vec::new(), info })
}

fn stamp(lsn: u64) -> Stamp {
    let block = TransactionBlock { id: b"7:9", total_order: 1, data_collection_order: 2 };
    Stamp::of(&Origin {
        time_us: 5,
        snapshot: "false",
        sequence: b"[null,\"1\"]",
        transaction: 7,
        lsn,
        block: Some(block),
        replicated: Some(("origin", 3)),
    })
}

/// Everything that is left to read: descriptions by their domain's base, changes by their bytes.
fn rest(keeper: &mut Keeper, kept: &Kept) -> Vec<String> {
    let mut records = keeper.records(kept).unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next().unwrap() {
        all.push(match record {
            Record::Description(d) => format!("{:?}", d.info.types[&2].kind),
            Record::Change(stamp, bytes) => {
                format!("{} {}", stamp.origin().lsn, bytes.escape_ascii())
            }
        });
    }
    all
}

#[tokio::test]
async fn what_was_sealed_is_there_again_and_what_came_after_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (mut keeper, _) = open(&settings, &mut []).await.unwrap();
    let mut kept = keeper.begin().unwrap().unwrap();
    let (one, two) = (description(1), description(2));
    for (lsn, description) in [(1, &one), (2, &one), (3, &two)] {
        keeper.append(&mut kept, (0, true), description, (&stamp(lsn), b"x\0y")).unwrap();
    }
    keeper.seal().await.unwrap();
    let mut stored = [held(kept.clone())];
    keeper.append(&mut kept, (0, true), &two, (&stamp(4), b"z")).unwrap();
    keeper.seal().await.unwrap();
    let first = "Domain { base: 1, typmod: -1 }";
    let second = "Domain { base: 2, typmod: -1 }";
    let change = |lsn: u64, bytes: &str| format!("{lsn} {bytes}");
    let all = [
        first.to_owned(),
        change(1, "x\\x00y"),
        change(2, "x\\x00y"),
        second.to_owned(),
        change(3, "x\\x00y"),
        change(4, "z"),
    ];
    assert_eq!(rest(&mut keeper, &kept), all);
    drop(keeper);

    let (mut keeper, _) = open(&settings, &mut stored).await.unwrap();
    let mut kept = stored[0].kept.clone().unwrap();
    assert_eq!(rest(&mut keeper, &kept), all[..5]);
    // Reading goes on at any change, under the description that it was written under.
    let mut records = keeper.records(&kept).unwrap();
    records.next().unwrap();
    records.next().unwrap();
    (kept.delivered, kept.described) = records.place();
    assert_eq!(rest(&mut keeper, &kept), [&all[..1], &all[2..5]].concat());
    records.next().unwrap();
    records.next().unwrap();
    (kept.delivered, kept.described) = records.place();
    assert_eq!(rest(&mut keeper, &kept), all[3..5]);
}

#[tokio::test]
async fn what_is_full_refuses_and_what_is_gone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (mut keeper, released) = open(&settings, &mut []).await.unwrap();
    let mut kept = keeper.begin().unwrap().unwrap();
    let d = description(1);
    keeper.append(&mut kept, (0, true), &d, (&stamp(1), b"x")).unwrap();
    let before = kept.clone();
    let full = keeper.append(&mut kept, (0, true), &d, (&stamp(2), &[b'x'; 5000])).unwrap_err();
    assert_eq!((full.code(), &kept), ("quarantine-full", &before));
    let others = keeper.append(&mut kept, (4000, true), &d, (&stamp(2), b"x")).unwrap_err();
    assert_eq!(others.code(), "quarantine-full");
    keeper.append(&mut kept, (4000, false), &d, (&stamp(2), b"x")).unwrap();
    keeper.seal().await.unwrap();
    drop(keeper);
    let path = dir.path().join(&kept.file);

    // A file goes once a checkpoint behind it does not name it.
    let mut stored = [held(kept.clone())];
    let (mut keeper, _) = open(&settings, &mut stored).await.unwrap();
    keeper.release(&kept, Position::new(9, 0));
    assert_ne!(keeper.begin().unwrap().unwrap().file, kept.file, "the name is still taken");
    drop(keeper);
    released.push(Position::new(9, 0), path.clone());
    released.stored(Position::new(8, 0), &[]);
    released.stored(Position::new(9, 0), &stored);
    assert!(path.exists() && !released.is_empty());
    released.stored(Position::new(9, 0), &[]);
    assert!(!path.exists() && released.is_empty());

    let lost = open(&settings, &mut stored).await.err().unwrap();
    assert_eq!(lost.code(), "kept-changes-lost", "{}", lost.chain());
    let given_up = Quarantine { events: HeldEvents::DeadLetter, ..settings };
    open(&given_up, &mut stored).await.unwrap();
    assert_eq!(stored[0].kept, None);
}

#[tokio::test]
async fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (mut keeper, _) = open(&settings, &mut []).await.unwrap();
    let mut kept = keeper.begin().unwrap().unwrap();
    keeper.append(&mut kept, (0, true), &description(1), (&stamp(1), b"xyz")).unwrap();
    keeper.seal().await.unwrap();
    let path = dir.path().join(&kept.file);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut records = keeper.records(&kept).unwrap();
    records.next().unwrap();
    let fault = records.next().unwrap_err();
    assert!(fault.chain().contains("another checksum"), "{}", fault.chain());
}
