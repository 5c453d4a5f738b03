//! Changes of tables that are held back, kept in files: one file a table, appended to.
//!
//! The checkpoint says how many bytes of each file belong to it. They are on disk before a
//! delivery with that checkpoint is handed over ([`Keeper::seal`]), so nothing that the server is
//! told to forget is missing here. What is behind them was written after the checkpoint: it is cut
//! off at the next start, and comes again. A file goes once a checkpoint without it is stored.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmgate_model::{Fault, FaultKind, Position};

use super::Held;
use super::options::{HeldEvents, Quarantine};
use super::record::{self, Description, HEADER, Record, Stamp};

/// Names of the files.
const SUFFIX: &str = "kept";
/// Held as long as files are open: one reading task at a time writes them.
const LOCK: &str = "lock";
/// Bytes that wait to be written.
const PENDING: usize = 256 << 10;
/// Room for reading a file.
const READ: usize = 128 << 10;
/// How long the reading task before this one may take to let go.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// What the checkpoint says of a table's file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub file: String,
    /// Bytes of it.
    pub bytes: u64,
    /// Changes that are not delivered.
    pub events: u64,
    /// Bytes before the first of them.
    #[serde(default)]
    pub delivered: u64,
    /// Where the description stands that it was written under.
    #[serde(default)]
    pub described: u64,
}

/// Files that may go once a checkpoint is stored that is at or behind their position and does not
/// name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Released(Arc<Mutex<Vec<(Position, PathBuf)>>>);

impl Released {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn push(&self, at: Position, path: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, path));
    }

    fn names(&self, file: &str) -> bool {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().any(|(_, path)| path.ends_with(file))
    }

    /// A checkpoint at this position, which holds these tables back, is stored.
    pub(crate) fn stored(&self, at: Position, held: &[Held]) {
        let named = |path: &Path| {
            held.iter().filter_map(|h| h.kept.as_ref()).any(|k| path.ends_with(&k.file))
        };
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, path) in list.extract_if(.., |(from, path)| *from <= at && !named(path)) {
            if let Err(error) = fs::remove_file(&path) {
                let path = path.display();
                tracing::warn!(%path, %error, "a file stays; the next start removes it");
            }
        }
    }
}

/// A file that is appended to.
struct Writer {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    /// Something in it is not on disk.
    dirty: bool,
    /// The last description in it, as this process wrote it.
    described: Option<Arc<Description>>,
}

/// The files of all tables.
pub(crate) struct Keeper {
    settings: Quarantine,
    released: Released,
    open: HashMap<String, Writer>,
    /// A file was made, and its directory does not have it for sure.
    made: bool,
    /// Held as long as this is.
    _lock: Option<File>,
}

fn broken(what: &str, path: &Path, cause: io::Error) -> Fault {
    let what = format!("cannot {what} {}: is the disk full?", path.display());
    Fault::new(FaultKind::Disk, what).because(cause)
}

fn unwritable(path: &Path, why: impl std::fmt::Display) -> Fault {
    let what = format!("cannot put a change into {}: {why}", path.display());
    Fault::new(FaultKind::Internal, what)
}

impl Keeper {
    /// Opens the files that a checkpoint names, cut to what it says of them, and removes all
    /// others.
    pub(crate) async fn open(
        settings: &Quarantine,
        released: Released,
        held: &mut [Held],
    ) -> Result<Self, Fault> {
        let (settings, open) = (settings.clone(), HashMap::new());
        let mut keeper = Self { settings, released, open, made: false, _lock: None };
        let keeps = keeper.settings.events == HeldEvents::Keep;
        let used = keeps || held.iter().any(|held| held.kept.is_some());
        let Some(dir) = keeper.settings.dir.clone() else {
            let what = "changes of quarantined tables are to be kept, and there is no directory";
            return if used { Err(Fault::new(FaultKind::Config, what)) } else { Ok(keeper) };
        };
        if !used && !dir.exists() {
            return Ok(keeper);
        }
        fs::create_dir_all(&dir).map_err(|e| broken("create", &dir, e))?;
        keeper._lock = Some(lock(&dir).await?);
        for held in held {
            let Some(kept) = &held.kept else { continue };
            match keeper.reopen(&dir, kept) {
                Ok(writer) => drop(keeper.open.insert(kept.file.clone(), writer)),
                Err(fault) if keeps => return Err(lost(held, &fault)),
                Err(fault) => {
                    let (table, error) = (held.table().to_string(), fault.chain());
                    tracing::error!(
                        table,
                        error,
                        "kept changes are lost; rows come anew with the table"
                    );
                    held.kept = None;
                }
            }
        }
        keeper.clear(&dir)?;
        Ok(keeper)
    }

