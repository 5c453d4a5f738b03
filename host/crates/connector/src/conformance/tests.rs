//! The kits pass the fakes, and notice when a fake is broken.

use wasmgate_model::{Checkpoint, Fault};

use super::*;
use crate::fakes::{FakeSink, FakeSource, MemoryStore, Step, delivery, number_schema, numbers};
use crate::store::CheckpointStore;

#[test]
fn the_memory_store_passes() {
    let memory = MemoryStore::new();
    store(|| memory.clone());
}

/// Keeps the partitions that a later save leaves out.
struct Merging(MemoryStore);

impl CheckpointStore for Merging {
    fn load(&self, pipeline: &str) -> Result<Checkpoint, Fault> {
        self.0.load(pipeline)
    }

    fn save(&self, pipeline: &str, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let mut merged = self.0.load(pipeline)?;
        for (partition, at, state) in checkpoint.iter() {
            merged.assign(partition.clone(), at, state.cloned());
        }
        self.0.save(pipeline, &merged)
    }
}

#[test]
#[should_panic(expected = "a later save replaces the whole")]
fn a_store_that_merges_is_caught() {
    let memory = MemoryStore::new();
    store(|| Merging(memory.clone()));
}

fn read_fake(sink: &FakeSink, topic: &str) -> Vec<Record> {
    let tombstone = |row: &crate::fakes::SinkRow| row.op == wasmgate_model::Op::Tombstone;
    sink.look(|log| {
        log.durable
            .iter()
            .filter(|row| row.topic == topic)
            .map(|row| (row.key.clone(), row.document.clone().filter(|_| !tombstone(row))))
            .collect()
    })
}

#[tokio::test]
async fn the_fake_sink_passes() {
    let fake = FakeSink::new().refusing(|row| row.topic == "forbidden");
    let unacceptable = Some(("forbidden".to_owned(), b"{}".to_vec()));
    let kit = SinkKit { connector: &fake, topic_prefix: "kit", unacceptable };
    sink(&kit, async |topic: &str| read_fake(&fake, topic)).await;
}

#[tokio::test]
#[should_panic(expected = "shapes")]
async fn a_sink_that_loses_a_row_is_caught() {
    let fake = FakeSink::new();
    let kit = SinkKit { connector: &fake, topic_prefix: "kit", unacceptable: None };
    sink(&kit, async |topic: &str| read_fake(&fake, topic).split_off(1)).await;
}

fn scripted(step: u64) -> FakeSource {
    let schema = number_schema(1, "t");
    let pieces = (0..300).step_by(10).map(|from| {
        let batch = numbers(&schema, from..from + step);
        Step::Deliver(delivery("p", from, vec![batch]))
    });
    FakeSource::new(pieces.chain([Step::Completed]).collect())
}

#[tokio::test]
async fn the_fake_source_passes() {
    let fake = scripted(10);
    let kit = SourceKit { source: &fake, live: false, field: "id" };
    source(&kit, async |_| ()).await;
}

#[tokio::test]
#[should_panic(expected = "a delivery starts where the last ended")]
async fn a_source_with_a_gap_is_caught() {
    let fake = scripted(9);
    let kit = SourceKit { source: &fake, live: false, field: "id" };
    source(&kit, async |_| ()).await;
}
