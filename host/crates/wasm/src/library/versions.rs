//! The store of versions: what a rollback goes back to, also after a restart. Module NAME has a
//! directory with a file `SHA256.wasm` for each version that is kept, and a file `order`: a line
//! for each, latest first within its standing, `active|previous|aside SHA256 VERSION`. A file
//! `deleted` says that the module was deleted while pipelines ran it.
//!
//! The drop directory says what runs; this is a copy. So nothing here keeps a module from being
//! taken in: what is damaged or foreign is ignored, and trouble is logged.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use wasmgate_model::{Fault, FaultKind};

use super::{check_name, drafts};
use crate::runtime::sha256;

const ORDER: &str = "order";
/// Says that the module was deleted while it was in use.
const BURIED: &str = "deleted";
/// Digests of the configurations that the module was opened with.
const OPENED: &str = "opened";
const SUFFIX: &str = ".wasm";
/// Nobody else reads modules here: they were handed to the gateway.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// Bytes of an order file: far more than it has lines.
const ORDER_BYTES_MAX: u64 = 64 << 10;

/// What a version is to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    /// Ran before the active one; a rollback goes to the latest.
    Previous,
    /// Was rolled away from.
    Aside,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Active, Self::Previous, Self::Aside];

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Previous => "previous",
            Self::Aside => "aside",
        }
    }
}

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) standing: Standing,
    /// Hex.
    pub(super) sha256: String,
    pub(super) version: String,
}

impl Record {
    fn line(&self) -> String {
        let Self { standing, sha256, version } = self;
        format!("{} {sha256} {version}\n", standing.word())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (standing, digest, version) = (words.next()?, words.next()?, words.next()?);
        let standing = Standing::ALL.into_iter().find(|each| each.word() == standing)?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let sound = digest.len() == 64 && digest.bytes().all(hex) && words.next().is_none();
        let (sha256, version) = (digest.to_owned(), version.to_owned());
        sound.then_some(Self { standing, sha256, version })
    }
}

/// The directory of all modules' versions.
pub(super) struct Versions {
    dir: PathBuf,
}

impl Versions {
    /// Makes the directory where it does not exist, and clears it of what a killed process left.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        private_dir(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let module = entry.file_name().to_str().is_some_and(|name| check_name(name).is_ok());
            if module && entry.file_type()?.is_dir() {
                drafts::clear(&entry.path())?;
            } else {
                tracing::warn!(file = %entry.path().display(), "ignored in the store of versions");
            }
        }
        Ok(Self { dir })
    }

    /// Keeps a version's bytes. It is found again when it is in the order.
    pub(super) fn keep(&self, name: &str, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        let (dir, file_name) = (self.dir.join(name), format!("{sha256}{SUFFIX}"));
        let kept = fs::read(dir.join(&file_name)).is_ok_and(|kept| kept == bytes);
        if kept {
            return Ok(());
        }
        if !dir.is_dir() {
            private_dir(&dir)?;
            fs::File::open(&self.dir)?.sync_all()?;
        }
        drafts::place(&dir, &file_name, bytes, FILE_MODE)
    }

    /// Writes which versions there are, and removes the others.
    pub(super) fn set_order(&self, name: &str, records: &[Record]) -> io::Result<()> {
        let dir = self.dir.join(name);
        let text: String = records.iter().map(Record::line).collect();
        if !fs::read(dir.join(ORDER)).is_ok_and(|old| old == text.as_bytes()) {
            drafts::place(&dir, ORDER, text.as_bytes(), FILE_MODE)?;
        }
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let digest = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            let ours = digest.is_some_and(|digest| digest.len() == 64);
            if ours && !records.iter().any(|record| Some(record.sha256.as_str()) == digest) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The versions of a module that are whole. The active one is not looked into: it is in the
    /// drop directory, too, and whoever needs it here reads it.
    pub(super) fn recall(&self, name: &str) -> Vec<Record> {
        let path = self.dir.join(name).join(ORDER);
        let text = match read_order(&path) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(file = %path.display(), %error, "cannot read kept versions");
                }
                return Vec::new();
            }
        };
        let mut records = Vec::new();
        for line in text.lines() {
            let Some(record) = Record::parse(line) else {
                tracing::warn!(file = %path.display(), line, "ignored in an order of versions");
                continue;
            };
            let damage = match record.standing {
                Standing::Active => None,
                Standing::Previous | Standing::Aside => self.read(name, &record.sha256).err(),
            };
            match damage {
                None => records.push(record),
                Some(fault) => {
                    tracing::warn!(module = name, error = fault.chain(), "a version is lost");
                }
            }
        }
        records
    }

    /// The bytes of a version.
    ///
    /// # Errors
    /// They cannot be read, or are not what they were.
    pub(super) fn read(&self, name: &str, digest: &str) -> Result<Vec<u8>, Fault> {
        let path = self.dir.join(name).join(format!("{digest}{SUFFIX}"));
        let shown = path.display();
        let bytes = fs::read(&path).map_err(|e| {
            Fault::new(FaultKind::Disk, format!("cannot read the kept version {shown}")).because(e)
        })?;
        if sha256(&bytes) == digest {
            return Ok(bytes);
        }
        let message = format!("the kept version {shown} is damaged: its digest is another");
        Err(Fault::new(FaultKind::Disk, message))
    }

    /// Marks a module as deleted; what is kept of it stays.
    pub(super) fn bury(&self, name: &str) -> io::Result<()> {
        let dir = self.dir.join(name);
        if dir.is_dir() { drafts::place(&dir, BURIED, b"", FILE_MODE) } else { Ok(()) }
    }

    /// Takes the mark away.
    pub(super) fn dig_up(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name).join(BURIED))
    }

    pub(super) fn is_buried(&self, name: &str) -> bool {
        self.dir.join(name).join(BURIED).exists()
    }

    /// Digests of the configurations that a module was opened with.
    pub(super) fn opened(&self, name: &str) -> BTreeSet<String> {
        let path = self.dir.join(name).join(OPENED);
        read_order(&path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub(super) fn set_opened(&self, name: &str, digests: &BTreeSet<String>) -> io::Result<()> {
        let dir = self.dir.join(name);
        if !dir.is_dir() || self.opened(name) == *digests {
            return Ok(());
        }
        let text: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        drafts::place(&dir, OPENED, text.as_bytes(), FILE_MODE)
    }

    /// Forgets every version of a module.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn read_order(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(ORDER_BYTES_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}
