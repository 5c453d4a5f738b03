//! The changes of one transaction, in the order in which they came: in memory, and what was there
//! before in a file. The file is no promise to anybody, so it is never synced: it goes with the
//! transaction, with the process, or at the next start.
//!
//! A record: length of the message, its place in the log, its number on the connection, and the
//! message.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use wasmgate_model::{Fault, FaultKind};

/// Bytes before a message.
const HEADER: usize = 20;
/// Room for reading a file.
const READ: usize = 128 << 10;

fn broken(what: &str, path: &Path, cause: io::Error) -> Fault {
    let what = format!("cannot {what} {}: is the disk full?", path.display());
    Fault::new(FaultKind::Disk, what).because(cause)
}

/// Makes a directory where it is missing, and removes the files in it whose names end with
/// `suffix`.
pub(super) fn clear(dir: &Path, suffix: &str) -> Result<(), Fault> {
    fs::create_dir_all(dir).map_err(|e| broken("create", dir, e))?;
    for entry in fs::read_dir(dir).map_err(|e| broken("read", dir, e))? {
        let path = entry.map_err(|e| broken("read", dir, e))?.path();
        if path.extension().is_some_and(|found| found == suffix) {
            fs::remove_file(&path).map_err(|e| broken("remove", &path, e))?;
        }
    }
    Ok(())
}

/// A file that goes when nobody holds it.
#[derive(Debug)]
struct Spilled {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Drop for Spilled {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "a file stays; the next start removes it");
        }
    }
}

/// The changes of one transaction.
#[derive(Debug)]
pub(super) struct Spool {
    /// Its messages carry the number of their sub-transaction.
    pub(super) streamed: bool,
    memory: Vec<u8>,
    file: Option<Spilled>,
    /// Where the first change of each sub-transaction stands, ascending.
    firsts: Vec<(u64, u32)>,
    known: HashMap<u32, u64>,
    /// The sub-transaction of the last change.
    last: Option<u32>,
}

impl Spool {
    pub(super) fn new(streamed: bool) -> Self {
        let (firsts, known) = (Vec::new(), HashMap::new());
        Self { streamed, memory: Vec::new(), file: None, firsts, known, last: None }
    }

    /// Bytes in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.memory.len()
    }

    /// Bytes in the file.
    pub(super) fn on_disk(&self) -> u64 {
        self.file.as_ref().map_or(0, |f| f.len)
    }

    pub(super) fn is_spilled(&self) -> bool {
        self.file.is_some()
    }

    /// Appends a message; answers how many bytes of memory it took.
    pub(super) fn push(
        &mut self,
        sub: Option<u32>,
        lsn: u64,
        number: u64,
        payload: &[u8],
    ) -> usize {
        if let Some(xid) = sub.filter(|_| sub != self.last) {
            self.last = sub;
            let at = self.on_disk() + self.memory.len() as u64;
            if let std::collections::hash_map::Entry::Vacant(slot) = self.known.entry(xid) {
                slot.insert(at);
                self.firsts.push((at, xid));
            }
        }
        let before = self.memory.len();
        self.memory.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        self.memory.extend_from_slice(&lsn.to_be_bytes());
        self.memory.extend_from_slice(&number.to_be_bytes());
        self.memory.extend_from_slice(payload);
        self.memory.len() - before
    }

    /// Takes a sub-transaction back. What came after its first change is its own or its
    /// children's: the log has no change of a parent before the child ended.
    pub(super) fn cut(&mut self, sub: u32) -> Result<(), Fault> {
        let Some(&cut) = self.known.get(&sub) else { return Ok(()) };
        while let Some((_, xid)) = self.firsts.pop_if(|(at, _)| *at >= cut) {
            self.known.remove(&xid);
        }
        self.last = None;
        let on_disk = self.on_disk();
        if cut >= on_disk {
            self.memory.truncate((cut - on_disk) as usize);
            return Ok(());
        }
        self.memory.clear();
        if let Some(spilled) = &mut self.file {
            let shorter = spilled.file.set_len(cut);
            shorter
                .and_then(|()| spilled.file.seek(SeekFrom::Start(cut)).map(drop))
                .map_err(|e| broken("shorten", &spilled.path, e))?;
            spilled.len = cut;
        }
        Ok(())
    }

    /// Gives it a file.
    pub(super) fn create(&mut self, path: &Path) -> Result<(), Fault> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| broken("create", path, e))?;
        self.file = Some(Spilled { file, path: path.to_owned(), len: 0 });
        Ok(())
    }

    /// Moves what is in memory to the file; answers how many bytes.
    pub(super) fn spill(&mut self) -> Result<usize, Fault> {
        let Some(spilled) = &mut self.file else { return Ok(0) };
        spilled.file.write_all(&self.memory).map_err(|e| broken("write", &spilled.path, e))?;
        let written = self.memory.len();
        spilled.len += written as u64;
        self.memory.clear();
        // What grew to the cap is given back; writing goes on in small pieces.
        self.memory.shrink_to(super::WRITE * 2);
        Ok(written)
    }

    /// The changes from the first on.
    pub(super) fn into_records(mut self) -> Result<Records, Fault> {
        let file = self.file.take().map(|mut spilled| {
            let rewound = spilled.file.rewind();
            rewound.map_err(|e| broken("read", &spilled.path, e))?;
            let reader = spilled.file.try_clone().map_err(|e| broken("read", &spilled.path, e))?;
            Ok((BufReader::with_capacity(READ, reader), spilled, 0))
        });
        Ok(Records {
            streamed: self.streamed,
            file: file.transpose()?,
            memory: self.memory,
            at: 0,
            payload: Vec::new(),
        })
    }
}

/// A change that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    pub lsn: u64,
    /// Its number among the messages of the connection.
    pub number: u64,
    pub payload: &'a [u8],
}

/// Reads the changes of a decided transaction.
#[derive(Debug)]
pub(crate) struct Records {
    /// Messages carry the number of their sub-transaction.
    pub streamed: bool,
    file: Option<(BufReader<File>, Spilled, u64)>,
    memory: Vec<u8>,
    at: usize,
    payload: Vec<u8>,
}

impl Records {
    /// The next change.
    pub(crate) fn next(&mut self) -> Result<Option<Kept<'_>>, Fault> {
        if let Some((reader, spilled, at)) = &mut self.file
            && *at < spilled.len
        {
            let path = &spilled.path;
            let mut header = [0; HEADER];
            reader.read_exact(&mut header).map_err(|e| broken("read", path, e))?;
            let (len, lsn, number) = fields(&header);
            self.payload.resize(len, 0);
            reader.read_exact(&mut self.payload).map_err(|e| broken("read", path, e))?;
            *at += (HEADER + len) as u64;
            return Ok(Some(Kept { lsn, number, payload: &self.payload }));
        }
        let rest = self.memory.get(self.at..).unwrap_or(&[]);
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let (len, lsn, number) = fields(header);
        self.at += HEADER + len;
        let payload = rest.get(..len).unwrap_or(&[]);
        Ok(Some(Kept { lsn, number, payload }))
    }
}

fn fields(header: &[u8; HEADER]) -> (usize, u64, u64) {
    let [a, b, c, d, rest @ ..] = header;
    let number = |at: usize| crate::replication::number(rest, at);
    (u32::from_be_bytes([*a, *b, *c, *d]) as usize, number(0), number(8))
}
