//! Records of one partition on their way into a delivery: a batch for bare documents, another for
//! change envelopes. Bytes are copied once, from librdkafka's buffer into the batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use wasmgate_codec::document::{self, Classified, Format, InboundRecord};
use wasmgate_connector::SourceContext;
use wasmgate_model::{Batch, DeadLetterCause, Delivery, Fault, Partition, Reject, Verdict};

use super::place;
use super::schemas::TopicSchemas;

/// A partition that this gateway reads.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) schemas: TopicSchemas,
    pub(super) number: i32,
    pub(super) partition: Partition,
    /// Where the last delivery ended, or reading began.
    from: u64,
    /// Next offset to be taken.
    next: u64,
    /// Told to the group, or on its way there.
    pub(super) committed: u64,
    /// Bare documents, envelopes.
    batches: [Option<Batch>; 2],
    /// The form of the last value; tombstones follow it.
    envelope: bool,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// When the first of the rows came.
    pub(super) since: Instant,
    /// Milliseconds since 1970 of the newest record.
    newest_ms: i64,
    /// The group takes the partition away: records that still come are its next owner's.
    pub(super) given_up: bool,
}

impl Reading {
    pub(super) fn new(topic: &str, number: i32, start: u64, format: Format) -> Self {
        Self {
            schemas: TopicSchemas::new(topic),
            number,
            partition: place::partition(topic, number),
            from: start,
            next: start,
            committed: 0,
            batches: [None, None],
            envelope: matches!(format, Format::DebeziumJson { .. }),
            rows: 0,
            bytes: 0,
            since: Instant::now(),
            newest_ms: -1,
            given_up: false,
        }
    }

    /// Whether the record at `offset` comes after all that were taken. If not, the log was
    /// replaced under the reader.
    pub(super) fn follows(&self, offset: u64) -> bool {
        offset >= self.next
    }

    /// Takes a record.
    ///
    /// # Errors
    /// The chain has no plan for the topic.
    pub(super) fn take(
        &mut self,
        message: &BorrowedMessage<'_>,
        format: Format,
        context: &SourceContext,
    ) -> Result<(), Fault> {
        let value = message.payload();
        let classified = value.map(|value| document::classify(format, value)).transpose();
        if let Ok(Some(Classified { envelope, .. })) = &classified {
            self.envelope = *envelope;
        }
        let offset = message.offset().unsigned_abs();
        let batch = self.batch(context)?;
        let row = batch.len();
        let payload = match (&classified, value) {
            // A wrapper around nothing is a tombstone; an empty value is a value.
            (Ok(Some(found)), Some(value)) => {
                let empty = found.start == found.end && !value.is_empty();
                value.get(found.start..found.end).filter(|_| !empty)
            }
            _ => value,
        };
        let millis = message.timestamp().to_millis();
        let record = InboundRecord {
            key: message.key().and_then(|key| document::key_payload(format, key)),
            value: payload,
            time_us: millis.unwrap_or(0).saturating_mul(1000),
            position: place::of(offset),
            // The record's own wish; where it came from is the batch's `source_partition`.
            partition: -1,
        };
        document::append(batch, &record);
        let mut fault = classified.err().map(|error| ("invalid-json", error.to_string()));
        if let Err(headers) = copy_headers(message, batch, row) {
            fault = fault.or(Some(headers));
        }
        if let Some((code, text)) = fault {
            batch.rejects.push(undecodable(row, code, text));
        }
        if self.rows == 0 {
            self.since = Instant::now();
        }
        self.rows += 1;
        self.bytes += value.map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len) + 64;
        self.newest_ms = millis.unwrap_or(-1);
        self.next = offset + 1;
        Ok(())
    }

    /// The batch for values of the current form.
    fn batch(&mut self, context: &SourceContext) -> Result<&mut Batch, Fault> {
        let [bare, enveloped] = &mut self.batches;
        let slot = if self.envelope { enveloped } else { bare };
        if slot.is_none() {
            let planner = context.planner.as_ref();
            let mut batch = self.schemas.batch(self.envelope, planner, &context.pool)?;
            batch.source_partition = self.number;
            batch.received_us = now_us();
            *slot = Some(batch);
        }
        slot.as_mut().ok_or_else(|| Fault::new(wasmgate_model::FaultKind::Internal, "no batch"))
    }

    /// Ends the delivery: what was taken since the last one, ready for the chain, and its bytes.
    /// `None`: nothing was taken.
    pub(super) fn finish(&mut self) -> Option<(Delivery, usize)> {
        if self.rows == 0 {
            return None;
        }
        let mut batches: Vec<Batch> = self.batches.iter_mut().filter_map(Option::take).collect();
        batches.iter_mut().for_each(wasmgate_codec::project);
        let delivery = Delivery {
            partition: self.partition.clone(),
            from: place::before(self.from),
            to: place::before(self.next),
            state: None,
            batches,
        };
        let bytes = self.bytes;
        self.from = self.next;
        (self.rows, self.bytes) = (0, 0);
        Some((delivery, bytes))
    }

    /// Forgets what was not handed over, and takes no more.
    pub(super) fn give_up(&mut self) {
        self.batches = [None, None];
        (self.rows, self.bytes) = (0, 0);
        self.given_up = true;
    }

    /// Milliseconds between the newest record and now; -1 where records have no time.
    pub(super) fn lag_ms(&self) -> i64 {
        match self.newest_ms {
            time if time < 0 => -1,
            time => (now_us() / 1000 - time).max(0),
        }
    }
}

/// Copies a record's headers. rdkafka panics on a header name that is not UTF-8: that record is
/// given up, not the thread.
fn copy_headers(
    message: &BorrowedMessage<'_>,
    batch: &mut Batch,
    row: usize,
) -> Result<(), (&'static str, String)> {
    let Some(headers) = message.headers() else { return Ok(()) };
    let copied = catch_unwind(AssertUnwindSafe(|| {
        for header in headers.iter() {
            batch.headers.push(header.key, header.value);
        }
    }));
    batch.headers.end_row(row);
    copied.map_err(|_| ("invalid-header", "the name of a header is not utf-8".to_owned()))
}

fn undecodable(row: usize, code: &str, message: String) -> Reject {
    let cause =
        DeadLetterCause { stage: "decode".into(), code: code.into(), message, module: None };
    Reject { row: row as u32, verdict: Verdict::DeadLetter(Box::new(cause)) }
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
