//! Files that are appended to: opened, repaired after a crash, synced; and what the system's
//! errors mean for somebody who writes records.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use wasmgate_connector::Finding;
use wasmgate_model::{Fault, FaultKind};

use crate::ahead::give_back;

/// How every line starts: an incomplete last line is only cut off if it is one of ours.
pub(crate) const LINE_START: &[u8] = b"{\"topic\":";

/// A file of lines that grows.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
}

impl Appender {
    /// Opens or creates the file and its directories. A last line without its end, left by a
    /// crash, is cut off: it was never durable.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let fault = |cause| refusal("be opened", path, cause);
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(fault)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(fault)?;
        cut_torn_line(&file, path)?;
        give_back(&file).map_err(fault)?;
        // A new file is only there after a crash if its directory says so.
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(fault)?;
        Ok(Self { file: Arc::new(file), path: path.to_owned() })
    }

    /// Appends whole lines.
    pub(crate) fn append(&self, lines: &[u8]) -> Result<(), Fault> {
        (&*self.file).write_all(lines).map_err(|cause| refusal("be written", &self.path, cause))
    }
}

/// Waits until the file's bytes are on disk.
pub(crate) fn sync(file: &File, path: &Path) -> Result<(), Fault> {
    file.sync_data().map_err(|cause| refusal("be synced", path, cause))
}

fn cut_torn_line(file: &File, path: &Path) -> Result<(), Fault> {
    let fault = |cause| refusal("be read", path, cause);
    let length = file.metadata().map_err(fault)?.len();
    let end = end_of_lines(file, length).map_err(fault)?;
    if end == length {
        return Ok(());
    }
    let mut start = vec![0; LINE_START.len().min((length - end) as usize)];
    file.read_exact_at(&mut start, end).map_err(fault)?;
    // Some file systems leave zeros where bytes were promised and never arrived.
    if !LINE_START.starts_with(&start) && start.iter().any(|b| *b != 0) {
        let message = format!(
            "{} does not end with a record of ours; name another file, or end its last line",
            path.display()
        );
        return Err(Fault::new(FaultKind::SinkRefused, message));
    }
    tracing::warn!(path = %path.display(), bytes = length - end, "cut off an incomplete last line");
    file.set_len(end).and_then(|()| file.sync_all()).map_err(fault)
}

/// One past the last newline.
fn end_of_lines(file: &File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 << 10;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// What a system error means for a place where records go.
pub(crate) fn refusal(what: &str, path: &Path, cause: io::Error) -> Fault {
    let (kind, advice) = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (FaultKind::SinkUnavailable, "its disk is full: free space, it is tried again")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (FaultKind::SinkRefused, "give this user write permission, or name another place")
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            (FaultKind::SinkRefused, "something else has this name: name another place")
        }
        ErrorKind::BrokenPipe => (FaultKind::SinkRefused, "its reader went away"),
        _ => (FaultKind::SinkRefused, "look at the disk and the system's log"),
    };
    Fault::new(kind, format!("{} cannot {what}; {advice}", path.display())).because(cause)
}

/// Whether files can be made in a directory that may not be there yet: nothing is changed.
pub(crate) fn check_dir(dir: &Path) -> Finding {
    let existing = dir.ancestors().find(|p| !p.as_os_str().is_empty() && p.exists());
    let existing = existing.unwrap_or(Path::new("."));
    let ok = existing.is_dir() && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    Finding {
        ok,
        what: format!("directory {} is writable: {ok}", existing.display()),
        fix: (!ok).then(|| "give this user write permission, or name another directory".into()),
    }
}

/// Whether a file can be appended to: nothing is changed.
pub(crate) fn check_file(path: &Path) -> Finding {
    if !path.exists() {
        return check_dir(path.parent().unwrap_or(Path::new(".")));
    }
    let ok = path.is_file() && access(path, Access::READ_OK | Access::WRITE_OK).is_ok();
    Finding {
        ok,
        what: format!("file {} is writable: {ok}", path.display()),
        fix: (!ok).then(|| "give this user write permission, or name another file".into()),
    }
}

/// The name of a topic's file. Bytes that file systems take amiss are written as `%41`, so that
/// two topics never share a file. `None`: empty, or too long for a file name.
pub(crate) fn file_name(topic: &str) -> Option<String> {
    const LONGEST: usize = 240;
    let mut name = String::with_capacity(topic.len() + 6);
    for (at, char) in topic.char_indices() {
        let plain = char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '$' | '~' | '=');
        if plain && (at > 0 || char != '.') {
            name.push(char);
        } else {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    name.push_str(".jsonl");
    (!topic.is_empty() && name.len() <= LONGEST).then_some(name)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn topics_have_files_of_their_own() {
        let cases = [
            ("orders_db.public.orders", Some("orders_db.public.orders.jsonl")),
            ("a/b", Some("a%2Fb.jsonl")),
            ("a%2Fb", Some("a%252Fb.jsonl")),
            ("..", Some("%2E..jsonl")),
            (".hidden", Some("%2Ehidden.jsonl")),
            ("größe", Some("größe.jsonl")),
            ("a b\0", Some("a%20b%00.jsonl")),
            ("", None),
        ];
        for (topic, want) in cases {
            assert_eq!(file_name(topic).as_deref(), want, "{topic:?}");
        }
        assert_eq!(file_name(&"x".repeat(240)), None);
    }

    #[test]
    fn only_an_incomplete_line_of_ours_is_cut_off() {
        let line = "{\"topic\":\"t\"}\n";
        let long = format!("{line}{{\"topic\":\"{}", "x".repeat(200_000));
        let cases = [
            ("nothing", String::new(), Some("")),
            ("whole lines", line.repeat(2), Some("")),
            ("a torn line", format!("{line}{{\"topic\":\"t\",\"ke"), Some("{\"topic\":\"t\",\"ke")),
            ("a torn start", format!("{line}{{\"to"), Some("{\"to")),
            ("only a torn line", "{\"topic\":".into(), Some("{\"topic\":")),
            ("zeros", format!("{line}\0\0\0"), Some("\0\0\0")),
            ("a long torn line", long.clone(), long.get(line.len()..)),
            ("somebody else's", format!("{line}root:x:0"), None),
        ];
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        for (case, content, cut) in cases {
            std::fs::write(&path, &content).unwrap();
            let opened = Appender::open(&path);
            let after = std::fs::read_to_string(&path).unwrap();
            match cut {
                Some(cut) => {
                    opened.unwrap().append(b"more\n").unwrap();
                    let after = std::fs::read_to_string(&path).unwrap();
                    let kept = content.strip_suffix(cut).unwrap();
                    assert_eq!(after, format!("{kept}more\n"), "{case}");
                }
                None => {
                    assert_eq!(opened.unwrap_err().kind, FaultKind::SinkRefused, "{case}");
                    assert_eq!(after, content, "{case}");
                }
            }
        }
    }
}
