//! Rows per second from rows events of MySQL to columns and to the envelope as JSON: inserts of 10
//! columns, 50 to an event. Prints one line per step, the median of many rounds.
#![expect(clippy::print_stdout, reason = "the result is what this program prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use wasmgate_codec::encode::ValueWriter;
use wasmgate_codec::mysqlvalue::{
    Charset, ColumnType, Described, MappedColumn, Modes, RowsEvent, RowsKind, Wires, column_type,
    mysql_type as t, wire,
};
use wasmgate_model::{Batch, Column, Field, Kind, Op, Payload, Plan, Position, Schema, SourcePart};

const ROWS: usize = 50;
const ROUNDS: usize = 2000;

/// Name, type, its number and metadata in the log, and a value there.
const COLUMNS: [(&str, &str, u8, u16, &[u8]); 10] = [
    ("id", "bigint", t::LONGLONG, 0, &[1, 2, 3, 4, 0, 0, 0, 0]),
    ("customer", "int", t::LONG, 0, &[9, 8, 7, 0]),
    ("phone", "varchar", t::VARCHAR, 80, b"\x10+49 151 23456789"),
    ("city", "varchar", t::VARCHAR, 160, b"\x11Frankfurt am Main"),
    ("country", "char", t::STRING, 8, b"\x02DE"),
    ("amount", "decimal", t::NEWDECIMAL, 0x020a, &[0x80, 0, 4, 0xd2, 0x32]),
    ("score", "double", t::DOUBLE, 0, &[0, 0, 0, 0, 0, 0x24, 0x83, 0x40]),
    ("active", "tinyint", t::TINY, 0, &[1]),
    ("created", "datetime", t::DATETIME2, 6, &[0x99, 0xb2, 0xba, 0xd3, 0x8f, 1, 0xe2, 0x40]),
    ("note", "text", t::BLOB, 2, b"\x21\0no remarks were made in this case"),
];

fn event() -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 10, 0xff, 0x03];
    for _ in 0..ROWS {
        body.extend_from_slice(&[0, 0]);
        COLUMNS.iter().for_each(|(.., value)| body.extend_from_slice(value));
    }
    body
}

fn schema(types: &[Option<ColumnType>]) -> Schema {
    let fields = COLUMNS.iter().zip(types.iter().flatten());
    let field = |((name, ..), ty): (&(&str, &str, u8, u16, &[u8]), &ColumnType)| {
        Field::new(*name, ty.kind, ty.logical.clone(), true)
    };
    let constant = "{\"version\":\"1\",\"connector\":\"mysql\",\"name\":\"p\",\"ts_us\":";
    Schema {
        fields: fields.map(field).collect(),
        key: vec!["id".into()],
        open: false,
        source: vec![
            SourcePart::Literal(constant.into()),
            SourcePart::Int(0),
            SourcePart::Literal(",\"pos\":".into()),
            SourcePart::Int(1),
            SourcePart::Literal("}".into()),
        ],
        ..Schema::open(1, "p.d.t".into(), true)
    }
}

fn fill(batch: &mut Batch, wires: &Wires, types: &[Option<ColumnType>], body: &[u8]) {
    batch.clear();
    let Payload::Rows(rows) = &mut batch.payload else { return };
    let Ok(mut event) = RowsEvent::parse(RowsKind::Insert, true, body) else { return };
    let mut n = 0;
    while let Ok(Some((image, _))) = event.next(wires) {
        image.fill(wires, types, &mut rows.current, None);
        rows.source.iter_mut().for_each(|c| c.push_int(1_700_000_000_000_000));
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, n));
        n += 1;
    }
    batch.select_all();
}

/// Median of nanoseconds per row.
fn median(mut step: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_nanos() as f64 / ROWS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or(0.0)
}

fn main() {
    let labels: Arc<[String]> = Arc::from([]);
    let (mut wires, mut types) = (Vec::new(), Vec::new());
    for (_, data_type, ty, meta, _) in COLUMNS {
        let mapped = MappedColumn {
            ty,
            meta,
            nullable: true,
            unsigned: None,
            name: None,
            collation: None,
            labels: Vec::new(),
            geometry: None,
        };
        wires.extend(wire(&mapped, false));
        let described = Described {
            data_type,
            unsigned: false,
            charset: Some(&Charset::Utf8),
            labels: &labels,
            length: 10,
            scale: (data_type == "decimal").then_some(2),
            digits: 6,
            nullable: true,
        };
        types.push(column_type(&described, &Modes::default()));
    }
    let wires: Wires = wires.into_iter().collect();
    let body = event();
    let source = vec![Column::new(Kind::Integer), Column::new(Kind::Integer)];
    let mut batch = Batch::rows(Arc::new(schema(&types)), Arc::new(Plan::default()), source);
    let decode = median(|| fill(&mut batch, &wires, &types, &body));
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let both = median(|| {
        fill(&mut batch, &wires, &types, &body);
        out.clear();
        let begun = writer.begin(&batch);
        for i in 0..batch.sel.len() {
            begun.key(i, &mut out);
            drop(begun.value(i, &mut out));
        }
        black_box(&out);
    });
    println!("rows {} of {ROWS}, {} bytes of JSON each", batch.len(), out.len() / ROWS);
    println!("mysql rows event -> columns: {decode:.0} ns/row");
    println!("mysql rows event -> columns -> key and envelope: {both:.0} ns/row");
}
