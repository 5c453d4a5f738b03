//! Reads the file to its end, and, where it is followed, beyond.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use wasmgate_codec::document::{self, Format, InboundRecord};
use wasmgate_connector::SourceEvent;
use wasmgate_model::{Fault, Position};

use super::lines::{Line, Lines};
use super::{Feed, Stopped, lost, unreadable};
use crate::assemble::{Assembler, Form, now_us, reject_last};
use crate::input::{self, InputRecord};
use crate::settings::FileSourceSettings;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// An open file and the delivery that is being filled from it.
pub(super) struct Tail {
    settings: FileSourceSettings,
    lines: Lines<File>,
    assembler: Assembler,
    /// Topic of lines that name none: the source's, else the file's name.
    own_topic: String,
}

/// Why reading ended.
enum End {
    Stopped,
    Fault(Fault),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Tail {
    /// Opens the file where the checkpoint says.
    pub(super) fn open(settings: FileSourceSettings, assembler: Assembler) -> Result<Self, Fault> {
        let path = &settings.path;
        let mut file = File::open(path).map_err(|cause| unreadable(path, cause))?;
        let at = assembler.from().major;
        let length = file.metadata().map_err(|cause| unreadable(path, cause))?.len();
        if at > length {
            return Err(lost(path, &format!("it has {length} bytes, {at} are settled")));
        }
        if !between_lines(&file, at, length).map_err(|cause| unreadable(path, cause))? {
            return Err(lost(path, &format!("no line ends at byte {at}, which is settled")));
        }
        file.seek(SeekFrom::Start(at)).map_err(|cause| unreadable(path, cause))?;
        let name = || path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into());
        let own_topic = settings.topic.as_deref().map_or_else(name, str::to_owned);
        let lines = Lines::new(file, at, settings.max_line);
        Ok(Self { settings, lines, assembler, own_topic })
    }

    /// Reads until the end, a fault, or the reader goes.
    pub(super) fn run(mut self, feed: &Feed) -> Result<(), Stopped> {
        let last = match self.read(feed) {
            Ok(()) => Ok(SourceEvent::Completed),
            Err(End::Fault(fault)) => Err(fault),
            Err(End::Stopped) => return Err(Stopped),
        };
        self.assembler.context().status.phase("ended");
        feed.send(last)
    }

    fn read(&mut self, feed: &Feed) -> Result<(), End> {
        // When the oldest record of the delivery was read.
        let mut since = None;
        loop {
            let line = self.lines.next().map_err(|cause| unreadable(&self.settings.path, cause))?;
            if let Some(line) = line {
                self.take(&line)?;
                if self.assembler.is_full() {
                    feed.send(Ok(SourceEvent::Delivery(self.assembler.take())))?;
                    since = None;
                }
                continue;
            }
            if !self.settings.follow {
                if let Some(line) = self.lines.last() {
                    self.take(&line)?;
                }
                return Ok(self.hand_over(feed)?);
            }
            self.wait(feed, &mut since)?;
        }
    }

    /// At the end of a followed file: hands over what waited long enough, or waits.
    fn wait(&mut self, feed: &Feed, since: &mut Option<Instant>) -> Result<(), End> {
        if !self.assembler.has_rows() {
            self.assembler.context().status.phase("following");
            feed.pause(LOOK)?;
            return Ok(self.still_there()?);
        }
        let wait = self.assembler.context().limits.wait;
        let waited = since.get_or_insert_with(Instant::now).elapsed();
        if waited < wait {
            feed.pause(wait - waited)?;
            return Ok(());
        }
        *since = None;
        Ok(self.hand_over(feed)?)
    }

    fn hand_over(&mut self, feed: &Feed) -> Result<(), Stopped> {
        if self.assembler.has_rows() {
            feed.send(Ok(SourceEvent::Delivery(self.assembler.take())))?;
        }
        Ok(())
    }

    /// Whether the path still names the file that is read, and the file did not shrink.
    fn still_there(&self) -> Result<(), Fault> {
        let path = &self.settings.path;
        let unreadable = |cause| unreadable(path, cause);
        let open = self.lines.input().metadata().map_err(unreadable)?;
        let read = self.lines.read_to();
        if open.len() < read {
            return Err(lost(path, &format!("it has {} bytes, {read} were read", open.len())));
        }
        let named = std::fs::metadata(path);
        let same = named.is_ok_and(|n| (n.dev(), n.ino()) == (open.dev(), open.ino()));
        // What was written before the file was moved away is read first.
        if !same && open.len() == read {
            return Err(lost(path, "another file has its name, or none"));
        }
        Ok(())
    }

