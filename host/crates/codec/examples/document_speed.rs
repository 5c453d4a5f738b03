//! What reading, and reading and writing, a JSON record costs: 20 fields, about 630 bytes, 8 read
//! (one of them nested), 1 written. Prints nanoseconds per record for several batch sizes, the
//! best of the rounds. Build it with optimisation: `cargo run --profile bench --example
//! document_speed -p wasmgate-codec`.
#![expect(clippy::print_stdout, reason = "a benchmark's output")]

use std::sync::Arc;
use std::time::Instant;

use wasmgate_codec::document::{InboundRecord, append, write_value};
use wasmgate_codec::project;
use wasmgate_model::{
    Batch, Column, FieldPath, Kind, Plan, PlanRead, Position, Schema, WrittenColumn,
};

const ROUNDS: usize = 40;
/// Records per round, whatever the batch size.
const RECORDS: usize = 16_384;

const READS: [(&str, Kind); 8] = [
    ("call_id", Kind::Text),
    ("customer_id", Kind::Integer),
    ("duration_seconds", Kind::Integer),
    ("monthly_spending", Kind::Float),
    ("credit_score", Kind::Integer),
    ("roaming", Kind::Boolean),
    ("country", Kind::Text),
    ("location.city", Kind::Text),
];

/// A call record; numbers and texts differ from record to record.
fn document(n: usize) -> String {
    format!(
        concat!(
            r#"{{"call_id":"cdr-2024-{n:010}","customer_id":{id},"caller":"+4915112345{n4:04}","#,
            r#""callee":"+4917098765{n4:04}","started_at":"2024-05-06T07:08:09.123456Z","#,
            r#""duration_seconds":{seconds},"call_type":"outgoing-international","#,
            r#""monthly_spending":{spending}.25,"credit_score":{score},"#,
            r#""monthly_call_duration":{minutes},"roaming":{roaming},"country":"DE","#,
            r#""home_country":"FR","tariff":"unlimited-business-europe","cell_id":"cell-{n4:04}","#,
            r#""location":{{"city":"Frankfurt am Main","lat":50.1109,"lon":8.6821}},"#,
            r#""imei":"356938035643809","bytes_up":{up},"bytes_down":{down},"#,
            r#""note":"handover at the border, codec changed twice during the call, "#,
            r#"billed to the parent account"}}"#
        ),
        n = n,
        n4 = n % 10_000,
        id = 100_000 + n,
        seconds = n % 3_600,
        spending = n % 700,
        score = 300 + n % 550,
        minutes = n % 900,
        roaming = n.is_multiple_of(3),
        up = n * 37,
        down = n * 1_031,
    )
}

fn plan() -> Plan {
    let read = |(name, kind): &(&str, Kind)| PlanRead {
        path: FieldPath::Current((*name).into()),
        kind: *kind,
        optional: false,
        stage: "bench".into(),
    };
    Plan { reads: READS.iter().map(read).collect(), edits: vec!["fraud".into()], ..Plan::default() }
}

/// Seconds spent in appending, projecting and writing one batch.
fn pass(batch: &mut Batch, documents: &[String], out: &mut Vec<u8>) -> [f64; 3] {
    batch.clear();
    let start = Instant::now();
    for (row, document) in documents.iter().enumerate() {
        let (value, position) = (Some(document.as_bytes()), Position::new(row as u64, 0));
        let record = InboundRecord { key: None, value, time_us: 0, position, partition: 0 };
        append(batch, &record);
    }
    let appended = start.elapsed();
    project(batch);
    let projected = start.elapsed();
    let mut column = Column::new(Kind::Boolean);
    (0..documents.len()).for_each(|row| column.push_bool(row.is_multiple_of(100)));
    batch.edits.written.push(WrittenColumn { name: "fraud".into(), kind: Kind::Boolean, column });
    out.clear();
    let written = (0..documents.len()).filter(|i| write_value(batch, *i, out) == Ok(true)).count();
    let all = start.elapsed();
    assert!(batch.rejects.is_empty() && written == documents.len(), "every record passes");
    [appended, projected - appended, all - projected].map(|d| d.as_secs_f64())
}

fn main() {
    let documents: Vec<_> = (0..RECORDS).map(document).collect();
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} bytes per record, 8 of 20 fields read, 1 written", bytes / RECORDS);
    println!(
        "{:>6} {:>8} {:>8} {:>8} {:>8}  ns/record",
        "batch", "append", "project", "write", "all"
    );
    let schema = Arc::new(Schema::open(1, "calls".into(), false));
    let plan = Arc::new(plan());
    for size in [1, 16, 256, 1024] {
        let mut batch = Batch::documents(Arc::clone(&schema), Arc::clone(&plan));
        let mut out = Vec::new();
        let mut best = [f64::MAX; 4];
        for _ in 0..ROUNDS {
            let mut round = [0.0; 4];
            for chunk in documents.chunks(size) {
                let parts = pass(&mut batch, chunk, &mut out);
                let all = parts.iter().sum();
                let parts = parts.into_iter().chain([all]);
                round.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            best.iter_mut().zip(round).for_each(|(best, now)| *best = best.min(now));
        }
        let [append, project, write, all] = best.map(|s| s * 1e9 / RECORDS as f64);
        println!("{size:>6} {append:>8.0} {project:>8.0} {write:>8.0} {all:>8.0}");
    }
}
