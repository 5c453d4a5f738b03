//! A sink's own threads, so that slow disks never hold up the async threads.
//!
//! ```text
//! write() -> queue -> [writer: encodes, writes] -> group -> [syncer: fdatasync] -> durable
//! ```
//! Group commit: while a sync runs, and a moment longer, the writer goes on; all that it wrote
//! shares the next sync. After a failure nothing is written any more, so that nothing overtakes
//! what is missing: the pipeline opens the sink again.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc as blocking;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use wasmgate_connector::{Durable, Sink, WriteRequest, Written};
use wasmgate_model::{Fault, FaultKind};

use crate::disk;

/// Requests that wait for the writer at most: the back-pressure.
const QUEUE: usize = 32;
/// Requests that share a sync at most.
const GROUP: usize = 64;

/// Groups that wait for the syncer at most.
const GROUPS: usize = 16;
/// Least time between the starts of two syncs: the first after a pause is made at once, those of a
/// busy sink would otherwise take as much of the machine as the records.
const SPACING: Duration = Duration::from_millis(10);

/// Something that a file has to be synced for.
pub(crate) type Touched = (Arc<File>, PathBuf);

/// Where a worker's records go. Used by one thread.
pub(crate) trait Output: Send + 'static {
    /// Encodes and buffers or writes the rows.
    fn write(&mut self, request: &WriteRequest) -> Result<Written, Fault>;

    /// Hands everything to the system, and names the files to sync before it is durable.
    fn flush(&mut self) -> Result<Vec<Touched>, Fault>;
}

type Done = oneshot::Sender<Result<Written, Fault>>;

struct Job {
    request: WriteRequest,
    done: Done,
}

/// Written, and durable once the files are synced.
struct Group {
    files: Vec<Touched>,
    waiting: Vec<(Done, Written)>,
}

/// Kind and text of the first failure; later requests fail the same way.
type Failure = Arc<OnceLock<(FaultKind, String)>>;

/// A sink over an output.
pub(crate) struct WorkerSink {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerSink {
    pub(crate) fn start(output: impl Output) -> Result<Self, Fault> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (groups, synced) = blocking::sync_channel(GROUPS);
        let failure = Failure::default();
        let syncer = {
            let failure = Arc::clone(&failure);
            thread("file-sync", move || sync_groups(&synced, &failure))?
        };
        let writer = thread("file-write", move || write_jobs(output, queue, &groups, &failure))?;
        Ok(Self { jobs: Some(jobs), threads: vec![writer, syncer] })
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    Builder::new().name(name.into()).spawn(body).map_err(|cause| {
        Fault::new(FaultKind::SinkUnavailable, "the system gives no thread for writing files")
            .because(cause)
    })
}

#[async_trait]
impl Sink for WorkerSink {
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault> {
        let ended = || Fault::new(FaultKind::Internal, "the writing thread of the sink has ended");
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        let (done, durable) = oneshot::channel();
        jobs.send(Job { request, done }).await.map_err(|_| ended())?;
        Ok(Box::pin(async move { durable.await.unwrap_or_else(|_| Err(ended())) }))
    }

    async fn close(&mut self) {
        self.jobs = None;
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        if !matches!(joined.await, Ok(0)) {
            tracing::error!("a writing thread of the sink panicked");
        }
    }
}

fn write_jobs(
    mut output: impl Output,
    mut queue: mpsc::Receiver<Job>,
    groups: &blocking::SyncSender<Group>,
    failure: &Failure,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(Job { request, done }) = next.take() {
            match attempt(failure, || output.write(&request)) {
                Ok(written) => waiting.push((done, written)),
                Err(fault) => answer(done, Err(fault)),
            }
            if waiting.len() < GROUP {
                next = queue.try_recv().ok();
            }
        }
        let group = match attempt(failure, || output.flush()) {
            Ok(files) => Group { files, waiting },
            // The syncer answers all of them with the failure.
            Err(_) => Group { files: Vec::new(), waiting },
        };
        if groups.send(group).is_err() {
            return;
        }
    }
}

fn sync_groups(groups: &blocking::Receiver<Group>, failure: &Failure) {
    let mut next = Instant::now();
    while let Ok(mut group) = groups.recv() {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next = Instant::now() + SPACING;
        while let Ok(Group { files, waiting }) = groups.try_recv() {
            for (file, path) in files {
                if !group.files.iter().any(|(known, _)| Arc::ptr_eq(known, &file)) {
                    group.files.push((file, path));
                }
            }
            group.waiting.extend(waiting);
        }
        let Group { files, waiting } = group;
        let all = || files.iter().try_for_each(|(file, path)| disk::sync(file, path));
        let synced = attempt(failure, all).is_ok();
        for (done, written) in waiting {
            answer(done, if synced { Ok(written) } else { Err(copy(failure)) });
        }
    }
}

/// Whoever gave up waiting needs no answer.
fn answer(done: Done, result: Result<Written, Fault>) {
    drop(done.send(result));
}

/// Does something unless something failed before, and remembers its failure.
fn attempt<T>(failure: &Failure, action: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    if failure.get().is_some() {
        return Err(copy(failure));
    }
    action().map_err(|fault| {
        failure.get_or_init(|| (fault.kind, fault.chain()));
        copy(failure)
    })
}

fn copy(failure: &Failure) -> Fault {
    match failure.get() {
        Some((kind, text)) => Fault::new(*kind, text.clone()),
        None => Fault::new(FaultKind::Internal, "the sink failed without a reason"),
    }
}
