//! Drafts: files on their way into place. A file is written under another name, brought to disk
//! and then renamed, so that a reader or a crash never meets half of one. What a killed process
//! left behind is known by its name, which says whose it was.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::compile::next_number;

const PREFIX: &str = ".wasmgate-";
const SUFFIX: &str = ".draft";
/// A number of a living process may have been another's: nobody writes for so long.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// By how much the time of a file may lag behind the clock.
const FILE_TIME_LAG: Duration = Duration::from_millis(50);

/// Puts a file in place, whole or not at all; where this answers `Ok`, it survives a crash.
pub(super) fn place(dir: &Path, file_name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (mut file, draft) = create(dir, mode)?;
    let placed = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, dir.join(file_name)));
    if let Err(error) = placed {
        return match fs::remove_file(&draft) {
            Err(_) => Err(io::Error::new(error.kind(), format!("{error}; a draft is left"))),
            Ok(()) => Err(error),
        };
    }
    fs::File::open(dir)?.sync_all()
}

fn create(dir: &Path, mode: u32) -> io::Result<(fs::File, PathBuf)> {
    loop {
        let name = format!("{PREFIX}{}-{}{SUFFIX}", std::process::id(), next_number());
        let path = dir.join(name);
        match fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            // Of a process that had our number: in a container every process has the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, path)),
        }
    }
}

/// Removes the drafts in a directory that nobody will finish.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    clear_named(dir, |name| {
        name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?.0.parse().ok()
    })
}

/// Removes the files that a process left behind that is gone. `whose` tells the number of the
/// process from a file's name; `None` is no draft.
pub(super) fn clear_named(dir: &Path, whose: impl Fn(&str) -> Option<u32>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(process) = entry.file_name().to_str().and_then(&whose) else {
            continue;
        };
        let written = entry.metadata().and_then(|file| file.modified());
        if written.is_ok_and(|written| is_abandoned(process, written)) {
            tracing::info!(file = %entry.path().display(), "removing what a stopped process left");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_abandoned(process: u32, written: SystemTime) -> bool {
    if process == std::process::id() {
        return written + FILE_TIME_LAG < started();
    }
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
        || written.elapsed().is_ok_and(|age| age > ABANDONED_AFTER)
}

/// When this process first opened a library; drafts of its own are younger.
pub(super) fn started() -> SystemTime {
    static STARTED: OnceLock<SystemTime> = OnceLock::new();
    *STARTED.get_or_init(SystemTime::now)
}
