//! Checkpoints in one redb file. Every save is a transaction that is fsynced before it returns,
//! so after a kill the old checkpoint or the new one is there, whole.
//!
//! A damaged file is an error that says what to do. It is never taken for an empty one: starting
//! from nothing would read everything again, or lose what the source has thrown away meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};
use wasmgate_connector::CheckpointStore;
use wasmgate_model::{Checkpoint, Fault, FaultKind};

use crate::data_dir::{DataDir, unusable};
use crate::encoding::{decode, encode};

/// Pipeline to checkpoint, see [`crate::encoding`].
const CHECKPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoints");

/// Checkpoints on disk.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    database: Database,
}

impl RedbStore {
    /// Opens `checkpoints.redb` in the data directory, or creates it; verifies all of it.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read or written.
    pub fn open(dir: &DataDir) -> Result<Self, Fault> {
        let path = dir.path().join("checkpoints.redb");
        if !path.try_exists().map_err(|cause| unusable("be read", dir.path(), cause))? {
            create(dir.path(), &path)?;
        }
        let database = verified(&path).map_err(|cause| opening(dir.path(), &path, cause))?;
        Ok(Self { path, database })
    }

    /// The pipelines that have a checkpoint, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pipelines(&self) -> Result<Vec<String>, Fault> {
        self.names().map_err(|cause| failed("be read", &self.path, cause))
    }

    /// Removes a pipeline's checkpoint, also one that cannot be decoded; it is gone from the disk
    /// when this returns. `Ok(false)`: there was none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remove(&self, pipeline: &str) -> Result<bool, Fault> {
        self.delete(pipeline).map_err(|cause| failed("be removed", &self.path, cause))
    }

    fn names(&self) -> Result<Vec<String>, redb::Error> {
        let table = self.database.begin_read()?.open_table(CHECKPOINTS)?;
        let mut names = Vec::new();
        for entry in table.iter()? {
            names.push(entry?.0.value().to_owned());
        }
        Ok(names)
    }

    fn delete(&self, pipeline: &str) -> Result<bool, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let found = transaction.open_table(CHECKPOINTS)?.remove(pipeline)?.is_some();
        transaction.commit()?;
        Ok(found)
    }

    /// One transaction. redb refuses everything after a failed write or fsync: what is on disk
    /// then is only known after opening again.
    fn replace(&self, pipeline: &str, value: &[u8]) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.open_table(CHECKPOINTS)?.insert(pipeline, value)?;
        transaction.commit()?;
        Ok(())
    }

    fn find(&self, pipeline: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        let table = self.database.begin_read()?.open_table(CHECKPOINTS)?;
        Ok(table.get(pipeline)?.map(|value| value.value().to_vec()))
    }
}

impl CheckpointStore for RedbStore {
    fn load(&self, pipeline: &str) -> Result<Checkpoint, Fault> {
        let found = self.find(pipeline).map_err(|cause| failed("be read", &self.path, cause))?;
        let Some(bytes) = found else {
            return Ok(Checkpoint::default());
        };
        decode(pipeline, &bytes).map_err(|cause| {
            let path = self.path.display();
            let message = format!("the checkpoint of pipeline {pipeline} in {path} is unreadable");
            Fault::new(FaultKind::Disk, message).because(cause)
        })
    }

    fn save(&self, pipeline: &str, checkpoint: &Checkpoint) -> Result<(), Fault> {
        self.replace(pipeline, &encode(pipeline, checkpoint))
            .map_err(|cause| failed("be saved", &self.path, cause))
    }
}

/// Makes an empty database under another name first: a file under the right name is always whole.
fn create(dir: &Path, path: &Path) -> Result<(), Fault> {
    let fresh = path.with_extension("redb.new");
    let made = || -> Result<(), redb::Error> {
        match std::fs::remove_file(&fresh) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause.into()),
            _ => {}
        }
        let database = Database::create(&fresh)?;
        let transaction = database.begin_write()?;
        transaction.open_table(CHECKPOINTS)?;
        transaction.commit()?;
        drop(database);
        File::open(&fresh)?.sync_all()?;
        std::fs::rename(&fresh, path)?;
        Ok(File::open(dir)?.sync_all()?)
    };
    made().map_err(|cause| match cause {
        redb::Error::Io(cause) => unusable("be written", dir, cause),
        cause => failed("be created", path, cause),
    })
}

/// Opens the file and reads all of it against its checksums. redb panics over some damage (seen
/// with single flipped bits), and a damaged file must not take the process down without a word.
fn verified(path: &Path) -> Result<Database, DatabaseError> {
    let open = || {
        let mut database = Database::open(path)?;
        database.check_integrity()?;
        Ok(database)
    };
    std::panic::catch_unwind(open).unwrap_or_else(|_| {
        let what = "reading it made the database library panic".to_owned();
        Err(DatabaseError::Storage(StorageError::Corrupted(what)))
    })
}

fn opening(dir: &Path, path: &Path, cause: DatabaseError) -> Fault {
    match cause {
        DatabaseError::Storage(StorageError::Io(cause))
            if cause.kind() != std::io::ErrorKind::InvalidData
                && cause.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            unusable("be read", dir, cause)
        }
        cause => {
            let message = format!(
                "{} is damaged; restore it from a backup, or move it away to start every pipeline \
                 without a checkpoint (sources then begin as on their first start)",
                path.display()
            );
            Fault::new(FaultKind::Disk, message).because(cause)
        }
    }
}

fn failed(what: &str, path: &Path, cause: redb::Error) -> Fault {
    let message = format!(
        "checkpoints in {} cannot {what}; look at the disk (space, errors in the system's log) and \
         start again",
        path.display()
    );
    Fault::new(FaultKind::Disk, message).because(cause)
}

#[cfg(test)]
mod tests;
