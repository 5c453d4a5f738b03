//! The file sink: one line per record, fdatasynced before it counts as durable.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wasmgate_codec::encode::{EncodeError, JsonOptions, ValueWriter};
use wasmgate_connector::{Finding, RefusedRow, Sink, SinkConnector, WriteRequest, Written};
use wasmgate_model::{Batch, DeadLetterCause, Fault};

use crate::ahead::Ahead;
use crate::disk::{Appender, check_dir, check_file, file_name, refusal, sync};
use crate::output::LineWriter;
use crate::settings::{FileSinkSettings, Target};
use crate::worker::{Output, Touched, WorkerSink};

/// Files open at any moment; with more topics those used longest ago are synced and closed.
const OPEN_FILES: usize = 256;
/// Writers of a single file kept from request to request.
const WRITERS_KEPT: usize = 64;
/// How long to wait for the syncer to let go of a file, before another look.
const LET_GO: Duration = Duration::from_millis(1);

/// A configured file sink.
#[derive(Debug, Clone)]
pub struct FileSink {
    settings: FileSinkSettings,
}

impl FileSink {
    /// A sink with these settings; nothing is touched before it is opened.
    #[must_use]
    pub fn new(settings: FileSinkSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl SinkConnector for FileSink {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![match &self.settings.target {
            Target::Dir(dir) => check_dir(dir),
            Target::Path(path) => check_file(path),
        }]
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        let FileSinkSettings { target, json } = self.settings.clone();
        let opened = tokio::task::spawn_blocking(move || Files::open(target, json)).await;
        let files = opened.map_err(|cause| {
            Fault::new(wasmgate_model::FaultKind::Internal, "opening the file sink panicked")
                .because(cause)
        })??;
        Ok(Box::new(WorkerSink::start(files)?))
    }
}

/// An open file.
struct OpenFile {
    appender: Appender,
    ahead: Ahead,
    touched: bool,
}

impl OpenFile {
    fn open(path: &Path) -> Result<Self, Fault> {
        let appender = Appender::open(path)?;
        let ahead = Ahead::of(&appender.file).map_err(|cause| refusal("be read", path, cause))?;
        Ok(Self { appender, ahead, touched: false })
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), Fault> {
        if !lines.is_empty() {
            self.touched = true;
            self.ahead.make(&self.appender.file, lines.len());
            self.appender.append(lines)?;
        }
        Ok(())
    }

    /// Names the file to whoever syncs it, if it was written to since the last time.
    fn touched(&mut self) -> Option<Touched> {
        let Appender { file, path } = &self.appender;
        std::mem::take(&mut self.touched).then(|| (Arc::clone(file), path.clone()))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.ahead.close(&self.appender.file);
    }
}

/// A topic whose file is open, with the number of the request that used it last.
struct TopicFile {
    file: OpenFile,
    used: u64,
}

/// A file for every topic.
struct Topics {
    dir: PathBuf,
    open: HashMap<String, TopicFile>,
    /// Lines of the request that is being written.
    lines: HashMap<String, Vec<u8>>,
    requests: u64,
    writer: ValueWriter,
}

/// The open files.
enum Files {
    PerTopic(Box<Topics>),
    Single { file: OpenFile, lines: Vec<u8>, writers: Vec<ValueWriter>, json: JsonOptions },
}

impl Files {
    fn open(target: Target, json: JsonOptions) -> Result<Self, Fault> {
        Ok(match target {
            Target::Dir(dir) => {
                std::fs::create_dir_all(&dir)
                    .map_err(|cause| refusal("be created", &dir, cause))?;
                Self::PerTopic(Box::new(Topics {
                    dir,
                    open: HashMap::new(),
                    lines: HashMap::new(),
                    requests: 0,
                    writer: ValueWriter::with(json),
                }))
            }
            Target::Path(path) => {
                let file = OpenFile::open(&path)?;
                Self::Single { file, lines: Vec::new(), writers: Vec::new(), json }
            }
        })
    }
}

impl Output for Files {
    fn write(&mut self, request: &WriteRequest) -> Result<Written, Fault> {
        // Lines are handed over per request, so that buffers stay as large as a request.
        match self {
            Self::PerTopic(topics) => {
                let written = topics.encode(request);
                topics.write_out()?;
                Ok(written)
            }
            Self::Single { file, lines, writers, json } => {
                let batches = request.delivery.batches.len();
                if writers.len() < batches {
                    writers.resize_with(batches, || ValueWriter::with(*json));
                }
                let written = single(lines, writers, request);
                // A delivery of very many batches leaves no writer for each behind.
                writers.truncate(WRITERS_KEPT);
                file.append(lines)?;
                lines.clear();
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        Ok(match self {
            Self::PerTopic(topics) => {
                topics.open.values_mut().filter_map(|open| open.file.touched()).collect()
            }
            Self::Single { file, .. } => file.touched().into_iter().collect(),
        })
    }
}

/// Counts a record that was encoded, or notes why it was not.
fn count(
    written: &mut Written,
    (batch, index): (usize, usize),
    bytes: usize,
    result: Result<(), DeadLetterCause>,
) {
    match result {
        Ok(()) => {
            written.records += 1;
            written.bytes += bytes as u64;
        }
        Err(cause) => {
            written.refused.push(RefusedRow { batch, index: index as u32, cause });
        }
    }
}

pub(crate) fn unencodable(error: &EncodeError) -> DeadLetterCause {
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {cause}");
    }
    DeadLetterCause { stage: "encode".into(), code: error.code().into(), message, module: None }
}

impl Topics {
    /// Encodes a request batch by batch, every topic into lines of its own.
    fn encode(&mut self, request: &WriteRequest) -> Written {
        let mut written = Written::default();
        for number in 0..request.delivery.batches.len() {
            let Some(batch) = request.delivery.batches.get(number) else { continue };
            let writer = LineWriter::new(batch, &mut self.writer);
            let mut current = String::new();
            for index in places(request, number, batch) {
                let topic = batch.topic(index);
                if topic != current || !self.lines.contains_key(topic) {
                    if !self.lines.contains_key(topic) {
                        if file_name(topic).is_none() {
                            count(&mut written, (number, index), 0, Err(nameless(topic)));
                            continue;
                        }
                        self.lines.insert(topic.to_owned(), Vec::new());
                    }
                    topic.clone_into(&mut current);
                }
                let Some(lines) = self.lines.get_mut(&current) else { continue };
                let before = lines.len();
                let result = writer.write(index, lines);
                let bytes = lines.len() - before;
                count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
            }
        }
        written
    }

