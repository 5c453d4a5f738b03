//! Receiving a component: streamed to a file that has no name, counted and digested on the way,
//! one at a time, bounded in bytes and time. However an upload ends, a killed process included,
//! nothing of it stays: the file goes with its last handle.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::ApiError;

/// Largest component that is taken, unless configured.
pub const MODULE_BYTES_MAX: u64 = 32 << 20;
/// Pieces of a body between the connection and the disk.
const QUEUE: usize = 4;

/// What an upload may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of a component.
    pub bytes: u64,
    /// Bytes that a body has to bring in each `pace_time`, its last one excepted.
    pub pace_bytes: u64,
    pub pace_time: Duration,
    /// Time for a whole body.
    pub total: Duration,
    /// How long an upload waits for the one before it.
    pub turn: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            bytes: MODULE_BYTES_MAX,
            pace_bytes: 64 << 10,
            pace_time: Duration::from_secs(5),
            total: Duration::from_secs(60),
            turn: Duration::from_secs(10),
        }
    }
}

/// Where components are received.
#[derive(Clone)]
pub struct Uploads {
    dir: Arc<Path>,
    limits: UploadLimits,
    turn: Arc<Semaphore>,
}

/// A component that was received whole. While it lives, no other is received.
#[derive(Debug)]
pub struct Component {
    file: File,
    bytes: u64,
    sha256: String,
    _turn: OwnedSemaphorePermit,
}

impl Component {
    /// Hex sha256.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Its content. Blocks on the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
        self.file.rewind()?;
        self.file.read_to_end(&mut content)?;
        Ok(content)
    }
}

impl Uploads {
    /// Receives in `dir`, which is made where it does not exist (only its owner may look inside)
    /// and emptied: what is in there was left behind by a process that was killed.
    ///
    /// # Errors
    /// The directory cannot be made or emptied.
    pub fn open(dir: PathBuf, limits: UploadLimits) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { dir: dir.into(), limits, turn: Arc::new(Semaphore::new(1)) })
    }

    /// Largest component.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.limits.bytes
    }

    /// Receives a body.
    ///
    /// # Errors
    /// Another upload goes on; the body is too large, too slow or cut off; the disk.
    pub(crate) async fn receive(&self, body: Body) -> Result<Component, ApiError> {
        let turn = timeout(self.limits.turn, Arc::clone(&self.turn).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let message = "another module is being uploaded; try again when it is done";
            return Err(ApiError::new(503, "upload-busy", message));
        };
        let (pieces, queue) = mpsc::channel(QUEUE);
        let dir = Arc::clone(&self.dir);
        let stored = tokio::task::spawn_blocking(move || store(&dir, queue));
        match timeout(self.limits.total, self.forward(body, pieces)).await {
            Ok(done) => done?,
            Err(_) => return Err(too_slow(self.limits.total)),
        }
        let stored = stored.await.map_err(io::Error::other).and_then(|stored| stored);
        let (file, bytes, sha256) = stored.map_err(|error| disk(&error))?;
        Ok(Component { file, bytes, sha256, _turn: turn })
    }

    /// Hands the pieces of a body on. Stops early where nobody takes them any more. Who drips would
    /// keep everybody else waiting, so a body has to keep up a pace.
    async fn forward(&self, mut body: Body, pieces: mpsc::Sender<Bytes>) -> Result<(), ApiError> {
        let UploadLimits { pace_bytes, pace_time, .. } = self.limits;
        let (mut bytes, mut bytes_due) = (0_u64, pace_bytes);
        let mut due = Instant::now() + pace_time;
        loop {
            if Instant::now() >= due {
                if bytes < bytes_due {
                    return Err(too_slow(pace_time));
                }
                (due, bytes_due) = (Instant::now() + pace_time, bytes + pace_bytes);
            }
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match timeout_at(due, frame).await {
                Err(_) => continue,
                Ok(None) => return Ok(()),
                Ok(Some(Err(_))) => {
                    return Err(ApiError::new(400, "body-cut-off", "the body was cut off"));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(piece) = frame.into_data() else { continue };
            bytes = bytes.saturating_add(piece.len() as u64);
            if bytes > self.limits.bytes {
                return Err(ApiError::body_too_large(self.limits.bytes));
            }
            if pieces.send(piece).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn too_slow(most: Duration) -> ApiError {
    let message = format!("the body came too slowly: too little or not all of it within {most:?}");
    ApiError::new(408, "body-too-slow", message)
}

/// The disk's fault, not the module's.
fn disk(error: &io::Error) -> ApiError {
    ApiError::new(500, "disk", format!("the component cannot be stored: {error}"))
}

/// Writes and digests pieces until there are no more.
fn store(dir: &Path, mut queue: mpsc::Receiver<Bytes>) -> io::Result<(File, u64, String)> {
    let mut file = nameless(dir)?;
    let mut digest = Sha256::new();
    let mut bytes = 0;
    while let Some(piece) = queue.blocking_recv() {
        file.write_all(&piece)?;
        digest.update(&piece);
        bytes += piece.len() as u64;
    }
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((file, bytes, sha256))
}

/// A file that only its handle leads to.
fn nameless(dir: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("upload-{}-{number}", std::process::id()));
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(file),
    }
}
