//! A sink's own threads, so that slow disks never hold up the async threads.
//!
//! ```text
//! write() -> queue -> [encoder] -> lines -> [writer] -> group -> [syncer: fdatasync] -> durable
//! ```
//! Encoding and writing cost about the same: each has a thread. Group commit: while a sync runs,
//! and a moment longer, the writer goes on; all that it wrote shares the next sync. After a failure
//! nothing is written any more, so that nothing overtakes what is missing: the pipeline opens the
//! sink again.

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

/// Requests that wait for the encoder at most: the back-pressure.
const QUEUE: usize = 32;
/// Encoded requests that wait for the writer at most.
const AHEAD: usize = 4;
/// Requests that share a sync at most.
const GROUP: usize = 64;

/// Groups that wait for the syncer at most.
const GROUPS: usize = 16;
/// Least time between the starts of two syncs: the first after a pause is made at once, those of a
/// busy sink would otherwise take as much of the machine as the records. Longer, and fast snapshots
/// wait for it: only so many batches may be under way.
const SPACING: Duration = Duration::from_millis(10);

/// Something that a file has to be synced for.
pub(crate) type Touched = (Arc<File>, PathBuf);

/// Makes what is written of requests. Used by one thread.
pub(crate) trait Encoder: Send + 'static {
    /// Encoded records; used again once they are written.
    type Lines: Default + Send + 'static;

    /// Appends the rows to lines that are empty.
    fn encode(&mut self, request: &WriteRequest, lines: &mut Self::Lines) -> Written;
}

/// Where a worker's records go. Used by one thread.
pub(crate) trait Output<Lines>: Send + 'static {
    /// Buffers or writes the lines, and empties them.
    fn write(&mut self, lines: &mut Lines) -> Result<(), Fault>;

    /// Hands everything to the system, and names the files to sync before it is durable.
    fn flush(&mut self) -> Result<Vec<Touched>, Fault>;
}

type Done = oneshot::Sender<Result<Written, Fault>>;

struct Job {
    request: WriteRequest,
    done: Done,
}

/// A request that is encoded.
struct Encoded<Lines> {
    lines: Lines,
    written: Written,
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
    pub(crate) fn start<E: Encoder>(
        encoder: E,
        output: impl Output<E::Lines>,
    ) -> Result<Self, Fault> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (encoded, ahead) = blocking::sync_channel(AHEAD);
        let (used, again) = blocking::channel();
        let (groups, synced) = blocking::sync_channel(GROUPS);
        let failure = Failure::default();
        let syncer = {
            let failure = Arc::clone(&failure);
            thread("file-sync", move || sync_groups(&synced, &failure))?
        };
        let writer = thread("file-write", move || {
            write_lines(output, &ahead, &used, &groups, &failure);
        })?;
        let encoder = thread("file-encode", move || encode_jobs(encoder, queue, &encoded, &again))?;
        Ok(Self { jobs: Some(jobs), threads: vec![encoder, writer, syncer] })
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

fn encode_jobs<E: Encoder>(
    mut encoder: E,
    mut queue: mpsc::Receiver<Job>,
    encoded: &blocking::SyncSender<Encoded<E::Lines>>,
    again: &blocking::Receiver<E::Lines>,
) {
    while let Some(Job { request, done }) = queue.blocking_recv() {
        let mut lines = again.try_recv().unwrap_or_default();
        let written = encoder.encode(&request, &mut lines);
        // The batches go back while the lines are written.
        drop(request);
        if encoded.send(Encoded { lines, written, done }).is_err() {
            return;
        }
    }
}

fn write_lines<Lines>(
    mut output: impl Output<Lines>,
    ahead: &blocking::Receiver<Encoded<Lines>>,
    used: &blocking::Sender<Lines>,
    groups: &blocking::SyncSender<Group>,
    failure: &Failure,
) {
    while let Ok(first) = ahead.recv() {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(Encoded { mut lines, written, done }) = next.take() {
            match attempt(failure, || output.write(&mut lines)) {
                Ok(()) => {
                    waiting.push((done, written));
                    // An encoder that has ended needs none.
                    drop(used.send(lines));
                }
                Err(fault) => answer(done, Err(fault)),
            }
            if waiting.len() < GROUP {
                next = ahead.try_recv().ok();
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

#[cfg(test)]
mod tests;
