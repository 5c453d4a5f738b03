//! A call record of 20 columns, as a source hands it over, as a block, and as JSON lines.

use std::fmt::Write as _;
use std::sync::Arc;

use wasmgate_clickhouse::Type;
use wasmgate_model::{
    Batch, Column, Field, Kind, Logical, Op, Payload, Plan, Position, Schema, Values,
};

/// Name, kind, meaning and the type of its column.
type Spec = (&'static str, Kind, Logical, &'static str);

pub(crate) fn columns() -> Vec<Spec> {
    let decimal = Logical::Decimal { precision: 10, scale: 2 };
    let stamp = Logical::Timestamp { digits: 6 };
    let int = |name, bits, ty| (name, Kind::Integer, Logical::Bits(bits), ty);
    let text = |name| (name, Kind::Text, Logical::Plain, "String");
    vec![
        ("id", Kind::Integer, Logical::Plain, "Int64"),
        text("call_id"),
        text("customer_id"),
        text("call_type"),
        text("country"),
        text("cell"),
        text("device"),
        int("duration", 32, "Int32"),
        int("monthly", 32, "Int32"),
        int("score", 32, "Int32"),
        int("delay", 16, "Int16"),
        ("spending", Kind::Decimal, decimal.clone(), "Decimal(10, 2)"),
        ("balance", Kind::Decimal, decimal, "Decimal(10, 2)"),
        ("rate", Kind::Float, Logical::Plain, "Float64"),
        ("churn", Kind::Float, Logical::Plain, "Float64"),
        ("roaming", Kind::Boolean, Logical::Plain, "Bool"),
        ("started", Kind::TimestampUs, stamp.clone(), "DateTime64(6, 'UTC')"),
        ("ended", Kind::TimestampUs, stamp, "DateTime64(6, 'UTC')"),
        ("day", Kind::DateDays, Logical::Plain, "Date32"),
        ("account", Kind::Uuid, Logical::Plain, "UUID"),
    ]
}

pub(crate) fn types() -> Vec<(&'static str, Type)> {
    columns().into_iter().filter_map(|c| Some((c.0, Type::parse(c.3)?))).collect()
}

/// Schemas of one process have numbers of their own.
pub(crate) fn schema(id: u64, topic: &str) -> Arc<Schema> {
    let field = |(name, kind, logical, _): Spec| Field::new(name, kind, logical, false);
    Arc::new(Schema {
        open: false,
        envelope: true,
        fields: columns().into_iter().map(field).collect(),
        key: vec!["id".into()],
        ..Schema::open(id, topic.into(), true)
    })
}

/// The value of column `at` in row `row`.
fn value(name: &str, row: u64) -> String {
    match name {
        "call_id" => format!("CDR-2024-{row:012}"),
        "customer_id" => format!("CUST{:06}", row % 100_000),
        "call_type" => ["voice", "video", "data"]
            .iter()
            .cycle()
            .nth(row as usize % 3)
            .copied()
            .unwrap_or("")
            .to_owned(),
        "country" => "TR".to_owned(),
        "cell" => format!("cell-{:05}", row * 7 % 20_000),
        "device" => format!("35-{:014}", row * 31),
        "spending" | "balance" => format!("{}.{:02}", row % 900, row % 100),
        "account" => format!("3f2504e0-4f89-11d3-9a0c-{:012x}", row),
        _ => row.to_string(),
    }
}

pub(crate) fn push(columns: &mut [Column], row: u64) {
    for ((name, ..), column) in self::columns().iter().zip(columns) {
        match &mut column.values {
            Values::Booleans(v) => v.push(row.is_multiple_of(3)),
            Values::Floats(v) => v.push(row as f64 * 0.25),
            Values::Ints(v) => v.push(match *name {
                "started" | "ended" => 1_709_209_800_000_000 + row as i64,
                "delay" => (row % 100) as i64,
                "duration" | "monthly" | "score" => (row % 3600) as i64,
                "day" => 19_000 + (row % 365) as i64,
                _ => row as i64,
            }),
            Values::Texts(b) | Values::Blobs(b) => b.push(value(name, row).as_bytes()),
        }
    }
}

/// Rows `from` to `to` as a batch.
pub(crate) fn batch(schema: &Arc<Schema>, from: u64, to: u64) -> Batch {
    let mut batch = Batch::rows(Arc::clone(schema), Arc::new(Plan::default()), Vec::new());
    for row in from..to {
        if let Payload::Rows(rows) = &mut batch.payload {
            push(&mut rows.current, row);
        }
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(row + 1, 0));
    }
    batch.select_all();
    batch
}

/// The same rows as JSON lines, with the sink's own columns.
pub(crate) fn json_lines(from: u64, to: u64) -> String {
    let mut lines = String::new();
    for row in from..to {
        lines.push('{');
        for (name, kind, ..) in columns() {
            let written = match kind {
                Kind::Text | Kind::Uuid => write!(lines, "\"{name}\":\"{}\",", value(name, row)),
                Kind::Boolean => write!(lines, "\"{name}\":{},", row.is_multiple_of(3)),
                Kind::TimestampUs => {
                    write!(lines, "\"{name}\":\"2024-02-29 12:30:00.{:06}\",", row % 1_000_000)
                }
                Kind::DateDays => write!(lines, "\"{name}\":\"2022-01-{:02}\",", 1 + row % 28),
                Kind::Decimal => write!(lines, "\"{name}\":{},", value(name, row)),
                _ => write!(lines, "\"{name}\":{},", row % 100),
            };
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        let last = writeln!(lines, "\"_version\":{},\"_is_deleted\":0}}", row + 1);
        debug_assert!(last.is_ok(), "a String takes everything");
    }
    lines
}