    /// Adds the record of a line; a blank line is none.
    fn take(&mut self, line: &Line) -> Result<(), Fault> {
        let bytes = self.lines.bytes(line);
        let to = Position::new(line.end, 0);
        if let Some(length) = line.too_long {
            let message = format!(
                "the line has {length} bytes, at most {} are taken; its first {} are kept",
                self.settings.max_line,
                bytes.len()
            );
            return reject(
                &mut self.assembler,
                &self.own_topic,
                bytes,
                to,
                ("line-too-long", message),
            );
        }
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let format = self.settings.format;
        let record = match &self.settings.topic {
            Some(topic) => bare(topic, bytes),
            None => match input::parse(bytes, format) {
                Ok(record) => record,
                Err(error) => {
                    let why = (error.code(), error.to_string());
                    return reject(&mut self.assembler, &self.own_topic, bytes, to, why);
                }
            },
        };
        add(&mut self.assembler, &record, format, bytes.len(), to)
    }
}

/// Whether a line ends at `at`, or the file does, or did when its last line had no end.
fn between_lines(file: &File, at: u64, length: u64) -> std::io::Result<bool> {
    if at == 0 || at == length {
        return Ok(true);
    }
    let mut around = [0; 2];
    file.read_exact_at(&mut around, at - 1)?;
    Ok(around.contains(&b'\n'))
}

/// A bare document.
fn bare<'a>(topic: &'a str, line: &'a [u8]) -> InputRecord<'a> {
    InputRecord {
        topic: topic.into(),
        key: None,
        value: Some(line.into()),
        headers: Vec::new(),
        timestamp_ms: None,
        partition: None,
    }
}

fn add(
    assembler: &mut Assembler,
    record: &InputRecord<'_>,
    format: Format,
    weight: usize,
    to: Position,
) -> Result<(), Fault> {
    let value = record.value.as_deref();
    let (found, error) = match value.map(|value| document::classify(format, value)).transpose() {
        Ok(found) => (found, None),
        Err(error) => (None, Some(error)),
    };
    let value = match (value, found) {
        (Some(value), Some(found)) => {
            value.get(found.start..found.end).filter(|kept| !kept.is_empty() || value.is_empty())
        }
        (value, _) => value,
    };
    // A tombstone follows the delete of its key: it stays with the envelopes.
    let debezium = matches!(format, Format::DebeziumJson { .. });
    let envelope = found.is_some_and(|f| f.envelope) || (debezium && value.is_none());
    let schema = match (record.value.as_deref(), found.map(|f| f.schema)) {
        (Some(value), Some((from, to))) => value.get(from..to).unwrap_or(&[]),
        _ => &[],
    };
    let form = assembler.form(envelope, schema);
    let batch = assembler.batch(&record.topic, &form, weight, to)?;
    let inbound = InboundRecord {
        key: record.key.as_deref().and_then(|key| document::key_payload(format, key)),
        value,
        time_us: record.timestamp_ms.map_or(batch.received_us, |ms| ms.saturating_mul(1000)),
        position: to,
        partition: record.partition.unwrap_or(-1),
    };
    document::append(batch, &inbound);
    for (name, value) in &record.headers {
        batch.headers.push(name, value.as_deref());
    }
    let row = batch.len() - 1;
    batch.headers.end_row(row);
    if let Some(error) = error {
        reject_last(batch, "invalid-json", error.to_string());
    }
    Ok(())
}

/// Adds a line that is no record as a dead letter with its bytes.
fn reject(
    assembler: &mut Assembler,
    topic: &str,
    line: &[u8],
    to: Position,
    (code, message): (&str, String),
) -> Result<(), Fault> {
    let batch = assembler.batch(topic, &Form::bare(false), line.len(), to)?;
    let inbound = InboundRecord {
        key: None,
        value: Some(line),
        time_us: now_us(),
        position: to,
        partition: -1,
    };
    document::append(batch, &inbound);
    let row = batch.len() - 1;
    batch.headers.end_row(row);
    reject_last(batch, code, message);
    Ok(())
}
