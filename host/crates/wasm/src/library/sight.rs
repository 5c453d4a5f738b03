//! One entry of the drop directory: what it is, and its content if it is a file. Anybody may put
//! anything there, so nothing here waits: a pipe without a writer must not stop the gateway.

use std::fs::{self, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::limits::MODULE_BYTES_MAX;

/// What tells one state of a file from another without reading it. The time of change is not set
/// back by programs that copy times; the one of writing tells how old the content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            place: (file.dev(), file.ino()),
            size: file.size(),
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// For how long the content has not been written to, by the clock on the wall. `None` where
    /// that lies in the future or before 1970.
    pub(super) fn age(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.written.0).ok()?;
        let nanoseconds = u32::try_from(self.written.1).ok()?;
        let written = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now().duration_since(written).ok()
    }
}

/// What a name in the directory stands for.
#[derive(Debug)]
pub(super) enum Sight {
    File(Stamp),
    /// Something else, which is named.
    NoFile(&'static str),
    /// It went away.
    Gone,
    Unreadable(io::Error),
}

/// Looks at a path, through symbolic links.
pub(super) fn look(path: &Path) -> Sight {
    let error = match fs::metadata(path) {
        Ok(file) if file.is_file() => return Sight::File(Stamp::of(&file)),
        Ok(other) => return Sight::NoFile(kind(other.file_type())),
        Err(error) => error,
    };
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return Sight::NoFile("a symbolic link that leads in a circle");
    }
    if error.kind() != io::ErrorKind::NotFound {
        return Sight::Unreadable(error);
    }
    match path.symlink_metadata() {
        Ok(_) => Sight::NoFile("a symbolic link to nothing"),
        Err(_) => Sight::Gone,
    }
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "a directory"
    } else if of.is_fifo() {
        "a pipe"
    } else if of.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The content of a file if it is still the one with this stamp, before and after; `None` if it is
/// not. A file over the size limit is read a byte past it, which is enough to refuse it.
pub(super) fn read(path: &Path, expected: Stamp) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // Another file, or no file any more, may have taken the name since it was looked at.
    let as_expected = |file: &fs::File| -> io::Result<bool> {
        let now = file.metadata()?;
        Ok(now.is_file() && Stamp::of(&now) == expected)
    };
    if !as_expected(&file)? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&file).take(MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(as_expected(&file)?.then_some(bytes))
}

/// Opens without waiting for whoever writes to a pipe.
fn open(path: &Path) -> io::Result<fs::File> {
    let unblocked = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(unblocked.bits()).unwrap_or_default();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads a module's file, as a command does that somebody gave a path: never more than a byte past
/// the limit on modules, which is enough to refuse it, and never waiting for a pipe or a device.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn read_module(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let found = file.metadata()?.file_type();
    if !found.is_file() {
        let message = format!("is no regular file but {}, expected a module (*.wasm)", kind(found));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut bytes = Vec::new();
    file.take(MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::{Sight, Stamp, look, read, read_module};

    fn stamp(path: &std::path::Path) -> Stamp {
        match look(path) {
            Sight::File(stamp) => stamp,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_that_is_not_the_one_looked_at_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, "one").unwrap();
        let before = stamp(&path);
        assert_eq!(read(&path, before).unwrap().unwrap(), b"one");
        fs::write(dir.path().join("b"), "two").unwrap();
        fs::rename(dir.path().join("b"), &path).unwrap();
        assert!(read(&path, before).unwrap().is_none());
        fs::remove_file(&path).unwrap();
        assert!(read(&path, before).unwrap().is_none());
        // Opening a pipe waits for a writer, unless told not to.
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert!(read(&path, before).unwrap().is_none());
        for (path, what) in [(path.as_path(), "a pipe"), (dir.path(), "a directory")] {
            let error = read_module(path).unwrap_err().to_string();
            assert!(error.contains(&format!("no regular file but {what}")), "{error}");
        }
    }
}