    /// Appends the lines to their files, opened one after the other.
    fn write_out(&mut self) -> Result<(), Fault> {
        self.requests += 1;
        let mut all = std::mem::take(&mut self.lines);
        for (topic, lines) in all.iter_mut().filter(|(_, lines)| !lines.is_empty()) {
            if !self.open.contains_key(topic) {
                self.make_room()?;
                let Some(name) = file_name(topic) else { continue };
                let file = OpenFile::open(&self.dir.join(name))?;
                self.open.insert(topic.clone(), TopicFile { file, used: 0 });
            }
            if let Some(open) = self.open.get_mut(topic) {
                open.used = self.requests;
                open.file.append(lines)?;
            }
            lines.clear();
        }
        if all.len() <= OPEN_FILES {
            // Their memory is used again.
            self.lines = all;
        }
        Ok(())
    }

    /// Closes the file used longest ago if there are as many open as may be. The syncer may hold
    /// files of earlier requests, and their descriptors: one that it holds is not closed yet.
    fn make_room(&mut self) -> Result<(), Fault> {
        while self.open.len() >= OPEN_FILES {
            let free = |open: &TopicFile| Arc::strong_count(&open.file.appender.file) == 1;
            let oldest = self.open.iter().filter(|(_, open)| free(open));
            let oldest = oldest.min_by_key(|(_, open)| open.used).map(|(topic, _)| topic.clone());
            let Some(topic) = oldest else {
                std::thread::sleep(LET_GO);
                continue;
            };
            if let Some(open) = self.open.get(&topic)
                && open.file.touched
            {
                let Appender { file, path } = &open.file.appender;
                sync(file, path)?;
            }
            self.open.remove(&topic);
        }
        Ok(())
    }
}

/// Why a topic cannot have a file.
fn nameless(topic: &str) -> DeadLetterCause {
    DeadLetterCause {
        stage: "sink".into(),
        code: "topic-name".into(),
        message: format!(
            "a topic of {} bytes cannot be a file name: it is empty or too long",
            topic.len()
        ),
        module: None,
    }
}

/// Places in `sel` that are meant of one batch.
fn places<'a>(
    request: &'a WriteRequest,
    number: usize,
    batch: &Batch,
) -> Box<dyn Iterator<Item = usize> + 'a> {
    match &request.rows {
        wasmgate_connector::RowSet::All => Box::new(0..batch.sel.len()),
        wasmgate_connector::RowSet::Some(lists) => {
            let list = lists.get(number).map_or(&[][..], Vec::as_slice);
            Box::new(list.iter().map(|i| *i as usize))
        }
    }
}

/// Every topic in one file, in the order of the source.
fn single(lines: &mut Vec<u8>, writers: &mut [ValueWriter], request: &WriteRequest) -> Written {
    let mut written = Written::default();
    let batches = &request.delivery.batches;
    let writers: Vec<_> = batches.iter().zip(writers).map(|(b, w)| LineWriter::new(b, w)).collect();
    for (number, index) in request.in_source_order() {
        let Some(writer) = writers.get(number) else { continue };
        let before = lines.len();
        let result = writer.write(index, lines);
        let bytes = lines.len() - before;
        count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
    }
    written.refused.sort_by_key(|r| (r.batch, r.index));
    written
}

#[cfg(test)]
mod tests;
