//! The folder beside a module, read without following links and without waiting: whoever puts
//! files there may choose what they are.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use wasmgate_case_file::{CASE_BYTES_MAX, CASE_FILES_MAX};

/// Bytes of all case files of one module together.
pub const CASES_BYTES_MAX: u64 = 16 << 20;

/// A folder of case files.
pub(super) struct Folder {
    dir: OwnedFd,
    shown: String,
    /// Sorted.
    names: Vec<String>,
}

/// What a file holds.
pub(super) struct CaseText {
    pub(super) text: String,
    pub(super) bytes: u64,
}

impl Folder {
    /// Opens a folder of this name; `None` if there is nothing of the name.
    pub(super) fn open(parent: &Path, name: &str) -> Result<Option<Self>, String> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match openat(CWD, parent.join(name), flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(format!("{name}: is no folder (links are not followed)"));
            }
            Err(error) => return Err(cannot_be_read(name, error.into())),
        };
        let names = names(&dir).map_err(|error| cannot_be_read(name, error))?;
        if names.is_empty() {
            return Err(format!("{name}: there is no case file (*.yaml)"));
        }
        if names.len() > CASE_FILES_MAX {
            return Err(format!("{name}: more than {CASE_FILES_MAX} case files"));
        }
        Ok(Some(Self { dir, shown: name.to_owned(), names }))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Reads a file of the folder, of which at most `left` bytes may come.
    pub(super) fn read(&self, file_name: &str, left: u64) -> Result<CaseText, String> {
        let shown = format!("{}/{file_name}", self.shown);
        let no_file = || format!("{shown}: is no regular file (links are not followed)");
        let wrong = |error| cannot_be_read(&shown, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match openat(&self.dir, file_name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(no_file()),
            Err(error) => return Err(wrong(error.into())),
        };
        let found = fstat(&file).map_err(|error| wrong(error.into()))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(no_file());
        }
        let mut bytes = Vec::new();
        let most = CASE_BYTES_MAX.min(left);
        File::from(file).take(most + 1).read_to_end(&mut bytes).map_err(wrong)?;
        let size = bytes.len() as u64;
        if size > CASE_BYTES_MAX {
            return Err(format!("{shown}: larger than {CASE_BYTES_MAX} bytes"));
        }
        if size > left {
            let folder = &self.shown;
            return Err(format!("{folder}: larger than {CASES_BYTES_MAX} bytes in all"));
        }
        let text = String::from_utf8(bytes).map_err(|_| format!("{shown}: is not UTF-8"))?;
        Ok(CaseText { text, bytes: size })
    }
}

fn cannot_be_read(shown: &str, error: io::Error) -> String {
    format!("{shown}: cannot be read: {error}")
}

/// The case files of a folder; one more than there may be is enough.
fn names(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        // A name that is only an ending is a hidden file.
        let case = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        if case.is_some_and(|stem| !stem.is_empty()) && names.len() <= CASE_FILES_MAX {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
