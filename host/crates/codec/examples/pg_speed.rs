//! Nanoseconds per record from pgoutput bytes to columns, to the flat row and to the envelope: an
//! insert of 14 columns in batches of 256. Prints one line per step, the median of many rounds;
//! `cargo xtask bench` compares them with its baselines.
#![expect(clippy::print_stdout, reason = "the result is what this program prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use wasmgate_codec::encode::ValueWriter;
use wasmgate_codec::pgoutput::{Message, TupleValue, decode};
use wasmgate_codec::pgvalue::{ColumnType, ValueModes, column_type, push_text};
use wasmgate_model::{
    Batch, Column, Field, Kind, Op, Payload, Plan, Position, Schema, Shape, SourcePart,
};

const ROWS: usize = 256;
const ROUNDS: usize = 400;

/// Name, type, modifier and text; `#` stands for the number of the row.
const COLUMNS: [(&str, u32, i32, &str); 14] = [
    ("id", 20, -1, "10000#"),
    ("customer_id", 23, -1, "48213"),
    ("phone", 1043, 24, "+49 151 23456#"),
    ("city", 25, -1, "Frankfurt am Main"),
    ("country", 25, -1, "DE"),
    ("plan", 25, -1, "unlimited-plus"),
    ("amount", 1700, (10 << 16 | 2) + 4, "1234.5#"),
    ("fee", 1700, (10 << 16 | 2) + 4, "0.25"),
    ("score", 701, -1, "612.5"),
    ("active", 16, -1, "t"),
    ("created", 1184, -1, "2024-02-29 11:14:15.123456+00"),
    ("updated", 1114, -1, "2024-02-29 11:14:15.5"),
    ("details", 3802, -1, "{\"a\": [1, 2], \"b\": \"text\"}"),
    ("note", 25, -1, "no remarks were made in this case"),
];

fn insert(row: usize) -> Vec<u8> {
    let mut message = b"I\0\0\x40\x01N\0\x0e".to_vec();
    for (.., text) in COLUMNS {
        let text = text.replace('#', &(row % 10).to_string());
        message.push(b't');
        message.extend_from_slice(&(text.len() as u32).to_be_bytes());
        message.extend_from_slice(text.as_bytes());
    }
    message
}

/// As the Postgres source has it.
fn source_block() -> Vec<SourcePart> {
    let literal = |text: &str| SourcePart::Literal(text.into());
    vec![
        literal("{\"version\":\"0.1.0\",\"connector\":\"postgresql\",\"name\":\"p\",\"ts_ms\":"),
        SourcePart::Millis(0),
        literal(",\"snapshot\":"),
        SourcePart::Text(1),
        literal(",\"db\":\"d\",\"sequence\":"),
        SourcePart::Text(2),
        literal(",\"ts_us\":"),
        SourcePart::Int(0),
        literal(",\"ts_ns\":"),
        SourcePart::Nanos(0),
        literal(",\"schema\":\"public\",\"table\":\"t\",\"txId\":"),
        SourcePart::Int(3),
        literal(",\"lsn\":"),
        SourcePart::Int(4),
        literal(",\"xmin\":null,\"origin\":"),
        SourcePart::Text(5),
        literal(",\"origin_lsn\":"),
        SourcePart::Int(6),
        literal("}"),
    ]
}

fn source_columns() -> Vec<Column> {
    use Kind::{Integer, Text};
    [Integer, Text, Text, Integer, Integer, Text, Integer].map(Column::new).into()
}

/// What the source block says of a row: a transaction has sixty-four.
fn push_source(row: usize, columns: &mut [Column]) {
    let (transaction, lsn) = (row as i64 / 64, 22_055_016 + row as i64 * 200);
    let sequence = format!("[\"{}\",\"{lsn}\"]", 22_055_000 + transaction * 12_800);
    for (n, column) in columns.iter_mut().enumerate() {
        match n {
            0 => column.push_int(1_700_000_000_000_000 + transaction),
            1 => column.push_bytes(b"false"),
            2 => column.push_bytes(sequence.as_bytes()),
            3 => column.push_int(700 + transaction),
            4 => column.push_int(lsn),
            _ => column.push_null(),
        }
    }
}

fn schema(types: &[ColumnType]) -> Arc<Schema> {
    let field = |((name, ..), ty): (&(&str, u32, i32, &str), &ColumnType)| {
        Field::new(*name, ty.kind, ty.logical.clone(), true)
    };
    Arc::new(Schema {
        fields: COLUMNS.iter().zip(types).map(field).collect(),
        key: vec!["id".into()],
        open: false,
        source: source_block(),
        ..Schema::open(1, "p.public.t".into(), true)
    })
}

fn fill(batch: &mut Batch, types: &[ColumnType], messages: &[Vec<u8>]) -> Result<(), String> {
    batch.clear();
    let Payload::Rows(rows) = &mut batch.payload else { return Err("not rows".into()) };
    for (n, message) in messages.iter().enumerate() {
        let Message::Insert { new, .. } = decode(message).map_err(|e| e.to_string())? else {
            return Err("not an insert".into());
        };
        for ((column, ty), value) in rows.current.iter_mut().zip(types).zip(new.iter()) {
            match value {
                TupleValue::Text(text) => {
                    push_text(column, ty, text).map_err(|e| e.to_string())?;
                }
                _ => column.push_null(),
            }
        }
        push_source(n, &mut rows.source);
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, n as u64));
    }
    batch.select_all();
    Ok(())
}

fn write(writer: &mut ValueWriter, batch: &Batch, out: &mut Vec<u8>) -> Result<(), String> {
    out.clear();
    let begun = writer.begin(batch);
    for i in 0..batch.sel.len() {
        begun.value(i, out).map_err(|e| e.to_string())?;
    }
    black_box(out);
    Ok(())
}

/// Median of nanoseconds per record.
fn median(mut step: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        step()?;
        rounds.push(start.elapsed().as_nanos() as f64 / ROWS as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or(0.0))
}

fn main() -> Result<(), String> {
    let types: Option<Vec<_>> = COLUMNS
        .iter()
        .map(|(_, oid, modifier, _)| column_type(*oid, *modifier, None, &ValueModes::default()))
        .collect();
    let types = types.ok_or("a type is unknown")?;
    let messages: Vec<_> = (0..ROWS).map(insert).collect();
    let mut batch = Batch::rows(schema(&types), Arc::new(Plan::default()), source_columns());
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let decoding = median(|| fill(&mut batch, &types, &messages))?;
    println!("pgoutput -> columns: {decoding:.0} ns/record");
    let envelope = median(|| write(&mut writer, &batch, &mut out))?;
    println!("columns -> envelope: {envelope:.0} ns/record, {} bytes", out.len() / ROWS);
    batch.edits.shape = Shape::Row;
    let flat = median(|| write(&mut writer, &batch, &mut out))?;
    println!("columns -> flat row: {flat:.0} ns/record, {} bytes", out.len() / ROWS);
    Ok(())
}
