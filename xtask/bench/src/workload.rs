//! Call detail records: as JSON documents of 20 fields and about 600 bytes, and as pgoutput
//! inserts.

use std::sync::Arc;

use wasmgate_codec::pgvalue::{ColumnType, ValueModes, column_type};
use wasmgate_model::{Field, Schema, SourcePart};

/// Name, type, modifier and text of a column; `#` is the number of the row.
const COLUMNS: [(&str, u32, i32, &str); 14] = [
    ("call_id", 1043, 54, "CDR00000000#"),
    ("customer_id", 1043, 54, "CUST00#"),
    ("caller_number", 25, -1, "+49 151 23456#"),
    ("call_type", 25, -1, "voice"),
    ("call_duration_seconds", 23, -1, "1#"),
    ("plan_type", 25, -1, "Premium Plus"),
    ("monthly_spending", 701, -1, "4#.5"),
    ("credit_score", 23, -1, "5#"),
    ("monthly_call_duration", 23, -1, "6#"),
    ("payment_method", 25, -1, "credit_card"),
    ("network_type", 25, -1, "5G"),
    ("created", 1184, -1, "2024-02-29 11:14:15.123456+00"),
    ("roaming", 16, -1, "t"),
    ("note", 25, -1, "no remarks were made in this case"),
];

/// An insert as pgoutput sends it.
pub(crate) fn insert(row: usize) -> Vec<u8> {
    let mut message = b"I\0\0\x40\x01N\0\x0e".to_vec();
    for (.., text) in COLUMNS {
        let text = text.replace('#', &format!("{:02}", row % 100));
        message.push(b't');
        message.extend_from_slice(&(text.len() as u32).to_be_bytes());
        message.extend_from_slice(text.as_bytes());
    }
    message
}

/// Types of the columns of [`insert`].
pub(crate) fn types() -> Vec<ColumnType> {
    let known = |(_, oid, modifier, _): &(&str, u32, i32, &str)| {
        column_type(*oid, *modifier, None, &ValueModes::default())
    };
    COLUMNS.iter().filter_map(known).collect()
}

/// The table's schema, with a source block of one integer column.
pub(crate) fn schema(types: &[ColumnType]) -> Arc<Schema> {
    let field = |((name, ..), ty): (&(&str, u32, i32, &str), &ColumnType)| {
        Field::new(*name, ty.kind, ty.logical.clone(), true)
    };
    Arc::new(Schema {
        fields: COLUMNS.iter().zip(types).map(field).collect(),
        key: vec!["call_id".into()],
        open: false,
        source: vec![
            SourcePart::Literal("{\"connector\":\"postgresql\",\"lsn\":".into()),
            SourcePart::Int(0),
            SourcePart::Literal("}".into()),
        ],
        ..Schema::open(1, "p.public.cdr".into(), true)
    })
}
