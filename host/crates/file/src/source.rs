//! The file source: a thread reads lines, assembles deliveries and hands them over through a
//! bounded queue. A record's position is the byte after its line, so resuming is a seek.

mod lines;
mod tail;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as blocking;

use async_trait::async_trait;
use tokio::sync::mpsc;
use wasmgate_connector::{
    Finding, Source, SourceAcker, SourceContext, SourceEvent, SourceHalves, SourceReader,
};
use wasmgate_model::{Checkpoint, Fault, FaultKind, Partition};

use self::tail::Tail;
use crate::assemble::{Assembler, Schemas};
use crate::settings::FileSourceSettings;

/// Deliveries that are read ahead at most.
const AHEAD: usize = 4;

/// A configured file source.
#[derive(Debug)]
pub struct FileSource {
    settings: FileSourceSettings,
    schemas: Arc<Schemas>,
}

impl FileSource {
    /// A source with these settings; nothing is touched before it is opened.
    #[must_use]
    pub fn new(settings: FileSourceSettings) -> Self {
        Self { settings, schemas: Arc::default() }
    }
}

#[async_trait]
impl Source for FileSource {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn check(&self) -> Vec<Finding> {
        let path = &self.settings.path;
        let found = std::fs::File::open(path).and_then(|file| file.metadata());
        let ok = found.as_ref().is_ok_and(std::fs::Metadata::is_file);
        let what = match found {
            Ok(_) if ok => format!("file {} is readable", path.display()),
            Ok(_) => format!("{} is not a regular file", path.display()),
            Err(cause) => format!("file {} cannot be read: {cause}", path.display()),
        };
        vec![Finding { ok, what, fix: (!ok).then(|| "name a file that this user can read".into()) }]
    }

    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault> {
        let settings = self.settings.clone();
        let partition = Partition(settings.path.to_string_lossy().into());
        let status = Arc::clone(&context.status);
        let assembler = Assembler::new(context, partition, Arc::clone(&self.schemas));
        let opened = tokio::task::spawn_blocking(move || Tail::open(settings, assembler)).await;
        let tail = opened.map_err(|cause| {
            Fault::new(FaultKind::Internal, "opening the file source panicked").because(cause)
        })??;
        status.connected.store(true, Ordering::Relaxed);
        status.phase("reading");
        feed("file-read", move |feed| tail.run(&feed))
    }
}

/// What a feeding thread holds: where events go, and when to stop.
pub(crate) struct Feed {
    events: mpsc::Sender<Result<SourceEvent, Fault>>,
    stop: blocking::Receiver<()>,
}

/// The reader is gone.
pub(crate) struct Stopped;

impl Feed {
    /// Hands an event over; waits while the queue is full.
    pub(crate) fn send(&self, event: Result<SourceEvent, Fault>) -> Result<(), Stopped> {
        self.events.blocking_send(event).map_err(|_| Stopped)
    }

    /// Pauses, unless the reader goes.
    pub(crate) fn pause(&self, time: std::time::Duration) -> Result<(), Stopped> {
        match self.stop.recv_timeout(time) {
            Err(blocking::RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Stopped),
        }
    }
}

/// Starts a thread that feeds a reader. It ends when the halves are dropped.
pub(crate) fn feed(
    name: &str,
    body: impl FnOnce(Feed) -> Result<(), Stopped> + Send + 'static,
) -> Result<SourceHalves, Fault> {
    let (sender, events) = mpsc::channel(AHEAD);
    let (running, stop) = blocking::channel();
    let feed = Feed { events: sender, stop };
    let run = move || {
        // Stopped or finished: both are the end of the thread.
        body(feed).ok();
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(|cause| {
        Fault::new(FaultKind::SourceUnavailable, "the system gives no thread for reading")
            .because(cause)
    })?;
    Ok((Box::new(FedReader { events, _running: running }), Box::new(NoServer)))
}

/// The reading half over a thread.
struct FedReader {
    events: mpsc::Receiver<Result<SourceEvent, Fault>>,
    /// Dropped with the reader: the thread stops.
    _running: blocking::Sender<()>,
}

#[async_trait]
impl SourceReader for FedReader {
    async fn next(&mut self) -> Result<SourceEvent, Fault> {
        let ended = || Err(Fault::new(FaultKind::Stopped, "the source has ended"));
        self.events.recv().await.unwrap_or_else(ended)
    }
}

/// Files need not be told what is settled.
struct NoServer;

#[async_trait]
impl SourceAcker for NoServer {
    async fn settled(&mut self, _checkpoint: &Checkpoint) -> Result<(), Fault> {
        Ok(())
    }
}

/// A path that cannot be read as it has to be.
fn unreadable(path: &std::path::Path, cause: std::io::Error) -> Fault {
    let message = format!("file {} cannot be read; name a readable file", path.display());
    Fault::new(FaultKind::SourceRefused, message).because(cause)
}

/// The place in a file that was settled is not there any more.
fn lost(path: &std::path::Path, what: &str) -> Fault {
    let message = format!(
        "file {} was truncated, replaced or rotated: {what}; restore it, or remove the pipeline's \
         checkpoint to read the file from its start",
        path.display()
    );
    Fault::new(FaultKind::SourceLost, message)
}

#[cfg(test)]
mod tests;