    /// Opens a file as the checkpoint has it.
    fn reopen(&self, dir: &Path, kept: &Kept) -> Result<Writer, Fault> {
        let path = dir.join(&kept.file);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(kept.bytes == 0).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| broken("open", &path, e))?;
        let found = file.metadata().map_err(|e| broken("read", &path, e))?.len();
        if found < kept.bytes {
            let (path, bytes) = (path.display(), kept.bytes);
            let what = format!("{path} has {found} bytes, and the checkpoint is of {bytes}");
            return Err(Fault::new(FaultKind::Disk, what));
        }
        file.set_len(kept.bytes)
            .and_then(|()| file.seek(SeekFrom::Start(kept.bytes)).map(drop))
            .map_err(|e| broken("shorten", &path, e))?;
        Ok(Writer { path, file, pending: Vec::new(), dirty: false, described: None })
    }

    /// Removes files that no table needs.
    fn clear(&self, dir: &Path) -> Result<(), Fault> {
        for entry in fs::read_dir(dir).map_err(|e| broken("read", dir, e))? {
            let path = entry.map_err(|e| broken("read", dir, e))?.path();
            let ours = path.extension().is_some_and(|found| found == SUFFIX);
            if ours && !self.open.values().any(|writer| writer.path == path) {
                fs::remove_file(&path).map_err(|e| broken("remove", &path, e))?;
            }
        }
        Ok(())
    }

    /// Rows in a row that cannot be decoded and hold their table back; 0: none do.
    pub(crate) fn undecodable_rows(&self) -> u32 {
        self.settings.undecodable_rows
    }

    /// Whether changes are kept, or were.
    pub(crate) fn is_used(&self) -> bool {
        self.settings.events == HeldEvents::Keep || !self.open.is_empty()
    }

    /// A file for a table that is held back from now on; `None`: its changes are not kept.
    pub(crate) fn begin(&mut self) -> Result<Option<Kept>, Fault> {
        let Some(dir) = &self.settings.dir else { return Ok(None) };
        if self.settings.events != HeldEvents::Keep {
            return Ok(None);
        }
        let names = (1..).map(|n: u64| format!("{n}.{SUFFIX}"));
        let free = |name: &String| !self.open.contains_key(name) && !self.released.names(name);
        let Some(name) = names.into_iter().find(free) else { return Ok(None) };
        let path = dir.join(&name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|e| broken("create", &path, e))?;
        let writer = Writer { path, file, pending: Vec::new(), dirty: true, described: None };
        self.open.insert(name.clone(), writer);
        self.made = true;
        Ok(Some(Kept { file: name, ..Kept::default() }))
    }

    /// Appends a change. `others`: bytes of all other tables; `bound`: whether there is one.
    pub(crate) fn append(
        &mut self,
        kept: &mut Kept,
        (others, bound): (u64, bool),
        description: &Arc<Description>,
        (stamp, change): (&Stamp, &[u8]),
    ) -> Result<(), Fault> {
        let Some(writer) = self.open.get_mut(&kept.file) else { return Err(unknown(kept)) };
        let before = writer.pending.len();
        let known = writer.described.as_ref().is_some_and(|known| known == description);
        if !known {
            record::write_description(description, &mut writer.pending)
                .map_err(|why| unwritable(&writer.path, why))?;
        }
        record::write_change(stamp, change, &mut writer.pending)
            .map_err(|why| unwritable(&writer.path, why))?;
        let bytes = (writer.pending.len() - before) as u64;
        if bound && others + kept.bytes + bytes > self.settings.keep_max {
            writer.pending.truncate(before);
            return Err(self.full());
        }
        writer.described = Some(Arc::clone(description));
        writer.dirty = true;
        kept.bytes += bytes;
        kept.events += 1;
        if writer.pending.len() >= PENDING { writer.write() } else { Ok(()) }
    }

    fn full(&self) -> Fault {
        let max = self.settings.keep_max;
        let what = format!(
            "the changes kept of quarantined tables fill `quarantine.keep_max` ({max} bytes): raise \
             it, resume the pipeline, then resume the table (signal `resume-table`)"
        );
        Fault::new(FaultKind::Disk, what).coded("quarantine-full")
    }

    /// Puts everything that was appended on disk.
    pub(crate) async fn seal(&mut self) -> Result<(), Fault> {
        let mut files = Vec::new();
        for writer in self.open.values_mut().filter(|writer| writer.dirty) {
            writer.write()?;
            let file = writer.file.try_clone().map_err(|e| broken("write", &writer.path, e))?;
            files.push((writer.path.clone(), file));
        }
        if let Some(dir) = self.settings.dir.as_ref().filter(|_| self.made) {
            let file = File::open(dir).map_err(|e| broken("open", dir, e))?;
            files.push((dir.clone(), file));
        }
        if files.is_empty() {
            return Ok(());
        }
        let synced = tokio::task::spawn_blocking(move || {
            files
                .iter()
                .try_for_each(|(path, file)| file.sync_all().map_err(|e| broken("write", path, e)))
        });
        synced.await.map_err(|e| {
            Fault::new(FaultKind::Internal, "writing kept changes was cut short").because(e)
        })??;
        self.made = false;
        self.open.values_mut().for_each(|writer| writer.dirty = false);
        Ok(())
    }

    /// Reads the changes that are not delivered.
    pub(crate) fn records(&mut self, kept: &Kept) -> Result<Records, Fault> {
        let Some(writer) = self.open.get_mut(&kept.file) else { return Err(unknown(kept)) };
        writer.write()?;
        let path = writer.path.clone();
        let file = File::open(&path).map_err(|e| broken("open", &path, e))?;
        let reader = BufReader::with_capacity(READ, file);
        let (at, end) = (kept.described.min(kept.delivered), kept.bytes);
        let mut records =
            Records { path, reader, at, end, skip: kept.delivered, described: kept.described };
        records.seek(at)?;
        Ok(records)
    }

    /// A table goes on: its file goes once a checkpoint behind `at` is stored.
    pub(crate) fn release(&mut self, kept: &Kept, at: Position) {
        if let Some(writer) = self.open.remove(&kept.file) {
            self.released.push(at, writer.path);
        }
    }
}

