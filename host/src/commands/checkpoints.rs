//! `wasmgate checkpoints list` and `remove`. Both hold the data directory's lock: a running
//! gateway has the checkpoints in memory, and would write back what was removed.

use std::path::Path;

use wasmgate_connector::CheckpointStore as _;
use wasmgate_store::{DataDir, RedbStore};

use crate::config::{self, reference::Process};
use crate::exit::{Failure, print};

/// Shows every pipeline's checkpoint: partitions and positions.
///
/// # Errors
/// The configuration is wrong, the data directory is held, or the file cannot be read.
pub(crate) fn list(file: &Path) -> Result<(), Failure> {
    let (_dir, store) = open(file)?;
    let names = store.pipelines()?;
    if names.is_empty() {
        return print("no checkpoints");
    }
    names.iter().try_for_each(|name| print(&describe(name, &store)))
}

/// Removes one pipeline's checkpoint and shows what it was.
///
/// # Errors
/// As for [`list`]; also when the pipeline has no checkpoint, and when it cannot be removed.
pub(crate) fn remove(file: &Path, pipeline: &str) -> Result<(), Failure> {
    let (_dir, store) = open(file)?;
    let description = describe(pipeline, &store);
    if store.remove(pipeline)? {
        return print(&format!("removed the checkpoint of {description}"));
    }
    let known = match store.pipelines()?.join(", ") {
        names if names.is_empty() => "no pipeline has one".to_owned(),
        names => format!("there are checkpoints of: {names}"),
    };
    Err(Failure::Runtime(format!("pipeline {pipeline} has no checkpoint; {known}")))
}

/// The store, and the lock that has to be held while it is used.
fn open(file: &Path) -> Result<(DataDir, RedbStore), Failure> {
    let config = config::load_settings(file, &Process).map_err(Failure::Config)?;
    let dir = DataDir::lock(&config.data_dir)?;
    let store = RedbStore::open(&dir)?;
    Ok((dir, store))
}

/// Name, partitions and positions. One that cannot be decoded says so: it can still be removed.
fn describe(pipeline: &str, store: &RedbStore) -> String {
    let mut lines = vec![pipeline.to_owned()];
    match store.load(pipeline) {
        Ok(checkpoint) => {
            lines.extend(checkpoint.iter().map(|(partition, at, _)| format!("  {partition} {at}")));
        }
        Err(fault) => lines.push(format!("  {}", fault.chain())),
    }
    lines.join("\n")
}
