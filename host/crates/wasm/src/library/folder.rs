//! The drop directory: which files changed and have settled, the notes beside those that were
//! refused, and writing so that a reader or a crash never meets half a module.
//!
//! A file is read when it has settled, and its digest says whether it is new. A copy that pauses
//! in the middle looks settled; where the content ends early, it is given more time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmgate_model::{Fault, FaultKind};

use super::drafts;
use super::half::ends_early;
use super::sight::{self, Sight, Stamp};

const SUFFIX: &str = ".wasm";
const REJECTED: &str = ".wasm.rejected.txt";
/// A file that was not written to for this long has settled.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// So has one that is the same in two looks this far apart, whatever its time says.
const LOOKS_APART: Duration = Duration::from_millis(100);
/// How long a file that ends in the middle of a module may wait for the rest. By our own clock:
/// the one of a file server may be behind.
const HALF_PATIENCE: Duration = Duration::from_secs(2);
const FILE_MODE: u32 = 0o644;

/// Whether files are given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// What is there counts.
    None,
    /// At the start: as for `Settled`, but what is old is not waited for.
    Start,
    /// Until a file has settled.
    Settled,
}

struct Seen {
    /// Or why it cannot even be looked at.
    state: Result<Stamp, String>,
    since: Instant,
    /// The content ended early.
    half: bool,
    /// The content was handed out.
    read: bool,
    /// It could not be read.
    unreadable: bool,
}

impl Seen {
    fn new(state: Result<Stamp, String>) -> Self {
        Self { state, since: Instant::now(), half: false, read: false, unreadable: false }
    }

    fn is_ready(&self, patience: Patience) -> bool {
        match &self.state {
            _ if self.read => false,
            _ if self.unreadable && patience == Patience::Start => false,
            _ if patience == Patience::None => true,
            Err(_) => true,
            Ok(stamp) if self.half => self.waited_for_half(stamp, patience),
            Ok(stamp) => {
                self.since.elapsed() >= LOOKS_APART
                    || stamp.age().is_some_and(|age| age >= SETTLED_AFTER)
            }
        }
    }
}

impl Seen {
    /// Whether a file that ends early had its time.
    fn waited_for_half(&self, stamp: &Stamp, patience: Patience) -> bool {
        let old = || stamp.age().is_some_and(|age| age >= HALF_PATIENCE);
        match patience {
            Patience::None => true,
            Patience::Start => old() || self.since.elapsed() >= HALF_PATIENCE,
            Patience::Settled => self.since.elapsed() >= HALF_PATIENCE,
        }
    }
}

/// What one walk through the directory finds.
#[derive(Default)]
struct Entries {
    states: BTreeMap<String, Result<Stamp, String>>,
    /// Named like a module, and no file.
    odd: BTreeMap<OsString, &'static str>,
    /// Names of modules that have a note.
    notes: Vec<String>,
}

/// What came of reading a file.
pub(super) enum Reading {
    Content(Vec<u8>),
    Unreadable(String),
    /// It changed or is not whole yet: a later look finds it again.
    Later,
}

/// The directory and what was last seen there.
pub(super) struct Folder {
    dir: PathBuf,
    seen: BTreeMap<String, Seen>,
    /// What is named like a module and is no file. Each is logged once.
    odd: BTreeMap<OsString, &'static str>,
    /// Notes that this process wrote, by module.
    notes: BTreeMap<String, String>,
    /// Notes cannot be written, and that was logged.
    mute: bool,
}

