//! A sink for people: one line per record on the standard output, `topic key value` with tabs
//! between. Bytes that are not text are shown as replacement characters.

use std::io::Write;
use std::path::Path;

use async_trait::async_trait;
use wasmgate_codec::encode::{JsonOptions, ValueWriter};
use wasmgate_connector::{Finding, RefusedRow, Sink, SinkConnector, WriteRequest, Written};
use wasmgate_model::Fault;

use crate::disk::refusal;
use crate::sink::unencodable;
use crate::worker::{Encoder, Output, Touched, WorkerSink};

/// A sink that shows records.
#[derive(Debug, Clone, Default)]
pub struct ConsoleSink {
    json: JsonOptions,
}

impl ConsoleSink {
    /// A sink on the process's standard output.
    #[must_use]
    pub fn new(json: JsonOptions) -> Self {
        Self { json }
    }
}

#[async_trait]
impl SinkConnector for ConsoleSink {
    fn kind(&self) -> &'static str {
        "console"
    }

    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        Ok(Box::new(WorkerSink::start(Shown::new(self.json), Screen(std::io::stdout()))?))
    }
}

/// Encodes records for people.
struct Shown {
    writer: ValueWriter,
    line: Vec<u8>,
}

impl Shown {
    fn new(json: JsonOptions) -> Self {
        Self { writer: ValueWriter::with(json), line: Vec::new() }
    }
}

impl Encoder for Shown {
    type Lines = String;

    fn encode(&mut self, request: &WriteRequest, lines: &mut String) -> Written {
        let mut written = Written::default();
        for (number, index) in request.in_source_order() {
            let Some(batch) = request.delivery.batches.get(number) else { continue };
            let record = self.writer.begin(batch);
            self.line.clear();
            self.line.extend_from_slice(batch.topic(index).as_bytes());
            self.line.push(b'\t');
            if !record.key(index, &mut self.line) {
                self.line.extend_from_slice(b"null");
            }
            self.line.push(b'\t');
            match record.value(index, &mut self.line) {
                Ok(true) => {}
                Ok(false) => self.line.extend_from_slice(b"null"),
                Err(error) => {
                    let cause = unencodable(&error);
                    written.refused.push(RefusedRow { batch: number, index: index as u32, cause });
                    continue;
                }
            }
            let before = lines.len();
            // One record, one line; and nothing that moves the terminal's cursor.
            let text = String::from_utf8_lossy(&self.line);
            lines.extend(text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
            lines.push('\n');
            written.records += 1;
            written.bytes += (lines.len() - before) as u64;
        }
        written
    }
}

struct Screen<W: Write>(W);

impl<W: Write + Send + 'static> Output<String> for Screen<W> {
    fn write(&mut self, lines: &mut String) -> Result<(), Fault> {
        self.0.write_all(lines.as_bytes()).map_err(refused)?;
        lines.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        self.0.flush().map_err(refused)?;
        Ok(Vec::new())
    }
}

fn refused(cause: std::io::Error) -> Fault {
    refusal("be written", Path::new("the standard output"), cause)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use wasmgate_connector::{RowSet, fakes};
    use wasmgate_model::Schema;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_record_is_a_line_before_it_is_durable() {
        let shown = Shared::default();
        let encoder = Shown::new(JsonOptions::default());
        let mut sink = WorkerSink::start(encoder, Screen(shown.clone())).unwrap();
        let schema = Arc::new(Schema::open(1, "t".into(), false));
        let records: [fakes::KeyValue<'_>; 3] =
            [(Some(b"k"), Some(b"{\"a\":\n1}")), (None, None), (Some(b"\xff"), Some(b"\x1b[2Jx"))];
        let batch = fakes::documents(&schema, 0, &records);
        let delivery = Arc::new(fakes::delivery("p", 0, vec![batch]));
        let durable = sink.write(WriteRequest { delivery, rows: RowSet::All }).await.unwrap();
        assert_eq!(durable.await.unwrap().records, 3);
        let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "t\tk\t{\"a\": 1}\nt\tnull\tnull\nt\t\u{fffd}\t [2Jx\n");
        sink.close().await;
    }
}
