//! The directory on disk: which files changed and have settled, and writing so that a reader or a
//! crash never meets half a module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wasmgate_model::{Fault, FaultKind};

use crate::compile::next_number;
use crate::limits::MODULE_BYTES_MAX;

const SUFFIX: &str = ".wasm";
const REJECTED: &str = ".wasm.rejected.txt";
/// A file that was not written to for this long has settled.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// What tells one state of a file from another without reading it: inode, size, time of writing.
type Stamp = (u64, u64, SystemTime);

struct Seen {
    stamp: Stamp,
    /// The content was handed out.
    read: bool,
}

/// A file whose content may be new.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The directory and what was last seen there.
pub(super) struct Folder {
    dir: PathBuf,
    seen: BTreeMap<String, Seen>,
}

impl Folder {
    pub(super) fn open(dir: PathBuf) -> Result<Self, Fault> {
        fs::create_dir_all(&dir).map_err(|e| fault("cannot create", &dir, e))?;
        Ok(Self { dir, seen: BTreeMap::new() })
    }

    /// Names that have a file.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.seen.keys().cloned().collect()
    }

    /// Files that changed since they were last read, and have settled. `unsettled`: do not wait.
    pub(super) fn changed(&mut self, unsettled: bool) -> Result<Vec<Found>, Fault> {
        let stamps = self.stamps().map_err(|e| fault("cannot read", &self.dir, e))?;
        self.seen.retain(|name, _| stamps.contains_key(name));
        let mut found = Vec::new();
        for (name, stamp) in stamps {
            let before = self.seen.get(&name);
            let same = before.is_some_and(|seen| seen.stamp == stamp);
            if same && before.is_some_and(|seen| seen.read) {
                continue;
            }
            let old = stamp.2.elapsed().is_ok_and(|age| age >= SETTLED_AFTER);
            let mut read = unsettled || same || old;
            if read {
                match self.read(&name, stamp) {
                    Ok(Some(bytes)) => found.push(Found { name: name.clone(), bytes }),
                    // It went away or changed meanwhile: the next scan sees.
                    Ok(None) => read = false,
                    Err(error) => {
                        tracing::warn!(module = name, %error, "cannot read a module's file");
                    }
                }
            }
            self.seen.insert(name, Seen { stamp, read });
        }
        Ok(found)
    }

    fn stamps(&self) -> io::Result<BTreeMap<String, Stamp>> {
        let mut stamps = BTreeMap::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().and_then(|n| n.strip_suffix(SUFFIX)) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            match stamp(&entry.path()) {
                Ok(Some(stamp)) => stamps.insert(name.to_owned(), stamp),
                Ok(None) => None,
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(stamps)
    }

    /// The content of a file, if it is still the one with this stamp. A file over the size limit
    /// is read a byte past it, which is enough to refuse it.
    fn read(&self, name: &str, expected: Stamp) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(name, SUFFIX);
        let mut bytes = Vec::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
            .and_then(|_| stamp(&path));
        match read {
            Ok(now) if now == Some(expected) => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a module's file in place, whole or not at all.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path(name, SUFFIX);
        let draft = self.dir.join(format!(".{name}.{}-{}", std::process::id(), next_number()));
        let write = || {
            let mut file = fs::File::create_new(&draft)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            fs::File::open(&self.dir)?.sync_all()?;
            stamp(&path)
        };
        let written = write().map_err(|e| fault("cannot write", &path, e))?;
        if let Some(stamp) = written {
            self.seen.insert(name.to_owned(), Seen { stamp, read: true });
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), Fault> {
        let path = self.path(name, SUFFIX);
        remove_if_there(&path)?;
        self.seen.remove(name);
        Ok(())
    }

    /// Says beside a file why it is not taken.
    pub(super) fn note_rejection(&self, name: &str, reason: &str) -> Result<(), Fault> {
        let path = self.path(name, REJECTED);
        fs::write(&path, format!("{reason}\n")).map_err(|e| fault("cannot write", &path, e))
    }

    pub(super) fn clear_rejection(&self, name: &str) -> Result<(), Fault> {
        remove_if_there(&self.path(name, REJECTED))
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.dir.join(format!("{name}{suffix}"))
    }
}

/// `None`: not a file.
fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    let file = fs::metadata(path)?;
    Ok(if file.is_file() { Some((file.ino(), file.size(), file.modified()?)) } else { None })
}

fn remove_if_there(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(fault("cannot remove", path, error))
        }
        _ => Ok(()),
    }
}

fn fault(what: &str, path: &Path, error: io::Error) -> Fault {
    Fault::new(FaultKind::Disk, format!("{what} {}", path.display())).because(error)
}
