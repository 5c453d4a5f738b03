//! The data directory and its lock. The lock is an exclusive `flock` on `<dir>/lock`: it goes
//! away with the process, however that ends, so there is nothing stale to remove. The process id
//! in the file is for people.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use wasmgate_model::{Fault, FaultKind};

/// Why the data directory cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it: exit code 75.
    Held {
        path: PathBuf,
        /// Who, as far as the lock file tells.
        pid: Option<u32>,
    },
    /// It cannot be created, written or locked.
    Unusable(Fault),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { path, pid } => {
                write!(f, "data directory {} is held by another process", path.display())?;
                if let Some(pid) = pid {
                    write!(f, " (pid {pid})")?;
                }
                f.write_str("; stop it, or give this one a data_dir of its own")
            }
            Self::Unusable(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Unusable(fault) => std::error::Error::source(fault),
        }
    }
}

impl From<LockError> for Fault {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Fault::new(FaultKind::Disk, error.to_string()),
            LockError::Unusable(fault) => fault,
        }
    }
}

/// The data directory, held by this process until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock lives as long as this handle.
    _lock: File,
}

impl DataDir {
    /// Creates the directory where it is missing (only its owner may look inside), proves that it
    /// can be written, and locks it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be used; the message says what to do.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|cause| LockError::Unusable(unusable("be created", &path, cause)))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|cause| LockError::Unusable(unusable("be written", &path, cause)))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { pid: holder(&mut lock), path });
            }
            Err(cause) => {
                return Err(LockError::Unusable(unusable("be locked", &path, cause.into())));
            }
        }
        sign(&mut lock)
            .map_err(|cause| LockError::Unusable(unusable("be written", &path, cause)))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The process id in the lock file.
fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Writes our process id. Also the proof that there is room: a full disk shows here, at the
/// start, and not at the first checkpoint.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())?;
    lock.sync_all()
}

/// What went wrong with a path, and what to do.
pub(crate) fn unusable(what: &str, path: &Path, cause: io::Error) -> Fault {
    let advice = match cause.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "give this user write permission, or set data_dir to another directory"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space, or set data_dir to another disk"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "something else has this name; set data_dir to another directory"
        }
        _ => "look at the disk and the system's log",
    };
    let message = format!("data directory {} cannot {what}; {advice}", path.display());
    Fault::new(FaultKind::Disk, message).because(cause)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_held_directory_names_its_holder_and_is_free_after_the_drop() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/data");
        let held = DataDir::lock(&path).unwrap();
        assert_eq!(held.path(), path);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "only the owner may look inside");
        match DataDir::lock(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("expected a held directory, found {other:?}"),
        }
        drop(held);
        drop(DataDir::lock(&path).unwrap());
    }

    #[test]
    fn the_lock_of_a_process_that_ended_is_free() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("lock"), "99999999 and more digits than were ours")
            .unwrap();
        drop(DataDir::lock(root.path()).unwrap());
        let text = std::fs::read_to_string(root.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn what_cannot_be_a_directory_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = DataDir::lock(&path).unwrap_err();
            assert!(matches!(error, LockError::Unusable(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("set data_dir to another directory"), "{text}");
        }
    }
}
