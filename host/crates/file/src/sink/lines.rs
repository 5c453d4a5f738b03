//! Records to lines: of all topics in the order of the source, or of every topic on its own.

use std::collections::HashMap;

use wasmgate_codec::encode::{EncodeError, JsonOptions, ValueWriter};
use wasmgate_connector::{RefusedRow, RowSet, WriteRequest, Written};
use wasmgate_model::{Batch, DeadLetterCause};

use super::OPEN_FILES;
use crate::disk::file_name;
use crate::output::LineWriter;
use crate::worker::Encoder;

/// Writers of a single file kept from request to request.
const WRITERS_KEPT: usize = 64;

/// Bytes of memory for lines by topic that are used again at most.
const KEPT: usize = 16 << 20;

/// Lines by topic.
pub(super) type ByTopic = HashMap<String, Vec<u8>>;

/// Every topic in one file, in the order of the source.
pub(super) struct Together {
    writers: Vec<ValueWriter>,
    json: JsonOptions,
}

impl Together {
    pub(super) fn new(json: JsonOptions) -> Self {
        Self { writers: Vec::new(), json }
    }
}

impl Encoder for Together {
    type Lines = Vec<u8>;

    fn encode(&mut self, request: &WriteRequest, lines: &mut Vec<u8>) -> Written {
        let mut written = Written::default();
        let batches = &request.delivery.batches;
        if self.writers.len() < batches.len() {
            self.writers.resize_with(batches.len(), || ValueWriter::with(self.json));
        }
        let writers = batches.iter().zip(&mut self.writers);
        let writers: Vec<_> = writers.map(|(batch, w)| LineWriter::new(batch, w)).collect();
        for (number, index) in request.in_source_order() {
            let Some(writer) = writers.get(number) else { continue };
            let before = lines.len();
            let result = writer.write(index, lines);
            let bytes = lines.len() - before;
            count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
        }
        drop(writers);
        written.refused.sort_by_key(|r| (r.batch, r.index));
        // A delivery of very many batches leaves no writer for each behind.
        self.writers.truncate(WRITERS_KEPT);
        written
    }
}

/// Every topic on its own.
pub(super) struct PerTopic {
    writer: ValueWriter,
}

impl PerTopic {
    pub(super) fn new(json: JsonOptions) -> Self {
        Self { writer: ValueWriter::with(json) }
    }
}

impl Encoder for PerTopic {
    type Lines = ByTopic;

    fn encode(&mut self, request: &WriteRequest, lines: &mut ByTopic) -> Written {
        if lines.len() > OPEN_FILES || lines.values().map(Vec::capacity).sum::<usize>() > KEPT {
            lines.clear();
        }
        let mut written = Written::default();
        for (number, batch) in request.delivery.batches.iter().enumerate() {
            let writer = LineWriter::new(batch, &mut self.writer);
            let mut current = String::new();
            for index in places(request, number, batch) {
                let topic = batch.topic(index);
                if topic != current || !lines.contains_key(topic) {
                    if !lines.contains_key(topic) {
                        if file_name(topic).is_none() {
                            count(&mut written, (number, index), 0, Err(nameless(topic)));
                            continue;
                        }
                        lines.insert(topic.to_owned(), Vec::new());
                    }
                    topic.clone_into(&mut current);
                }
                let Some(lines) = lines.get_mut(&current) else { continue };
                let before = lines.len();
                let result = writer.write(index, lines);
                let bytes = lines.len() - before;
                count(&mut written, (number, index), bytes, result.map_err(|e| unencodable(&e)));
            }
        }
        written
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
        RowSet::All => Box::new(0..batch.sel.len()),
        RowSet::Some(lists) => {
            let list = lists.get(number).map_or(&[][..], Vec::as_slice);
            Box::new(list.iter().map(|i| *i as usize))
        }
    }
}
