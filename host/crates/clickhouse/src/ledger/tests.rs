#![allow(clippy::unwrap_used, reason = "tests")]

use wasmgate_connector::fakes::MemoryStore;

use super::*;

fn at(n: u64) -> Position {
    Position::new(n, n)
}

fn entry(from: u64, to: u64, taken: bool) -> Entry {
    Entry { from: at(from), to: at(to), rows: 3, version: [7; 16], taken, refused: vec![at(5)] }
}

fn place(store: &MemoryStore) -> LedgerPlace {
    LedgerPlace { store: Arc::new(store.clone()), pipeline: "orders".into(), number: 0 }
}

/// The checkpoint of the pipeline's only partition.
fn settle(store: &MemoryStore, to: Option<u64>) {
    let mut checkpoint = Checkpoint::default();
    if let Some(to) = to {
        checkpoint.assign(Partition("p".into()), at(to), None);
    }
    store.save("orders", &checkpoint).unwrap();
}

async fn noted(store: &MemoryStore) -> Vec<Entry> {
    let ledger = Ledger::open(Some(place(store))).await.unwrap();
    ledger.of(&"p".into(), &"t".into())
}

#[tokio::test]
async fn notes_survive_and_are_forgotten_with_the_checkpoint() {
    let store = MemoryStore::new();
    let (partition, table) = (Arc::from("p"), Arc::from("t"));
    let ledger = Ledger::open(Some(place(&store))).await.unwrap();
    ledger.note(&partition, &table, entry(0, 10, false)).await.unwrap();
    assert_eq!(noted(&store).await, [entry(0, 10, false)]);
    ledger.note(&partition, &table, entry(0, 10, true)).await.unwrap();
    ledger.note(&partition, &table, entry(10, 20, false)).await.unwrap();
    assert_eq!(noted(&store).await, [entry(0, 10, true), entry(10, 20, false)]);
    settle(&store, Some(10));
    assert_eq!(noted(&store).await, [entry(10, 20, false)]);
    ledger.note(&partition, &table, entry(10, 20, true)).await.unwrap();
    settle(&store, Some(15));
    assert_eq!(noted(&store).await, [entry(10, 20, true)], "a checkpoint inside the range");
}

#[tokio::test]
async fn a_checkpoint_that_went_back_voids_the_notes() {
    for back in [None, Some(4)] {
        let store = MemoryStore::new();
        settle(&store, Some(5));
        let ledger = Ledger::open(Some(place(&store))).await.unwrap();
        ledger.note(&"p".into(), &"t".into(), entry(5, 10, true)).await.unwrap();
        assert_eq!(noted(&store).await.len(), 1);
        settle(&store, back);
        assert_eq!(noted(&store).await, [], "back to {back:?}");
    }
}

#[test]
fn notes_are_bytes_and_back() {
    let entries = [entry(0, u64::MAX, true), Entry { refused: vec![], ..entry(1, 2, false) }];
    let bytes = notes::encode(&entries);
    assert_eq!(notes::decode(&bytes).as_deref(), Some(&entries[..]));
    for end in 1..bytes.len() {
        let cut = notes::decode(bytes.get(..end).unwrap());
        assert_ne!(cut.as_deref(), Some(&entries[..]), "cut at {end}");
    }
    assert_eq!(notes::decode(&[]), None);
    assert_eq!(notes::decode(&[2]), None);
}
