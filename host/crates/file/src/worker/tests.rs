#![expect(clippy::unwrap_used, reason = "tests")]

use wasmgate_connector::{RowSet, fakes};

use super::*;

/// Numbers requests, and says so.
struct Numbers {
    next: u64,
    encoded: mpsc::UnboundedSender<u64>,
}

impl Encoder for Numbers {
    type Lines = Vec<u64>;

    fn encode(&mut self, _: &WriteRequest, lines: &mut Vec<u64>) -> Written {
        assert!(lines.is_empty(), "lines of an earlier request");
        self.next += 1;
        lines.push(self.next);
        self.encoded.send(self.next).unwrap();
        Written { records: self.next, ..Written::default() }
    }
}

/// Writes a request whenever it is let.
struct Gate {
    open: blocking::Receiver<Result<(), Fault>>,
    written: Vec<u64>,
}

impl Output<Vec<u64>> for Gate {
    fn write(&mut self, lines: &mut Vec<u64>) -> Result<(), Fault> {
        self.open.recv().unwrap()?;
        self.written.append(lines);
        assert!(self.written.is_sorted(), "{:?}", self.written);
        Ok(())
    }

    fn flush(&mut self) -> Result<Vec<Touched>, Fault> {
        Ok(Vec::new())
    }
}

fn request() -> WriteRequest {
    let batch = fakes::numbers(&fakes::number_schema(1, "t"), 0..1);
    WriteRequest { delivery: Arc::new(fakes::delivery("p", 0, vec![batch])), rows: RowSet::All }
}

#[tokio::test]
async fn requests_are_encoded_while_one_is_written() {
    let (encoded, mut told) = mpsc::unbounded_channel();
    let (let_go, open) = blocking::channel();
    let encoder = Numbers { next: 0, encoded };
    let mut sink = WorkerSink::start(encoder, Gate { open, written: Vec::new() }).unwrap();
    let mut durables = Vec::new();
    for _ in 0..20 {
        durables.push(sink.write(request()).await.unwrap());
    }
    // None is written yet. The writer holds one, and one more is on its way to a full queue.
    for number in 1..=AHEAD as u64 + 2 {
        assert_eq!(told.recv().await, Some(number));
    }
    assert!(told.is_empty(), "no more are encoded than may wait");
    for _ in 0..20 {
        let_go.send(Ok(())).unwrap();
    }
    for (durable, number) in durables.into_iter().zip(1..) {
        assert_eq!(durable.await.unwrap().records, number);
    }
    let_go.send(Err(Fault::new(FaultKind::SinkUnavailable, "the disk is full"))).unwrap();
    for _ in 0..2 {
        let fault = sink.write(request()).await.unwrap().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::SinkUnavailable, "nothing overtakes what is missing");
    }
    sink.close().await;
}
