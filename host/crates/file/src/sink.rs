//! The file sink: one line per record, fdatasynced before it counts as durable.

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use wasmgate_codec::encode::{EncodeError, JsonOptions, ValueWriter};
use wasmgate_connector::{Finding, RefusedRow, Sink, SinkConnector, WriteRequest, Written};
use wasmgate_model::{Batch, DeadLetterCause, Fault};

use crate::disk::{Appender, check_dir, check_file, file_name};
use crate::output::write_record;
use crate::settings::{FileSinkSettings, Target};
use crate::worker::{Output, Touched, WorkerSink};

/// Files kept open; with more topics they are closed after each sync.
const OPEN_FILES: usize = 256;

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

/// A file and the lines that are not written to it yet.
struct OpenFile {
    appender: Appender,
    lines: Vec<u8>,
    touched: bool,
}

impl OpenFile {
    fn open(path: PathBuf) -> Result<Self, Fault> {
        Ok(Self { appender: Appender::open(&path)?, lines: Vec::new(), touched: false })
    }
}

/// The open files.
enum Files {
    PerTopic { dir: PathBuf, files: HashMap<String, OpenFile>, writer: ValueWriter },
    Single { file: Box<OpenFile>, writers: Vec<ValueWriter>, json: JsonOptions },
}

impl Files {
    fn open(target: Target, json: JsonOptions) -> Result<Self, Fault> {
        Ok(match target {
            Target::Dir(dir) => {
                std::fs::create_dir_all(&dir)
                    .map_err(|cause| crate::disk::refusal("be created", &dir, cause))?;
                Self::PerTopic { dir, files: HashMap::new(), writer: ValueWriter::with(json) }
            }
            Target::Path(path) => {
                let file = Box::new(OpenFile::open(path)?);
                Self::Single { file, writers: Vec::new(), json }
            }
        })
    }
}

impl Output for Files {
    fn write(&mut self, request: &WriteRequest) -> Result<Written, Fault> {
        let written = match self {
            Self::PerTopic { dir, files, writer } => per_topic(dir, files, writer, request)?,
            Self::Single { file, writers, json } => {
                let batches = request.delivery.batches.len();
                if writers.len() < batches {
                    writers.resize_with(batches, || ValueWriter::with(*json));
                }
                single(file, writers, request)
            }
        };
        // Lines are handed over per request, so that buffers stay as large as a request.
        self.files().try_for_each(|file| {
            if !file.lines.is_empty() {
                file.touched = true;
                file.appender.append(&file.lines)?;
                file.lines.clear();
            }
            Ok(())
        })?;
        Ok(written)
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        let touched = self
            .files()
            .filter_map(|file| {
                let Appender { file: handle, path } = &file.appender;
                std::mem::take(&mut file.touched)
                    .then(|| (std::sync::Arc::clone(handle), path.clone()))
            })
            .collect();
        if let Self::PerTopic { files, .. } = self
            && files.len() > OPEN_FILES
        {
            files.clear();
        }
        Ok(touched)
    }
}

impl Files {
    fn files(&mut self) -> Box<dyn Iterator<Item = &mut OpenFile> + '_> {
        match self {
            Self::PerTopic { files, .. } => Box::new(files.values_mut()),
            Self::Single { file, .. } => Box::new(std::iter::once(&mut **file)),
        }
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

/// Every topic in its own file, batch by batch.
fn per_topic(
    dir: &std::path::Path,
    files: &mut HashMap<String, OpenFile>,
    writer: &mut ValueWriter,
    request: &WriteRequest,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    for number in 0..request.delivery.batches.len() {
        let Some(batch) = request.delivery.batches.get(number) else { continue };
        let records = writer.begin(batch);
        let mut current = String::new();
        for index in places(request, number, batch) {
            let topic = batch.topic(index);
            if topic != current || !files.contains_key(topic) {
                if let Err(cause) = open_topic(dir, files, topic)? {
                    count(&mut written, (number, index), 0, Err(cause));
                    continue;
                }
                topic.clone_into(&mut current);
            }
            let Some(file) = files.get_mut(&current) else { continue };
            let before = file.lines.len();
            let result = write_record(&mut file.lines, batch, &records, index);
            let bytes = file.lines.len() - before;
            count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
        }
    }
    Ok(written)
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

/// Makes sure that a topic's file is open; or says why the topic cannot have one.
fn open_topic(
    dir: &std::path::Path,
    files: &mut HashMap<String, OpenFile>,
    topic: &str,
) -> Result<Result<(), DeadLetterCause>, Fault> {
    if files.contains_key(topic) {
        return Ok(Ok(()));
    }
    let Some(name) = file_name(topic) else {
        return Ok(Err(DeadLetterCause {
            stage: "sink".into(),
            code: "topic-name".into(),
            message: format!(
                "a topic of {} bytes cannot be a file name: it is empty or too long",
                topic.len()
            ),
            module: None,
        }));
    };
    files.insert(topic.to_owned(), OpenFile::open(dir.join(name))?);
    Ok(Ok(()))
}

/// Every topic in one file, in the order of the source.
fn single(file: &mut OpenFile, writers: &mut [ValueWriter], request: &WriteRequest) -> Written {
    let mut written = Written::default();
    let batches = &request.delivery.batches;
    let records: Vec<_> = writers.iter_mut().zip(batches).map(|(w, b)| w.begin(b)).collect();
    for (number, index) in request.in_source_order() {
        let (Some(batch), Some(records)) = (batches.get(number), records.get(number)) else {
            continue;
        };
        let before = file.lines.len();
        let result = write_record(&mut file.lines, batch, records, index);
        let bytes = file.lines.len() - before;
        count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
    }
    written.refused.sort_by_key(|r| (r.batch, r.index));
    written
}

#[cfg(test)]
mod tests;