impl Writer {
    fn write(&mut self) -> Result<(), Fault> {
        self.file.write_all(&self.pending).map_err(|e| broken("write", &self.path, e))?;
        self.pending.clear();
        Ok(())
    }
}

/// A lock that goes with the file.
async fn lock(dir: &Path) -> Result<File, Fault> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(|e| broken("create", &path, e))?;
    let since = tokio::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_WAIT => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                let what = format!("{} is held by another reader of this pipeline", path.display());
                return Err(Fault::new(FaultKind::Disk, what));
            }
            Err(TryLockError::Error(cause)) => return Err(broken("lock", &path, cause)),
        }
    }
}

fn unknown(kept: &Kept) -> Fault {
    let what = format!("the file {} of kept changes is not open", kept.file);
    Fault::new(FaultKind::Internal, what)
}

fn lost(held: &Held, cause: &Fault) -> Fault {
    let what = format!(
        "the changes kept of table {} are not there ({}): put the file back and resume the \
         pipeline, or give them up with `quarantine.events: dead_letter`",
        held.table(),
        cause.chain()
    );
    Fault::new(FaultKind::Disk, what).coded("kept-changes-lost")
}

/// Kept changes in their order.
pub(crate) struct Records {
    path: PathBuf,
    reader: BufReader<File>,
    at: u64,
    end: u64,
    /// Changes before it are delivered.
    skip: u64,
    described: u64,
}

impl Records {
    fn seek(&mut self, at: u64) -> Result<(), Fault> {
        let sought = self.reader.seek(SeekFrom::Start(at));
        sought.map(drop).map_err(|e| broken("read", &self.path, e))
    }

    /// The next description or change.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Fault> {
        while self.at < self.end {
            let start = self.at;
            let record = self.read()?;
            match &record {
                Record::Description(_) => self.described = start,
                // Between the description in force and the first that is not delivered.
                Record::Change(..) if start < self.skip => {
                    self.seek(self.skip)?;
                    self.at = self.skip;
                    continue;
                }
                Record::Change(..) => {}
            }
            return Ok(Some(record));
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<Record, Fault> {
        let mut header = [0; HEADER];
        self.reader.read_exact(&mut header).map_err(|e| broken("read", &self.path, e))?;
        let (length, sum) = record::header(&header).map_err(|why| self.damaged(why))?;
        let mut body = Vec::new();
        let mut wanted = self.reader.by_ref().take(length as u64);
        wanted.read_to_end(&mut body).map_err(|e| broken("read", &self.path, e))?;
        if body.len() < length {
            return Err(self.damaged("a record cut short"));
        }
        self.at += (HEADER + length) as u64;
        record::read(&body, sum).map_err(|why| self.damaged(why))
    }

    fn damaged(&self, why: &str) -> Fault {
        let (path, at) = (self.path.display(), self.at);
        let what = format!("{path} is damaged at byte {at}: found {why}");
        Fault::new(FaultKind::Disk, what).coded("kept-changes-lost")
    }

    /// Where reading goes on, and where the description in force stands.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.at, self.described)
    }
}

#[cfg(test)]
mod tests;