impl Folder {
    pub(super) fn open(dir: PathBuf) -> Result<Self, Fault> {
        fs::create_dir_all(&dir).map_err(|e| fault("cannot create", &dir, e))?;
        if let Err(error) = drafts::clear(&dir) {
            tracing::warn!(%error, "cannot clear the modules' directory of unfinished files");
        }
        Ok(Self {
            dir,
            seen: BTreeMap::new(),
            odd: BTreeMap::new(),
            notes: BTreeMap::new(),
            mute: false,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a file was not read yet that can be looked at.
    pub(super) fn is_unsettled(&self) -> bool {
        self.seen.values().any(|seen| !seen.read && !seen.unreadable && seen.state.is_ok())
    }

    /// Names that have a file.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.seen.keys().cloned().collect()
    }

    /// Looks at every file: names of those to read, which changed since they were last read. Notes
    /// about files that are gone go too.
    pub(super) fn look(&mut self, patience: Patience) -> Result<Vec<String>, Fault> {
        let unreadable = |e| fault("cannot read", &self.dir, e);
        let Entries { states, odd, notes } = self.entries().map_err(unreadable)?;
        for (file_name, what) in &odd {
            if self.odd.get(file_name) != Some(what) {
                tracing::warn!(file = ?file_name, "ignored in the modules' directory: {what}");
            }
        }
        self.odd = odd;
        let mut before = std::mem::take(&mut self.seen);
        for (name, state) in states {
            let seen = before.remove(&name).filter(|seen| seen.state == state);
            self.seen.insert(name, seen.unwrap_or_else(|| Seen::new(state)));
        }
        for name in notes {
            if !self.seen.contains_key(&name) {
                self.clear_note(&name);
            }
        }
        let ready = self.seen.iter().filter(|(_, seen)| seen.is_ready(patience));
        Ok(ready.map(|(name, _)| name.clone()).collect())
    }

    fn entries(&self) -> io::Result<Entries> {
        let Entries { mut states, mut odd, mut notes } = Entries::default();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let bytes = file_name.as_encoded_bytes();
            if bytes.starts_with(b".") {
                continue;
            }
            if let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(REJECTED)) {
                notes.push(name.to_owned());
            }
            if !bytes.ends_with(SUFFIX.as_bytes()) {
                continue;
            }
            let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
                odd.insert(file_name, "a name that is not UTF-8");
                continue;
            };
            let state = match sight::look(&entry.path()) {
                Sight::File(stamp) => Ok(stamp),
                Sight::Unreadable(error) => Err(error.to_string()),
                Sight::NoFile(what) => {
                    odd.insert(file_name, what);
                    continue;
                }
                Sight::Gone => continue,
            };
            states.insert(name.to_owned(), state);
        }
        Ok(Entries { states, odd, notes })
    }

    /// Has the next look find a file that was read already.
    pub(super) fn look_again(&mut self, name: &str) {
        if let Some(seen) = self.seen.get_mut(name) {
            seen.read = false;
        }
    }

    /// Reads a file that a look found ready.
    pub(super) fn read(&mut self, name: &str, patience: Patience) -> Reading {
        let path = self.path(name, SUFFIX);
        let Some(seen) = self.seen.get_mut(name) else {
            return Reading::Later;
        };
        let stamp = match &seen.state {
            Ok(stamp) => *stamp,
            Err(reason) => {
                seen.read = true;
                return Reading::Unreadable(reason.clone());
            }
        };
        match sight::read(&path, stamp) {
            Ok(Some(bytes)) => {
                if !seen.waited_for_half(&stamp, patience) && ends_early(&bytes) {
                    seen.half = true;
                    return Reading::Later;
                }
                seen.read = true;
                Reading::Content(bytes)
            }
            Ok(None) => Reading::Later,
            // Tried again at every look: a file server comes back without the file changing.
            Err(error) => {
                seen.unreadable = true;
                Reading::Unreadable(error.to_string())
            }
        }
    }

    /// Puts a module's file in place, whole or not at all.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path(name, SUFFIX);
        drafts::place(&self.dir, &format!("{name}{SUFFIX}"), bytes, FILE_MODE)
            .map_err(|e| fault("cannot write", &path, e))?;
        if let Sight::File(stamp) = sight::look(&path) {
            let seen = Seen { read: true, ..Seen::new(Ok(stamp)) };
            self.seen.insert(name.to_owned(), seen);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), Fault> {
        let path = self.path(name, SUFFIX);
        remove_if_there(&path).map_err(|e| fault("cannot remove", &path, e))?;
        self.seen.remove(name);
        Ok(())
    }

    /// Says beside a file why it is not taken. Where that cannot be written, the status has it.
    pub(super) fn note(&mut self, name: &str, text: &str) {
        let file_name = format!("{name}{REJECTED}");
        let path = self.dir.join(&file_name);
        // What has the name is never opened: it may be a pipe, or lead elsewhere.
        let there = path.symlink_metadata().is_ok_and(|found| found.is_file());
        if there && self.notes.get(name).is_some_and(|old| old == text) {
            return;
        }
        match drafts::place(&self.dir, &file_name, text.as_bytes(), FILE_MODE) {
            Ok(()) => {
                self.notes.insert(name.to_owned(), text.to_owned());
                self.mute = false;
            }
            Err(error) => self.complain("written", &path, &error),
        }
    }

    pub(super) fn clear_note(&mut self, name: &str) {
        self.notes.remove(name);
        let path = self.path(name, REJECTED);
        if let Err(error) = remove_if_there(&path) {
            self.complain("removed", &path, &error);
        }
    }

    /// Trouble with notes is logged once, until they can be written again.
    fn complain(&mut self, what: &str, path: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.mute, true) {
            let note = path.display();
            tracing::warn!(%note, %error, "a note on a rejected module cannot be {what}");
        }
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.dir.join(format!("{name}{suffix}"))
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    // A file system that is read-only complains about files that are not there, too.
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn fault(what: &str, path: &Path, error: io::Error) -> Fault {
    Fault::new(FaultKind::Disk, format!("{what} {}", path.display())).because(error)
}
