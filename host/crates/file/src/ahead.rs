//! Room on the disk ahead of what is written. A file system that is asked for the room of many
//! writes at once gives it for a fraction of what it costs write by write. Only files that grow
//! have it, no more than a quarter of what was written, and none where the disk is nearly full or
//! is memory, where room costs the same either way. The file's length says nothing of it; it is
//! given back when the file is closed, and after a kill when it is opened again ([`give_back`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Written before the first room is asked for.
const FIRST: u64 = 4 << 20;
/// Asked for at once, at most.
const MOST: u64 = 64 << 20;
/// What has to be free, in pieces of room.
const FREE: u64 = 16;
/// Blocks of a file as they are counted (stat(2)).
const BLOCK: u64 = 512;
/// More than file systems keep beside a file's bytes.
const SLACK: u64 = 1 << 20;

/// The room of one open file that only grows.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Where the file ended when it was opened.
    start: u64,
    end: u64,
    /// How far there is room.
    room: u64,
    /// The file system does not give any.
    refused: bool,
}

impl Ahead {
    /// # Errors
    /// The file's length cannot be read.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self { start: end, end, room: end, refused: false })
    }

    /// Makes room, if it is time to, before so many bytes are appended.
    pub(crate) fn make(&mut self, file: &File, bytes: usize) {
        self.end += bytes as u64;
        let grown = self.end - self.start;
        if self.refused || self.end <= self.room || grown < FIRST {
            return;
        }
        let piece = (grown / 4).min(MOST).next_multiple_of(SLACK);
        if reserve(file, self.end, piece).is_ok() {
            self.room = self.end + piece;
        } else {
            self.refused = true;
        }
    }

    /// Gives the rest back. A file that somebody else writes to is left alone.
    pub(crate) fn close(&mut self, file: &File) {
        if self.room > self.end && file.metadata().is_ok_and(|m| m.len() == self.end) {
            drop(file.set_len(self.end));
        }
    }
}

/// Room of an earlier process, that had no time to give it back.
///
/// # Errors
/// The system refuses.
pub(crate) fn give_back(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    match found.blocks() * BLOCK > found.len() + SLACK {
        true => file.set_len(found.len()),
        false => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate, fstatfs, fstatvfs};
    /// Type of a file system in memory (statfs(2)).
    const TMPFS: u32 = 0x0102_1994;
    if fstatfs(file)?.f_type as u32 == TMPFS {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let disk = fstatvfs(file)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < FREE * bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
    use std::io::Write as _;

    use super::*;
    use crate::disk::Appender;

    fn blocks(file: &File) -> u64 {
        file.metadata().unwrap().blocks() * BLOCK
    }

    #[test]
    fn a_file_that_grows_has_room_and_gives_it_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let mut piece = vec![b'x'; 1 << 20];
        piece.splice((1 << 20) - 1.., [b'\n']);
        for killed in [false, true] {
            drop(std::fs::remove_file(&path));
            let file = Appender::open(&path).unwrap().file;
            let mut ahead = Ahead::of(&file).unwrap();
            let mut write = |pieces: u64| {
                for _ in 0..pieces {
                    ahead.make(&file, piece.len());
                    (&*file).write_all(&piece).unwrap();
                }
            };
            write(3);
            assert!(blocks(&file) <= (3 << 20) + SLACK, "too early");
            write(38);
            let length = file.metadata().unwrap().len();
            assert_eq!(length, 41 << 20);
            if ahead.refused {
                eprintln!("skipped: no room ahead on this file system");
                return;
            }
            assert!(blocks(&file) > length, "{} of {length}", blocks(&file));
            assert!(blocks(&file) <= length + length / 4 + 2 * SLACK);
            if !killed {
                ahead.close(&file);
                assert!(blocks(&file) <= length + SLACK, "{} of {length}", blocks(&file));
            }
            let file = Appender::open(&path).unwrap().file;
            assert_eq!(file.metadata().unwrap().len(), length);
            assert!(blocks(&file) <= length + SLACK, "{} of {length}", blocks(&file));
        }
    }
}
