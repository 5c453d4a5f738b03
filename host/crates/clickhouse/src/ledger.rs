//! Which ranges of a partition were sent to which table: written down before an insert is sent
//! and again when it was taken, so that after a crash the same rows make the same insert, and
//! what was taken is not sent again.
//!
//! | after a crash | a range not here | sent | taken |
//! |---|---|---|---|
//! | its rows | are new | make the same batch again, with the same token | are passed over |
//!
//! The notes lie in the checkpoint store, beside the pipeline's checkpoint, under a name of their
//! own. What the checkpoint has passed is forgotten; a checkpoint that went back (somebody reset
//! it) voids the partition's notes, because the rows are wanted again.

mod notes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmgate_connector::CheckpointStore;
use wasmgate_model::{Checkpoint, Fault, FaultKind, Partition, Position};

pub(crate) use notes::{Entry, REFUSED_MAX};

/// Where the notes of a sink are kept.
#[derive(Clone)]
pub struct LedgerPlace {
    pub store: Arc<dyn CheckpointStore>,
    pub pipeline: Arc<str>,
    /// Number of the sink in its pipeline.
    pub number: usize,
}

impl LedgerPlace {
    fn name(&self) -> String {
        format!("{}#clickhouse-{}", self.pipeline, self.number)
    }
}

/// Partition; table and topic.
type Key = (Arc<str>, Arc<str>);

/// Separates both in the store.
pub(crate) const BETWEEN: char = '\u{1f}';

/// Notes of one sink.
pub(crate) struct Ledger {
    place: Option<LedgerPlace>,
    state: Mutex<State>,
    /// Version of the notes on disk; held while they are saved.
    saved: tokio::sync::Mutex<u64>,
}

#[derive(Default)]
struct State {
    notes: BTreeMap<Key, Vec<Entry>>,
    /// Where each partition's checkpoint stood when the notes were saved last.
    bases: BTreeMap<Arc<str>, Position>,
    version: u64,
}

impl Ledger {
    /// Reads the notes.
    ///
    /// # Errors
    /// The store cannot be read, or the notes make no sense.
    pub(crate) async fn open(place: Option<LedgerPlace>) -> Result<Self, Fault> {
        let state = match place.clone() {
            None => State::default(),
            Some(place) => blocking(move || load(&place)).await?,
        };
        Ok(Self { place, state: Mutex::new(state), saved: tokio::sync::Mutex::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted before this start about a partition and table.
    pub(crate) fn of(&self, partition: &Arc<str>, table: &Arc<str>) -> Vec<Entry> {
        let key = (Arc::clone(partition), Arc::clone(table));
        self.state().notes.get(&key).cloned().unwrap_or_default()
    }

    /// Notes an entry, in place of one for the same range and version; returns when it is on disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) async fn note(
        &self,
        partition: &Arc<str>,
        table: &Arc<str>,
        entry: Entry,
    ) -> Result<(), Fault> {
        let version = {
            let mut state = self.state();
            let key = (Arc::clone(partition), Arc::clone(table));
            let entries = state.notes.entry(key).or_default();
            match entries.iter_mut().find(|e| e.is_range_of(&entry)) {
                Some(known) => *known = entry,
                None => entries.push(entry),
            }
            state.version += 1;
            state.version
        };
        self.save(version).await
    }

    /// Saves unless somebody else has saved this version meanwhile.
    async fn save(&self, version: u64) -> Result<(), Fault> {
        let Some(place) = self.place.clone() else { return Ok(()) };
        let mut saved = self.saved.lock().await;
        if *saved >= version {
            return Ok(());
        }
        let (pipeline, store) = (Arc::clone(&place.pipeline), Arc::clone(&place.store));
        let checkpoint = blocking(move || store.load(&pipeline)).await?;
        let (now, marks) = {
            let mut state = self.state();
            state.forget(&checkpoint);
            (state.version, state.marks())
        };
        blocking(move || place.store.save(&place.name(), &marks)).await?;
        *saved = now;
        Ok(())
    }
}

impl State {
    /// Lets go of what the checkpoint has passed.
    fn forget(&mut self, checkpoint: &Checkpoint) {
        for (partition, at, _) in checkpoint.iter() {
            self.bases.insert(Arc::clone(&partition.0), at);
        }
        let bases = &self.bases;
        for ((partition, _), entries) in &mut self.notes {
            let base = bases.get(partition).copied();
            entries.retain(|entry| base.is_none_or(|base| entry.to > base));
        }
        self.notes.retain(|_, entries| !entries.is_empty());
    }

    fn marks(&self) -> Checkpoint {
        let mut marks = Checkpoint::default();
        for ((partition, table), entries) in &self.notes {
            let name = format!("{partition}{BETWEEN}{table}");
            let last = entries.iter().map(|entry| entry.to).max().unwrap_or_default();
            marks.assign(Partition(name.into()), last, Some(notes::encode(entries).into()));
        }
        for (partition, base) in &self.bases {
            marks.assign(Partition(Arc::clone(partition)), *base, None);
        }
        marks
    }
}

fn load(place: &LedgerPlace) -> Result<State, Fault> {
    let checkpoint = place.store.load(&place.pipeline)?;
    let marks = place.store.load(&place.name())?;
    let mut state = State::default();
    for (partition, at, notes) in marks.iter() {
        let Some((source, table)) = partition.0.split_once(BETWEEN) else {
            state.bases.insert(Arc::clone(&partition.0), at);
            continue;
        };
        let entries = notes.and_then(|bytes| notes::decode(bytes)).ok_or_else(|| {
            let name = place.name();
            let message = format!("the notes of {name} are unreadable; remove them: {name}");
            Fault::new(FaultKind::Disk, message)
        })?;
        state.notes.insert((source.into(), table.into()), entries);
    }
    let went_back = |partition: &Arc<str>| {
        let now = checkpoint.get(&Partition(Arc::clone(partition))).map(|(at, _)| at);
        state.bases.get(partition).is_some_and(|base| now.is_none_or(|now| now < *base))
    };
    let void: Vec<Arc<str>> =
        state.notes.keys().map(|(p, _)| Arc::clone(p)).filter(went_back).collect();
    for partition in void {
        tracing::info!(%partition, "the checkpoint went back; what was noted of inserts is void");
        state.notes.retain(|(p, _), _| *p != partition);
        state.bases.remove(&partition);
    }
    state.forget(&checkpoint);
    Ok(state)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Fault::new(FaultKind::Internal, "the store's thread ended").because(error))
    })
}

#[cfg(test)]
mod tests;
